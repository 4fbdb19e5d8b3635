// From a batch to queues: who gets it, under which numbers, and when its publisher must wait.
#include <algorithm>

#include "mesh/node/node_impl.h"
#include "mesh/routing/subject.h"

namespace peermesh::node {

Refusal Node::Impl::ResolveTarget(const Publish& publish, std::optional<PeerId>& target) const {
  if (publish.target.empty()) return Refusal::kNone;
  if (publish.target == config_.name || publish.target == config_.self.ToText()) {
    target = config_.self;
    return Refusal::kNone;
  }
  const auto found = members_.Resolve(publish.target);
  if (found.ambiguous) return Refusal::kAmbiguousPeer;
  if (!found.peer) return Refusal::kUnknownPeer;
  if (!peers_.contains(*found.peer)) return Refusal::kPeerUnreachable;
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
    auto until = principal.messages.RefusedUntil(config_.limits.application_messages, messages, now);
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
    const auto taken = principal.messages.TryTake(config_.limits.application_messages, messages, now);
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
  if (Refuse(now, publish, out)) return;
  if (MustHold(publish)) {
    ++stats_.publishes_held;
    held_.push_back(std::move(publish));
    return;
  }
  Admit(now, publish, out);
}

// Fills matched_ with who gets a message on this subject.
void Node::Impl::Route(const Publish& publish, std::string_view subject) {
  interest_.Match(subject, matched_);
  if (publish.target.empty()) return;
  std::optional<PeerId> target;
  if (ResolveTarget(publish, target) != Refusal::kNone || !target) {
    matched_.local.clear();
    matched_.remote.clear();
    return;
  }
  if (*target != config_.self) matched_.local.clear();
  std::erase_if(matched_.remote, [&](const auto& remote) { return remote.peer != *target; });
}

// True if some queue this batch would go to holds its publishers back.
bool Node::Impl::MustHold(const Publish& publish) {
  bool any_holding = false;
  for (const auto& [id, peer] : peers_) any_holding |= peer.pressure.holding();
  for (const auto& [id, session] : sessions_) any_holding |= session.pressure.holding();
  if (!any_holding) return false;
  for (const Row& row : publish.batch->rows) {
    Route(publish, publish.batch->subject(row));
    for (const auto& local : matched_.local) {
      if (sessions_.at(local.session).pressure.holding()) return true;
    }
    for (const auto& remote : matched_.remote) {
      if (peers_.at(remote.peer).pressure.holding()) return true;
    }
  }
  return false;
}

// Numbers the batch and queues it for everybody it concerns.
void Node::Impl::Admit(Instant now, const Publish& publish, Effects& out) {
  const Batch& batch = *publish.batch;
  Answer answer{publish.request, publish.session};
  std::set<PeerId> interested;
  flow::Delivery like;
  like.origin = config_.self;
  like.epoch = config_.epoch;
  like.publish_time_us = publish.now.time_since_epoch().count();
  like.batch = publish.batch;
  if (!publish.target.empty()) {
    // A message to one peer that nobody there wants is an error the sender can act on; check before numbering.
    bool anybody = false;
    for (const Row& row : batch.rows) {
      Route(publish, batch.subject(row));
      anybody |= !matched_.local.empty() || !matched_.remote.empty();
    }
    if (!anybody) {
      answer.refusal = Refusal::kNoSubscribers;
      ++stats_.publish_refused_other;
      out.push_back(std::move(answer));
      return;
    }
  }
  const auto flush = [&] {
    FlushBuilt();
    for (auto& [id, run] : std::exchange(runs_, {})) {
      Peer& peer = peers_.at(id);
      peer.accounted.Set(run.channel, run.next);
      peer.outbox.Push(std::move(run));
      dirty_peers_.insert(id);
      interested.insert(id);
    }
  };
  for (std::uint32_t index = 0; index < batch.rows.size(); ++index) {
    const std::string_view subject = batch.subject(batch.rows[index]);
    const std::uint32_t channel = routing::ChannelOf(subject);
    // A run has one channel; cutting it here keeps one publisher's messages in one order.
    if (channel != like.channel) flush();
    like.channel = channel;
    const std::uint64_t sequence = numbers_.Take(channel);
    const auto range = std::find_if(answer.numbers.begin(), answer.numbers.end(),
                                    [&](const NumberRange& r) { return r.channel == channel; });
    if (range == answer.numbers.end()) {
      answer.numbers.push_back({channel, sequence, sequence});
    } else {
      range->last = sequence;
    }
    Route(publish, subject);
    if (!matched_.local.empty()) interested.insert(config_.self);
    BuildLocal(like, index, sequence);
    for (const auto& remote : matched_.remote) {
      Peer& peer = peers_.at(remote.peer);
      const auto [it, fresh] = runs_.try_emplace(remote.peer);
      flow::Run& run = it->second;
      if (fresh) {
        run.channel = channel;
        run.first = peer.accounted.next(channel);
        run.publish_time_us = like.publish_time_us;
        run.batch = publish.batch;
      }
      run.items.push_back({index, sequence});
      run.next = sequence + 1;
      const Duration block = std::chrono::milliseconds(remote.block_ms);
      peer.block = std::max(peer.block, std::min(block, kMaxBlockTimeout));
    }
  }
  flush();
  stats_.published_messages += batch.rows.size();
  stats_.published_bytes += batch.bytes;
  answer.interested_peers = static_cast<std::uint32_t>(interested.size());
  for (const auto& [id, row] : members_.rows()) {
    if (row.state != membership::State::kUnreachable) continue;
    if (answer.unreachable.size() < kMaxUnreachableNamed) answer.unreachable.push_back(id);
  }
  out.push_back(std::move(answer));
  // Queues decide now, so that the next publish of this very turn finds them as they are.
  for (const PeerId& id : interested) {
    const auto it = peers_.find(id);
    if (it == peers_.end()) continue;
    it->second.pressure.Update(now, it->second.outbox.bytes(), it->second.block);
  }
}

void Node::Impl::RetryHeld(Instant now, Effects& out) {
  std::deque<Publish> held = std::exchange(held_, {});
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
