// The walk over application messages: every record completely, once, where it enters this process.
//
// Messages are forwarded as the bytes they came in, so whatever is let through here is what every
// subscriber's parser has to cope with. Checked of each record: wire format, at most
// kMaxMessageBytes, single fields once, exactly one subject of the right form, reply_to as well
// unless empty, payload of any bytes, at most kMaxHeaders headers with kMaxHeaderBytes in all, keys
// of 1 to kMaxHeaderKeyBytes, content_type, and UTF-8 wherever text belongs. Fields that a later
// version may add are let through if well formed, at most kMaxUnknownBytes of them.
//
// Cost is linear in the bytes and allocates only the rows. Not thread-safe.
#ifndef PEERMESH_SERVER_WIRE_RECORDS_H_
#define PEERMESH_SERVER_WIRE_RECORDS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "mesh/base/batch.h"
#include "server/wire/rules.h"

namespace peermesh::wire {

// Field number of messages in every frame that carries them.
inline constexpr std::uint32_t kMessagesField = 15;

// Checks the body of one Message; on success `subject` is its subject. `known` is a subject that
// was found right before, or nothing: most messages have the one of their predecessor.
Rule CheckMessage(std::string_view body, std::string_view& subject, std::string_view known = {});

// Gathers the records of one batch.
class RecordCollector {
 public:
  // `buffer` is the whole received frame, below 4 GiB.
  explicit RecordCollector(std::shared_ptr<const std::string> buffer);

  // Adds a field 15: `record` is all of it, `body` its content; both lie within the buffer.
  Rule Add(std::string_view record, std::string_view body);
  std::size_t count() const;
  std::string_view subject(std::size_t index) const;
  // The batch; null if there are no records. The collector is empty afterwards.
  BatchRef Take();

 private:
  std::shared_ptr<const std::string> buffer_;
  std::shared_ptr<Batch> batch_;
};

}  // namespace peermesh::wire

#endif  // PEERMESH_SERVER_WIRE_RECORDS_H_
