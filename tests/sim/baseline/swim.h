// Members of classic SWIM in virtual time, on a network that delays and loses datagrams: what the
// failure detector of the mesh is measured against.
//
// A paused member neither hears nor acts. When it runs again it first does what its timers say,
// late, and then reads what arrived, as a process does that had no processor for a while: its
// periodic timers have run out once, however long it stood still. A crashed member is silent.
//
// The same config, script and seed give the same run. Not thread-safe.
#ifndef PEERMESH_TESTS_SIM_BASELINE_SWIM_H_
#define PEERMESH_TESTS_SIM_BASELINE_SWIM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "mesh/base/digest.h"
#include "mesh/base/rng.h"
#include "mesh/base/time.h"
#include "tests/sim/baseline/member.h"
#include "tests/sim/baseline/pauses.h"
#include "tests/sim/baseline/queue.h"

namespace peermesh::sim::baseline {

// What became of one crash; kNever: it did not happen while the run lasted.
struct Detection {
  std::uint32_t member = 0;
  Instant crashed = kNever;
  Instant probed = kNever;     // the first ping that nobody could answer was sent
  Instant suspected = kNever;  // by the first member
  Instant declared = kNever;   // dead, by the first member
  Instant known = kNever;      // dead to all that had not crashed themselves
};

// Who had heard of one update, in order of time; the first is its origin.
struct Spread {
  Update update;
  std::vector<Instant> heard;
};

struct Figures {
  // A healthy member declared dead by a healthy one; each incarnation of it counts once.
  std::uint64_t false_deaths = 0;
  // The same, once for each healthy member that believed it.
  std::uint64_t false_events = 0;
  // A member that had not crashed declared dead by any member: paused ones on either side count,
  // too.
  std::uint64_t raw_events = 0;
  // Of those, the ones about healthy members.
  std::uint64_t raw_healthy_events = 0;
  std::array<std::uint64_t, kDatagramKinds> sent{};  // by kind
  std::uint64_t lost = 0;                            // by the network
  std::uint64_t overflowed = 0;                      // did not fit in an inbox
  std::vector<Detection> detections;                 // in the order of the crashes
  std::vector<Spread> spreads;                       // in the order of Announce
  std::uint64_t total_sent() const;
};

class Swim {
 public:
  Swim(const Config& config, std::uint64_t seed, const std::vector<Pause>& pauses = {},
       const std::vector<Crash>& crashes = {});
  Swim(const Swim&) = delete;
  Swim& operator=(const Swim&) = delete;

  void RunUntil(Instant end);
  // The member says something new of itself; `figures().spreads` follows it.
  void Announce(std::uint32_t member);

  const Figures& figures() const { return figures_; }
  const Member& member(std::uint32_t index) const { return hosts_.at(index).member; }
  Instant now() const { return now_; }
  // Of all that members came to believe, and when.
  std::uint64_t digest() const { return digest_.value(); }

 private:
  struct Host {
    Host(std::uint32_t self, const Config& config, Rng own, Rng roads)
        : member(self, config, own), network(roads) {}
    Member member;
    Rng network;             // of what it sends
    Instant gossip_begin{};  // its phase
    bool paused = false, crashed = false;
    bool period_due = false, gossip_due = false;  // ran out during the pause
    bool gossip_planned = false, read_planned = false;
    std::vector<Event> due;      // timers that ran out during the pause, in order of time
    std::deque<Datagram> inbox;  // in order of arrival; at most config.inbox
  };

  void Handle(const Event& event);
  void RunOut(const Event& event);
  void Deliver(const Event& event);
  void Read(std::uint32_t index);
  void PlanRead(std::uint32_t index);
  void Resume(std::uint32_t index);
  // Does what `out_` says, for this member.
  void Carry(std::uint32_t index);
  void SendOut(std::uint32_t index, Datagram datagram);
  void Judge(std::uint32_t observer, const Update& belief);
  void PlanGossip(std::uint32_t index);

  const Config config_;
  const Health health_;
  Instant now_{};
  Queue queue_;
  Pool<Datagram> flying_;
  Pool<Timer> timers_;
  std::vector<Host> hosts_;
  Wishes out_;                                                 // empty between events
  std::set<std::pair<std::uint32_t, std::uint32_t>> wronged_;  // member, incarnation
  std::map<std::uint32_t, std::size_t> detection_of_;          // member: index in detections
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::size_t> spread_of_;
  Digest digest_;
  Figures figures_;
};

}  // namespace peermesh::sim::baseline

#endif  // PEERMESH_TESTS_SIM_BASELINE_SWIM_H_
