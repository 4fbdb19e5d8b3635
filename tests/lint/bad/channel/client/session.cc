auto channel = grpc::CreateChannel("x", credentials);
