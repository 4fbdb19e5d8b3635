// A fuzz target: one property-checking function over any bytes.
//
// A target is a file that defines Try. It decodes the input and checks with PM_CHECK what holds for
// every input: what is accepted keeps to the documented bounds and comes back the same after
// encoding, what is refused has a reason, a fast path agrees with a naive one. The same file is
// linked with libFuzzer (PEERMESH_FUZZ=ON, clang) or with replay.cc, which tries each file of a
// corpus once. See README.md.
//
// Try is called millions of times in one process: what is costly to make is made once, and nothing
// may be kept from one call to the next.
#ifndef PEERMESH_TESTS_FUZZ_FUZZ_H_
#define PEERMESH_TESTS_FUZZ_FUZZ_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace peermesh::fuzz {

// Defined by each target. Returns if all properties hold, aborts otherwise.
void Try(std::string_view input);

// Takes an input apart, for targets that need several values. What is used up reads as zeros.
class Parts {
 public:
  explicit Parts(std::string_view bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }
  std::uint8_t Byte() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  // Two bytes, the larger one first, and as much text as they say.
  std::string_view Text() {
    const std::size_t high = Byte();
    return Take(high << 8 | Byte());
  }
  std::string_view Line() {
    const std::string_view line = Take(std::min(rest_.find('\n'), rest_.size()));
    Take(1);
    return line;
  }
  std::string_view Rest() { return Take(rest_.size()); }

 private:
  std::string_view Take(std::size_t count) {
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view rest_;
};

}  // namespace peermesh::fuzz

#endif  // PEERMESH_TESTS_FUZZ_FUZZ_H_
