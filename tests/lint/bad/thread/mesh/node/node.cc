std::mutex mutex;
