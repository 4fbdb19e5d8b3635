// What libFuzzer, and replay.cc in its place, call.
#include <google/protobuf/stubs/logging.h>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Protobuf complains of every string that is not UTF-8.
  static auto* const quiet = google::protobuf::SetLogHandler(nullptr);
  (void)quiet;
  peermesh::fuzz::Try({reinterpret_cast<const char*>(data), size});
  return 0;
}
