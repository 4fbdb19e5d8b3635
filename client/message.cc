#include "client/message.h"

#include <fmt/format.h>

#include <utility>

#include "client/errors.h"
#include "mesh/base/limits.h"
#include "mesh/base/subject.h"
#include "peermesh/v1/messaging.pb.h"

namespace peermesh::client {
namespace {

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

}  // namespace

absl::Status CheckPattern(std::string_view text) {
  if (IsValidPattern(text)) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument, "INVALID_PATTERN",
      fmt::format("\"{:.80}\" is not a pattern to subscribe to. Use 1 to {} words of letters, "
                  "digits, - and _, joined by dots; * stands for any word, a final > for the rest.",
                  text, kMaxSubjectTokens));
}

absl::Status Check(const Message& message) {
  for (const std::string* subject : {&message.subject, &message.reply_to}) {
    if (subject == &message.reply_to && subject->empty()) continue;
    if (IsValidSubject(*subject)) continue;
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

}  // namespace peermesh::client
