auto channel = tls::MakeChannel("x", credentials, arguments);
