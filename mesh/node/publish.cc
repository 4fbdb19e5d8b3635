// From a batch to queues: who gets it, under which numbers, and when its publisher must wait.
#include <algorithm>
#include <bit>

#include "mesh/node/node_impl.h"
#include "mesh/routing/subject.h"

namespace peermesh::node {
namespace {

// Numbers of one channel follow each other within a turn.
void AddNumbers(std::vector<NumberRange>& numbers, NumberRange more) {
  const auto range = std::find_if(numbers.begin(), numbers.end(), [&](const NumberRange& known) {
    return known.channel == more.channel;
  });
  if (range == numbers.end()) {
    numbers.push_back(more);
    return;
  }
  PM_CHECK(range->last + 1 == more.first);
  range->last = more.last;
}

}  // namespace

Refusal Node::Impl::ResolveTarget(const Publish& publish, std::optional<PeerId>& target) const {
  if (publish.target.empty()) return Refusal::kNone;
  if (publish.target == config_.name) {
    target = config_.self;
    return Refusal::kNone;
  }
  const auto found = members_.Resolve(publish.target);
  if (found.ambiguous) return Refusal::kAmbiguousPeer;
  if (!found.peer) return Refusal::kUnknownPeer;
  if (*found.peer != config_.self && !peers_.contains(*found.peer))
    return Refusal::kPeerUnreachable;
  target = found.peer;
  return Refusal::kNone;
}

// Refuses what cannot be accepted. Takes from the rate limits only if it can.
bool Node::Impl::Refuse(Instant now, const Publish& publish, Effects& out) {
  Answer answer{publish.request, publish.session};
  const auto session = sessions_.find(publish.session);
  std::optional<PeerId> target;
  if (session == sessions_.end() || session->second.closing) {
    answer.refusal = Refusal::kUnknownSession;
  } else if (draining_) {
    answer.refusal = Refusal::kDraining;
  } else {
    answer.refusal = ResolveTarget(publish, target);
  }
  if (answer.refusal == Refusal::kNone) {
    Principal& principal = principals_.at(session->second.principal);
    const auto messages = static_cast<std::int64_t>(publish.batch->rows.size());
    const auto bytes = static_cast<std::int64_t>(publish.batch->bytes);
    auto until =
        principal.messages.RefusedUntil(config_.limits.application_messages, messages, now);
    answer.limit = "application_messages";
    if (!until) {
      until = principal.bytes.TryTake(config_.limits.application_bytes, bytes, now);
      answer.limit = "application_bytes";
    }
    if (until) {
      answer.refusal = Refusal::kRateLimited;
      answer.retry_after = *until == kNever ? Duration::max() : *until - now;
      ++stats_.publish_refused_rate;
      out.push_back(std::move(answer));
      return true;
    }
    const auto taken =
        principal.messages.TryTake(config_.limits.application_messages, messages, now);
    PM_CHECK(!taken);
    return false;
  }
  answer.limit = "";
  ++stats_.publish_refused_other;
  out.push_back(std::move(answer));
  return true;
}

void Node::Impl::On(Instant now, Publish& publish, Effects& out) {
  PM_CHECK(publish.batch != nullptr && !publish.batch->rows.empty());
  PM_CHECK(publish.batch->rows.size() <= kMaxBatchMessages);
  if (sessions_.contains(publish.session) && WaitsForLink(now, publish.target)) {
    PM_CHECK(large_.publishes.size() < sessions_.size());  // one unanswered for each session
    large_.publishes.push_back(std::move(publish));
    return;
  }
  if (Refuse(now, publish, out)) return;
  if (MustHold(publish)) {
    PM_CHECK(held_.size() < sessions_.size());  // one unanswered for each session
    ++stats_.publishes_held;
    held_.push_back(std::move(publish));
    return;
  }
  Admit(now, publish, out);
}

// Fills matched_ with who gets a message on this subject; with a target, nobody else.
void Node::Impl::Route(std::string_view subject, const std::optional<PeerId>& target) {
  interest_.Match(subject, matched_);
  if (!target) return;
  if (*target != config_.self) matched_.local.clear();
  std::erase_if(matched_.remote, [&](const auto& remote) { return remote.peer != *target; });
}

// True if some queue this batch would go to holds its publishers back.
bool Node::Impl::MustHold(const Publish& publish) {
  bool any_holding = false;
  bool relays_holding = false;
  for (const auto& [id, peer] : peers_) {
    any_holding |= peer.pressure.holding();
    relays_holding |= peer.relay_pressure.holding() && overlay_.IsActive(id);
  }
  // A broadcast goes over all neighbours.
  if (relays_holding && large_.on && publish.target.empty()) return true;
  for (const auto& [id, session] : sessions_) any_holding |= session.pressure.holding();
  std::optional<PeerId> target;
  if (!any_holding || ResolveTarget(publish, target) != Refusal::kNone) return false;
  for (const Row& row : publish.batch->rows) {
    Route(publish.batch->subject(row), target);
    for (const auto& local : matched_.local) {
      if (sessions_.at(local.session).pressure.holding()) return true;
    }
    for (const auto& remote : matched_.remote) {
      if (peers_.at(remote.peer).pressure.holding()) return true;
    }
  }
  return false;
}

// True if the target wants any message of the batch.
bool Node::Impl::Wanted(const Batch& batch, PeerId target) {
  for (const Row& row : batch.rows) {
    Route(batch.subject(row), target);
    if (!matched_.local.empty() || !matched_.remote.empty()) return true;
  }
  return false;
}

// Numbers the batch and queues it for everybody it concerns.
void Node::Impl::Admit(Instant now, const Publish& publish, Effects& out) {
  const Batch& batch = *publish.batch;
  Answer answer{publish.request, publish.session};
  std::optional<PeerId> target;
  answer.refusal = ResolveTarget(publish, target);  // it may have gone while the publish was held
  // A message to one peer that nobody there wants is an error the sender can act on: no number is
  // used.
  if (answer.refusal == Refusal::kNone && target && !Wanted(batch, *target)) {
    answer.refusal = Refusal::kNoSubscribers;
  }
  if (answer.refusal != Refusal::kNone) {
    ++stats_.publish_refused_other;
    out.push_back(std::move(answer));
    return;
  }
  std::set<PeerId> interested;
  std::uint64_t broadcast_channels = 0;
  bool broadcasts = false;  // what is on this channel
  flow::Delivery like;
  like.origin = config_.self;
  like.epoch = config_.epoch;
  like.publish_time_us = publish.now.time_since_epoch().count();
  like.batch = publish.batch;
  for (std::uint32_t row = 0; row < batch.rows.size();) {
    const std::string_view subject = batch.subject(batch.rows[row]);
    const std::uint32_t channel = routing::ChannelOf(subject);
    // A run has one channel; cutting it here keeps one publisher's messages in one order.
    if (row == 0 || channel != like.channel) {
      QueueBuilt(now, interested);
      SignBuilt(out);
      broadcasts = large_.on && !target && !GoesStraight(now, channel);
    }
    like.channel = channel;
    stretch_.clear();
    do {
      stretch_.push_back({row++, numbers_.Take(channel)});
    } while (row < batch.rows.size() && batch.subject(batch.rows[row]) == subject);
    AddNumbers(answer.numbers, {channel, stretch_.front().sequence, stretch_.back().sequence});
    Route(subject, target);
    if (!matched_.local.empty()) interested.insert(config_.self);
    BuildLocal(now, like);
    if (broadcasts) {
      BroadcastStretch(like);
      large_.broadcast_at = now;
      broadcast_channels |= std::uint64_t{1} << channel;
    } else {
      BuildRemote(now, like);
      if (!large_.on) large_.small_next.Set(channel, stretch_.back().sequence + 1);
    }
  }
  QueueBuilt(now, interested);
  SignBuilt(out);
  stats_.published_messages += batch.rows.size();
  stats_.published_bytes += batch.bytes;
  answer.interested_peers = static_cast<std::uint32_t>(interested.size());
  // Of a broadcast: as many as one channel has.
  std::uint16_t hears = 0;
  for (; broadcast_channels != 0; broadcast_channels &= broadcast_channels - 1) {
    hears = std::max(hears,
                     interested_[static_cast<std::size_t>(std::countr_zero(broadcast_channels))]);
  }
  answer.interested_peers += hears;
  for (const PeerId& id : out_of_touch_) {
    if (answer.unreachable.size() < kMaxUnreachableNamed) answer.unreachable.push_back(id);
  }
  answers_.push_back(std::move(answer));
}

// Appends the stretch to the runs of those that matched_ names.
void Node::Impl::BuildRemote(Instant now, const flow::Delivery& like) {
  for (const auto& remote : matched_.remote) {
    Peer& peer = peers_.at(remote.peer);
    const auto [it, fresh] = runs_.try_emplace(remote.peer);
    flow::Run& run = it->second;
    if (fresh) {
      peer.sent_straight = true;
      run.channel = like.channel;
      run.first = peer.accounted.next(like.channel);
      run.behind = Behind(now, like.channel);
      run.publish_time_us = like.publish_time_us;
      run.batch = like.batch;
    }
    PM_CHECK(run.channel == like.channel);
    run.items.insert(run.items.end(), stretch_.begin(), stretch_.end());
    run.next = stretch_.back().sequence + 1;
    const Duration block = std::chrono::milliseconds(remote.block_ms);
    peer.block = std::max(peer.block, std::min(block, kMaxBlockTimeout));
  }
}

// Queues what was built. The queues decide at once, so that the next publish of this very turn
// finds them as they are.
void Node::Impl::QueueBuilt(Instant now, std::set<PeerId>& interested) {
  FlushBuilt(now);
  for (auto& [id, run] : std::exchange(runs_, {})) {
    PM_CHECK(run.IsWellFormed() && !run.items.empty());
    Peer& peer = peers_.at(id);
    peer.accounted.Set(run.channel, run.next);
    peer.outbox.Push(std::move(run));
    Weigh(now, peer.pressure, peer.outbox.bytes(), peer.block);
    dirty_peers_.insert(id);
    interested.insert(id);
  }
}

void Node::Impl::RetryHeld(Instant now, Effects& out) {
  flow::Ring<Publish> held = std::exchange(held_, {});
  for (Publish& publish : held) {
    if (!sessions_.contains(publish.session)) continue;  // answered by its session's end
    if (MustHold(publish)) {
      held_.push_back(std::move(publish));
    } else {
      Admit(now, publish, out);
    }
  }
}

}  // namespace peermesh::node
