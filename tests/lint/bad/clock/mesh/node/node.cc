auto Now() { return std::chrono::steady_clock::now(); }
