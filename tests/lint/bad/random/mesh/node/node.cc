std::uniform_int_distribution<int> dice(1, 6);
