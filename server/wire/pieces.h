// Bytes to be sent, some of them still where they arrived: messages that pass through are not
// copied again.
//
// Rules:
//  * What is shared stays alive until it is sent. A short stretch of a long buffer is copied
//  instead
//    (Keep), so at most kKeptForOne bytes are kept alive for each byte sent.
//  * Bytes come out in the order in which they went in.
//
// Not thread-safe.
#ifndef PEERMESH_SERVER_WIRE_PIECES_H_
#define PEERMESH_SERVER_WIRE_PIECES_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace peermesh::wire {

// Below this, gRPC's bookkeeping for a piece costs more than the copy. Guess.
inline constexpr std::size_t kMinShared = 4096;
inline constexpr std::size_t kKeptForOne = 4;

class Pieces {
 public:
  struct Piece {
    std::string own;                           // unless `owner` is set
    std::shared_ptr<const std::string> owner;  // of `shared`
    std::string_view shared;

    std::string_view bytes() const { return owner == nullptr ? std::string_view(own) : shared; }
  };

  Pieces() = default;
  Pieces(std::string bytes) {  // NOLINT(google-explicit-constructor): a frame in one piece
    if (!bytes.empty()) pieces_.push_back({std::move(bytes), nullptr, {}});
  }
  Pieces(const char* text) : Pieces(std::string(text)) {}  // NOLINT(google-explicit-constructor)

  // To append to. Not to be used after Add or Append.
  std::string& tail() {
    if (pieces_.empty() || pieces_.back().owner != nullptr) pieces_.emplace_back();
    return pieces_.back().own;
  }
  // A stretch of `buffer`: shared, or copied if it is short.
  void Add(const std::shared_ptr<const std::string>& buffer, std::string_view stretch) {
    if (stretch.size() < kMinShared || stretch.size() * kKeptForOne < buffer->size()) {
      tail().append(stretch);
    } else {
      pieces_.push_back({{}, buffer, stretch});
    }
  }
  void Append(Pieces more) {
    if (pieces_.empty()) {
      pieces_ = std::move(more.pieces_);
      return;
    }
    for (Piece& piece : more.pieces_) {
      if (piece.owner == nullptr && piece.own.size() < kMinShared) {
        tail().append(piece.own);
      } else {
        pieces_.push_back(std::move(piece));
      }
    }
  }

  bool empty() const { return pieces_.empty(); }
  std::size_t size() const {
    std::size_t size = 0;
    for (const Piece& piece : pieces_) size += piece.bytes().size();
    return size;
  }
  const std::vector<Piece>& all() const { return pieces_; }
  std::vector<Piece> Take() { return std::exchange(pieces_, {}); }
  // One copy of all of it.
  std::string Flat() const {
    std::string flat;
    flat.reserve(size());
    for (const Piece& piece : pieces_) flat.append(piece.bytes());
    return flat;
  }

 private:
  std::vector<Piece> pieces_;
};

}  // namespace peermesh::wire

#endif  // PEERMESH_SERVER_WIRE_PIECES_H_
