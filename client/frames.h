// Frames of Exchange as bytes. Messages are most of what passes, so they are written and read here;
// everything else of a frame is left to protobuf.
//
// Rules:
//  * A message is field 15 of a frame, whatever else stands before or after it: frames are one head
//    and one record after another.
//  * A payload of kOwnPieceBytes or more is not copied on its way out. On its way in each byte is
//    copied once, from gRPC's pieces to where it stays.
//  * What arrives is read as protobuf reads it: fields in any order, unknown ones skipped. What
//    cannot be read is BAD_FRAME.
//
// Internal to client/. Not thread-safe.
#ifndef PEERMESH_CLIENT_FRAMES_H_
#define PEERMESH_CLIENT_FRAMES_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/message.h"
#include "peermesh/v1/messaging.pb.h"

namespace peermesh::client {

// What is copied costs a memory access, a piece of its own costs gRPC bookkeeping. Guess.
inline constexpr std::size_t kOwnPieceBytes = 8u << 10;
// Small messages share pieces of about this size: far below where glibc asks the kernel for memory.
inline constexpr std::size_t kSharedPieceBytes = 32u << 10;

// BAD_FRAME: the peer sent what it should not.
absl::Status BadFrame(std::string_view what);

// A frame without messages.
grpc::ByteBuffer ToBuffer(const v1::ExchangeRequest& frame);

// Messages on their way out, encoded as they are added.
class Records {
 public:
  void Add(Message&& message);
  // A frame of `head`, which has no messages itself, and all that was added. Leaves nothing.
  grpc::ByteBuffer TakeFrame(const v1::ExchangeRequest& head);

 private:
  std::string& Tail();

  std::vector<std::string> pieces_;
  bool closed_ = true;  // nothing more goes into the last piece
};

// Walks bytes that lie in several pieces. False: there are not so many, or it is no varint.
class Cursor {
 public:
  Cursor() = default;
  explicit Cursor(const std::vector<grpc::Slice>& pieces);

  std::size_t left() const { return left_; }
  bool Varint(std::uint64_t& value) {
    // One byte or two, in one piece: nearly always.
    if (end_ - at_ < 2) return LongVarint(value);
    const std::uint32_t first = at_[0], second = at_[1];
    if (first < 0x80) {
      value = first;
      Pass(1);
    } else if (second < 0x80) {
      value = (first & 0x7f) | second << 7;
      Pass(2);
    } else {
      return LongVarint(value);
    }
    return true;
  }
  bool Append(std::size_t count, std::string& out);
  bool Skip(std::size_t count);

 private:
  void Pass(std::size_t count) {
    at_ += count;
    left_ -= count;
  }
  bool LongVarint(std::uint64_t& value);
  void NextPiece();

  const grpc::Slice* piece_ = nullptr;
  const std::uint8_t* at_ = nullptr;
  const std::uint8_t* end_ = nullptr;  // of this piece
  std::size_t left_ = 0;               // in all
};

// A frame that arrived.
class Arrived {
 public:
  static absl::StatusOr<Arrived> Parse(const grpc::ByteBuffer& buffer);
  Arrived(Arrived&&) = default;
  Arrived& operator=(Arrived&&) = default;

  // All of it but the messages.
  const v1::ExchangeResponse& rest() const { return rest_; }
  std::size_t messages() const { return records_.size(); }
  // Appends the messages and gaps in their order. An error means that the frame contradicts itself;
  // nothing was appended.
  absl::Status TakeEvents(std::vector<Event>& events) const;

 private:
  struct Record {
    Cursor cursor;
    std::size_t bytes = 0;
  };

  Arrived() = default;
  absl::Status Check() const;
  absl::Status Take(std::vector<Event>& events) const;
  void TakeGaps(std::size_t index, int& next_gap, std::vector<Event>& events) const;

  std::vector<grpc::Slice> pieces_;
  v1::ExchangeResponse rest_;
  std::vector<Record> records_;  // look into pieces_
};

}  // namespace peermesh::client

#endif  // PEERMESH_CLIENT_FRAMES_H_
