// A virtual network of overlays: links that deliver in order after a delay, dials that take a
// while, peers that die. One event queue, virtual time, and everything follows from the seed.
#ifndef PEERMESH_TESTS_MESH_OVERLAY_NETWORK_H_
#define PEERMESH_TESTS_MESH_OVERLAY_NETWORK_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "mesh/overlay/overlay.h"

namespace peermesh::overlay::testing {

// Number `n` of any network: as good as random, and the number can be read back.
PeerId PeerOf(std::size_t n);
std::size_t NumberOf(const PeerId& peer);

struct Conditions {
  Duration least_delay = std::chrono::milliseconds(5);  // of a message, one way
  Duration most_delay = std::chrono::milliseconds(50);
  // Until a dial to a dead peer fails: a host that is up says so at once.
  Duration refusal = std::chrono::milliseconds(100);
  Duration least_detection = std::chrono::milliseconds(50);  // until a link to a dead peer is lost
  Duration most_detection = std::chrono::milliseconds(200);
  bool closes_released = true;  // a link goes when one end has no use for it
};

struct Counters {
  std::uint64_t messages = 0, dials = 0, failed_dials = 0, refusals = 0, calls = 0;
  std::array<std::uint64_t, std::variant_size_v<Message>> kinds{};
  std::size_t most_active = 0;  // of any peer, at any time
};

struct Shape {
  std::size_t peers = 0, components = 0, largest = 0, one_sided = 0;
  std::size_t edges = 0, most = 0, least = 0, longest_path = 0;
  double mean_degree = 0, mean_path = 0, clustering = 0, kept = 0;
  std::map<std::size_t, std::size_t> degrees;
  std::string ToText() const;
};

class Network {
 public:
  Network(std::uint64_t seed, std::size_t peers, Config config, Conditions conditions = {});

  // Peer `n` begins to seek, and a link to `contact` is made for it.
  void JoinAt(Instant when, std::size_t n, std::size_t contact);
  void KillAt(Instant when, std::size_t n);
  void RunUntil(Instant end);
  void RunFor(Duration duration) { RunUntil(now_ + duration); }
  // All links between the halves go, and dials across fail; or not any more.
  void Split(std::size_t first_of_second_half);
  void Heal() { split_.reset(); }
  void Link(std::size_t a, std::size_t b);
  void Bridge(std::size_t a, std::size_t b);

  Instant now() const { return now_; }
  const Overlay& at(std::size_t n) const { return *nodes_[n].overlay; }
  const Counters& counters() const { return counters_; }
  std::uint64_t dials_of(std::size_t n) const { return nodes_[n].dials; }
  std::size_t size() const { return nodes_.size(); }
  bool alive(std::size_t n) const { return nodes_[n].alive; }
  // Of those alive. Paths from `sources` of them; 0: not asked for.
  Shape Measure(std::size_t sources = 0) const;
  // Who counts whom as a neighbour that does not count it.
  std::vector<std::pair<std::size_t, std::size_t>> OneSided() const;
  void CheckInvariants() const;
  std::uint64_t Digest() const;

 private:
  struct End {
    std::uint64_t link = 0;  // the connection; a new one for each dial that succeeds
    Instant last_arrival{};  // at the other end, to keep messages in order
  };
  struct Node {
    std::unique_ptr<Overlay> overlay;
    std::map<std::uint32_t, End> links;
    Instant wake = kNever;
    bool alive = true;
    std::uint64_t dials = 0;
  };
  enum class What : std::uint8_t { kWake, kArrive, kClose, kLost, kDialled, kJoin, kKill };
  struct Event {
    Instant at{};
    std::uint64_t number = 0;
    What what = What::kWake;
    std::uint32_t to = 0, from = 0;
    std::uint64_t link = 0;
    std::uint32_t message = 0;  // place in messages_
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.at != b.at ? a.at > b.at : a.number > b.number;
    }
  };

  void Put(Event event);
  void Handle(const Event& event);
  void Arrive(const Event& event);
  void Connected(std::uint32_t dialler, std::uint32_t other, Wishes& out);
  void Drop(std::uint32_t node, std::uint32_t other, Loss how);
  void Close(std::uint32_t node, std::uint32_t other);
  void Carry(std::uint32_t node, Wishes& wishes);
  void SendTo(std::uint32_t from, std::uint32_t to, What what, std::uint32_t message);
  bool Apart(std::uint32_t a, std::uint32_t b) const;
  Duration Delay() { return rng_.Between(conditions_.least_delay, conditions_.most_delay); }

  const Conditions conditions_;
  Rng rng_;
  Instant now_{std::chrono::hours(1)};
  std::vector<Node> nodes_;
  std::priority_queue<Event, std::vector<Event>, Later> events_;
  std::vector<Message> messages_;           // in flight
  std::vector<std::uint32_t> free_places_;  // in messages_
  std::uint64_t next_event_ = 0;
  std::uint64_t next_link_ = 1;
  std::optional<std::size_t> split_;
  Counters counters_;
};

}  // namespace peermesh::overlay::testing

#endif  // PEERMESH_TESTS_MESH_OVERLAY_NETWORK_H_
