std::unordered_map<int, int> table;
