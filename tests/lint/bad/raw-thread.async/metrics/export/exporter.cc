const auto stopped = std::async([] { Stop(); });
