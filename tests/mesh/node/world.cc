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

std::string_view Text(const Batch& batch, const Row& row) {
  const std::string_view record = batch.record(row).substr(row.subject_length);
  return record.substr(0, record.find('|'));
}

}  // namespace

bool NaiveMatch(std::string_view pattern, std::string_view subject) {
  for (;;) {
    if (pattern == ">") return !subject.empty();
    if (pattern.empty() || subject.empty()) return pattern.empty() && subject.empty();
    const auto cut = [](std::string_view& rest) {
      const std::size_t dot = rest.find('.');
      const std::string_view token = rest.substr(0, dot);
      rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
      return token;
    };
    const std::string_view want = cut(pattern);
    const std::string_view have = cut(subject);
    if (want != "*" && want != have) return false;
  }
}

World::World(std::uint64_t seed) : rng_(SeedOf(seed)) {}
World::~World() = default;

// --- Time -----------------------------------------------------------------------------------------

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

// --- Hosts ----------------------------------------------------------------------------------------

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
      if (a != b && running(b) && RowOf(a, b)->addresses != std::vector{hosts_[b]->address}) return false;
    }
  }
  return true;
}

// --- Wires ----------------------------------------------------------------------------------------

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
    const auto fail = [&](DialFailure why, Duration in) { Post(from, DialFailed{wish.dial, why}, in); };
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
    if (index == 0) Post(end.host, DialFailed{it->second.dial, DialFailure::kTransport}, kWriteTime);
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
  if (delta && !delta->add.empty() && spoil_delta_.erase({host, to}) > 0) delta->add[0].pattern = "spoilt";
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

// --- Applications ---------------------------------------------------------------------------------

AppIndex World::Open(HostIndex host) {
  auto app = std::make_unique<App>();
  app->host = host;
  app->process = hosts_.at(host)->process;
  app->session = SessionId{next_id_++};
  const AppIndex index = apps_.size();
  hosts_.at(host)->sessions[app->session] = index;
  const SessionOpened opened{app->session, PrincipalId{app->session.value}};
  apps_.push_back(std::move(app));
  Turn(host, opened);
  return index;
}

void World::CloseApp(AppIndex index) {
  App& app = *apps_.at(index);
  if (std::exchange(app.ended, true)) return;
  hosts_.at(app.host)->sessions.erase(app.session);
  Turn(app.host, SessionClosed{app.session});
}

RequestId World::Subscribe(AppIndex index, std::vector<Subscription> subscriptions) {
  App& app = *apps_.at(index);
  const RequestId request{next_id_++};
  for (const Subscription& subscription : subscriptions) {
    app.patterns[subscription.id] = subscription.pattern;
  }
  for (const auto& [process, ledger] : ledgers_) app.subscribed_at[process] = ledger.order.size();
  Turn(app.host, node::Subscribe{request, app.session, std::move(subscriptions)});
  return request;
}

RequestId World::Subscribe(AppIndex app, std::uint32_t id, std::string pattern, OnOverflow on_overflow,
                           Duration block) {
  return Subscribe(app, {Subscription{id, std::move(pattern), on_overflow, block}});
}

void World::Unsubscribe(AppIndex index, std::vector<std::uint32_t> ids) {
  App& app = *apps_.at(index);
  Turn(app.host, node::Unsubscribe{app.session, std::move(ids)});
}

RequestId World::Publish(AppIndex index, const std::vector<std::string>& subjects, std::size_t bytes,
                         std::string target) {
  App& app = *apps_.at(index);
  const RequestId request{next_id_++};
  auto buffer = std::make_shared<std::string>();
  auto batch = std::make_shared<Batch>();
  auto& [publisher, sent] = publishing_[request];
  publisher = index;
  for (const std::string& subject : subjects) {
    Accepted message{subject, std::to_string(next_id_++), routing::ChannelOf(subject), 0, !target.empty()};
    const auto start = static_cast<std::uint32_t>(buffer->size());
    buffer->append(subject).append(message.text).append("|");
    const std::size_t length = std::max(bytes, buffer->size() - start);
    buffer->resize(start + length, '.');
    batch->rows.push_back({start, static_cast<std::uint32_t>(subject.size()), start,
                           static_cast<std::uint32_t>(length)});
    batch->bytes += length;
    sent.push_back(std::move(message));
  }
  batch->buffer = std::move(buffer);
  ++app.unanswered;
  Turn(app.host, node::Publish{request, app.session, std::move(batch), {}, std::move(target)});
  return request;
}

void World::Feed(AppIndex index, std::string subject, std::size_t batch, std::size_t bytes, Duration pause,
                 Instant until) {
  if (now_ > until || apps_.at(index)->ended) return;
  if (apps_.at(index)->unanswered == 0) Publish(index, std::vector<std::string>(batch, subject), bytes);
  At(now_ + pause, [this, index, subject = std::move(subject), batch, bytes, pause, until] {
    Feed(index, subject, batch, bytes, pause, until);
  });
}

void World::Perform(HostIndex host, Answer& wish) {
  if (const auto it = publishing_.find(wish.request); it != publishing_.end()) {
    App& app = *apps_.at(it->second.first);
    PM_CHECK(app.unanswered > 0);
    --app.unanswered;
    std::map<std::uint32_t, NumberRange> ranges;
    for (const NumberRange& range : wish.numbers) EXPECT_TRUE(ranges.emplace(range.channel, range).second);
    Ledger& ledger = ledgers_[ProcessOf(host)];
    if (wish.refusal == Refusal::kNone) {
      for (Accepted& message : it->second.second) {
        message.number = ranges.at(message.channel).first++;
        EXPECT_TRUE(ledger.by_number.emplace(std::pair(message.channel, message.number), ledger.order.size()).second);
        ledger.order.push_back(std::move(message));
      }
      for (const auto& [channel, range] : ranges) EXPECT_EQ(range.first, range.last + 1) << channel;
    } else {
      EXPECT_TRUE(wish.numbers.empty());
    }
    publishing_.erase(it);
  }
  const auto session = hosts_.at(host)->sessions.find(wish.session);
  if (session != hosts_.at(host)->sessions.end()) apps_.at(session->second)->answers[wish.request] = wish;
}

void World::Perform(HostIndex host, node::Subscribed& wish) {
  const auto session = hosts_.at(host)->sessions.find(wish.session);
  ASSERT_NE(session, hosts_.at(host)->sessions.end());
  apps_.at(session->second)->subscribed[wish.request] = wish;
}

void World::Perform(HostIndex host, CloseSession& wish) {
  const auto session = hosts_.at(host)->sessions.find(wish.session);
  ASSERT_NE(session, hosts_.at(host)->sessions.end());
  App& app = *apps_.at(session->second);
  app.end_reason = wish.reason;
  app.ended = true;
  hosts_.at(host)->sessions.erase(session);
  Post(host, SessionClosed{wish.session}, kWriteTime);
}

void World::Perform(HostIndex host, Deliver& wish) {
  const auto session = hosts_.at(host)->sessions.find(wish.session);
  if (session == hosts_.at(host)->sessions.end()) return;
  App& app = *apps_.at(session->second);
  EXPECT_FALSE(app.owes_done) << "two deliveries outstanding";
  EXPECT_FALSE(wish.deliveries.empty());
  app.owes_done = true;
  std::uint64_t bytes = 0;
  for (const flow::Delivery& delivery : wish.deliveries) {
    bytes += delivery.bytes();
    Receive(app, delivery);
  }
  const Duration reading(bytes * 1'000'000 / app.bytes_per_second);
  At(now_ + std::max(reading, kWriteTime), [this, index = session->second] {
    if (!apps_.at(index)->stalled) Resume(index);
  });
}

void World::Resume(AppIndex index) {
  App& app = *apps_.at(index);
  app.stalled = false;
  if (!std::exchange(app.owes_done, false) || app.ended) return;
  Post(app.host, DeliverDone{app.session}, {});
}

// Order, content and matched subscriptions of everything that reaches an application.
void World::Receive(App& app, const flow::Delivery& delivery) {
  App::Stream& stream = app.streams[{delivery.origin, delivery.epoch, delivery.channel}];
  if (delivery.is_gap()) {
    EXPECT_GT(delivery.gap_from, stream.last);
    EXPECT_GE(delivery.gap_to, delivery.gap_from);
    EXPECT_NE(delivery.gap_reason, LossReason::kNone);
    stream.last = delivery.gap_to;
    stream.gaps.push_back(delivery);
    app.gapped[delivery.gap_reason] += delivery.gap_to - delivery.gap_from + 1;
    return;
  }
  const Ledger& ledger = ledgers_[{delivery.origin, delivery.epoch}];
  EXPECT_TRUE(delivery.matched_counts.empty() || delivery.matched_counts.size() == delivery.items.size());
  std::size_t at = 0;
  for (std::size_t i = 0; i < delivery.items.size(); ++i) {
    const flow::Item& item = delivery.items[i];
    EXPECT_GT(item.sequence, stream.last);
    stream.last = item.sequence;
    stream.numbers.push_back(item.sequence);
    ++app.delivered;
    const auto truth = ledger.by_number.find({delivery.channel, item.sequence});
    ASSERT_NE(truth, ledger.by_number.end());
    const Row& row = delivery.batch->rows[item.row];
    const Accepted& accepted = ledger.order[truth->second];
    EXPECT_EQ(Text(*delivery.batch, row), accepted.text);
    app.texts.push_back(accepted.text);
    const std::size_t count = delivery.matched_counts.empty() ? 1 : delivery.matched_counts[i];
    if (delivery.matched_counts.empty()) at = 0;
    std::set<std::uint32_t> ids;
    for (std::size_t k = 0; k < count; ++k) ids.insert(delivery.matched.at(at++));
    EXPECT_EQ(ids.size(), count);
    for (const std::uint32_t id : ids) EXPECT_TRUE(NaiveMatch(app.patterns.at(id), accepted.subject));
  }
}

Tally World::TallyOf(AppIndex index) const {
  const App& app = *apps_.at(index);
  Tally tally;
  const Process here = ProcessOf(app.host);
  for (const auto& [process, ledger] : ledgers_) {
    const auto host = std::find_if(hosts_.begin(), hosts_.end(),
                                   [&, id = process.first](const auto& h) { return h->id == id; });
    const auto origin = static_cast<HostIndex>(host - hosts_.begin());
    const bool over = !(*host)->node || ProcessOf(origin) != process;
    const auto before = app.subscribed_at.find(process);
    for (std::size_t i = before == app.subscribed_at.end() ? 0 : before->second; i < ledger.order.size(); ++i) {
      const Accepted& message = ledger.order[i];
      bool promised = false;
      for (const auto& [id, pattern] : app.patterns) {
        if (!NaiveMatch(pattern, message.subject)) continue;
        const auto known = known_.find({process, here, pattern});
        promised |= process == here || (known != known_.end() && known->second <= i);
      }
      if (!promised || message.direct) continue;
      const auto it = app.streams.find({process.first, process.second, message.channel});
      const std::uint64_t last = it == app.streams.end() ? 0 : it->second.last;
      // What a process that is gone had not told of goes with it.
      if (over && message.number > last) continue;
      ++tally.accepted;
      static const App::Stream kNothing;
      const App::Stream& stream = it == app.streams.end() ? kNothing : it->second;
      if (std::binary_search(stream.numbers.begin(), stream.numbers.end(), message.number)) {
        ++tally.delivered;
      } else if (std::any_of(stream.gaps.begin(), stream.gaps.end(), [&](const flow::Delivery& gap) {
                   return gap.gap_from <= message.number && message.number <= gap.gap_to;
                 })) {
        ++tally.gapped;
      } else if (tally.missing++ == 0) {
        tally.first_missing = (*host)->name + " channel " + std::to_string(message.channel) + " number " +
                              std::to_string(message.number);
      }
    }
  }
  return tally;
}

void World::ExpectNothingMissing() const {
  for (AppIndex index = 0; index < apps_.size(); ++index) {
    const App& app = *apps_[index];
    if (app.ended || app.patterns.empty() || app.process != hosts_[app.host]->process) continue;
    const Tally tally = TallyOf(index);
    EXPECT_EQ(tally.missing, 0u) << "application " << index << " on " << hosts_[app.host]->name
                                 << ", first of " << tally.first_missing;
    EXPECT_EQ(tally.accepted, tally.delivered + tally.gapped);
  }
}

}  // namespace peermesh::node
