// The walk over one application message, against protobuf's parser and the limits as documented.
#include "mesh/base/check.h"
#include "mesh/base/limits.h"
#include "peermesh/v1/message.pb.h"
#include "server/wire/records.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/naive.h"

namespace peermesh::fuzz {
namespace {

using wire::Rule;

// docs and message.proto in code, over what protobuf made of the bytes.
bool KeepsToTheLimits(const v1::Message& message) {
  if (!IsNaiveSubject(message.subject())) return false;
  if (!message.reply_to().empty() && !IsNaiveSubject(message.reply_to())) return false;
  if (message.content_type().size() > kMaxContentTypeBytes) return false;
  if (message.headers_size() > static_cast<int>(kMaxHeaders)) return false;
  std::size_t bytes = 0;
  for (const v1::Header& header : message.headers()) {
    if (header.key().empty() || header.key().size() > kMaxHeaderKeyBytes) return false;
    bytes += header.key().size() + header.value().size();
  }
  return bytes <= kMaxHeaderBytes;
}

}  // namespace

void Try(std::string_view input) {
  std::string_view subject;
  const Rule rule = wire::CheckMessage(input, subject);
  v1::Message message;
  const bool parsed = message.ParseFromArray(input.data(), static_cast<int>(input.size()));
  if (rule == Rule::kNone) {
    PM_CHECK(input.size() <= kMaxMessageBytes);
    PM_CHECK(parsed && KeepsToTheLimits(message));
    PM_CHECK(subject == message.subject());
    PM_CHECK(subject.data() > input.data() &&
             subject.data() + subject.size() <= input.data() + input.size());
  } else {
    const wire::RuleInfo& info = wire::Describe(rule);
    PM_CHECK(*info.label != '\0' && *info.reason != '\0' && *info.what != '\0');
  }
  // Whatever an ordinary encoder makes of a message within the limits must pass.
  if (!parsed || !KeepsToTheLimits(message)) return;
  message.DiscardUnknownFields();
  const std::string canonical = message.SerializeAsString();
  if (canonical.size() > kMaxMessageBytes) return;
  PM_CHECK(wire::CheckMessage(canonical, subject) == Rule::kNone);
  PM_CHECK(subject == message.subject());
}

}  // namespace peermesh::fuzz
