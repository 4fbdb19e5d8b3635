#include "server/wire/rules.h"

#include <array>

#include "mesh/base/check.h"

namespace peermesh::wire {
namespace {

constexpr const char* kSubjectForm =
    "must be 1 to 16 tokens of [A-Za-z0-9_-] joined by dots, at most 256 bytes";

constexpr std::array<RuleInfo, kRuleCount> kRules = {{
    {"none", "", "", ""},
    {"truncated", "MALFORMED_MESSAGE", "", "must not end inside a field"},
    {"varint", "MALFORMED_MESSAGE", "",
     "must hold varints in their shortest form, of at most 64 bits"},
    {"wire_type", "MALFORMED_MESSAGE", "", "must give each field the type of its definition"},
    {"field_number", "MALFORMED_MESSAGE", "", "must hold field numbers from 1 to 536870911"},
    {"repeated", "MALFORMED_MESSAGE", "", "must hold each of its single fields once"},
    {"unknown_too_large", "MALFORMED_MESSAGE", "", "may hold at most 8192 bytes of unknown fields"},
    {"value", "MALFORMED_MESSAGE", "", "must hold numbers within the range of their fields"},
    {"utf8", "MALFORMED_MESSAGE", "", "must hold UTF-8 in its strings"},
    {"frame_too_large", "BATCH_TOO_LARGE", "", "may be at most 2 MiB"},
    {"message_too_large", "MESSAGE_TOO_LARGE", "", "may be at most 1 MiB, encoded"},
    {"too_many_messages", "BATCH_TOO_LARGE", "", "may be at most 1024"},
    {"subject", "INVALID_SUBJECT", "subject", kSubjectForm},
    {"reply_to", "INVALID_SUBJECT", "reply_to", kSubjectForm},
    {"too_many_headers", "MALFORMED_MESSAGE", "headers", "may be at most 16"},
    {"headers_too_large", "MALFORMED_MESSAGE", "headers", "may be at most 4096 bytes in all"},
    {"header_key", "MALFORMED_MESSAGE", "headers.key", "must be 1 to 64 bytes"},
    {"content_type", "MALFORMED_MESSAGE", "content_type", "may be at most 128 bytes"},
    {"pattern", "INVALID_PATTERN", "subject",
     "must be a subject in which a token may be * and the last one >"},
    {"subscription", "MALFORMED_SUBSCRIPTION", "subscribe",
     "must have an id other than 0, a known on_overflow and a block_timeout of 0 to 60 s"},
    {"too_many_subscriptions", "TOO_MANY_SUBSCRIPTIONS", "subscribe", "may be at most 16384"},
    {"too_many_batches", "MALFORMED_MESSAGE", "batches", "may be at most 4096"},
    {"channel", "MALFORMED_MESSAGE", "channel", "must be that of the subjects, 0 to 63"},
    {"sequence", "MALFORMED_MESSAGE", "skips", "must add up"},
    {"token", "MALFORMED_MESSAGE", "link_token", "must be 16 bytes or none"},
    {"peer_id", "MALFORMED_MESSAGE", "peer_id", "must be 32 bytes"},
}};

}  // namespace

const RuleInfo& Describe(Rule rule) {
  const auto index = static_cast<std::size_t>(rule);
  PM_CHECK(index < kRules.size());
  return kRules[index];
}

}  // namespace peermesh::wire
