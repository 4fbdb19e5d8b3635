#include "tests/sim/world.h"

#include <algorithm>
#include <cstdio>

#include "mesh/base/check.h"
#include "tests/sim/trace.h"

namespace peermesh::sim {
namespace {

Rng::Seed SeedOf(std::uint64_t seed) {
  return {HashWord(seed), HashWord(seed + 1), HashWord(seed + 2), HashWord(seed + 3)};
}

// An ECDSA signature and the thread that makes it: guess.
constexpr Duration kSignTime = std::chrono::microseconds(40);

std::uint64_t WordsOf(const PeerId& id) {
  return HashBytes({reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()});
}
std::string TextOf(std::uint64_t word) {
  std::string text(8, ' ');
  for (char& byte : text) {
    byte = static_cast<char>(word & 0xff);
    word >>= 8;
  }
  return text;
}

}  // namespace

World::World(std::uint64_t seed, Network network, Duration slowest_write)
    : rng_(SeedOf(seed)), network_(network), slowest_write_(slowest_write) {
  wires_.emplace_back();  // numbers begin at 1
  seal_key_ = HashWord(~seed);
  next_check_ = now_;
}
World::~World() = default;

void World::Fail(const std::string& what) const {
  if (on_failure) {
    on_failure(what);
  } else {
    std::fprintf(stderr, "%s\n", what.c_str());
    PM_CHECK(!"a world without on_failure found something");
  }
}

// --- Time ----------------------------------------------------------------------------------------

void World::At(Instant when, std::function<void()> what) {
  agenda_.Add(
      {.when = std::max(when, now_), .kind = EventKind::kCall, .b = calls_.Put(std::move(what))});
}

void World::Run(Duration for_how_long) {
  RunUntil([] { return false; }, for_how_long);
}

bool World::RunUntil(const std::function<bool()>& condition, Duration limit) {
  const Instant end = now_ + limit;
  while (!condition()) {
    const std::optional<Event> event = agenda_.Take(end);
    if (!event) {
      now_ = end;
      return condition();
    }
    now_ = event->when;
    Dispatch(*event);
  }
  return true;
}

void World::Dispatch(const Event& event) {
  switch (event.kind) {
    case EventKind::kWake: return Woken(event.a, event.b, event.when);
    case EventKind::kInput: {
      PostedInput posted = inputs_.Take(event.b);
      Host& host = *hosts_.at(event.a);
      if (host.node && host.process == posted.process) Turn(event.a, std::move(posted.input));
      return;
    }
    case EventKind::kDial: return DialArrives(event.a, dials_.Take(event.b));
    case EventKind::kUp: return Up(event.b, static_cast<int>(event.a));
    case EventKind::kLand:
      return Land(event.b, static_cast<int>(event.a), static_cast<node::Lane>(event.lane));
    case EventKind::kRead:
      if (!apps_.at(event.b)->stalled && apps_[event.b]->reads_until == now_) Resume(event.b);
      return;
    case EventKind::kFeed: return FeedNow(event.b);
    case EventKind::kCall: return calls_.Take(event.b)();
  }
}

Duration World::Delay(HostIndex from) {
  if (network_.jitter == Duration{}) return network_.latency;
  return network_.latency + hosts_.at(from)->network.Between({}, network_.jitter);
}

// By who they are, not by a draw: as far apart after a restart as before.
Duration World::DistanceOf(HostIndex a, HostIndex b) const {
  Duration distance{};
  if (network_.spread > Duration{}) {
    const std::uint64_t pair =
        HashWord(membership::ObserverKey(id(a))) ^ HashWord(membership::ObserverKey(id(b)));
    const auto width = static_cast<std::uint64_t>(network_.spread.count()) + 1;
    distance += Duration(static_cast<std::int64_t>(HashWord(pair ^ seal_key_) % width));
  }
  if (!network_.regions.empty()) {
    const std::size_t regions = network_.regions.size();
    distance += network_.regions[a % regions].at(b % regions);
  }
  return distance;
}

std::uint64_t World::Fingerprint() const {
  Digest digest = history_;
  for (const auto& host : hosts_) digest.Add(host->node ? host->node->Digest() : 0);
  return digest.value();
}

// --- Hosts ---------------------------------------------------------------------------------------

HostIndex World::Add(std::string name, const std::vector<HostIndex>& seeds, node::Limits limits,
                     const std::vector<std::string>& other_seeds) {
  const HostIndex index = hosts_.size();
  auto host = std::make_unique<Host>();
  Rng identity = rng_.Fork(name + " identity");
  host->network = rng_.Fork(name + " network");
  host->life = rng_.Fork(name + " life");
  if (keep_traffic) host->traffic = std::make_unique<Traffic>();
  const Rng disk = rng_.Fork(name + " disk");
  if (keep_disks) host->disk = std::make_unique<Disk>(disk, slowest_write_);
  host->address = name + ":7443";
  for (std::uint8_t& byte : host->id.bytes) byte = static_cast<std::uint8_t>(identity.Below(256));
  host->name = std::move(name);
  host->limits = limits;
  host->seeds = other_seeds;
  for (const HostIndex seed : seeds) host->seeds.push_back(hosts_.at(seed)->address);
  by_address_[host->address] = index;
  hosts_.push_back(std::move(host));
  Start(index);
  return index;
}

void World::Start(HostIndex index) {
  Host& host = *hosts_.at(index);
  PM_CHECK(host.node == nullptr);
  ++host.process;
  host.drained.reset();
  host.paused = false;
  host.stalled_until = now_;
  host.backlog.clear();
  node::Config config;
  config.self = host.id;
  config.name = host.name;
  config.epoch = kFirstEpoch + host.process;
  config.seeds = host.seeds;
  config.shape = shape_;
  config.limits = host.limits;
  if (host.disk) {
    for (const auto& [id, record] : host.disk->records()) config.remembered.push_back(record);
  }
  const Rng rng = host.life.Fork("process");
  auto node = node::Node::Create(std::move(config), rng, now_ + host.skew);
  if (!node.ok()) return Fail("a node does not start: " + std::string(node.status().message()));
  host.node = *std::move(node);
  host.wake_at = kNever;
  Show(&Witness::Started, index);
  ScheduleWake(index);
}

// `told`: what the other ends hear; nothing if nobody can tell them.
void World::Stop(HostIndex index, std::optional<node::DownReason> told, Goodbye goodbye) {
  Host& host = *hosts_.at(index);
  PM_CHECK(host.node != nullptr);
  Show(&Witness::Ended, index, goodbye);
  if (host.disk && goodbye == Goodbye::kSaid) {
    host.disk->Close();
  } else if (host.disk) {
    changes_lost_ += host.disk->Crash(now_);
  }
  for (const std::uint64_t id : std::exchange(host.wires, {})) {
    Wire& wire = *wires_.at(id);
    const int end = wire.ends[0].host == index ? 0 : 1;
    wire.ends[end].listed = false;
    if (told) {
      Hang(id, end, *told);
    } else {
      wire.ends[end].gone = wire.ends[end].silent = true;
    }
  }
  for (const auto& [session, app] : std::exchange(host.sessions, {})) apps_.at(app)->ended = true;
  host.node.reset();
}

void World::Kill(HostIndex host) { Stop(host, node::DownReason::kTransport, Goodbye::kNone); }
void World::PowerOff(HostIndex host) { Stop(host, std::nullopt, Goodbye::kNone); }

void World::Restart(HostIndex host) {
  if (running(host)) Kill(host);
  Start(host);
}

void World::Pause(HostIndex host) { hosts_.at(host)->paused = running(host); }

void World::Continue(HostIndex index) {
  if (std::exchange(hosts_.at(index)->paused, false)) Resumed(index);
}

void World::Stall(HostIndex index, Duration for_how_long) {
  Host& host = *hosts_.at(index);
  if (!host.node || Still(index)) return;
  host.stalled_until = now_ + for_how_long;
  At(host.stalled_until, [this, index, process = host.process] {
    if (hosts_.at(index)->process == process) Resumed(index);
  });
}

void World::Resumed(HostIndex index) {
  Host& host = *hosts_.at(index);
  if (Still(index)) return;
  for (node::Input& input : std::exchange(host.backlog, {})) {
    if (host.node && !host.paused) Turn(index, std::move(input));
  }
  if (!host.node) return;
  host.wake_at = kNever;
  ScheduleWake(index);
  for (const std::uint64_t wire : std::vector(host.wires)) LandAll(wire);
}

void World::Cut(HostIndex a, HostIndex b) {
  CutOneWay(a, b);
  CutOneWay(b, a);
}
void World::CutOneWay(HostIndex from, HostIndex to) { cuts_.insert({from, to}); }

void World::Heal(HostIndex a, HostIndex b) {
  cuts_.erase({a, b});
  cuts_.erase({b, a});
  LandEverything();
}

void World::HealAll() {
  cuts_.clear();
  partings_.clear();
  LandEverything();
}

void World::Split(const std::vector<HostIndex>& apart, bool one_way) {
  Parting parting{std::vector<bool>(hosts_.size()), one_way};
  for (const HostIndex host : apart) parting.apart.at(host) = true;
  partings_.push_back(std::move(parting));
}

bool World::FindCut(HostIndex from, HostIndex to) const {
  for (const Parting& parting : partings_) {
    const bool a = from < parting.apart.size() && parting.apart[from];
    const bool b = to < parting.apart.size() && parting.apart[to];
    if (a != b && (b || !parting.one_way)) return true;
  }
  return cuts_.contains({from, to});
}

void World::Lossy(HostIndex host, double share) {
  PM_CHECK(share >= 0 && share <= 1);
  hosts_.at(host)->loss = static_cast<std::uint32_t>(share * 1e6 + 0.5);
}

void World::JumpClock(HostIndex host, Duration by) {
  hosts_.at(host)->skew += by;
  ScheduleWake(host);
}

void World::Tell(HostIndex host, node::Input input) { Turn(host, std::move(input)); }

Process World::ProcessOf(HostIndex host) const {
  return {hosts_.at(host)->id, kFirstEpoch + hosts_.at(host)->process};
}

void World::Post(HostIndex host, node::Input input, Duration in) {
  agenda_.Add({.when = now_ + in,
               .kind = EventKind::kInput,
               .a = static_cast<std::uint32_t>(host),
               .b = inputs_.Put({hosts_.at(host)->process, std::move(input)})});
}

// Own duties before strangers' frames, as the driver does.
void World::Turn(HostIndex index, std::optional<node::Input> input) {
  Host& host = *hosts_.at(index);
  PM_CHECK(host.node != nullptr);
  if (Still(index)) {
    if (input) host.backlog.push_back(*std::move(input));
    return;
  }
  const Instant now = now_ + host.skew;
  node::Effects effects = std::exchange(effects_, {});
  effects.clear();
  std::string told;
  if (trace) told = input ? Describe(*input) : "wake";
  if (host.node->NextWake() <= now) host.node->Wake(now, effects);
  if (input) {
    if (const auto* subscribe = std::get_if<node::Subscribe>(&*input); subscribe && keep_truth) {
      truth_.Subscribed(apps_.at(subscribe->session.value - 1)->received);
    }
    host.node->Handle(now, *std::move(input), effects);
  }
  ++turns_;
  if (trace) {
    for (const node::Effect& effect : effects) told += " | " + Describe(effect);
    trace(host.name + ": " + told);
  }
  CheckSome(index);
  Obey(index, now, effects);
  effects_ = std::move(effects);
  if (host.node) ScheduleWake(index);
}

// What a node asks for because a write is done belongs to the same turn if writes take no time.
void World::Obey(HostIndex index, Instant now, node::Effects& effects) {
  history_.Add(now_).Add(index);
  for (;;) {
    history_.Add(effects.size());
    for (node::Effect& effect : effects) {
      history_.Add(effect.index());
      std::visit([&](auto& wish) { Perform(index, wish); }, effect);
    }
    if (written_.empty()) return;
    effects.clear();
    std::vector<node::SendDone> written = std::exchange(written_, {});
    for (const node::SendDone& done : written) {
      if (FindEnd(index, done.link).first == nullptr) continue;  // closed in this turn
      hosts_[index]->node->Handle(now, done, effects);
    }
    written.clear();
    if (written_.empty()) written_ = std::move(written);  // for its room
  }
}

void World::CheckSome(HostIndex touched) {
  if (checks.every > 0 && turns_ % checks.every == 0) hosts_[touched]->node->CheckInvariants();
  if (now_ < next_check_) return;
  next_check_ = now_ + checks.all;
  for (const auto& host : hosts_) {
    if (host->node) host->node->CheckInvariants();
  }
}

void World::ScheduleWake(HostIndex index) {
  Host& host = *hosts_.at(index);
  if (Still(index)) return;
  const Instant next = host.node->NextWake();
  if (next == kNever) return;
  const Instant when = std::max(now_, next - host.skew);
  if (host.wake_at <= when && host.wake_at > now_) return;
  host.wake_at = when;
  agenda_.Add({.when = when,
               .kind = EventKind::kWake,
               .a = static_cast<std::uint32_t>(index),
               .b = host.process});
}

void World::Woken(HostIndex index, std::uint64_t process, Instant when) {
  Host& host = *hosts_.at(index);
  if (!host.node || Still(index) || host.process != process || host.wake_at != when) return;
  host.wake_at = kNever;
  if (host.node->NextWake() <= now_ + host.skew) return Turn(index, std::nullopt);
  ScheduleWake(index);
}

void World::Perform(HostIndex index, node::SignRecord& wish) {
  const Host& me = *hosts_.at(index);
  node::PeerRecord record;
  record.id = me.id;
  record.incarnation = wish.incarnation;
  record.name = me.name;
  record.addresses = {me.address};
  record.software = "sim";
  record.epoch = kFirstEpoch + me.process;
  record.channels = wish.channels;
  record.observers = wish.observers;
  record.published = wish.published;
  record.encoded = std::string(700, 'r');  // as long as a real one
  Post(index, node::RecordSigned{std::move(record)}, std::chrono::microseconds(5));
}

void World::Perform(HostIndex index, node::SignPiece& wish) {
  if (wish.piece.stream.origin != id(index)) Fail("a peer signs what another published");
  wish.piece.signature = SealOf(wish.piece);
  Post(index, node::PieceSigned{std::make_shared<const broadcast::Piece>(std::move(wish.piece))},
       kSignTime);
}

void World::Perform(HostIndex index, node::SignStatement& wish) {
  if (wish.statement.observer != id(index)) Fail("a peer signs what another says");
  wish.statement.encoded = SealOf(wish.statement);
  Post(index,
       node::StatementSigned{
           std::make_shared<const membership::Statement>(std::move(wish.statement))},
       kSignTime);
}

// Eight bytes that take the world's key to make, over everything a signature covers.
std::string World::SealOf(const broadcast::Piece& piece) const {
  Digest digest;
  digest.Add(seal_key_).Add(WordsOf(piece.stream.origin)).Add(piece.stream.epoch);
  digest.Add(piece.stream.channel).Add(piece.after).Add(piece.first).Add(piece.rows.size());
  digest.Add(static_cast<std::uint64_t>(piece.publish_time_us));
  for (const std::uint32_t row : piece.rows) {
    digest.Add(ContentHash(piece.batch->record(piece.batch->rows[row])));
  }
  return TextOf(digest.value());
}

std::string World::SealOf(const membership::Statement& statement) const {
  Digest digest;
  digest.Add(seal_key_).Add(WordsOf(statement.observer)).Add(WordsOf(statement.subject));
  digest.Add(statement.incarnation).Add(statement.number);
  digest.Add(static_cast<std::uint64_t>(statement.claim));
  return TextOf(digest.Add(static_cast<std::uint64_t>(statement.reason)).value());
}

void World::DropForged(HostIndex at, HostIndex sender, node::ControlFrame& frame) {
  std::set<PeerId>* keys = nullptr;
  if (keep_keys) {
    std::unique_ptr<std::set<PeerId>>& kept = hosts_.at(at)->keys;
    if (!kept) kept = std::make_unique<std::set<PeerId>>();
    keys = kept.get();
    keys->insert(id(sender));
    if (const auto* came = std::get_if<node::PeerRecords>(&frame)) {
      for (const membership::RecordRef& record : came->records) keys->insert(record->id);
    }
  }
  auto* told = std::get_if<node::Statements>(&frame);
  if (told == nullptr) return;
  refused_ += std::erase_if(told->statements, [&](const membership::StatementRef& statement) {
    const bool unknown = keys != nullptr && !keys->contains(statement->observer);
    return unknown || statement->encoded != SealOf(*statement);
  });
}

void World::DropForged(node::DataFrame& frame) {
  if (frame.relayed.empty()) return;
  refused_ += std::erase_if(frame.relayed, [this](const node::Relayed& relayed) {
    return relayed.piece->signature != SealOf(*relayed.piece);
  });
}

void World::Perform(HostIndex host, node::Persist& wish) {
  if (keep_disks) hosts_.at(host)->disk->Remember(now_, std::move(wish.record));
}

void World::Perform(HostIndex host, node::Forget& wish) {
  if (keep_disks) hosts_.at(host)->disk->Forget(now_, wish.peer);
}

void World::Perform(HostIndex host, node::Note& wish) {
  if (keep_answers) hosts_.at(host)->notes.push_back(wish);
}

void World::Perform(HostIndex host, node::PeerChanged& wish) {
  Show(&Witness::Changed, host, wish);
}

void World::Perform(HostIndex index, node::Drained&) {
  Host& drained = *hosts_.at(index);
  if (drained.drained) Fail(drained.name + " drained twice");
  drained.drained = now_;
  At(now_, [this, index, process = drained.process] {
    const Host& host = *hosts_.at(index);
    if (host.node && host.process == process) {
      Stop(index, node::DownReason::kClosedByPeer, Goodbye::kSaid);
    }
  });
}

// --- What the hosts see --------------------------------------------------------------------------

std::size_t World::CountNotes(HostIndex host, node::NoteKind kind) const {
  const auto& notes = hosts_.at(host)->notes;
  return static_cast<std::size_t>(std::count_if(
      notes.begin(), notes.end(), [&](const node::Note& n) { return n.kind == kind; }));
}

std::optional<membership::PeerView> World::RowOf(HostIndex at, HostIndex about) const {
  if (!running(at)) return std::nullopt;
  for (auto& row : hosts_[at]->node->Peers()) {
    if (row.id == id(about)) return std::move(row);
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
  std::map<PeerId, HostIndex> up;
  for (HostIndex host = 0; host < hosts_.size(); ++host) {
    if (running(host)) up[id(host)] = host;
  }
  for (const auto& [id, host] : up) {
    if (hosts_[host]->node->TakeCensus().links != up.size() - 1) return false;
  }
  for (const auto& [id, host] : up) {
    std::size_t seen = 0;
    for (const auto& row : hosts_[host]->node->Peers()) {
      const auto other = up.find(row.id);
      if (other == up.end() || other->second == host) continue;
      ++seen;
      if (row.connection != membership::Connection::kConnected ||
          row.state != membership::State::kAlive || row.epoch != ProcessOf(other->second).second ||
          row.addresses != std::vector{hosts_[other->second]->address}) {
        return false;
      }
    }
    if (seen != up.size() - 1) return false;
  }
  return true;
}

}  // namespace peermesh::sim
