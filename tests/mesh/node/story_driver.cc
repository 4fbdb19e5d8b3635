#include "tests/mesh/node/story_driver.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "tests/mesh/node/story_effects.h"

namespace peermesh::node {
namespace {

// More wake-ups without time passing are a loop.
constexpr int kMostWakes = 100;

}  // namespace

StoryDriver::StoryDriver() = default;
StoryDriver::~StoryDriver() = default;

// --- Time ----------------------------------------------------------------------------------------

absl::Status StoryDriver::Start() {
  node_.reset();
  due_.clear();
  links.clear();
  apps.clear();
  dials.clear();
  requests_.clear();
  told.clear();
  config.remembered.clear();
  for (const auto& [id, record] : disk) config.remembered.push_back(record);
  auto node = Node::Create(config, Rng({1, 2, 3, 4}), now_);
  if (!node.ok()) return node.status();
  node_ = *std::move(node);
  Settle();
  return absl::OkStatus();
}

void StoryDriver::LiveUntil(Instant when) {
  for (;;) {
    const Instant next = std::max(now_, std::min(NextBeat(), node_->NextWake()));
    if (next > when || !contract_.ok()) break;
    now_ = next;
    BeatsDue();
    Settle();
  }
  now_ = std::max(now_, when);
}

void StoryDriver::Pause(Duration time) {
  now_ += time;
  Settle();
}

Instant StoryDriver::NextBeat() const {
  Instant next = kNever;
  for (const auto& [id, link] : links) next = std::min(next, link.next_beat);
  return next;
}

void StoryDriver::BeatsDue() {
  std::vector<LinkId> due;
  for (const auto& [id, link] : links) {
    if (link.next_beat <= now_) due.push_back(id);
  }
  for (const LinkId id : due) {
    if (const auto link = links.find(id); link != links.end()) {
      link->second.next_beat = now_ + kHeartbeat;
      Say(id, {Heartbeat{}});
    }
  }
}

void StoryDriver::Wake() {
  Effects out;
  node_->Wake(now_, out);
  Collect(out);
}

void StoryDriver::Settle() {
  for (int wakes = 0; contract_.ok();) {
    if (!due_.empty()) {
      Input input = std::move(due_.front());
      due_.pop_front();
      Effects out;
      node_->Handle(now_, std::move(input), out);
      Collect(out);
    } else if (node_->NextWake() <= now_) {
      Require(++wakes < kMostWakes, "woken again and again without end");
      Wake();
    } else {
      return;
    }
  }
}

// --- Facts ---------------------------------------------------------------------------------------

void StoryDriver::Tell(Input input) {
  due_.push_back(std::move(input));
  Settle();
}

void StoryDriver::Say(LinkId id, Said said) {
  Link& link = links.at(id);
  Told& told_here = told[link.peer];
  if (auto* beat = std::get_if<Heartbeat>(&said.frame)) {
    beat->number = beat->number != 0 ? beat->number : link.beats + 1;
    link.beats = beat->number;
    if (!said.interest_given) {
      beat->interest_generation = told_here.generation;
      std::vector<Interest> all;
      for (const auto& [pattern, block] : told_here.patterns) all.push_back({pattern, block});
      beat->interest_hash = HashOf(all);
    }
  } else if (const auto* whole = std::get_if<InterestSnapshot>(&said.frame)) {
    if (whole->first) told_here.patterns.clear();
    told_here.generation = whole->generation;
    for (const Interest& entry : whole->entries) told_here.patterns[entry.pattern] = entry.block_ms;
  } else if (const auto* delta = std::get_if<InterestDelta>(&said.frame)) {
    told_here.generation = delta->generation;
    for (const std::string& pattern : delta->remove) told_here.patterns.erase(pattern);
    for (const Interest& entry : delta->add) told_here.patterns[entry.pattern] = entry.block_ms;
  }
  Tell(ControlIn{id, std::move(said.frame)});
}

void StoryDriver::Write(LinkId id, Lane lane) {
  Link& link = links.at(id);
  (lane == Lane::kControl ? link.control_busy : link.data_busy) = false;
  Tell(SendDone{id, lane});
}

void StoryDriver::Read(SessionId app) {
  apps.at(app).busy = false;
  Tell(DeliverDone{app});
}

RequestId StoryDriver::NewRequest(SessionId app, const std::string& kind) {
  const RequestId request{next_request_++};
  requests_[request] = app;
  cast.requests[request] = cast.App(app) + " " + kind;
  return request;
}

// --- Effects -------------------------------------------------------------------------------------

void StoryDriver::Print(const std::string& line) {
  if (shown_ != now_) lines_.push_back("@" + ShowTime(elapsed()));
  shown_ = now_;
  std::size_t start = 0;
  for (std::size_t end; (end = line.find('\n', start)) != std::string::npos; start = end + 1) {
    lines_.push_back(line.substr(start, end - start));
  }
  lines_.push_back(line.substr(start));
}

std::vector<std::string> StoryDriver::TakeLines() {
  shown_ = now_;
  return std::exchange(lines_, {});
}

void StoryDriver::Break(const std::string& promise) {
  if (contract_.ok()) {
    contract_ = absl::InternalError("the node broke its contract at " + ShowTime(elapsed()) + ": " +
                                    promise);
  }
}

void StoryDriver::Collect(const Effects& out) {
  node_->CheckInvariants();
  for (const Effect& effect : out) {
    Print(ShowEffect(cast, effect));
    std::visit([&](const auto& wish) { Follow(wish); }, effect);
  }
}

void StoryDriver::Follow(const SendControl& wish) {
  const auto link = links.find(wish.link);
  if (link == links.end()) return Break("wrote to " + cast.Link(wish.link) + ", which is gone");
  Require(!link->second.control_busy, "two control writes at once on " + cast.Link(wish.link));
  link->second.control_busy = link->second.control_stalled;
  if (!link->second.control_stalled) due_.push_back(SendDone{wish.link, Lane::kControl});
}

void StoryDriver::Follow(const SendData& wish) {
  const auto link = links.find(wish.link);
  if (link == links.end()) return Break("wrote to " + cast.Link(wish.link) + ", which is gone");
  Require(!link->second.data_busy, "two data writes at once on " + cast.Link(wish.link));
  for (const flow::Run& run : wish.frame.runs) {
    Require(run.IsWellFormed(), "a run that no peer accepts on " + cast.Link(wish.link));
  }
  link->second.data_busy = link->second.data_stalled;
  if (!link->second.data_stalled) due_.push_back(SendDone{wish.link, Lane::kData});
}

void StoryDriver::Follow(const ReadNext& wish) {
  const auto link = links.find(wish.link);
  if (link == links.end()) return Break("reads " + cast.Link(wish.link) + ", which is gone");
  Require(!std::exchange(link->second.granted, true), "two reads of " + cast.Link(wish.link));
}

void StoryDriver::Follow(const Close& wish) {
  Require(links.erase(wish.link) == 1, "closed " + cast.Link(wish.link) + ", which is gone");
  due_.push_back(LinkDown{wish.link, DownReason::kClosedByUs});
}

void StoryDriver::Follow(const Dial& wish) {
  Require(dials.insert(wish.dial).second, "the same dial twice");
}

void StoryDriver::Follow(const Deliver& wish) {
  const auto app = apps.find(wish.session);
  if (app == apps.end()) return Break("delivered to " + cast.App(wish.session) + ", which is gone");
  Require(!app->second.busy, "two deliveries at once to " + cast.App(wish.session));
  app->second.busy = app->second.stalled;
  if (!app->second.stalled) due_.push_back(DeliverDone{wish.session});
}

void StoryDriver::Forgive(RequestId request) {
  const auto waiting = requests_.find(request);
  if (waiting == requests_.end()) return Break("answered " + cast.Request(request) + " twice");
  if (const auto app = apps.find(waiting->second); app != apps.end()) {
    if (cast.Request(request).ends_with(" publish")) app->second.publishing = false;
  }
  requests_.erase(waiting);
}

void StoryDriver::Follow(const Answer& wish) { Forgive(wish.request); }
void StoryDriver::Follow(const Subscribed& wish) { Forgive(wish.request); }

void StoryDriver::Follow(const CloseSession& wish) {
  Require(apps.erase(wish.session) == 1, "closed " + cast.App(wish.session) + ", which is gone");
  due_.push_back(SessionClosed{wish.session});
}

void StoryDriver::Follow(const SignRecord& wish) {
  PeerRecord own;
  own.id = config.self;
  own.name = config.name;
  own.incarnation = wish.incarnation;
  own.epoch = config.epoch;
  own.channels = wish.channels;
  own.observers = wish.observers;
  own.published = wish.published;
  own.addresses = {config.name + ":7443"};
  own.encoded = "record of " + config.name;
  due_.push_back(RecordSigned{std::move(own)});
}

void StoryDriver::Follow(const SignPiece& wish) {
  broadcast::Piece piece = wish.piece;
  Require(piece.IsWellFormed() && piece.stream.origin == config.self, "a piece nobody may sign");
  piece.signature = "signed by " + config.name;
  due_.push_back(PieceSigned{std::make_shared<const broadcast::Piece>(std::move(piece))});
}

void StoryDriver::Follow(const SignStatement& wish) {
  membership::Statement statement = wish.statement;
  Require(statement.observer == config.self, "a statement of somebody else");
  statement.encoded = "signed by " + config.name;
  due_.push_back(
      StatementSigned{std::make_shared<const membership::Statement>(std::move(statement))});
}

void StoryDriver::Follow(const Persist& wish) { disk[wish.record->id] = wish.record; }
void StoryDriver::Follow(const Forget& wish) { disk.erase(wish.peer); }
void StoryDriver::Follow(const PeerChanged&) {}
void StoryDriver::Follow(const Note&) {}
void StoryDriver::Follow(const Drained&) {}
void StoryDriver::Follow(const Pinged& wish) {
  Require(pings.erase(wish.request) == 1, "answered a ping nobody waits for");
}

}  // namespace peermesh::node
