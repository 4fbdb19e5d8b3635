// The wires of the world: dials, handshakes, frames under way, and all that can go wrong with them.
#include <algorithm>

#include "mesh/base/check.h"
#include "mesh/base/growth.h"
#include "tests/sim/world.h"

namespace peermesh::sim {
namespace {

using node::DialFailure;
using node::DownReason;
using node::Lane;

// TCP: the shortest retransmission timeout (Linux), doubled each time up to the longest, and how
// many there are before a connection is given up.
constexpr Duration kRetransmitMin = std::chrono::milliseconds(200);
constexpr Duration kRetransmitMax = std::chrono::seconds(60);
constexpr int kRetransmissions = 15;
constexpr std::uint32_t kAllPackets = 1'000'000;
constexpr Duration kFirstRetransmission = std::chrono::seconds(1);  // of a SYN, on Linux
constexpr Duration kPausedPoll = std::chrono::milliseconds(10);
constexpr std::uint64_t kControlFrameBytes = 64;  // guess; control frames are rare

LinkId LinkOf(std::uint64_t wire, int end) {
  return LinkId{wire * 2 + static_cast<std::uint64_t>(end) + 1};
}

}  // namespace

Wire* World::FindWire(std::uint64_t wire) { return wires_.at(wire).get(); }

std::pair<Wire*, int> World::FindEnd(HostIndex host, LinkId link) {
  Wire* const wire = wires_.at((link.value - 1) / 2).get();
  const int end = static_cast<int>((link.value - 1) % 2);
  if (wire == nullptr || !wire->ends[end].listed) return {nullptr, 0};
  PM_CHECK(wire->ends[end].host == host);
  return {wire, end};
}

void World::Unlist(End& end, std::uint64_t wire) {
  if (!std::exchange(end.listed, false)) return;
  std::vector<std::uint64_t>& wires = hosts_[end.host]->wires;
  wires.erase(std::lower_bound(wires.begin(), wires.end(), wire));
  ReturnRoom(wires);
}

Duration World::Retransmissions(HostIndex from, HostIndex to) {
  const std::uint32_t loss = hosts_[to]->loss;
  Duration sum{}, next = kRetransmitMin;
  if (loss == 0) return sum;
  for (int i = 0; i < kRetransmissions; ++i) {
    if (hosts_[from]->network.Below(kAllPackets) >= loss) break;
    sum += next;
    next = std::min(2 * next, kRetransmitMax);
  }
  return sum;
}

void World::Perform(HostIndex from, node::Dial& wish) {
  Duration delay = Delay(from);
  const auto place = by_address_.find(wish.address);
  if (place != by_address_.end()) delay += DistanceOf(from, place->second);
  agenda_.Add({.when = now_ + delay,
               .kind = EventKind::kDial,
               .a = static_cast<std::uint32_t>(from),
               .b = dials_.Put({hosts_.at(from)->process, now_, std::move(wish)})});
}

// The kernel asks again after 1 s, 2 s, 4 s and so on (RFC 6298) until the dialler gives up.
void World::DialAgain(HostIndex from, PostedDial dial) {
  const Duration passed = now_ - dial.began;
  Duration next = kFirstRetransmission;
  while (next <= passed) next = 2 * next + kFirstRetransmission;
  if (next >= kDialTimeout) {
    const DialId id = dial.wish.dial;
    return Post(from, node::DialFailed{id, DialFailure::kTimeout}, kDialTimeout - passed);
  }
  agenda_.Add({.when = dial.began + next,
               .kind = EventKind::kDial,
               .a = static_cast<std::uint32_t>(from),
               .b = dials_.Put(std::move(dial))});
}

void World::DialArrives(HostIndex from, PostedDial dial) {
  const Host& dialler = *hosts_.at(from);
  if (!dialler.node || dialler.process != dial.process) return;
  const auto fail = [&](DialFailure why, Duration in) {
    Post(from, node::DialFailed{dial.wish.dial, why}, in);
  };
  const auto place = by_address_.find(dial.wish.address);
  if (place == by_address_.end()) return fail(DialFailure::kUnreachable, network_.latency);
  const HostIndex to = place->second;
  const Host& host = *hosts_.at(to);
  if (IsCut(from, to) || IsCut(to, from)) return DialAgain(from, std::move(dial));
  // The first packet, or the answer to it.
  if (const std::uint32_t loss = std::max(host.loss, dialler.loss);
      loss > 0 && hosts_[from]->network.Below(kAllPackets) < loss) {
    return DialAgain(from, std::move(dial));
  }
  if (!host.node) return fail(DialFailure::kRefused, network_.latency);
  if (to == from) return fail(DialFailure::kSelf, network_.latency);
  if (dial.wish.expected && *dial.wish.expected != host.id) {
    return fail(DialFailure::kWrongPeer, network_.latency);
  }
  // The handshakes, a flight each way, must be over before the dialler gives up.
  const Duration late = Retransmissions(from, to) + Retransmissions(to, from);
  if (const Duration left = dial.began + kDialTimeout - now_; late > Duration{} && late >= left) {
    return fail(DialFailure::kTimeout, std::max(left, Duration{}));
  }
  Connect(from, dial.process, dial.wish.dial, to, late);
}

void World::Connect(HostIndex from, std::uint64_t process, DialId dial, HostIndex to,
                    Duration late) {
  const std::uint64_t id = wires_.size();
  Wire& wire = *wires_.emplace_back(std::make_unique<Wire>());
  wire.dial = dial;
  wire.distance = DistanceOf(from, to);
  wire.ends[0].host = static_cast<std::uint32_t>(from);
  wire.ends[0].process = static_cast<std::uint32_t>(process);
  wire.ends[1].host = static_cast<std::uint32_t>(to);
  wire.ends[1].process = static_cast<std::uint32_t>(hosts_.at(to)->process);
  // Either end may be the first to know.
  for (const int end : {0, 1}) {
    wire.ends[end].up_since = now_;
    const Duration there = Delay(from), back = Delay(to);
    const Duration slack = hosts_.at(from)->network.Between({}, 2 * network_.latency);
    agenda_.Add({.when = now_ + there + back + slack + 2 * wire.distance + late,
                 .kind = EventKind::kUp,
                 .a = static_cast<std::uint32_t>(end),
                 .b = id});
  }
}

void World::Up(std::uint64_t id, int index) {
  Wire* wire = FindWire(id);
  if (wire == nullptr) return;
  End& end = wire->ends[index];
  const End& other = wire->ends[1 - index];
  if (end.gone) return;
  Host& host = *hosts_.at(end.host);
  if (!host.node || host.process != end.process) return Hang(id, index, DownReason::kTransport);
  const Host& remote = *hosts_.at(other.host);
  const bool cut = IsCut(end.host, other.host) || IsCut(other.host, end.host);
  // Whoever has shaken hands may stand still: its word is given.
  const bool stalled =
      !cut && (host.stalled_until > now_ || (!other.up && remote.stalled_until > now_));
  const bool waiting = cut || stalled || host.paused || remote.paused;
  if (waiting && (!other.up || stalled) && now_ - end.up_since < kDialTimeout) {
    agenda_.Add({.when = now_ + kPausedPoll,
                 .kind = EventKind::kUp,
                 .a = static_cast<std::uint32_t>(index),
                 .b = id});
    return;
  }
  if (waiting || other.gone || !remote.node || remote.process != other.process) {
    if (index == 0) {
      Post(end.host,
           node::DialFailed{wire->dial, waiting ? DialFailure::kTimeout : DialFailure::kTransport},
           network_.write_time);
    }
    return Hang(id, index, DownReason::kTransport);
  }
  end.up = end.listed = true;
  MakeRoomForOne(host.wires);
  host.wires.insert(std::lower_bound(host.wires.begin(), host.wires.end(), id), id);
  node::LinkUp up;
  up.link = LinkOf(id, index);
  up.peer = remote.id;
  up.direction = index == 0 ? node::Direction::kOutbound : node::Direction::kInbound;
  if (index == 0) up.dial = wire->dial;
  up.dial_count = wire->dial.value;
  up.name = remote.name;
  up.epoch = ProcessOf(other.host).second;
  up.software = "sim";
  if (network_.certificates_expire) up.expires = now_ + host.skew + kCertificateLife;
  Turn(end.host, up);
  LandAll(id);
}

void World::Fly(std::uint64_t id, int from, Lane lane, Flight flight) {
  Wire& wire = *wires_.at(id);
  if (wire.broken && !std::holds_alternative<Fin>(flight.frame)) return;
  Host& host = *hosts_.at(wire.ends[from].host);
  WireLane& out = wire.ends[from].lanes[static_cast<int>(lane)];
  Instant sent = now_;
  if (network_.bytes_per_second > 0) {
    const std::uint64_t bytes = flight.bytes + kControlFrameBytes;
    const Duration takes(bytes * 1'000'000 / network_.bytes_per_second);
    // Connections share a line fairly (fq_codel, small queues of TCP), so what little goes over
    // control does not stand behind the data of others.
    sent = lane == Lane::kControl ? now_ + takes : std::max(now_, host.line_free) + takes;
    if (lane == Lane::kData) host.line_free = sent;
  }
  const HostIndex to = wire.ends[1 - from].host;
  Duration delay = Delay(wire.ends[from].host) + wire.distance;
  delay += Retransmissions(wire.ends[from].host, to);
  out.last_arrival = flight.arrival = std::max(out.last_arrival, sent + delay);
  out.unread += static_cast<std::uint32_t>(flight.bytes);
  out.flying.push_back(std::move(flight));
  agenda_.Add({.when = out.last_arrival,
               .kind = EventKind::kLand,
               .lane = static_cast<std::uint8_t>(lane),
               .a = static_cast<std::uint32_t>(from),
               .b = id});
}

void World::LandAll(std::uint64_t id) {
  for (const int from : {0, 1}) {
    for (const Lane lane : {Lane::kControl, Lane::kData}) {
      agenda_.Add({.when = now_,
                   .kind = EventKind::kLand,
                   .lane = static_cast<std::uint8_t>(lane),
                   .a = static_cast<std::uint32_t>(from),
                   .b = id});
    }
  }
}

void World::LandEverything() {
  for (std::uint64_t id = 1; id < wires_.size(); ++id) {
    if (wires_[id] != nullptr) LandAll(id);
  }
}

// Hands over what has arrived: control always, data when asked for.
void World::Land(std::uint64_t id, int from, Lane lane) {
  for (;;) {
    Wire* wire = FindWire(id);
    if (wire == nullptr || !LandOne(id, *wire, from, lane)) break;
  }
  EndOfWire(id);
}

// False when there is nothing more to hand over now.
bool World::LandOne(std::uint64_t id, Wire& wire, int from, Lane lane) {
  WireLane& in = wire.ends[from].lanes[static_cast<int>(lane)];
  End& end = wire.ends[1 - from];
  const HostIndex sender = wire.ends[from].host;
  if (in.flying.empty() || in.flying.front().arrival > now_ || IsCut(sender, end.host)) {
    return false;
  }
  if (end.gone) {
    in.flying.clear();
    // A host that was off answers for its last life with a reset, once it runs again.
    if (end.silent && running(end.host)) {
      end.silent = false;
      Fly(id, 1 - from, Lane::kControl, {{}, Fin{DownReason::kTransport}});
    }
    return false;
  }
  if (!end.up || Still(end.host) || (lane == Lane::kData && !in.granted)) return false;
  Flight flight = std::move(in.flying.front());
  in.flying.pop_front();
  if (in.flying.empty()) in.flying = {};  // there are many lanes, and few are in use
  const LinkId link = LinkOf(id, 1 - from);
  if (keep_traffic && !std::holds_alternative<Fin>(flight.frame)) {
    Traffic& traffic = *hosts_[end.host]->traffic;
    traffic.acknowledgements.Add(kAcknowledgement);
    traffic.received.Add(flight.size);
  }
  if (auto* control = std::get_if<node::ControlFrame>(&flight.frame)) {
    if (keep_truth) Learn(wire, 1 - from, *control);
    DropForged(end.host, sender, *control);
    Turn(end.host, node::ControlIn{link, std::move(*control)});
  } else if (auto* data = std::get_if<node::DataFrame>(&flight.frame)) {
    in.granted = false;
    in.unread -= static_cast<std::uint32_t>(flight.bytes);
    Window(id, from);
    DropForged(*data);
    Show(&Witness::Landed, sender, end.host, *data);
    Turn(end.host, node::DataIn{link, std::move(*data)});
  } else {
    end.gone = true;
    Unlist(end, id);
    Turn(end.host, node::LinkDown{link, std::get<Fin>(flight.frame).why});
  }
  return true;
}

// What the publisher at this end knows from now on of the other end's wishes.
void World::Learn(const Wire& wire, int index, const node::ControlFrame& frame) {
  const auto* snapshot = std::get_if<node::InterestSnapshot>(&frame);
  const auto* delta = std::get_if<node::InterestDelta>(&frame);
  if (snapshot == nullptr && delta == nullptr) return;
  const End &here = wire.ends[index], &there = wire.ends[1 - index];
  const Process publisher{hosts_.at(here.host)->id, kFirstEpoch + here.process};
  const Process subscriber{hosts_.at(there.host)->id, kFirstEpoch + there.process};
  // What comes late, on a link that is being replaced, is old news.
  std::uint64_t& generation = interest_seen_[{publisher, subscriber}];
  const auto news = [&](std::uint64_t of) {
    const bool fresh = of >= generation;
    generation = std::max(generation, of);
    return fresh;
  };
  const auto learn = [&](const std::vector<node::Interest>& entries) {
    for (const node::Interest& entry : entries) {
      truth_.Knows(publisher, subscriber, entry.pattern);
      Show(&Witness::Knows, publisher, subscriber, entry.pattern);
    }
  };
  const auto forget = [&](const std::string& pattern) {
    truth_.Forgets(publisher, subscriber, pattern);
    Show(&Witness::Forgets, publisher, subscriber, pattern);
  };
  if (snapshot != nullptr) {
    // Parts of a large one follow each other; who has more patterns than fit one is not forgotten.
    if (news(snapshot->generation) && snapshot->first && snapshot->last) {
      std::set<std::string_view> still;
      for (const node::Interest& entry : snapshot->entries) still.insert(entry.pattern);
      for (const std::string& pattern : truth_.KnownBy(publisher, subscriber)) {
        if (!still.contains(pattern)) forget(pattern);
      }
    }
    learn(snapshot->entries);
  }
  if (delta != nullptr) {
    if (news(delta->generation)) {
      for (const std::string& pattern : delta->remove) forget(pattern);
    }
    learn(delta->add);
  }
}

// This end goes; the other one hears of it behind what was sent before.
void World::Hang(std::uint64_t id, int index, DownReason why) {
  End& end = wires_.at(id)->ends[index];
  if (end.gone) return;
  end.gone = true;
  Fly(id, index, Lane::kControl, {{}, Fin{why}});
}

// Both ends are gone: nothing can come of it any more.
void World::EndOfWire(std::uint64_t id) {
  const Wire* wire = FindWire(id);
  if (wire == nullptr) return;
  for (const End& end : wire->ends) {
    if (!end.gone || end.silent) return;
  }
  wires_[id] = nullptr;
}

// The previous write of data is done when the network takes more.
bool World::TakesMore(const End& end) const {
  const WireLane& lane = end.lanes[static_cast<int>(Lane::kData)];
  return lane.blocked && lane.unread <= network_.window && !end.gone;
}

// The receiver has made room.
void World::Window(std::uint64_t id, int from) {
  End& end = wires_.at(id)->ends[from];
  if (!TakesMore(end)) return;
  end.lanes[static_cast<int>(Lane::kData)].blocked = false;
  Post(end.host, node::SendDone{LinkOf(id, from), Lane::kData}, network_.write_time);
}

// In a turn of this host.
void World::Written(HostIndex host, LinkId link, Lane lane) {
  if (network_.write_time == Duration{}) {
    written_.push_back({link, lane});
  } else {
    Post(host, node::SendDone{link, lane}, network_.write_time);
  }
}

std::size_t World::Break(HostIndex a, HostIndex b) {
  std::size_t broken = 0;
  for (std::uint64_t id = 1; id < wires_.size(); ++id) {
    if (wires_[id] == nullptr) continue;
    Wire& wire = *wires_[id];
    if (std::minmax<HostIndex>(wire.ends[0].host, wire.ends[1].host) != std::minmax(a, b)) continue;
    if (std::exchange(wire.broken, true)) continue;
    ++broken;
    for (const int end : {0, 1}) {
      for (WireLane& lane : wire.ends[end].lanes) lane.flying.clear();
      Fly(id, end, Lane::kControl, {{}, Fin{DownReason::kTransport}});
    }
  }
  return broken;
}

void World::Perform(HostIndex host, node::SendControl& wish) {
  const auto [wire, end] = FindEnd(host, wish.link);
  if (wire == nullptr) return;
  const HostIndex to = wire->ends[1 - end].host;
  auto* delta = std::get_if<node::InterestDelta>(&wish.frame);
  if (delta && !delta->add.empty() && spoil_delta_.erase({host, to}) > 0) {
    delta->add[0].pattern = "spoilt";
  }
  if (codec != nullptr) wish.frame = codec->Pass(wish.frame);
  std::uint64_t size = 0;
  if (keep_traffic) {
    Traffic& traffic = *hosts_[host]->traffic;
    size = kFraming + (size_of ? size_of(wish.frame) : std::visit(RoughSize{}, wish.frame));
    traffic.sent[wish.frame.index()].Add(size);
    traffic.announced_bytes += RoughSize::Announced(wish.frame);
  }
  Fly((wish.link.value - 1) / 2, end, Lane::kControl, {{}, std::move(wish.frame), 0, size});
  Written(host, wish.link, Lane::kControl);
}

void World::Perform(HostIndex host, node::SendData& wish) {
  const auto [wire, index] = FindEnd(host, wish.link);
  if (wire == nullptr) return;
  const std::uint64_t id = (wish.link.value - 1) / 2;
  std::uint64_t bytes = 0;
  bool messages = false;
  for (const flow::Run& run : wish.frame.runs) {
    bytes += run.bytes();
    messages |= !run.items.empty();
  }
  for (const node::Relayed& relayed : wish.frame.relayed) bytes += relayed.bytes();
  messages |= !wish.frame.relayed.empty();
  End& end = wire->ends[index];
  const HostIndex to = wire->ends[1 - index].host;
  WireLane& lane = end.lanes[static_cast<int>(Lane::kData)];
  lane.blocked = true;
  if (!messages || drop_data_.erase({host, to}) == 0) {
    if (codec != nullptr) wish.frame = codec->Pass(wish.frame);
    const std::uint64_t size = keep_traffic ? kFraming + RoughSize{}(wish.frame) : 0;
    if (keep_traffic) hosts_[host]->traffic->sent[Traffic::kData].Add(size);
    Fly(id, index, Lane::kData, {{}, std::move(wish.frame), bytes, size});
  }
  if (!TakesMore(end)) return;
  lane.blocked = false;
  Written(host, wish.link, Lane::kData);
}

void World::Perform(HostIndex host, node::ReadNext& wish) {
  const auto [wire, end] = FindEnd(host, wish.link);
  if (wire == nullptr) return;
  WireLane& in = wire->ends[1 - end].lanes[static_cast<int>(Lane::kData)];
  if (in.granted) Fail("two reads outstanding");
  in.granted = true;
  if (in.flying.empty()) return;
  agenda_.Add({.when = now_,
               .kind = EventKind::kLand,
               .lane = static_cast<std::uint8_t>(Lane::kData),
               .a = static_cast<std::uint32_t>(1 - end),
               .b = (wish.link.value - 1) / 2});
}

void World::Perform(HostIndex host, node::Close& wish) {
  const auto [wire, end] = FindEnd(host, wish.link);
  if (wire == nullptr) return;
  const std::uint64_t id = (wish.link.value - 1) / 2;
  Unlist(wire->ends[end], id);
  Hang(id, end, DownReason::kClosedByPeer);
  Post(host, node::LinkDown{wish.link, DownReason::kClosedByUs}, network_.write_time);
}

}  // namespace peermesh::sim
