// What hosts of a world send, by kind of frame: for budgets, and for finding out what a quiet mesh
// costs.
//
// Bytes are those on a wire: a frame as it is encoded, and kFraming for gRPC (5), HTTP/2 (9), TLS
// (22) and TCP/IP (52); for each frame that arrives one bare acknowledgement of kAcknowledgement.
// Really some acknowledgements travel with data, so this is the most.
// Plain data.
#ifndef PEERMESH_TESTS_SIM_TRAFFIC_H_
#define PEERMESH_TESTS_SIM_TRAFFIC_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <variant>

#include "mesh/node/frame.h"

namespace peermesh::sim {

inline constexpr std::uint64_t kFraming = 88;
inline constexpr std::uint64_t kAcknowledgement = 52;

struct Traffic {
  struct Count {
    std::uint64_t frames = 0, bytes = 0;
    void Add(std::uint64_t more) {
      ++frames;
      bytes += more;
    }
  };
  // Of control frames, by their place in the variant; the last: data frames.
  static constexpr std::size_t kKinds = std::variant_size_v<node::ControlFrame> + 1;
  static constexpr std::size_t kData = kKinds - 1;

  std::array<Count, kKinds> sent;
  std::uint64_t announced_bytes = 0;  // of broadcasts, in heartbeats; among `sent`
  Count acknowledgements;             // sent
  Count received;

  std::uint64_t bytes_sent() const {
    std::uint64_t sum = acknowledgements.bytes;
    for (const Count& count : sent) sum += count.bytes;
    return sum;
  }
  std::uint64_t frames_sent() const {
    std::uint64_t sum = 0;
    for (const Count& count : sent) sum += count.frames;
    return sum;
  }
};

// How long a frame is as protobuf, about (traffic_test.cc compares): ids are 34 bytes, numbers 5.
// What is exact comes from the encoder (World::size_of).
class RoughSize {
 public:
  std::uint64_t operator()(const node::Heartbeat& frame) const { return 38 + Of(frame.have); }
  static std::uint64_t Announced(const node::ControlFrame& frame) {
    const auto* heartbeat = std::get_if<node::Heartbeat>(&frame);
    return heartbeat == nullptr ? 0 : Of(heartbeat->have);
  }
  std::uint64_t operator()(const node::InterestSnapshot& frame) const {
    return 12 + Patterns(frame.entries);
  }
  std::uint64_t operator()(const node::InterestDelta& frame) const {
    std::uint64_t sum = 12 + Patterns(frame.add);
    for (const auto& pattern : frame.remove) sum += 2 + pattern.size();
    return sum;
  }
  std::uint64_t operator()(const node::InterestAck&) const { return 16; }
  std::uint64_t operator()(const node::InterestRequest&) const { return 2; }
  std::uint64_t operator()(const node::PeerRecords& frame) const {
    std::uint64_t sum = 4;
    for (const auto& record : frame.records) sum += 4 + record->encoded.size();
    return sum;
  }
  std::uint64_t operator()(const node::PeerStates& frame) const {
    return 4 + 48 * frame.beliefs.size();
  }
  std::uint64_t operator()(const node::Statements& frame) const {
    return 4 + kStatement * frame.statements.size();
  }
  std::uint64_t operator()(const node::TableHashes& frame) const {
    return 4 + 8 * frame.hashes.size();
  }
  std::uint64_t operator()(const node::TableRows& frame) const {
    return 8 + frame.parts.size() + 44 * frame.rows.size();
  }
  std::uint64_t operator()(const node::RecordsWanted& frame) const { return 4 + Ids(frame.ids); }
  std::uint64_t operator()(const node::Goodbye&) const { return 6; }
  std::uint64_t operator()(const node::LinkReady&) const { return 2; }
  std::uint64_t operator()(const overlay::Message& frame) const {
    return 4 + std::visit([this](const auto& message) { return Of(message); }, frame);
  }
  std::uint64_t operator()(const broadcast::Message& frame) const {
    return 4 + std::visit([this](const auto& message) { return Of(message); }, frame);
  }
  std::uint64_t operator()(const node::DataFrame& frame) const {
    std::uint64_t sum = frame.end ? 2 : 0;
    for (const flow::Run& run : frame.runs) {
      // A mark has no time, and of what was never used three small numbers.
      sum += run.mark ? (run.next > 1 ? 14 : 8) : 24;
      for (const flow::Item& item : run.items) sum += run.batch->rows[item.row].record_length;
    }
    for (const node::Relayed& relayed : frame.relayed) {
      sum += kPiece;
      for (const std::uint32_t row : relayed.piece->rows) {
        sum += relayed.piece->batch->rows[row].record_length;
      }
    }
    return sum;
  }

 private:
  static constexpr std::uint64_t kId = 34;
  static constexpr std::uint64_t kStatement = 160;  // two ids, two numbers, a signature of 72
  static constexpr std::uint64_t kPiece = 140;      // an id, six numbers, a signature
  static constexpr std::uint64_t kRange = 60;

  static std::uint64_t Patterns(const std::vector<node::Interest>& entries) {
    std::uint64_t sum = 0;
    for (const auto& entry : entries) sum += 6 + entry.pattern.size();
    return sum;
  }
  static std::uint64_t Ids(const std::vector<PeerId>& ids) { return kId * ids.size(); }
  std::uint64_t Of(const overlay::Join&) const { return 0; }
  std::uint64_t Of(const overlay::ForwardJoin&) const { return kId + 2; }
  std::uint64_t Of(const overlay::Neighbor& question) const { return 2 + Ids(question.neighbors); }
  std::uint64_t Of(const overlay::NeighborReply& reply) const { return 2 + Ids(reply.candidates); }
  std::uint64_t Of(const overlay::Disconnect& frame) const { return Ids(frame.candidates); }
  std::uint64_t Of(const overlay::Shuffle& shuffle) const { return 12 + Ids(shuffle.sample); }
  std::uint64_t Of(const overlay::ShuffleReply& reply) const { return 10 + Ids(reply.sample); }
  std::uint64_t Of(const broadcast::Prune&) const { return 10; }
  static std::uint64_t Of(const broadcast::IHave& frame) {  // with its time
    return frame.ranges.empty() ? 0 : 5 + kRange * frame.ranges.size();
  }
  template <class Ranged>
  std::uint64_t Of(const Ranged& frame) const {
    return kRange * frame.ranges.size();
  }
};

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_TRAFFIC_H_
