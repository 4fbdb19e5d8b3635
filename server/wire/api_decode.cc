#include <fmt/format.h>

#include <limits>
#include <utility>

#include "mesh/base/limits.h"
#include "mesh/routing/subject.h"
#include "server/wire/api.h"
#include "server/wire/reader.h"
#include "server/wire/records.h"

namespace peermesh::wire {
namespace {

// peermesh.v1 and google.protobuf.Duration.
enum PublishField : std::uint32_t { kPublishTarget = 1 };
enum SubscribeField : std::uint32_t { kSubjects = 1, kOnOverflow = 2, kBlockTimeout = 3 };
enum ExchangeField : std::uint32_t {
  kHello = 1,
  kSubscribe = 2,
  kUnsubscribe = 3,
  kPing = 4,
  kPublishId = 5,
  kTarget = 6,
};
enum HelloField : std::uint32_t { kClient = 1 };
enum SubscriptionField : std::uint32_t {
  kId = 1,
  kSubject = 2,
  kSubOnOverflow = 3,
  kSubBlockTimeout = 4
};
enum DurationField : std::uint32_t { kSeconds = 1, kNanos = 2 };

constexpr std::uint64_t kMaxId = std::numeric_limits<std::uint32_t>::max();

Rule TakeText(Reader& reader, std::size_t max, std::string& out) {
  const std::string_view text = reader.Bytes();
  if (text.size() > max) return Rule::kValue;
  if (!IsUtf8(text)) return Rule::kUtf8;
  out = text;
  return Rule::kNone;
}

// A google.protobuf.Duration of 0 to kMaxBlockTimeout.
Rule TakeTimeout(Reader& reader, Duration& out) {
  Reader duration(reader.Bytes());
  std::uint64_t seconds = 0;
  std::uint64_t nanos = 0;
  while (duration.Next()) {
    switch (duration.number()) {
      case kSeconds: seconds = duration.Varint(); break;
      case kNanos: nanos = duration.Varint(); break;
      default: duration.Skip();
    }
  }
  if (duration.rule() != Rule::kNone) return duration.rule();
  constexpr std::uint64_t kMaxSeconds =
      std::chrono::duration_cast<std::chrono::seconds>(kMaxBlockTimeout).count();
  if (seconds > kMaxSeconds || nanos > 999'999'999)
    return Rule::kSubscription;  // negative ones are huge
  out = std::chrono::seconds(seconds) +
        std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(nanos));
  return out <= kMaxBlockTimeout ? Rule::kNone : Rule::kSubscription;
}

Rule TakeOnOverflow(Reader& reader, OnOverflow& out) {
  const std::uint64_t value = reader.Varint();
  if (value > static_cast<std::uint64_t>(OnOverflow::kClose)) return Rule::kSubscription;
  out = value == 0 ? OnOverflow::kGap : static_cast<OnOverflow>(value);
  return Rule::kNone;
}

Rule TakeSubscription(std::string_view body, node::Subscription& out) {
  Reader reader(body);
  while (reader.Next()) {
    Rule rule = Rule::kNone;
    switch (reader.number()) {
      case kId: out.id = static_cast<std::uint32_t>(reader.Varint(kMaxId)); break;
      case kSubject: out.pattern = reader.Bytes(); break;
      case kSubOnOverflow: rule = TakeOnOverflow(reader, out.on_overflow); break;
      case kSubBlockTimeout: rule = TakeTimeout(reader, out.block_timeout); break;
      default: reader.Skip();
    }
    if (rule != Rule::kNone) return rule;
  }
  if (reader.rule() != Rule::kNone) return reader.rule();
  if (out.id == 0) return Rule::kSubscription;
  return IsValidPattern(out.pattern) ? Rule::kNone : Rule::kPattern;
}

// Packed or not: older encoders write one field per number.
Rule TakeIds(Reader& reader, std::vector<std::uint32_t>& ids) {
  std::string_view packed;
  if (!reader.IsLength()) {
    ids.push_back(static_cast<std::uint32_t>(reader.Varint(kMaxId)));
  } else {
    packed = reader.Bytes();
  }
  while (!packed.empty() && ids.size() <= kMaxSubscriptionsPerSession) {
    std::uint64_t id = 0;
    if (!TakeVarint(packed, id)) return Rule::kVarint;
    if (id > kMaxId) return Rule::kValue;
    ids.push_back(static_cast<std::uint32_t>(id));
  }
  return ids.size() > kMaxSubscriptionsPerSession ? Rule::kTooManySubscriptions : Rule::kNone;
}

Rule TakeHello(Reader& reader, std::string& label) {
  Reader hello(reader.Bytes());
  while (hello.Next()) {
    if (hello.number() != kClient) {
      hello.Skip();
      continue;
    }
    const Rule rule = TakeText(hello, kMaxClientLabelBytes, label);
    if (rule != Rule::kNone) return rule;
  }
  return hello.rule();
}

// A broken rule and the field that broke it.
RpcError Broken(Rule rule, const std::string& field) {
  if (rule == Rule::kTooManySubscriptions)
    return Malformed({rule});  // a limit, not a mistake in a field
  const RuleInfo& info = Describe(rule);
  return Invalid(info.reason, field, info.what);
}

// Everything of an ExchangeRequest but its messages.
Rule TakeExchangeField(Reader& reader, ExchangeFrame& frame) {
  switch (reader.number()) {
    case kHello: return TakeHello(reader, frame.hello.emplace());
    case kSubscribe:
      if (frame.subscribe.size() == kMaxSubscriptionsPerSession) return Rule::kTooManySubscriptions;
      return TakeSubscription(reader.Bytes(), frame.subscribe.emplace_back());
    case kUnsubscribe: return TakeIds(reader, frame.unsubscribe);
    case kPing: frame.ping = reader.Varint(); break;
    case kPublishId: frame.publish_id = reader.Varint(); break;
    case kTarget: return TakeText(reader, kMaxTargetBytes, frame.target);
    default: reader.Skip();
  }
  return Rule::kNone;
}

std::string FieldOf(const Reader& reader, const ExchangeFrame& frame) {
  switch (reader.number()) {
    case kHello: return "hello.client";
    case kSubscribe:
      return fmt::format("subscribe[{}]", frame.subscribe.empty() ? 0 : frame.subscribe.size() - 1);
    case kUnsubscribe: return "unsubscribe";
    case kTarget: return "target";
    default: return "";
  }
}

}  // namespace

Result<PublishRequest> DecodePublish(std::shared_ptr<const std::string> bytes) {
  if (bytes->size() > kMaxPublishBytes) return Malformed({Rule::kFrameTooLarge});
  PublishRequest request;
  Reader reader(*bytes);
  RecordCollector records(bytes);
  while (reader.Next()) {
    Rule rule = Rule::kNone;
    if (reader.number() == kMessagesField) {
      const std::string_view message = reader.Bytes();
      if (reader.rule() != Rule::kNone) break;
      rule = records.Add(reader.whole(), message);
      if (rule != Rule::kNone) return Malformed({rule, records.count()});
    } else if (reader.number() == kPublishTarget) {
      rule = TakeText(reader, kMaxTargetBytes, request.target);
      if (rule != Rule::kNone) return Broken(rule, "target");
    } else {
      reader.Skip();
    }
  }
  if (reader.rule() != Rule::kNone) return Malformed({reader.rule()});
  request.batch = records.Take();
  if (request.batch == nullptr)
    return Invalid("EMPTY_BATCH", "messages", "must hold at least one message");
  return request;
}

Result<std::vector<node::Subscription>> DecodeSubscribe(std::string_view bytes) {
  if (bytes.size() > kMaxPublishBytes) return Malformed({Rule::kFrameTooLarge});
  std::vector<node::Subscription> result;
  OnOverflow on_overflow = OnOverflow::kGap;
  Duration block_timeout = kDefaultBlockTimeout;
  Reader reader(bytes);
  while (reader.Next()) {
    Rule rule = Rule::kNone;
    switch (reader.number()) {
      case kSubjects: {
        if (result.size() == kMaxSubscriptionsPerSession)
          return Malformed({Rule::kTooManySubscriptions});
        node::Subscription& added = result.emplace_back();
        added.id = static_cast<std::uint32_t>(result.size());
        added.pattern = reader.Bytes();
        if (IsValidPattern(added.pattern)) break;
        return Broken(Rule::kPattern, fmt::format("subjects[{}]", result.size() - 1));
      }
      case kOnOverflow: rule = TakeOnOverflow(reader, on_overflow); break;
      case kBlockTimeout: rule = TakeTimeout(reader, block_timeout); break;
      default: reader.Skip();
    }
    if (rule != Rule::kNone)
      return Broken(rule, reader.number() == kOnOverflow ? "on_overflow" : "block_timeout");
  }
  if (reader.rule() != Rule::kNone) return Malformed({reader.rule()});
  if (result.empty())
    return Invalid("MALFORMED_SUBSCRIPTION", "subjects", "must hold at least one pattern");
  for (node::Subscription& subscription : result) {
    subscription.on_overflow = on_overflow;
    subscription.block_timeout = block_timeout;
  }
  return result;
}

Result<ExchangeFrame> DecodeExchange(std::shared_ptr<const std::string> bytes) {
  if (bytes->size() > kMaxPublishBytes) return Malformed({Rule::kFrameTooLarge});
  ExchangeFrame frame;
  Reader reader(*bytes);
  RecordCollector records(bytes);
  while (reader.Next()) {
    if (reader.number() != kMessagesField) {
      const Rule rule = TakeExchangeField(reader, frame);
      if (rule != Rule::kNone) return Broken(rule, FieldOf(reader, frame));
      continue;
    }
    const std::string_view message = reader.Bytes();
    if (reader.rule() != Rule::kNone || frame.refused) continue;
    const Rule rule = records.Add(reader.whole(), message);
    if (rule != Rule::kNone) frame.refused = Malformed({rule, records.count()});
  }
  if (reader.rule() != Rule::kNone) return Malformed({reader.rule()});
  if (!frame.refused) frame.batch = records.Take();
  return frame;
}

}  // namespace peermesh::wire
