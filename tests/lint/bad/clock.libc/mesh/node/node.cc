long Now() { return time(nullptr); }
