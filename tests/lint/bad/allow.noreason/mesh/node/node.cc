std::unordered_map<int, int> table;  // lint:allow(hash)
