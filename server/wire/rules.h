// What can be wrong with bytes from outside: one enum for closed links, refused publishes and
// counters.
//
// Thread-safe.
#ifndef PEERMESH_SERVER_WIRE_RULES_H_
#define PEERMESH_SERVER_WIRE_RULES_H_

#include <cstddef>
#include <cstdint>

namespace peermesh::wire {

enum class Rule : std::uint8_t {
  kNone = 0,
  // Protobuf's wire format.
  kTruncated,        // ends inside a field
  kVarint,           // longer than its value needs, or than 64 bits
  kWireType,         // a known field of another type, or a group
  kFieldNumber,      // 0, or beyond protobuf's range
  kRepeated,         // a field that may be there once is there twice
  kUnknownTooLarge,  // more unknown fields than a later version has use for
  kValue,            // a number outside its field's range
  kUtf8,
  // Messages.
  kFrameTooLarge,
  kMessageTooLarge,
  kTooManyMessages,
  kSubject,
  kReplyTo,
  kTooManyHeaders,
  kHeadersTooLarge,
  kHeaderKey,
  kContentType,
  // Subscriptions.
  kPattern,
  kSubscription,
  kTooManySubscriptions,
  // Links.
  kTooManyBatches,
  kChannel,   // not one of kChannels, or not that of the subject
  kSequence,  // numbers that do not add up
  kToken,
  kPeerId,
};
inline constexpr std::size_t kRuleCount = 26;

struct RuleInfo {
  const char* label;   // as in metric labels and logs: "too_many_headers"
  const char* reason;  // of the error an application sees
  const char* field;   // the field in question, relative to a message; may be empty
  const char* what;    // what would be right
};
const RuleInfo& Describe(Rule rule);

// Why a frame was not believed.
struct WireError {
  static constexpr std::size_t kNoMessage = static_cast<std::size_t>(-1);
  Rule rule = Rule::kNone;
  std::size_t message = kNoMessage;  // index of the message that broke it

  friend bool operator==(const WireError&, const WireError&) = default;
};

}  // namespace peermesh::wire

#endif  // PEERMESH_SERVER_WIRE_RULES_H_
