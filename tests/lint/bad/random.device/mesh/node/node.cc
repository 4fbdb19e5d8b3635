unsigned Draw() { return std::random_device()(); }
