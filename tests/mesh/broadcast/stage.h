// One broadcast among neighbours that are only names: facts in, wishes out.
#ifndef PEERMESH_TESTS_MESH_BROADCAST_STAGE_H_
#define PEERMESH_TESTS_MESH_BROADCAST_STAGE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "mesh/broadcast/broadcast.h"
#include "tests/mesh/broadcast/swarm.h"

namespace peermesh::broadcast {

inline constexpr std::uint32_t kSelf = 0, kAnn = 1, kBob = 2, kCat = 3, kOrigin = 50;

class StageTest : public testing::Test {
 protected:
  explicit StageTest(Config config = {}) : broadcast(PeerOf(kSelf), config, Rng({1, 2, 3, 4})) {}
  ~StageTest() override { broadcast.CheckInvariants(); }

  static Stream StreamOf(std::uint32_t origin = kOrigin, std::uint64_t epoch = 1) {
    return {PeerOf(origin), epoch, 5};
  }
  static Range RangeOf(std::uint64_t first, std::uint64_t next, std::uint32_t hops = 1) {
    return {StreamOf(), first, next, hops};
  }

  void Up(std::uint32_t peer) { broadcast.NeighborUp(now, PeerOf(peer), wishes); }
  // Up, and told that there is nothing: nobody is new any more.
  void UpAndSettled(std::vector<std::uint32_t> peers) {
    for (const std::uint32_t peer : peers) Up(peer);
    Hear(peers.front(), Positions{{}, true});
    Take();
  }
  void Come(std::uint32_t from, PieceRef piece, std::uint32_t hops = 2) {
    broadcast.Receive(now, PeerOf(from), std::move(piece), hops, wishes);
    broadcast.CheckInvariants();
  }
  // [number, number + 1), in the chain.
  void Come(std::uint32_t from, std::uint64_t number, std::uint32_t hops = 2) {
    Come(from, MakePiece(StreamOf(), number, number), hops);
  }
  bool Hear(std::uint32_t from, const Message& message) {
    const bool honest = broadcast.Receive(now, PeerOf(from), message, wishes);
    broadcast.CheckInvariants();
    return honest;
  }
  // Time passes; whatever is due on the way is done.
  void Pass(Duration time) {
    const Instant end = now + time;
    while (broadcast.NextWake() <= end) {
      now = std::max(now, broadcast.NextWake());
      broadcast.Wake(now, wishes);
      broadcast.CheckInvariants();
      ASSERT_GT(broadcast.NextWake(), now) << "a wake-up that leads to nothing";
    }
    now = end;
  }

  // The wishes since the last time, as text: "deliver 3", "missing 3-4", "push 2 3",
  // "have 2 3-4", "graft 2 3-4", "prune 2", "positions 2 3-4 last" (to peer 2, numbers 3 to 4).
  std::vector<std::string> Take() {
    std::vector<std::string> said;
    for (const Wish& wish : wishes) said.push_back(Text(wish));
    wishes.clear();
    return said;
  }
  static std::string Text(const Wish& wish);

  Instant now{};
  Broadcast broadcast;
  Wishes wishes;
};

}  // namespace peermesh::broadcast

#endif  // PEERMESH_TESTS_MESH_BROADCAST_STAGE_H_
