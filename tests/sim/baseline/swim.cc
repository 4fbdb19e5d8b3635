#include "tests/sim/baseline/swim.h"

#include <algorithm>
#include <numeric>

#include "mesh/base/check.h"

namespace peermesh::sim::baseline {

std::uint64_t Figures::total_sent() const {
  return std::accumulate(sent.begin(), sent.end(), std::uint64_t{0});
}

Swim::Swim(const Config& config, std::uint64_t seed, const std::vector<Pause>& pauses,
           const std::vector<Crash>& crashes)
    : config_(config), health_(config.members, pauses, crashes) {
  Rng rng({seed, 0, 0, 0});
  Rng members = rng.Fork("members");
  Rng network = rng.Fork("network");
  Rng phases = rng.Fork("phases");
  hosts_.reserve(config.members);
  for (std::uint32_t i = 0; i < config.members; ++i) {
    Rng own = members.Fork("member");
    hosts_.emplace_back(i, config_, own, network.Fork("member"));
    const Duration period = phases.Between(Duration{}, config_.period - Duration(1));
    queue_.Add({.when = now_ + period, .kind = EventKind::kPeriod, .member = i});
    const Duration gossip = phases.Between(Duration{}, config_.gossip_interval - Duration(1));
    hosts_.back().gossip_begin = now_ + (config_.rounds ? Duration{} : gossip);
  }
  for (const Pause& pause : pauses) {
    queue_.Add({.when = pause.from, .kind = EventKind::kPause, .member = pause.member});
    queue_.Add({.when = pause.until, .kind = EventKind::kResume, .member = pause.member});
  }
  for (const Crash& crash : crashes) {
    queue_.Add({.when = crash.when, .kind = EventKind::kCrash, .member = crash.member});
    detection_of_.emplace(crash.member, figures_.detections.size());
    figures_.detections.push_back({.member = crash.member, .crashed = crash.when});
  }
}

void Swim::RunUntil(Instant end) {
  while (!queue_.empty() && queue_.next() <= end) {
    const Event event = queue_.Take();
    now_ = event.when;
    Handle(event);
  }
  now_ = end;
}

void Swim::Announce(std::uint32_t member) {
  const Update update = hosts_[member].member.Announce();
  spread_of_.emplace(std::pair(member, update.incarnation), figures_.spreads.size());
  figures_.spreads.push_back({update, {now_}});
  PlanGossip(member);
}

void Swim::Handle(const Event& event) {
  Host& host = hosts_[event.member];
  switch (event.kind) {
    case EventKind::kPeriod:
    case EventKind::kGossip:
    case EventKind::kTimer: RunOut(event); return;
    case EventKind::kDatagram: Deliver(event); return;
    case EventKind::kRead: Read(event.member); return;
    case EventKind::kPause: host.paused = true; return;
    case EventKind::kResume: Resume(event.member); return;
    case EventKind::kCrash: host.crashed = true; return;
  }
}

void Swim::RunOut(const Event& event) {
  Host& host = hosts_[event.member];
  if (host.crashed) return;
  if (event.kind == EventKind::kPeriod) {
    Event again = event;
    again.when += config_.period;
    queue_.Add(again);
  }
  if (host.paused) {
    const bool known = event.kind == EventKind::kPeriod && std::exchange(host.period_due, true);
    if (!known) host.due.push_back(event);
    return;
  }
  switch (event.kind) {
    case EventKind::kPeriod: host.member.Period(now_, out_); break;
    case EventKind::kGossip:
      host.gossip_planned = false;
      host.member.Gossip(now_, out_);
      break;
    default: host.member.Fire(now_, timers_.Take(event.place), out_); break;
  }
  Carry(event.member);
}

void Swim::Deliver(const Event& event) {
  Host& host = hosts_[event.member];
  Datagram datagram = flying_.Take(event.place);
  if (host.crashed) return;
  if (host.inbox.size() >= config_.inbox) {
    ++figures_.overflowed;
    return;
  }
  host.inbox.push_back(std::move(datagram));
  PlanRead(event.member);
}

void Swim::Read(std::uint32_t index) {
  Host& host = hosts_[index];
  host.read_planned = false;
  if (host.crashed || host.paused) return;
  const Datagram datagram = std::move(host.inbox.front());
  host.inbox.pop_front();
  host.member.Receive(now_, datagram, out_);
  Carry(index);
  PlanRead(index);
}

void Swim::PlanRead(std::uint32_t index) {
  Host& host = hosts_[index];
  if (host.inbox.empty() || host.paused || host.read_planned) return;
  host.read_planned = true;
  queue_.Add({.when = now_ + config_.service, .kind = EventKind::kRead, .member = index});
}

void Swim::Resume(std::uint32_t index) {
  Host& host = hosts_[index];
  if (host.crashed) return;
  host.paused = false;
  host.period_due = false;
  const std::vector<Event> due = std::exchange(host.due, {});
  for (Event event : due) {
    if (event.kind != EventKind::kPeriod) {
      RunOut(event);
      continue;
    }
    // Its next one is planned already.
    host.member.Period(now_, out_);
    Carry(index);
  }
  PlanRead(index);
}

void Swim::Carry(std::uint32_t index) {
  for (const Update& belief : out_.beliefs) Judge(index, belief);
  for (const Timer& timer : out_.timers) {
    queue_.Add({.when = timer.when,
                .kind = EventKind::kTimer,
                .member = index,
                .place = timers_.Put(timer)});
  }
  for (Datagram& datagram : out_.sends) SendOut(index, std::move(datagram));
  out_.beliefs.clear();
  out_.timers.clear();
  out_.sends.clear();
  PlanGossip(index);
}

// At the next moment of its phase; one that has nothing to say needs no event.
void Swim::PlanGossip(std::uint32_t index) {
  Host& host = hosts_[index];
  if (host.gossip_planned || !host.member.has_news()) return;
  host.gossip_planned = true;
  const Duration since = now_ - host.gossip_begin;
  const Duration step = config_.gossip_interval;
  const Instant next =
      now_ < host.gossip_begin ? host.gossip_begin : host.gossip_begin + (since / step + 1) * step;
  queue_.Add({.when = next, .kind = EventKind::kGossip, .member = index});
}

void Swim::SendOut(std::uint32_t index, Datagram datagram) {
  Rng& rng = hosts_[index].network;
  ++figures_.sent[static_cast<std::size_t>(datagram.kind)];
  const Instant lands = now_ + rng.Between(config_.latency_least, config_.latency_most);
  const bool lost = rng.Below(1'000'000) < config_.loss_per_million;
  if (datagram.kind == DatagramKind::kPing && lands >= health_.crashed(datagram.to)) {
    Detection& detection = figures_.detections[detection_of_.at(datagram.to)];
    detection.probed = std::min(detection.probed, now_);
  }
  if (lost) {
    ++figures_.lost;
    return;
  }
  const std::uint32_t to = datagram.to;
  queue_.Add({.when = lands,
              .kind = EventKind::kDatagram,
              .member = to,
              .place = flying_.Put(std::move(datagram))});
}

void Swim::Judge(std::uint32_t observer, const Update& belief) {
  const std::uint32_t subject = belief.subject;
  digest_.Add(now_).Add(observer).Add(subject).Add(belief.incarnation);
  digest_.Add(static_cast<std::uint64_t>(belief.belief));
  if (const auto spread = spread_of_.find({subject, belief.incarnation});
      spread != spread_of_.end() && belief.belief == Belief::kAlive) {
    figures_.spreads[spread->second].heard.push_back(now_);
  }
  if (now_ >= health_.crashed(subject)) {
    Detection& detection = figures_.detections[detection_of_.at(subject)];
    if (belief.belief == Belief::kSuspect) {
      detection.suspected = std::min(detection.suspected, now_);
    } else if (belief.belief == Belief::kDead) {
      detection.declared = std::min(detection.declared, now_);
      const bool known = std::all_of(hosts_.begin(), hosts_.end(), [&](const Host& host) {
        return host.crashed || host.member.belief(subject) == Belief::kDead;
      });
      if (known) detection.known = std::min(detection.known, now_);
    }
    return;
  }
  if (belief.belief != Belief::kDead) return;
  ++figures_.raw_events;
  if (!health_.Healthy(subject, now_, config_.grace)) return;
  ++figures_.raw_healthy_events;
  if (!health_.Healthy(observer, now_, config_.grace)) return;
  ++figures_.false_events;
  if (wronged_.emplace(subject, belief.incarnation).second) ++figures_.false_deaths;
}

}  // namespace peermesh::sim::baseline
