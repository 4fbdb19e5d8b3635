std::thread writer([] { Run(); });
