auto v = std::views::iota(1);
