// One member of classic SWIM: probes others, says what it suspects, and objects when it is
// suspected.
//
// Every period the next of a shuffled list is pinged; the list is shuffled again after each pass.
// No answer within a while: three others are asked to ping it. None by the end of the period:
// suspect. A suspect that does not object with a higher incarnation in time is dead, and whoever
// hears that believes it: one member alone can declare another dead. That, and that all times are
// fixed however late the member itself is, are what Lifeguard and quorums of observers mend.
//
// As deployed: a pass skips the dead; gossip beside piggybacking; the dead are gossiped to for a
// while; a period that begins while a probe is still out waits for its end. Left out: the exchange
// of whole tables and the ping over a stream, which help against lost datagrams and long splits,
// not against pauses, and every part of Lifeguard. After Das, Gupta and Motivala, "SWIM" (DSN
// 2002).
//
// Facts in, wishes out, like the parts of mesh/. Memory grows with the square of the members.
#ifndef PEERMESH_TESTS_SIM_BASELINE_MEMBER_H_
#define PEERMESH_TESTS_SIM_BASELINE_MEMBER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "mesh/base/rng.h"
#include "mesh/base/time.h"
#include "tests/sim/baseline/config.h"
#include "tests/sim/baseline/news.h"

namespace peermesh::sim::baseline {

enum class DatagramKind : std::uint8_t { kPing, kAck, kPingRequest, kGossip };
inline constexpr std::size_t kDatagramKinds = 4;

struct Datagram {
  std::uint32_t from = 0, to = 0;
  DatagramKind kind = DatagramKind::kPing;
  std::uint32_t sequence = 0;  // of the ping; an ack repeats it
  std::uint32_t target = 0;    // of a ping request
  std::vector<Update> updates;
};

enum class TimerKind : std::uint8_t { kProbeTimeout, kProbeEnd, kSuspicion };

struct Timer {
  Instant when{};
  TimerKind kind = TimerKind::kProbeTimeout;
  std::uint32_t subject = 0;
  std::uint64_t token = 0;  // what it was set for; another by now: it comes to nothing
};

struct Wishes {
  std::vector<Datagram> sends;
  std::vector<Timer> timers;
  std::vector<Update> beliefs;  // what this member has come to believe of others
};

class Member {
 public:
  Member(std::uint32_t self, const Config& config, Rng rng);

  void Period(Instant now, Wishes& out);  // once a period, or late
  void Gossip(Instant now, Wishes& out);  // once a gossip interval while it has news
  void Fire(Instant now, const Timer& timer, Wishes& out);
  void Receive(Instant now, const Datagram& datagram, Wishes& out);
  // Says something new of itself, as after a restart: a new incarnation.
  Update Announce();

  bool has_news() const { return !news_.empty(); }
  Belief belief(std::uint32_t member) const { return views_[member].belief; }
  std::uint32_t incarnation(std::uint32_t member) const { return views_[member].incarnation; }

 private:
  struct View {
    Instant since{};                // of the belief
    std::uint32_t incarnation = 1;  // of the member itself: its own
    Belief belief = Belief::kAlive;
  };
  struct Probe {
    std::uint32_t target = 0;
    std::uint32_t sequence = 0;
    bool waiting = false;
  };
  struct Relay {  // a ping on behalf of another
    std::uint32_t sequence = 0;
    std::uint32_t origin = 0;
    std::uint32_t origin_sequence = 0;
    Instant until{};
  };

  void StartProbe(Instant now, Wishes& out);
  void EndProbe(Instant now, Wishes& out);
  void Shuffle();
  std::optional<std::uint32_t> NextTarget();
  void AskHelpers(Wishes& out);
  void HandleAck(Instant now, std::uint32_t sequence, Wishes& out);
  void Apply(Instant now, const Update& update, Wishes& out);
  void Object(std::uint32_t incarnation);
  void Believe(Instant now, const Update& update, Wishes& out);
  void Send(Datagram datagram, Wishes& out);
  template <typename Suits>
  std::vector<std::uint32_t> Choose(std::size_t count, const Suits& suits);

  const std::uint32_t self_;
  const Config& config_;
  const Duration suspicion_timeout_;
  Rng rng_;
  std::vector<View> views_;           // by member
  std::vector<std::uint32_t> order_;  // all others, in the order of this pass
  std::size_t next_ = 0;              // in order_
  News news_;
  Probe probe_;
  bool period_waits_ = false;  // began while a probe was out
  std::uint32_t sequence_ = 0;
  std::vector<Relay> relays_;  // those of the last probe_timeout
};

}  // namespace peermesh::sim::baseline

#endif  // PEERMESH_TESTS_SIM_BASELINE_MEMBER_H_
