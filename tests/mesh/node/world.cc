#include "tests/mesh/node/world.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "mesh/base/check.h"
#include "mesh/routing/subject.h"

namespace peermesh::node {
namespace {

constexpr Duration kWriteTime = std::chrono::microseconds(5);
constexpr Duration kHop = std::chrono::microseconds(200);
constexpr Duration kHopJitter = std::chrono::microseconds(100);
constexpr std::uint64_t kWindow = 1u << 20;  // unread data that the network takes
constexpr std::uint64_t kFirstEpoch = 1'700'000'000'000;

Rng::Seed SeedOf(std::uint64_t seed) {
  return {HashWord(seed), HashWord(seed + 1), HashWord(seed + 2), HashWord(seed + 3)};
}

}  // namespace

World::World(std::uint64_t seed) : rng_(SeedOf(seed)) {}
World::~World() = default;

// --- Time ----------------------------------------------------------------------------------------

void World::At(Instant when, std::function<void()> what) {
  events_.emplace(std::pair(std::max(when, now_), next_event_++), std::move(what));
}

void World::Run(Duration for_how_long) {
  RunUntil([] { return false; }, for_how_long);
}

bool World::RunUntil(const std::function<bool()>& condition, Duration limit) {
  const Instant end = now_ + limit;
  while (!condition()) {
    if (events_.empty() || events_.begin()->first.first > end) {
      now_ = end;
      return condition();
    }
    auto event = events_.extract(events_.begin());
    now_ = event.key().first;
    event.mapped()();
  }
  return true;
}

Duration World::Delay() { return kHop + rng_.Between({}, kHopJitter); }

std::uint64_t World::Fingerprint() const {
  Digest digest = history_;
  for (const auto& host : hosts_) digest.Add(host->node ? host->node->Digest() : 0);
  return digest.value();
}

// --- Hosts ---------------------------------------------------------------------------------------

HostIndex World::Add(std::string name, const std::vector<HostIndex>& seeds, Limits limits,
                     const std::vector<std::string>& other_seeds) {
  const HostIndex index = hosts_.size();
  auto host = std::make_unique<Host>();
  host->address = name + ":7443";
  for (std::size_t i = 0; i < host->id.bytes.size(); ++i) {
    host->id.bytes[i] = static_cast<std::uint8_t>(rng_.Below(256));
  }
  host->name = std::move(name);
  host->limits = limits;
  host->seeds = other_seeds;
  for (const HostIndex seed : seeds) host->seeds.push_back(hosts_.at(seed)->address);
  hosts_.push_back(std::move(host));
  Start(index);
  return index;
}

void World::Start(HostIndex index) {
  Host& host = *hosts_.at(index);
  PM_CHECK(host.node == nullptr);
  ++host.process;
  host.drained.reset();
  Config config;
  config.self = host.id;
  config.name = host.name;
  config.epoch = kFirstEpoch + host.process;
  config.seeds = host.seeds;
  config.limits = host.limits;
  for (const auto& [id, record] : host.remembered) config.remembered.push_back(record);
  Rng rng = rng_.Fork(host.name);
  auto node = Node::Create(std::move(config), rng, now_ + host.skew);
  ASSERT_TRUE(node.ok()) << node.status();
  host.node = *std::move(node);
  host.wake_at = kNever;
  ScheduleWake(index);
}

void World::Stop(HostIndex index, DownReason why) {
  Host& host = *hosts_.at(index);
  PM_CHECK(host.node != nullptr);
  for (const auto& [link, wire] : std::exchange(host.wires, {})) {
    Hang(wire, wires_.at(wire).ends[0].host == index ? 0 : 1, why);
  }
  for (const auto& [session, app] : std::exchange(host.sessions, {})) apps_.at(app)->ended = true;
  host.node.reset();
}

void World::Kill(HostIndex host) { Stop(host, DownReason::kTransport); }

void World::Restart(HostIndex host) {
  if (running(host)) Kill(host);
  Start(host);
}

void World::Cut(HostIndex a, HostIndex b) { cuts_.insert(std::minmax(a, b)); }

void World::Heal(HostIndex a, HostIndex b) {
  cuts_.erase(std::minmax(a, b));
  for (auto& [id, wire] : wires_) LandAll(id);
}

bool World::IsCut(HostIndex a, HostIndex b) const { return cuts_.contains(std::minmax(a, b)); }

void World::Break(HostIndex a, HostIndex b) {
  for (auto& [id, wire] : wires_) {
    if (std::minmax(wire.ends[0].host, wire.ends[1].host) != std::minmax(a, b)) continue;
    if (std::exchange(wire.broken, true)) continue;
    for (const int end : {0, 1}) {
      for (Lane_& lane : wire.ends[end].lanes) lane.flying.clear();
      Fly(id, end, Lane::kControl, {{}, Fin{DownReason::kTransport}});
    }
  }
}

void World::JumpClock(HostIndex host, Duration by) {
  hosts_.at(host)->skew += by;
  ScheduleWake(host);
}

void World::Tell(HostIndex host, Input input) { Turn(host, std::move(input)); }

World::Process World::ProcessOf(HostIndex host) const {
  return {hosts_.at(host)->id, kFirstEpoch + hosts_.at(host)->process};
}

void World::Post(HostIndex index, Input input, Duration in) {
  const std::uint64_t process = hosts_.at(index)->process;
  At(now_ + in, [this, index, process, input = std::move(input)]() mutable {
    Host& host = *hosts_.at(index);
    if (host.node && host.process == process) Turn(index, std::move(input));
  });
}

// Own duties before strangers' frames, as the driver does.
void World::Turn(HostIndex index, std::optional<Input> input) {
  Host& host = *hosts_.at(index);
  PM_CHECK(host.node != nullptr);
  const Instant now = now_ + host.skew;
  Effects effects = std::exchange(effects_, {});
  effects.clear();
  if (host.node->NextWake() <= now) host.node->Wake(now, effects);
  if (input) host.node->Handle(now, *std::move(input), effects);
  if (check_every_turn) host.node->CheckInvariants();
  history_.Add(now_).Add(index).Add(effects.size());
  for (Effect& effect : effects) {
    history_.Add(effect.index());
    std::visit([&](auto& wish) { Perform(index, wish); }, effect);
  }
  effects_ = std::move(effects);
  if (host.node) ScheduleWake(index);
}

void World::ScheduleWake(HostIndex index) {
  Host& host = *hosts_.at(index);
  const Instant next = host.node->NextWake();
  if (next == kNever) return;
  const Instant when = std::max(now_, next - host.skew);
  if (host.wake_at <= when && host.wake_at > now_) return;
  host.wake_at = when;
  At(when, [this, index, process = host.process, when] {
    Host& woken = *hosts_.at(index);
    if (!woken.node || woken.process != process || woken.wake_at != when) return;
    woken.wake_at = kNever;
    if (woken.node->NextWake() <= now_ + woken.skew) {
      Turn(index, std::nullopt);
      return;
    }
    ScheduleWake(index);
  });
}

std::size_t World::CountNotes(HostIndex host, NoteKind kind) const {
  const auto& notes = hosts_.at(host)->notes;
  return static_cast<std::size_t>(
      std::count_if(notes.begin(), notes.end(), [&](const Note& n) { return n.kind == kind; }));
}

std::optional<membership::PeerView> World::RowOf(HostIndex at, HostIndex about) const {
  if (!running(at)) return std::nullopt;
  for (const auto& row : hosts_[at]->node->Peers()) {
    if (row.id == id(about)) return row;
  }
  return std::nullopt;
}

std::optional<membership::State> World::StateOf(HostIndex at, HostIndex about) const {
  const auto row = RowOf(at, about);
  return row ? std::optional(row->state) : std::nullopt;
}

bool World::Linked(HostIndex a, HostIndex b) const {
  const auto linked = [&](HostIndex at, HostIndex about) {
    const auto row = RowOf(at, about);
    return row && row->connection == membership::Connection::kConnected &&
           row->state == membership::State::kAlive && row->epoch == ProcessOf(about).second;
  };
  return running(a) && running(b) && linked(a, b) && linked(b, a);
}

bool World::FullMesh() const {
  std::size_t up = 0;
  for (HostIndex a = 0; a < hosts_.size(); ++a) up += running(a);
  for (HostIndex a = 0; a < hosts_.size(); ++a) {
    if (!running(a)) continue;
    if (hosts_[a]->node->TakeCensus().links != up - 1) return false;
    for (HostIndex b = 0; b < a; ++b) {
      if (running(b) && !Linked(a, b)) return false;
    }
    for (HostIndex b = 0; b < hosts_.size(); ++b) {
      if (a != b && running(b) && RowOf(a, b)->addresses != std::vector{hosts_[b]->address})
        return false;
    }
  }
  return true;
}

// --- Wires ---------------------------------------------------------------------------------------

std::pair<std::uint64_t, int> World::FindEnd(HostIndex host, LinkId link) const {
  const auto it = hosts_.at(host)->wires.find(link);
  if (it == hosts_.at(host)->wires.end()) return {0, 0};
  return {it->second, wires_.at(it->second).ends[0].host == host ? 0 : 1};
}

void World::Perform(HostIndex from, Dial& wish) {
  const std::uint64_t process = hosts_.at(from)->process;
  At(now_ + Delay(), [this, from, process, wish] {
    const Host& dialler = *hosts_.at(from);
    if (!dialler.node || dialler.process != process) return;
    const auto host = std::find_if(hosts_.begin(), hosts_.end(),
                                   [&](const auto& h) { return h->address == wish.address; });
    const auto fail = [&](DialFailure why, Duration in) {
      Post(from, DialFailed{wish.dial, why}, in);
    };
    if (host == hosts_.end()) return fail(DialFailure::kUnreachable, kHop);
    const auto to = static_cast<HostIndex>(host - hosts_.begin());
    if (IsCut(from, to)) return fail(DialFailure::kTimeout, kDialTimeout);
    if (!(*host)->node) return fail(DialFailure::kRefused, kHop);
    if (to == from) return fail(DialFailure::kSelf, kHop);
    if (wish.expected && *wish.expected != (*host)->id) return fail(DialFailure::kWrongPeer, kHop);
    Connect(from, process, wish.dial, to);
  });
}

void World::Connect(HostIndex from, std::uint64_t process, DialId dial, HostIndex to) {
  const std::uint64_t id = next_wire_++;
  Wire& wire = wires_[id];
  wire.dial = dial;
  wire.ends[0].host = from;
  wire.ends[0].process = process;
  wire.ends[1].host = to;
  wire.ends[1].process = hosts_.at(to)->process;
  // Either end may be the first to know.
  for (const int end : {0, 1}) {
    const Duration handshake = 2 * Delay() + rng_.Between({}, 2 * kHop);
    At(now_ + handshake, [this, id, end] { Up(id, end); });
  }
}

void World::Up(std::uint64_t id, int index) {
  const auto it = wires_.find(id);
  if (it == wires_.end()) return;
  End& end = it->second.ends[index];
  const End& other = it->second.ends[1 - index];
  Host& host = *hosts_.at(end.host);
  if (!host.node || host.process != end.process) return Hang(id, index, DownReason::kTransport);
  const Host& remote = *hosts_.at(other.host);
  if (other.gone || !remote.node || remote.process != other.process) {
    end.gone = true;
    if (index == 0)
      Post(end.host, DialFailed{it->second.dial, DialFailure::kTransport}, kWriteTime);
    return;
  }
  LinkUp up;
  end.link = up.link = LinkId{next_id_++};
  end.up = true;
  host.wires[end.link] = id;
  up.peer = remote.id;
  up.direction = index == 0 ? Direction::kOutbound : Direction::kInbound;
  if (index == 0) up.dial = it->second.dial;
  up.dial_count = it->second.dial.value;
  up.name = remote.name;
  up.epoch = kFirstEpoch + remote.process;
  up.software = "test";
  Turn(end.host, up);
  LandAll(id);
}

void World::Fly(std::uint64_t id, int from, Lane lane, Lane_::Flight flight) {
  Wire& wire = wires_.at(id);
  if (wire.broken && !std::holds_alternative<Fin>(flight.frame)) return;
  Lane_& out = wire.ends[from].lanes[static_cast<int>(lane)];
  out.last_arrival = flight.arrival = std::max(out.last_arrival, now_ + Delay());
  out.unread += flight.bytes;
  out.flying.push_back(std::move(flight));
  At(out.last_arrival, [this, id, from, lane] { Land(id, from, lane); });
}

void World::LandAll(std::uint64_t id) {
  for (const int from : {0, 1}) {
    for (const Lane lane : {Lane::kControl, Lane::kData}) {
      At(now_, [this, id, from, lane] { Land(id, from, lane); });
    }
  }
}

// Hands over what has arrived: control always, data when asked for.
void World::Land(std::uint64_t id, int from, Lane lane) {
  for (;;) {
    const auto it = wires_.find(id);
    if (it == wires_.end()) return;
    Lane_& in = it->second.ends[from].lanes[static_cast<int>(lane)];
    End& end = it->second.ends[1 - from];
    const HostIndex sender = it->second.ends[from].host;
    if (in.flying.empty() || in.flying.front().arrival > now_ || IsCut(sender, end.host)) return;
    if (end.gone) return in.flying.clear();
    if (!end.up || (lane == Lane::kData && !in.granted)) return;
    Lane_::Flight flight = std::move(in.flying.front());
    in.flying.pop_front();
    if (auto* control = std::get_if<ControlFrame>(&flight.frame)) {
      Hear(end.host, sender, *control);
      Turn(end.host, ControlIn{end.link, std::move(*control)});
    } else if (auto* data = std::get_if<DataFrame>(&flight.frame)) {
      in.granted = false;
      in.unread -= flight.bytes;
      Window(id, from);
      Turn(end.host, DataIn{end.link, std::move(*data)});
    } else {
      const LinkId link = end.link;
      end.gone = true;
      hosts_.at(end.host)->wires.erase(link);
      Turn(end.host, LinkDown{link, std::get<Fin>(flight.frame).why});
    }
  }
}

// This end goes; the other one hears of it behind what was sent before.
void World::Hang(std::uint64_t id, int index, DownReason why) {
  End& end = wires_.at(id).ends[index];
  if (end.gone) return;
  end.gone = true;
  Fly(id, index, Lane::kControl, {{}, Fin{why}});
}

// The previous write of data is done when the network takes more.
void World::Window(std::uint64_t id, int from) {
  End& end = wires_.at(id).ends[from];
  Lane_& lane = end.lanes[static_cast<int>(Lane::kData)];
  if (!lane.blocked || lane.unread > kWindow || end.gone) return;
  lane.blocked = false;
  Post(end.host, SendDone{end.link, Lane::kData}, kWriteTime);
}

void World::Hear(HostIndex at, HostIndex from, const ControlFrame& frame) {
  const auto note = [&](const std::vector<Interest>& entries) {
    for (const Interest& entry : entries) {
      known_.emplace(std::tuple(ProcessOf(at), ProcessOf(from), entry.pattern),
                     ledgers_[ProcessOf(at)].order.size());
    }
  };
  if (const auto* snapshot = std::get_if<InterestSnapshot>(&frame)) note(snapshot->entries);
  if (const auto* delta = std::get_if<InterestDelta>(&frame)) note(delta->add);
}

void World::Perform(HostIndex host, SendControl& wish) {
  const auto [wire, end] = FindEnd(host, wish.link);
  if (wire == 0) return;
  const HostIndex to = wires_.at(wire).ends[1 - end].host;
  auto* delta = std::get_if<InterestDelta>(&wish.frame);
  if (delta && !delta->add.empty() && spoil_delta_.erase({host, to}) > 0)
    delta->add[0].pattern = "spoilt";
  Fly(wire, end, Lane::kControl, {{}, std::move(wish.frame)});
  Post(host, SendDone{wish.link, Lane::kControl}, kWriteTime);
}

void World::Perform(HostIndex host, SendData& wish) {
  const auto [wire, end] = FindEnd(host, wish.link);
  if (wire == 0) return;
  std::uint64_t bytes = 0;
  bool messages = false;
  for (const flow::Run& run : wish.frame.runs) {
    bytes += run.bytes();
    messages |= !run.items.empty();
  }
  const HostIndex to = wires_.at(wire).ends[1 - end].host;
  wires_.at(wire).ends[end].lanes[static_cast<int>(Lane::kData)].blocked = true;
  if (!messages || drop_data_.erase({host, to}) == 0) {
    Fly(wire, end, Lane::kData, {{}, std::move(wish.frame), bytes});
  }
  Window(wire, end);
}

void World::Perform(HostIndex host, ReadNext& wish) {
  const auto [wire, end] = FindEnd(host, wish.link);
  if (wire == 0) return;
  Lane_& in = wires_.at(wire).ends[1 - end].lanes[static_cast<int>(Lane::kData)];
  EXPECT_FALSE(in.granted) << "two reads outstanding";
  in.granted = true;
  At(now_, [this, wire = wire, from = 1 - end] { Land(wire, from, Lane::kData); });
}

void World::Perform(HostIndex host, Close& wish) {
  const auto [wire, end] = FindEnd(host, wish.link);
  if (wire == 0) return;
  hosts_.at(host)->wires.erase(wish.link);
  Hang(wire, end, DownReason::kClosedByPeer);
  Post(host, LinkDown{wish.link, DownReason::kClosedByUs}, kWriteTime);
}

void World::Perform(HostIndex host, SignRecord& wish) {
  const Host& me = *hosts_.at(host);
  PeerRecord record;
  record.id = me.id;
  record.incarnation = wish.incarnation;
  record.name = me.name;
  record.addresses = {me.address};
  record.software = "test";
  record.epoch = kFirstEpoch + me.process;
  record.encoded = std::string(700, 'r');
  Post(host, RecordSigned{std::move(record)}, kWriteTime);
}

void World::Perform(HostIndex host, Persist& wish) {
  hosts_.at(host)->remembered[wish.record.id] = std::move(wish.record);
}

void World::Perform(HostIndex host, Forget& wish) { hosts_.at(host)->remembered.erase(wish.peer); }

void World::Perform(HostIndex host, Note& wish) { hosts_.at(host)->notes.push_back(wish); }

void World::Perform(HostIndex index, Drained&) {
  EXPECT_FALSE(hosts_.at(index)->drained.has_value());
  hosts_.at(index)->drained = now_;
  At(now_, [this, index, process = hosts_.at(index)->process] {
    const Host& host = *hosts_.at(index);
    if (host.node && host.process == process) Stop(index, DownReason::kClosedByPeer);
  });
}

}  // namespace peermesh::node
