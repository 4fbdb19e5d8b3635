grpc::Alarm late;
