builder.AddListeningPort("[::]:7443", credentials);
