#include "client/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "client/errors.h"
#include "mesh/base/limits.h"
#include "peermesh/v1/messaging.pb.h"

namespace peermesh::client {
namespace {

bool IsTokenCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

enum class Wildcards { kNone, kAllowed };

// 1 to 16 tokens joined by dots, at most 256 bytes.
bool IsDotted(std::string_view text, Wildcards wildcards) {
  if (text.size() > kMaxSubjectBytes) return false;
  for (std::size_t tokens = 1; tokens <= kMaxSubjectTokens; ++tokens) {
    const std::size_t dot = text.find('.');
    const std::string_view token = text.substr(0, dot);
    const bool last = dot == std::string_view::npos;
    const bool wild = wildcards == Wildcards::kAllowed && (token == "*" || (last && token == ">"));
    if (token.empty()) return false;
    if (!wild && !std::all_of(token.begin(), token.end(), IsTokenCharacter)) return false;
    if (last) return true;
    text.remove_prefix(dot + 1);
  }
  return false;
}

absl::Status BadFrame(std::string_view what) {
  return MakeError(absl::StatusCode::kInternal, "BAD_FRAME",
                   fmt::format("The peer sent a frame that contradicts itself ({}). "
                               "Check that client and peermeshd are of compatible versions.",
                               what));
}

absl::Status CheckHeaders(const Message& message) {
  std::size_t bytes = 0;
  for (const Header& header : message.headers) {
    bytes += header.key.size() + header.value.size();
    if (header.key.empty() || header.key.size() > kMaxHeaderKeyBytes) {
      return MakeError(absl::StatusCode::kInvalidArgument, "MALFORMED_MESSAGE",
                       fmt::format("A header key has {} bytes. Use 1 to {}.", header.key.size(),
                                   kMaxHeaderKeyBytes));
    }
  }
  if (message.headers.size() > kMaxHeaders || bytes > kMaxHeaderBytes) {
    return MakeError(absl::StatusCode::kInvalidArgument, "MALFORMED_MESSAGE",
                     fmt::format("The message has {} headers of {} bytes. Use at most {} of {}.",
                                 message.headers.size(), bytes, kMaxHeaders, kMaxHeaderBytes));
  }
  return absl::OkStatus();
}

// A length-delimited field with a one-byte tag; empty ones are not written.
std::size_t FieldBytes(std::size_t length) {
  if (length == 0) return 0;
  std::size_t varint = 1;
  for (std::size_t rest = length >> 7; rest != 0; rest >>= 7) ++varint;
  return 1 + varint + length;
}

LossReason ReasonFromProto(int reason) {
  // A reason of a later release is still a loss.
  if (reason <= 0 || reason >= kLossReasonCount) return LossReason::kMissing;
  return static_cast<LossReason>(reason);
}

// Checks a run and gives the sum of what it claims.
absl::Status CheckRun(const v1::Delivery& run, int messages_left) {
  const auto count = static_cast<int>(run.count());
  if (count < 1 || count > messages_left) return BadFrame("messages in a run");
  if (run.skips_size() != 0 && run.skips_size() != count) return BadFrame("skips");
  if (run.matched_counts_size() == 0) {
    if (run.matched_size() > 1) return BadFrame("matched subscriptions");
  } else {
    std::uint64_t sum = 0;
    for (const std::uint32_t n : run.matched_counts()) sum += n;
    if (run.matched_counts_size() != count ||
        sum != static_cast<std::uint64_t>(run.matched_size())) {
      return BadFrame("matched subscriptions");
    }
  }
  if (run.origin().size() != sizeof(PeerId::bytes)) return BadFrame("origin");
  return absl::OkStatus();
}

absl::Status CheckFrame(const v1::ExchangeResponse& frame) {
  int left = frame.messages_size();
  for (const auto& run : frame.deliveries()) {
    if (auto status = CheckRun(run, left); !status.ok()) return status;
    left -= static_cast<int>(run.count());
  }
  if (left != 0) return BadFrame("messages without a run");
  std::uint32_t place = 0;
  for (const auto& gap : frame.gaps()) {
    const auto messages = static_cast<std::uint32_t>(frame.messages_size());
    if (gap.before_message() < place || gap.before_message() > messages) return BadFrame("gaps");
    if (gap.origin().size() != sizeof(PeerId::bytes)) return BadFrame("origin of a gap");
    place = gap.before_message();
  }
  return absl::OkStatus();
}

Message FromProto(v1::Message& in) {
  Message out;
  out.subject = std::move(*in.mutable_subject());
  out.payload = std::move(*in.mutable_payload());
  if (!in.reply_to().empty()) out.reply_to = std::move(*in.mutable_reply_to());
  if (!in.content_type().empty()) out.content_type = std::move(*in.mutable_content_type());
  out.headers.reserve(static_cast<std::size_t>(in.headers_size()));
  for (auto& header : *in.mutable_headers()) {
    out.headers.push_back({std::move(*header.mutable_key()), std::move(*header.mutable_value())});
  }
  return out;
}

// Emits the gaps that lie before message `index`.
void TakeGaps(const v1::ExchangeResponse& frame, int index, int& next_gap,
              std::vector<Event>& events) {
  for (; next_gap < frame.gaps_size(); ++next_gap) {
    const auto& gap = frame.gaps(next_gap);
    if (gap.before_message() > static_cast<std::uint32_t>(index)) return;
    events.emplace_back(Gap{*PeerId::FromBytes(gap.origin()), gap.epoch(), gap.channel(),
                            gap.from(), gap.to(), ReasonFromProto(gap.reason())});
  }
}

}  // namespace

bool IsSubject(std::string_view text) { return IsDotted(text, Wildcards::kNone); }

absl::Status CheckPattern(std::string_view text) {
  if (IsDotted(text, Wildcards::kAllowed)) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument, "INVALID_PATTERN",
      fmt::format("\"{:.80}\" is not a pattern to subscribe to. Use 1 to {} words of letters, "
                  "digits, - and _, joined by dots; * stands for any word, a final > for the rest.",
                  text, kMaxSubjectTokens));
}

absl::Status Check(const Message& message) {
  for (const std::string* subject : {&message.subject, &message.reply_to}) {
    if (subject == &message.reply_to && subject->empty()) continue;
    if (IsSubject(*subject)) continue;
    return MakeError(
        absl::StatusCode::kInvalidArgument, "INVALID_SUBJECT",
        fmt::format("\"{:.80}\" is not a subject to publish to. Use 1 to {} words of letters, "
                    "digits, - and _, joined by dots, without wildcards.",
                    *subject, kMaxSubjectTokens));
  }
  if (const std::size_t bytes = WireBytes(message); bytes > kMaxMessageBytes) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, "MESSAGE_TOO_LARGE",
        fmt::format("A message of {} bytes is too large. Split it: the limit is {} bytes, "
                    "subject and headers included.",
                    bytes, kMaxMessageBytes));
  }
  if (message.content_type.size() > kMaxContentTypeBytes) {
    return MakeError(absl::StatusCode::kInvalidArgument, "MALFORMED_MESSAGE",
                     fmt::format("The content type has {} bytes. Use at most {}.",
                                 message.content_type.size(), kMaxContentTypeBytes));
  }
  return CheckHeaders(message);
}

std::size_t WireBytes(const Message& message) {
  std::size_t bytes = FieldBytes(message.subject.size()) + FieldBytes(message.payload.size()) +
                      FieldBytes(message.reply_to.size()) + FieldBytes(message.content_type.size());
  for (const Header& header : message.headers) {
    // An entry is written even when it is empty; its two strings are not.
    const std::size_t entry = FieldBytes(header.key.size()) + FieldBytes(header.value.size());
    bytes += entry == 0 ? 2 : FieldBytes(entry);
  }
  return bytes;
}

void ToProto(Message message, v1::Message& out) {
  *out.mutable_subject() = std::move(message.subject);
  *out.mutable_payload() = std::move(message.payload);
  if (!message.reply_to.empty()) *out.mutable_reply_to() = std::move(message.reply_to);
  if (!message.content_type.empty()) *out.mutable_content_type() = std::move(message.content_type);
  for (Header& header : message.headers) {
    auto& proto = *out.add_headers();
    *proto.mutable_key() = std::move(header.key);
    *proto.mutable_value() = std::move(header.value);
  }
}

Receipt FromProto(const v1::PublishResponse& response) {
  Receipt receipt;
  for (const auto& range : response.numbers()) {
    receipt.numbers.push_back({range.channel(), range.first(), range.last()});
  }
  receipt.interested_peers = response.interested_peers();
  receipt.unreachable_peers.assign(response.unreachable_peers().begin(),
                                   response.unreachable_peers().end());
  return receipt;
}

absl::Status TakeEvents(v1::ExchangeResponse& frame, std::vector<Event>& events) {
  if (auto status = CheckFrame(frame); !status.ok()) return status;
  events.reserve(events.size() +
                 static_cast<std::size_t>(frame.messages_size() + frame.gaps_size()));
  int index = 0, next_gap = 0;
  for (const auto& run : frame.deliveries()) {
    const auto origin = std::make_shared<const Origin>(
        Origin{*PeerId::FromBytes(run.origin()), run.origin_name(), run.epoch()});
    const WallTime published{std::chrono::microseconds(run.publish_time_us())};
    std::uint64_t sequence = run.first_sequence();
    int matched = 0;
    for (int i = 0; i < static_cast<int>(run.count()); ++i, ++index) {
      TakeGaps(frame, index, next_gap, events);
      if (i > 0) sequence += 1 + (run.skips_size() ? run.skips(i) : 0);
      Received received{FromProto(*frame.mutable_messages(index)),
                        origin,
                        run.channel(),
                        sequence,
                        published,
                        {}};
      const int first = run.matched_counts_size() ? matched : 0;
      const int count =
          run.matched_counts_size() ? static_cast<int>(run.matched_counts(i)) : run.matched_size();
      received.subscriptions.assign(run.matched().begin() + first,
                                    run.matched().begin() + first + count);
      matched += count;
      events.emplace_back(std::move(received));
    }
  }
  TakeGaps(frame, index, next_gap, events);
  return absl::OkStatus();
}

}  // namespace peermesh::client
