#include "server/wire/records.h"

#include <limits>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/base/limits.h"
#include "mesh/routing/subject.h"
#include "server/wire/reader.h"

namespace peermesh::wire {
namespace {

// peermesh.v1.Message and Header.
enum MessageField : std::uint32_t {
  kSubject = 1,
  kPayload = 2,
  kReplyTo = 3,
  kHeaders = 4,
  kContentType = 5,
};
enum HeaderField : std::uint32_t { kKey = 1, kValue = 2 };

// Notes that a single field was seen; false if it was before.
bool Once(std::uint32_t& seen, std::uint32_t number) {
  const std::uint32_t bit = 1u << number;
  const bool first = (seen & bit) == 0;
  seen |= bit;
  return first;
}

Rule CheckHeader(std::string_view body, std::size_t& header_bytes) {
  Reader reader(body);
  std::uint32_t seen = 0;
  std::size_t key_bytes = 0;
  while (reader.Next()) {
    if (reader.number() != kKey && reader.number() != kValue) {
      reader.Skip();
      continue;
    }
    const std::string_view text = reader.Bytes();
    if (!Once(seen, reader.number())) return Rule::kRepeated;
    if (!IsUtf8(text)) return Rule::kUtf8;
    if (reader.number() == kKey) key_bytes = text.size();
    header_bytes += text.size();
  }
  if (reader.rule() != Rule::kNone) return reader.rule();
  if (key_bytes == 0 || key_bytes > kMaxHeaderKeyBytes) return Rule::kHeaderKey;
  return header_bytes > kMaxHeaderBytes ? Rule::kHeadersTooLarge : Rule::kNone;
}

}  // namespace

Rule CheckMessage(std::string_view body, std::string_view& subject, std::string_view known) {
  if (body.size() > kMaxMessageBytes) return Rule::kMessageTooLarge;
  Reader reader(body);
  std::uint32_t seen = 0;
  std::size_t headers = 0;
  std::size_t header_bytes = 0;
  subject = {};
  while (reader.Next()) {
    const std::uint32_t number = reader.number();
    if (number == 0 || number > kContentType) {
      reader.Skip();
      continue;
    }
    const std::string_view content = reader.Bytes();
    if (reader.rule() != Rule::kNone) break;
    if (number == kHeaders) {
      if (++headers > kMaxHeaders) return Rule::kTooManyHeaders;
      const Rule rule = CheckHeader(content, header_bytes);
      if (rule != Rule::kNone) return rule;
      continue;
    }
    if (!Once(seen, number)) return Rule::kRepeated;
    if (number == kSubject) {
      subject = content;
    } else if (number == kReplyTo) {
      if (!content.empty() && !IsValidSubject(content)) return Rule::kReplyTo;
    } else if (number == kContentType) {
      if (content.size() > kMaxContentTypeBytes) return Rule::kContentType;
      if (!IsUtf8(content)) return Rule::kUtf8;
    }
  }
  if (reader.rule() != Rule::kNone) return reader.rule();
  if (!known.empty() && subject == known) return Rule::kNone;
  return IsValidSubject(subject) ? Rule::kNone : Rule::kSubject;
}

RecordCollector::RecordCollector(std::shared_ptr<const std::string> buffer)
    : buffer_(std::move(buffer)) {
  PM_CHECK(buffer_->size() <= std::numeric_limits<std::uint32_t>::max());
}

Rule RecordCollector::Add(std::string_view record, std::string_view body) {
  if (count() == kMaxBatchMessages) return Rule::kTooManyMessages;
  const std::string_view known = count() == 0 ? std::string_view() : this->subject(count() - 1);
  std::string_view subject;
  const Rule rule = CheckMessage(body, subject, known);
  if (rule != Rule::kNone) return rule;
  if (batch_ == nullptr) {
    batch_ = std::make_shared<Batch>();
    batch_->buffer = buffer_;
  }
  Row row;
  row.subject_offset = static_cast<std::uint32_t>(subject.data() - buffer_->data());
  row.subject_length = static_cast<std::uint32_t>(subject.size());
  row.record_offset = static_cast<std::uint32_t>(record.data() - buffer_->data());
  row.record_length = static_cast<std::uint32_t>(record.size());
  batch_->rows.push_back(row);
  batch_->bytes += record.size();
  return Rule::kNone;
}

std::size_t RecordCollector::count() const { return batch_ == nullptr ? 0 : batch_->rows.size(); }

std::string_view RecordCollector::subject(std::size_t index) const {
  return batch_->subject(batch_->rows[index]);
}

BatchRef RecordCollector::Take() { return std::exchange(batch_, nullptr); }

}  // namespace peermesh::wire
