#include "client/frames.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "client/errors.h"
#include "mesh/base/check.h"

namespace peermesh::client {
namespace {

constexpr std::uint32_t kMessages = v1::ExchangeResponse::kMessagesFieldNumber;
static_assert(kMessages == v1::ExchangeRequest::kMessagesFieldNumber);

enum WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };
constexpr std::uint32_t kTypeBits = 3;

// --- Writing ---

// A tag and a length, at most.
constexpr std::size_t kMaxHeader = 16;

// Writes into room that is known to suffice.
class Writer {
 public:
  explicit Writer(char* at) : at_(at) {}
  char* at() const { return at_; }

  void Header(std::uint32_t number, std::size_t length) {
    Varint(number << kTypeBits | kLength);
    Varint(length);
  }
  // Left out when empty, as proto3 does.
  void Field(std::uint32_t number, std::string_view bytes) {
    if (bytes.empty()) return;
    Header(number, bytes.size());
    std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }

 private:
  void Varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) *at_++ = static_cast<char>(value | 0x80);
    *at_++ = static_cast<char>(value);
  }
  char* at_;
};

grpc::Slice ToSlice(std::string bytes) {
  auto* owned = new std::string(std::move(bytes));
  return {owned->data(), owned->size(),
          [](void* string) { delete static_cast<std::string*>(string); }, owned};
}

// --- Reading ---

bool SkipField(Cursor& cursor, std::uint64_t type) {
  std::uint64_t ignored = 0;
  switch (type) {
    case kVarint: return cursor.Varint(ignored);
    case kFixed64: return cursor.Skip(8);
    case kFixed32: return cursor.Skip(4);
    case kLength: return cursor.Varint(ignored) && cursor.Skip(ignored);
    default: return false;
  }
}

// Calls `take(number, length)` for every field with a length among the next `bytes`; it reads them
// and says whether it could.
template <class Take>
bool ReadFields(Cursor& cursor, std::size_t bytes, const Take& take) {
  if (bytes > cursor.left()) return false;
  const std::size_t end = cursor.left() - bytes;
  while (cursor.left() > end) {
    std::uint64_t tag = 0, length = 0;
    if (!cursor.Varint(tag)) return false;
    if ((tag & ((1u << kTypeBits) - 1)) != kLength) {
      if (!SkipField(cursor, tag & ((1u << kTypeBits) - 1))) return false;
      continue;
    }
    if (!cursor.Varint(length) || cursor.left() < end || length > cursor.left() - end) return false;
    if (!take(tag >> kTypeBits, length)) return false;
  }
  return cursor.left() == end;
}

// The last one counts, should a field be there twice.
bool ReadText(Cursor& cursor, std::size_t bytes, std::string& out) {
  out.clear();
  return cursor.Append(bytes, out);
}

bool ReadHeaderEntry(Cursor& cursor, std::size_t bytes, Header& out) {
  return ReadFields(cursor, bytes, [&](std::uint64_t number, std::size_t length) {
    if (number == v1::Header::kKeyFieldNumber) return ReadText(cursor, length, out.key);
    if (number == v1::Header::kValueFieldNumber) return ReadText(cursor, length, out.value);
    return cursor.Skip(length);
  });
}

bool ReadMessage(Cursor cursor, std::size_t bytes, Message& out) {
  return ReadFields(cursor, bytes, [&](std::uint64_t number, std::size_t length) {
    switch (number) {
      case v1::Message::kSubjectFieldNumber: return ReadText(cursor, length, out.subject);
      case v1::Message::kPayloadFieldNumber: return ReadText(cursor, length, out.payload);
      case v1::Message::kReplyToFieldNumber: return ReadText(cursor, length, out.reply_to);
      case v1::Message::kHeadersFieldNumber:
        return ReadHeaderEntry(cursor, length, out.headers.emplace_back());
      case v1::Message::kContentTypeFieldNumber: return ReadText(cursor, length, out.content_type);
      default: return cursor.Skip(length);
    }
  });
}

LossReason ReasonFromProto(int reason) {
  // A reason of a later release is still a loss.
  if (reason <= 0 || reason >= kLossReasonCount) return LossReason::kMissing;
  return static_cast<LossReason>(reason);
}

// Checks a run and what it claims.
absl::Status CheckRun(const v1::Delivery& run, std::size_t messages_left) {
  const std::size_t count = run.count();
  if (count < 1 || count > messages_left) return BadFrame("messages in a run");
  if (run.skips_size() != 0 && static_cast<std::size_t>(run.skips_size()) != count)
    return BadFrame("skips");
  if (run.matched_counts_size() == 0) {
    if (run.matched_size() > 1) return BadFrame("matched subscriptions");
  } else {
    std::uint64_t sum = 0;
    for (const std::uint32_t n : run.matched_counts()) sum += n;
    if (static_cast<std::size_t>(run.matched_counts_size()) != count ||
        sum != static_cast<std::uint64_t>(run.matched_size())) {
      return BadFrame("matched subscriptions");
    }
  }
  if (run.origin().size() != sizeof(PeerId::bytes)) return BadFrame("origin");
  return absl::OkStatus();
}

}  // namespace

absl::Status BadFrame(std::string_view what) {
  return MakeError(absl::StatusCode::kInternal, "BAD_FRAME",
                   fmt::format("The peer sent a frame that contradicts itself ({}). "
                               "Check that client and peermeshd are of compatible versions.",
                               what));
}

// --- Out ---

grpc::ByteBuffer ToBuffer(const v1::ExchangeRequest& frame) {
  const grpc::Slice slice = ToSlice(frame.SerializeAsString());
  return {&slice, 1};
}

std::string& Records::Tail() {
  if (closed_ || pieces_.back().size() >= kSharedPieceBytes) {
    pieces_.emplace_back();
    closed_ = false;
  }
  return pieces_.back();
}

// The payload goes last, so that a large one can be a piece of its own.
void Records::Add(Message&& message) {
  const std::size_t bytes = WireBytes(message);
  const bool own = message.payload.size() >= kOwnPieceBytes;
  std::string& out = Tail();
  const std::size_t before = out.size();
  out.resize(before + kMaxHeader + bytes - (own ? message.payload.size() : 0));
  Writer writer(out.data() + before);
  writer.Header(kMessages, bytes);
  writer.Field(v1::Message::kSubjectFieldNumber, message.subject);
  writer.Field(v1::Message::kReplyToFieldNumber, message.reply_to);
  for (const Header& header : message.headers) {
    writer.Header(v1::Message::kHeadersFieldNumber,
                  FieldBytes(header.key.size()) + FieldBytes(header.value.size()));
    writer.Field(v1::Header::kKeyFieldNumber, header.key);
    writer.Field(v1::Header::kValueFieldNumber, header.value);
  }
  writer.Field(v1::Message::kContentTypeFieldNumber, message.content_type);
  if (own) {
    writer.Header(v1::Message::kPayloadFieldNumber, message.payload.size());
  } else {
    writer.Field(v1::Message::kPayloadFieldNumber, message.payload);
  }
  PM_CHECK(writer.at() <= out.data() + out.size());
  out.resize(static_cast<std::size_t>(writer.at() - out.data()));
  if (!own) return;
  pieces_.push_back(std::move(message.payload));
  closed_ = true;
}

grpc::ByteBuffer Records::TakeFrame(const v1::ExchangeRequest& head) {
  std::vector<grpc::Slice> slices;
  slices.reserve(pieces_.size() + 1);
  slices.push_back(ToSlice(head.SerializeAsString()));
  for (std::string& piece : pieces_) slices.push_back(ToSlice(std::move(piece)));
  pieces_.clear();
  closed_ = true;
  return {slices.data(), slices.size()};
}

// --- In ---

Cursor::Cursor(const std::vector<grpc::Slice>& pieces) {
  for (const grpc::Slice& piece : pieces) left_ += piece.size();
  if (left_ == 0) return;
  piece_ = pieces.data();
  at_ = piece_->begin();
  end_ = piece_->end();
}

// With bytes left, so there is one.
void Cursor::NextPiece() {
  while (at_ == end_) {
    ++piece_;
    at_ = piece_->begin();
    end_ = piece_->end();
  }
}

bool Cursor::LongVarint(std::uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (left_ == 0) return false;
    if (at_ == end_) NextPiece();
    const std::uint8_t byte = *at_++;
    --left_;
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

bool Cursor::Append(std::size_t count, std::string& out) {
  if (count > left_) return false;
  if (count <= static_cast<std::size_t>(end_ - at_)) {  // as nearly always
    out.append(reinterpret_cast<const char*>(at_), count);
    Pass(count);
    return true;
  }
  out.reserve(out.size() + count);
  while (count > 0) {
    if (at_ == end_) NextPiece();
    const std::size_t some = std::min(count, static_cast<std::size_t>(end_ - at_));
    out.append(reinterpret_cast<const char*>(at_), some);
    Pass(some);
    count -= some;
  }
  return true;
}

bool Cursor::Skip(std::size_t count) {
  if (count > left_) return false;
  while (count > 0) {
    if (at_ == end_) NextPiece();
    const std::size_t some = std::min(count, static_cast<std::size_t>(end_ - at_));
    Pass(some);
    count -= some;
  }
  return true;
}

absl::StatusOr<Arrived> Arrived::Parse(const grpc::ByteBuffer& buffer) {
  Arrived arrived;
  if (!buffer.Dump(&arrived.pieces_).ok()) return BadFrame("no bytes");
  Cursor cursor(arrived.pieces_);
  std::string rest;
  while (cursor.left() > 0) {
    std::uint64_t tag = 0, length = 0;
    Cursor field = cursor;
    if (!cursor.Varint(tag)) return BadFrame("a field");
    if (tag == (kMessages << kTypeBits | kLength)) {
      if (!cursor.Varint(length)) return BadFrame("the length of a message");
      arrived.records_.push_back({cursor, length});
      if (!cursor.Skip(length)) return BadFrame("the length of a message");
      continue;
    }
    if (!SkipField(cursor, tag & ((1u << kTypeBits) - 1))) return BadFrame("a field");
    PM_CHECK(field.Append(field.left() - cursor.left(), rest));
  }
  if (!arrived.rest_.ParseFromString(rest)) return BadFrame("a field");
  return arrived;
}

absl::Status Arrived::Check() const {
  std::size_t left = records_.size();
  for (const auto& run : rest_.deliveries()) {
    if (auto status = CheckRun(run, left); !status.ok()) return status;
    left -= run.count();
  }
  if (left != 0) return BadFrame("messages without a run");
  std::uint32_t place = 0;
  for (const auto& gap : rest_.gaps()) {
    if (gap.before_message() < place || gap.before_message() > records_.size())
      return BadFrame("gaps");
    if (gap.origin().size() != sizeof(PeerId::bytes)) return BadFrame("origin of a gap");
    place = gap.before_message();
  }
  return absl::OkStatus();
}

// Those that lie before message `index`.
void Arrived::TakeGaps(std::size_t index, int& next_gap, std::vector<Event>& events) const {
  for (; next_gap < rest_.gaps_size(); ++next_gap) {
    const auto& gap = rest_.gaps(next_gap);
    if (gap.before_message() > index) return;
    events.emplace_back(Gap{*PeerId::FromBytes(gap.origin()), gap.epoch(), gap.channel(),
                            gap.from(), gap.to(), ReasonFromProto(gap.reason())});
  }
}

absl::Status Arrived::TakeEvents(std::vector<Event>& events) const {
  if (auto status = Check(); !status.ok()) return status;
  const std::size_t before = events.size();
  absl::Status status = Take(events);
  if (!status.ok()) events.resize(before);
  return status;
}

absl::Status Arrived::Take(std::vector<Event>& events) const {
  events.reserve(events.size() + records_.size() + static_cast<std::size_t>(rest_.gaps_size()));
  std::size_t index = 0;
  int next_gap = 0;
  for (const auto& run : rest_.deliveries()) {
    const auto origin = std::make_shared<const Origin>(
        Origin{*PeerId::FromBytes(run.origin()), run.origin_name(), run.epoch()});
    const WallTime published{std::chrono::microseconds(run.publish_time_us())};
    std::uint64_t sequence = run.first_sequence();
    int matched = 0;
    for (int i = 0; i < static_cast<int>(run.count()); ++i, ++index) {
      TakeGaps(index, next_gap, events);
      if (i > 0) sequence += 1 + (run.skips_size() != 0 ? run.skips(i) : 0);
      auto& received = std::get<Received>(events.emplace_back(std::in_place_type<Received>));
      if (!ReadMessage(records_[index].cursor, records_[index].bytes, received.message))
        return BadFrame("a message");
      received.origin = origin;
      received.channel = run.channel();
      received.sequence = sequence;
      received.published = published;
      const int first = run.matched_counts_size() != 0 ? matched : 0;
      const int count = run.matched_counts_size() != 0 ? static_cast<int>(run.matched_counts(i))
                                                       : run.matched_size();
      received.subscriptions.assign(run.matched().begin() + first,
                                    run.matched().begin() + first + count);
      matched += count;
    }
  }
  TakeGaps(index, next_gap, events);
  return absl::OkStatus();
}

}  // namespace peermesh::client
