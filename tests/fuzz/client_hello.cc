// The look at the first bytes of a connection.
#include "server/net/client_hello.h"

#include <array>
#include <string>

#include "mesh/base/check.h"
#include "tests/fuzz/fuzz.h"

namespace peermesh::fuzz {
namespace {

using net::Classify;
using net::FirstBytes;

// What was decided stands, whatever follows; all of the first record is enough to decide.
void TryPrefixes(std::string_view input) {
  FirstBytes before = FirstBytes::kIncomplete;
  for (std::size_t size = 0; size <= std::min<std::size_t>(input.size(), 300); ++size) {
    const FirstBytes now = Classify(input.substr(0, size));
    PM_CHECK(before == FirstBytes::kIncomplete || now == before);
    before = now;
  }
  const FirstBytes all = Classify(input);
  PM_CHECK(before == FirstBytes::kIncomplete || all == before);
  PM_CHECK(all != FirstBytes::kIncomplete || input.size() < net::kMaxFirstRecord);
}

std::string Sized(std::size_t width, const std::string& content) {
  std::string out;
  for (std::size_t i = width; i > 0; --i) {
    out += static_cast<char>(content.size() >> (8 * (i - 1)) & 0xff);
  }
  return out + content;
}

// A well-formed hello with any versions and extensions: TLS 1.3 must be found if it is offered, and
// by no other value. RFC 8446, sections 4.1.2 and 4.2.1.
void TryBuilt(std::string_view input) {
  Parts parts(input);
  std::string extensions;
  bool has_versions = false;
  bool offered = false;
  const int count = parts.Byte() % 6;
  for (int i = 0; i < count; ++i) {
    const std::uint8_t kind = parts.Byte();
    if (kind % 2 == 0 && !has_versions) {
      has_versions = true;
      std::string versions;
      for (int v = parts.Byte() % 5; v > 0; --v) {
        const std::uint8_t minor = parts.Byte();
        versions += {'\x03', static_cast<char>(minor % 8)};
        offered |= minor % 8 == 4;
      }
      extensions += std::string("\0\x2b", 2) + Sized(2, Sized(1, versions));
    } else {
      const std::string_view content = parts.Text().substr(0, 1000);
      extensions += std::string{'\x01', static_cast<char>(kind)} + Sized(2, std::string(content));
    }
  }
  std::string hello = std::string("\x03\x03", 2) + std::string(32, 'r');
  hello += Sized(1, std::string(parts.Byte() % 33, 's')) + Sized(2, "\x13\x01") + Sized(1, "\1");
  hello += Sized(2, extensions);
  const std::string record = "\x16\x03\x01" + Sized(2, "\x01" + Sized(3, hello));
  PM_CHECK(Classify(record) == (offered ? FirstBytes::kTls : FirstBytes::kOldTls));
  const std::string_view cut = std::string_view(record).substr(0, record.size() - 1);
  PM_CHECK(Classify(cut) == FirstBytes::kIncomplete);
}

}  // namespace

void Try(std::string_view input) {
  TryPrefixes(input);
  TryBuilt(input);
}

}  // namespace peermesh::fuzz
