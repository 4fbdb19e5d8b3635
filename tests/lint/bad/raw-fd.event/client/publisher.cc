Publisher::Publisher() : wake_(eventfd(0, EFD_CLOEXEC)) {}
