#include "tests/sim/baseline/member.h"

#include <algorithm>
#include <utility>

#include "mesh/base/check.h"

namespace peermesh::sim::baseline {
namespace {

std::uint64_t Token(Instant since) {
  return static_cast<std::uint64_t>(since.time_since_epoch().count());
}

}  // namespace

Member::Member(std::uint32_t self, const Config& config, Rng rng)
    : self_(self),
      config_(config),
      suspicion_timeout_(SuspicionTimeout(config)),
      rng_(rng),
      views_(config.members),
      news_(RetransmitLimit(config)) {
  PM_CHECK(self < config.members);
  order_.reserve(config.members - 1);
  for (std::uint32_t i = 0; i < config.members; ++i) {
    if (i != self) order_.push_back(i);
  }
  Shuffle();
  // As after a long time: everybody is somewhere in a pass of its own.
  if (!order_.empty()) next_ = rng_.Below(order_.size());
}

void Member::Shuffle() {
  for (std::size_t i = order_.size(); i > 1; --i) {
    std::swap(order_[i - 1], order_[rng_.Below(i)]);
  }
  next_ = 0;
}

std::optional<std::uint32_t> Member::NextTarget() {
  for (std::size_t looked = 0; looked <= order_.size(); ++looked) {
    if (next_ == order_.size()) Shuffle();
    if (order_.empty()) break;
    const std::uint32_t target = order_[next_++];
    if (views_[target].belief != Belief::kDead) return target;
  }
  return std::nullopt;
}

// A few tries, as deployed: in a small group it may find fewer than there are.
template <typename Suits>
std::vector<std::uint32_t> Member::Choose(std::size_t count, const Suits& suits) {
  std::vector<std::uint32_t> chosen;
  for (std::size_t tries = 3 * views_.size(); tries > 0 && chosen.size() < count; --tries) {
    const auto member = static_cast<std::uint32_t>(rng_.Below(views_.size()));
    if (member == self_ || !suits(member)) continue;
    if (std::find(chosen.begin(), chosen.end(), member) == chosen.end()) chosen.push_back(member);
  }
  return chosen;
}

void Member::Send(Datagram datagram, Wishes& out) {
  datagram.from = self_;
  if (!config_.rounds || datagram.kind == DatagramKind::kGossip) {
    datagram.updates = news_.Take(config_.updates_per_datagram);
  }
  out.sends.push_back(std::move(datagram));
}

void Member::Period(Instant now, Wishes& out) {
  if (probe_.waiting) {
    period_waits_ = true;
  } else {
    StartProbe(now, out);
  }
}

void Member::StartProbe(Instant now, Wishes& out) {
  const std::optional<std::uint32_t> target = NextTarget();
  if (!target) return;
  probe_ = {*target, ++sequence_, true};
  Send({.to = *target, .kind = DatagramKind::kPing, .sequence = sequence_}, out);
  out.timers.push_back(
      {now + config_.probe_timeout, TimerKind::kProbeTimeout, *target, probe_.sequence});
  out.timers.push_back({now + config_.period, TimerKind::kProbeEnd, *target, probe_.sequence});
}

void Member::EndProbe(Instant now, Wishes& out) {
  probe_.waiting = false;
  if (std::exchange(period_waits_, false)) StartProbe(now, out);
}

void Member::AskHelpers(Wishes& out) {
  const std::vector<std::uint32_t> helpers = Choose(config_.helpers, [this](std::uint32_t member) {
    return member != probe_.target && views_[member].belief == Belief::kAlive;
  });
  for (const std::uint32_t helper : helpers) {
    Send({.to = helper,
          .kind = DatagramKind::kPingRequest,
          .sequence = probe_.sequence,
          .target = probe_.target},
         out);
  }
}

void Member::Gossip(Instant now, Wishes& out) {
  const std::vector<std::uint32_t> listeners =
      Choose(config_.gossip_fanout, [&](std::uint32_t member) {
        const View& view = views_[member];
        return view.belief != Belief::kDead || now - view.since <= config_.gossip_to_dead;
      });
  for (const std::uint32_t listener : listeners) {
    if (news_.empty()) return;
    Send({.to = listener, .kind = DatagramKind::kGossip}, out);
  }
}

void Member::Fire(Instant now, const Timer& timer, Wishes& out) {
  switch (timer.kind) {
    case TimerKind::kProbeTimeout:
      if (probe_.waiting && probe_.sequence == timer.token) AskHelpers(out);
      return;
    case TimerKind::kProbeEnd:
      if (probe_.waiting && probe_.sequence == timer.token) {
        Apply(now, {timer.subject, views_[timer.subject].incarnation, Belief::kSuspect}, out);
        EndProbe(now, out);
      }
      return;
    case TimerKind::kSuspicion:
      const View& view = views_[timer.subject];
      if (view.belief == Belief::kSuspect && Token(view.since) == timer.token) {
        Apply(now, {timer.subject, view.incarnation, Belief::kDead}, out);
      }
      return;
  }
}

void Member::HandleAck(Instant now, std::uint32_t sequence, Wishes& out) {
  if (probe_.waiting && probe_.sequence == sequence) {
    EndProbe(now, out);
    return;
  }
  const auto relay = std::find_if(relays_.begin(), relays_.end(),
                                  [&](const Relay& r) { return r.sequence == sequence; });
  if (relay == relays_.end() || now > relay->until) return;
  const Relay found = *relay;
  relays_.erase(relay);
  Send({.to = found.origin, .kind = DatagramKind::kAck, .sequence = found.origin_sequence}, out);
}

void Member::Receive(Instant now, const Datagram& datagram, Wishes& out) {
  switch (datagram.kind) {
    case DatagramKind::kPing:
      Send({.to = datagram.from, .kind = DatagramKind::kAck, .sequence = datagram.sequence}, out);
      break;
    case DatagramKind::kAck: HandleAck(now, datagram.sequence, out); break;
    case DatagramKind::kPingRequest:
      std::erase_if(relays_, [&](const Relay& relay) { return now > relay.until; });
      relays_.push_back(
          {++sequence_, datagram.from, datagram.sequence, now + config_.probe_timeout});
      Send({.to = datagram.target, .kind = DatagramKind::kPing, .sequence = sequence_}, out);
      break;
    case DatagramKind::kGossip: break;
  }
  for (const Update& update : datagram.updates) Apply(now, update, out);
}

Update Member::Announce() {
  Object(views_[self_].incarnation);
  return {self_, views_[self_].incarnation, Belief::kAlive};
}

void Member::Object(std::uint32_t incarnation) {
  views_[self_].incarnation = incarnation + 1;
  news_.Add({self_, incarnation + 1, Belief::kAlive});
}

void Member::Apply(Instant now, const Update& update, Wishes& out) {
  const View& view = views_[update.subject];
  if (update.subject == self_) {
    if (update.belief != Belief::kAlive && update.incarnation >= view.incarnation) {
      Object(update.incarnation);
    }
    return;
  }
  switch (update.belief) {
    case Belief::kAlive:
      if (update.incarnation > view.incarnation) Believe(now, update, out);
      return;
    case Belief::kSuspect:
      if (update.incarnation >= view.incarnation && view.belief == Belief::kAlive) {
        Believe(now, update, out);
        out.timers.push_back(
            {now + suspicion_timeout_, TimerKind::kSuspicion, update.subject, Token(now)});
      }
      return;
    case Belief::kDead:
      if (update.incarnation >= view.incarnation && view.belief != Belief::kDead) {
        Believe(now, update, out);
      }
      return;
  }
}

void Member::Believe(Instant now, const Update& update, Wishes& out) {
  View& view = views_[update.subject];
  // A higher incarnation of what is alive anyway is no change.
  if (view.belief != update.belief) view.since = now;
  view.belief = update.belief;
  view.incarnation = update.incarnation;
  news_.Add(update);
  out.beliefs.push_back(update);
}

}  // namespace peermesh::sim::baseline
