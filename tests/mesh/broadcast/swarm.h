// Many broadcasts on links with delays: a random regular graph, everything first in, first out.
//
// Watches while it runs that every peer hears of each number of each stream once and in order, as
// delivered or as missing; a violation is noted and fails the test that asks.
#ifndef PEERMESH_TESTS_MESH_BROADCAST_SWARM_H_
#define PEERMESH_TESTS_MESH_BROADCAST_SWARM_H_

#include <cstdint>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "mesh/base/rng.h"
#include "mesh/broadcast/broadcast.h"

namespace peermesh::broadcast {

PeerId PeerOf(std::uint32_t number);

// One round number per row: a piece of `rows` messages.
PieceRef MakePiece(const Stream& stream, std::uint64_t after, std::uint64_t first,
                   std::size_t rows = 1, std::size_t bytes = 1024);

class Swarm {
 public:
  struct Options {
    std::uint32_t peers = 100;
    std::uint32_t degree = 8;
    std::size_t eager_parents = 1;
    std::uint64_t seed = 1;
    std::uint32_t lose_per_1000 = 0;  // of pushes, without a word
    Duration delay_min = std::chrono::milliseconds(10);
    Duration delay_max = std::chrono::milliseconds(50);
    bool round_trips = true;
  };
  // What became of one published piece.
  struct Outcome {
    std::uint32_t source = 0;
    Instant at{};
    std::uint64_t copies = 0;     // pushes of it that arrived
    std::uint64_t delivered = 0;  // peers
    std::uint64_t missing = 0;    // peers that were told it is
    std::uint32_t hops = 0;       // most links to a delivery
    Duration last{};              // of the last delivery
    std::uint64_t bytes = 0;
  };

  explicit Swarm(const Options& options);

  // Returns its place among outcomes().
  std::size_t Publish(std::uint32_t peer, std::uint32_t channel = 0);
  void Run(Duration time);
  void Kill(std::uint32_t peer);      // its neighbours notice at once
  void CutLinks(std::uint32_t side);  // between peers below `side` and the others
  void HealLinks();
  bool alive(std::uint32_t peer) const { return peers_[peer].alive; }
  Broadcast& at(std::uint32_t peer) { return *peers_[peer].broadcast; }
  const std::vector<Outcome>& outcomes() const { return outcomes_; }
  const std::vector<std::string>& violations() const { return violations_; }
  std::uint64_t announced() const { return total().heard_of; }  // ranges received, by all
  Stats total() const;                                          // what the tests ask for, of all
  // How long a flood from here takes to reach everybody alive.
  Duration FloodTime(std::uint32_t source) const;
  std::uint32_t FloodHops(std::uint32_t source) const;
  std::size_t Reachable(std::uint32_t source) const;
  // Pushes sent so far, by peer.
  std::uint64_t pushed(std::uint32_t peer) const { return peers_[peer].pushed; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(peers_.size()); }
  Instant now() const { return now_; }
  std::uint64_t Digest() const;
  void CheckInvariants() const;
  // Streams of which some peer has neither delivered nor reported all numbers.
  std::size_t Unsettled() const;

 private:
  struct Link {
    std::uint32_t to = 0;
    Duration delay{};
    bool up = true;
  };
  struct Peer {
    std::unique_ptr<Broadcast> broadcast;
    std::vector<Link> links;
    bool alive = true;
    Instant wake = kNever;
    std::uint64_t pushed = 0;
    std::map<Stream, std::uint64_t> heard;  // all numbers below it
  };
  struct Event {
    Instant at;
    std::uint64_t order = 0;
    std::uint32_t to = 0;
    std::uint32_t from = 0;
    std::uint32_t hops = 0;
    PieceRef piece;
    std::shared_ptr<const Message> message;  // neither: a wake
    bool operator>(const Event& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };
  void Connect(std::uint32_t a, std::uint32_t b);
  Link* Find(std::uint32_t from, std::uint32_t to);
  void Turn(std::uint32_t peer);
  void Take(const Event& event);
  void Hear(std::uint32_t peer, const Stream& stream, std::uint64_t first, std::uint64_t next,
            bool delivered);
  template <class Visit>
  void Spread(std::uint32_t source, const Visit& visit) const;

  Options options_;
  Rng rng_;
  Instant now_{};
  std::vector<Peer> peers_;
  std::map<PeerId, std::uint32_t> numbers_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t order_ = 0;
  Wishes wishes_;
  std::vector<Outcome> outcomes_;
  std::map<Stream, std::vector<std::size_t>> published_;  // by number, from 1 on
  std::vector<std::string> violations_;
};

}  // namespace peermesh::broadcast

#endif  // PEERMESH_TESTS_MESH_BROADCAST_SWARM_H_
