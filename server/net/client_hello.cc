#include "server/net/client_hello.h"

#include <optional>

namespace peermesh::net {
namespace {

constexpr std::size_t kRecordHeader = 5;
constexpr std::size_t kHandshakeHeader = 4;
constexpr std::uint64_t kHandshakeRecord = 22;
constexpr std::uint64_t kClientHello = 1;
constexpr std::uint64_t kSupportedVersions = 43;
constexpr std::uint64_t kTls13 = 0x0304;

// Reads numbers and vectors from the front. What does not fit is nothing, and so is all after it.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }
  std::optional<std::string_view> Take(std::size_t count) {
    if (rest_.size() < count) {
      rest_ = {};
      return std::nullopt;
    }
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  std::optional<std::uint64_t> Number(std::size_t bytes) {
    const auto taken = Take(bytes);
    if (!taken) return std::nullopt;
    std::uint64_t number = 0;
    for (const char byte : *taken) number = number << 8 | static_cast<unsigned char>(byte);
    return number;
  }
  // A length of `width` bytes, and as many bytes.
  std::optional<std::string_view> Vector(std::size_t width) {
    const auto length = Number(width);
    if (!length) return std::nullopt;
    return Take(*length);
  }

 private:
  std::string_view rest_;
};

bool Offers13(std::string_view extension) {
  const auto versions = Fields(extension).Vector(1);
  if (!versions) return true;  // malformed: not ours to judge
  for (Fields list(*versions); !list.empty();) {
    const auto version = list.Number(2);
    if (!version || *version == kTls13) return true;
  }
  return false;
}

FirstBytes ClassifyHello(std::string_view hello) {
  Fields fields(hello);
  fields.Take(2 + 32);  // legacy_version, random
  fields.Vector(1);     // legacy_session_id
  fields.Vector(2);     // cipher_suites
  if (!fields.Vector(1)) return FirstBytes::kTls;
  if (fields.empty()) return FirstBytes::kOldTls;  // older versions may end here
  const auto extensions = fields.Vector(2);
  if (!extensions) return FirstBytes::kTls;
  for (Fields list(*extensions); !list.empty();) {
    const auto type = list.Number(2);
    const auto extension = list.Vector(2);
    if (!type || !extension) return FirstBytes::kTls;
    if (*type == kSupportedVersions) {
      return Offers13(*extension) ? FirstBytes::kTls : FirstBytes::kOldTls;
    }
  }
  return FirstBytes::kOldTls;
}

}  // namespace

FirstBytes Classify(std::string_view bytes) {
  Fields fields(bytes);
  const auto type = fields.Number(1), major = fields.Number(1);
  if (type && *type != kHandshakeRecord) return FirstBytes::kNotTls;
  if (major && *major != 3) return FirstBytes::kNotTls;
  if (!fields.Take(1)) return FirstBytes::kIncomplete;  // the minor version says nothing
  const auto record = fields.Number(2);
  if (record && (*record < kHandshakeHeader || kRecordHeader + *record > kMaxFirstRecord)) {
    return FirstBytes::kNotTls;
  }
  const auto message = fields.Number(1);
  if (message && *message != kClientHello) return FirstBytes::kNotTls;
  const auto length = fields.Number(3);
  if (!length) return FirstBytes::kIncomplete;
  if (*length + kHandshakeHeader > *record) return FirstBytes::kTls;  // goes on in another record
  const auto hello = fields.Take(*length);
  return hello ? ClassifyHello(*hello) : FirstBytes::kIncomplete;
}

std::string_view ProtocolVersionAlert() {
  // An alert record of 2 bytes: level fatal (2), protocol_version (70).
  return {"\x15\x03\x03\x00\x02\x02\x46", 7};
}

}  // namespace peermesh::net
