auto channel = grpc::CreateCustomChannel("x", credentials, arguments);
