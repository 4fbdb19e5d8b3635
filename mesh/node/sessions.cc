// Applications: sessions, subscriptions, delivery and gaps.
#include <algorithm>

#include "mesh/node/node_impl.h"
#include "mesh/routing/subject.h"

namespace peermesh::node {

void Node::Impl::On(Instant, const SessionOpened& opened, Effects& out) {
  PM_CHECK(opened.session && !sessions_.contains(opened.session));
  Session& session = sessions_[opened.session];
  session.principal = opened.principal;
  ++principals_[opened.principal].sessions;
  if (sessions_.size() <= kMaxSessions && !draining_) return;
  // Refused ones exist until the driver reports their end, so that every session closes exactly once.
  session.closing = true;
  out.push_back(CloseSession{opened.session, draining_ ? Refusal::kDraining : Refusal::kTooManySessions});
}

void Node::Impl::On(Instant, const SessionClosed& closed, Effects&) {
  const auto it = sessions_.find(closed.session);
  if (it == sessions_.end()) return;
  Session& session = it->second;
  for (const auto& [id, subscription] : std::exchange(session.subscriptions, {})) {
    const auto block = subscription.on_overflow == OnOverflow::kBlock ? subscription.block_timeout : Duration{};
    interest_.Remove(subscription.pattern,
                     {closed.session, id, static_cast<std::uint32_t>(block / std::chrono::milliseconds(1))});
  }
  std::erase_if(subscribes_, [&](const PendingSubscribe& pending) { return pending.session == closed.session; });
  std::erase_if(held_, [&](const Publish& held) { return held.session == closed.session; });
  if (session.pressure.holding()) pressure_eased_ = true;
  const auto principal = principals_.find(session.principal);
  PM_CHECK(principal != principals_.end() && principal->second.sessions > 0);
  --principal->second.sessions;
  sessions_.erase(it);
  dirty_sessions_.erase(closed.session);
  // Buckets outlive their sessions, or every unary call would begin with full ones; the oldest idle go first.
  if (principals_.size() <= kMaxPrincipals) return;
  const auto idle = std::find_if(principals_.begin(), principals_.end(),
                                 [](const auto& entry) { return entry.second.sessions == 0; });
  if (idle != principals_.end()) principals_.erase(idle);
}

Refusal Node::Impl::AddSubscriptions(SessionId id, Session& session, Subscribe& subscribe, const char** limit) {
  if (session.subscriptions.size() + subscribe.subscriptions.size() > kMaxSubscriptionsPerSession) {
    *limit = "subscriptions_per_session";
    return Refusal::kTooManySubscriptions;
  }
  std::set<std::uint32_t> fresh;
  for (const Subscription& wanted : subscribe.subscriptions) {
    PM_CHECK(routing::IsValidPattern(wanted.pattern));
    if (wanted.id == 0 || session.subscriptions.contains(wanted.id) || !fresh.insert(wanted.id).second) {
      return Refusal::kDuplicateSubscription;
    }
  }
  for (Subscription& wanted : subscribe.subscriptions) {
    wanted.block_timeout = std::clamp(wanted.block_timeout, Duration{}, kMaxBlockTimeout);
    const auto block = wanted.on_overflow == OnOverflow::kBlock ? wanted.block_timeout : Duration{};
    const auto added = interest_.Add(
        wanted.pattern, {id, wanted.id, static_cast<std::uint32_t>(block / std::chrono::milliseconds(1))});
    if (added != routing::Interest::Added::kOk) {
      // All or nothing.
      for (const Subscription& other : subscribe.subscriptions) {
        if (session.subscriptions.contains(other.id)) RemoveSubscription(id, session, other.id);
      }
      const bool leading = added == routing::Interest::Added::kTooManyLeadingWildcards;
      *limit = leading ? "leading_wildcards" : "subscriptions";
      return leading ? Refusal::kTooManyLeadingWildcards : Refusal::kTooManySubscriptions;
    }
    session.subscriptions.emplace(wanted.id, wanted);
  }
  return Refusal::kNone;
}

void Node::Impl::RemoveSubscription(SessionId id, Session& session, std::uint32_t subscription) {
  const auto it = session.subscriptions.find(subscription);
  PM_CHECK(it != session.subscriptions.end());
  const Subscription& known = it->second;
  const auto block = known.on_overflow == OnOverflow::kBlock ? known.block_timeout : Duration{};
  interest_.Remove(known.pattern,
                   {id, subscription, static_cast<std::uint32_t>(block / std::chrono::milliseconds(1))});
  session.subscriptions.erase(it);
}

void Node::Impl::RecomputePolicy(Session& session) {
  session.block = {};
  session.close_when_slow = false;
  for (const auto& [id, subscription] : session.subscriptions) {
    if (subscription.on_overflow == OnOverflow::kBlock) {
      session.block = std::max(session.block, subscription.block_timeout);
    }
    session.close_when_slow |= subscription.on_overflow == OnOverflow::kClose;
  }
}

void Node::Impl::On(Instant now, Subscribe& subscribe, Effects& out) {
  Answer answer{subscribe.request, subscribe.session};
  const auto it = sessions_.find(subscribe.session);
  if (it == sessions_.end() || it->second.closing) {
    answer.refusal = draining_ ? Refusal::kDraining : Refusal::kUnknownSession;
  } else {
    Principal& principal = principals_.at(it->second.principal);
    const auto cost = static_cast<std::int64_t>(subscribe.subscriptions.size());
    if (const auto until = principal.subscribes.TryTake(config_.limits.subscribes, cost, now)) {
      answer.refusal = Refusal::kRateLimited;
      answer.limit = "subscribes";
      answer.retry_after = *until == kNever ? Duration::max() : *until - now;
    } else {
      answer.refusal = AddSubscriptions(subscribe.session, it->second, subscribe, &answer.limit);
    }
  }
  if (answer.refusal != Refusal::kNone) {
    out.push_back(std::move(answer));
    return;
  }
  RecomputePolicy(it->second);
  AnnounceInterest();
  PendingSubscribe pending{subscribe.request, subscribe.session, {}, interest_.generation(),
                           now + kInterestAckTimeout, {}};
  for (const Subscription& subscription : subscribe.subscriptions) pending.ids.push_back(subscription.id);
  for (const auto& [id, peer] : peers_) {
    if (!peer.acked || peer.acked_generation < pending.generation) pending.waiting.insert(id);
  }
  subscribes_.push_back(std::move(pending));
}

void Node::Impl::On(Instant, const Unsubscribe& unsubscribe, Effects&) {
  const auto it = sessions_.find(unsubscribe.session);
  if (it == sessions_.end()) return;
  for (const std::uint32_t id : unsubscribe.ids) {
    if (it->second.subscriptions.contains(id)) RemoveSubscription(unsubscribe.session, it->second, id);
  }
  RecomputePolicy(it->second);
}

// The peer is gone: nobody waits for its confirmation any more.
void Node::Impl::ConfirmedBy(PeerId peer) {
  for (PendingSubscribe& pending : subscribes_) pending.waiting.erase(peer);
}

void Node::Impl::ResolveSubscribes(Instant now, Effects& out) {
  std::erase_if(subscribes_, [&](PendingSubscribe& pending) {
    if (!pending.waiting.empty() && now < pending.deadline) return false;
    Subscribed done{pending.request, pending.session, std::move(pending.ids), {}};
    done.unconfirmed.assign(pending.waiting.begin(), pending.waiting.end());
    out.push_back(std::move(done));
    return true;
  });
}

// --- Delivery -------------------------------------------------------------------------------------------------

void Node::Impl::Matches(flow::Delivery& delivery, std::uint32_t row, std::uint64_t sequence,
                         const std::vector<std::uint32_t>& ids) {
  const std::size_t before = delivery.items.size();
  delivery.items.push_back({row, sequence});
  if (before == 0) {
    delivery.matched = ids;
    if (ids.size() > 1) delivery.matched_counts.push_back(static_cast<std::uint32_t>(ids.size()));
    return;
  }
  if (delivery.matched_counts.empty()) {
    if (delivery.matched == ids) return;  // one id for all of them
    delivery.matched_counts.assign(before, 1);
    delivery.matched.resize(before, delivery.matched.front());
  }
  delivery.matched.insert(delivery.matched.end(), ids.begin(), ids.end());
  delivery.matched_counts.push_back(static_cast<std::uint32_t>(ids.size()));
}

void Node::Impl::BuildLocal(const flow::Delivery& like, std::uint32_t row, std::uint64_t sequence) {
  // matched_.local is sorted by session: one message, one delivery per session, with all its ids.
  for (std::size_t i = 0; i < matched_.local.size();) {
    const SessionId id = matched_.local[i].session;
    ids_.clear();
    for (; i < matched_.local.size() && matched_.local[i].session == id; ++i) {
      ids_.push_back(matched_.local[i].id);
    }
    const auto [it, fresh] = built_.try_emplace(id);
    if (fresh) it->second = like;
    Matches(it->second, row, sequence, ids_);
  }
}

void Node::Impl::FlushBuilt() {
  for (auto& [id, delivery] : std::exchange(built_, {})) {
    Session& session = sessions_.at(id);
    if (session.closing) continue;
    session.outbox.Push(std::move(delivery));
    dirty_sessions_.insert(id);
  }
}

void Node::Impl::On(Instant, const DeliverDone& done, Effects&) {
  const auto it = sessions_.find(done.session);
  if (it == sessions_.end()) return;
  PM_CHECK(it->second.outbox.busy);
  it->second.outbox.busy = false;
  dirty_sessions_.insert(done.session);
}

void Node::Impl::FlushSession(Instant now, SessionId id, Session& session, Effects& out) {
  if (session.closing) return;
  const bool was_holding = session.pressure.holding();
  session.pressure.Update(now, session.outbox.bytes(), session.block);
  if (session.pressure.state() == flow::Pressure::State::kSlow && session.close_when_slow) {
    session.closing = true;
    out.push_back(CloseSession{id, Refusal::kSlowConsumer});
    while (!session.outbox.empty()) {
      stats_.dropped_messages[static_cast<std::size_t>(LossReason::kSlowSubscriber)] +=
          session.outbox.PopFront().items.size();
    }
    pressure_eased_ = true;
    return;
  }
  if (session.pressure.overfull(session.outbox.bytes())) Overflow(id, session, out);
  if (!session.outbox.busy && !session.outbox.empty()) {
    session.outbox.busy = true;
    Deliver deliver{id, session.outbox.TakeUpTo(kFlushBytes)};
    for (const flow::Delivery& delivery : deliver.deliveries) {
      stats_.delivered_messages += delivery.items.size();
      for (const flow::Item& item : delivery.items) {
        stats_.delivered_bytes += delivery.batch->rows[item.row].record_length;
      }
    }
    out.push_back(std::move(deliver));
    session.pressure.Update(now, session.outbox.bytes(), session.block);
  }
  if (was_holding && !session.pressure.holding()) pressure_eased_ = true;
}

// The subscriber is slow and its queue is full: the older half goes behind gaps.
void Node::Impl::Overflow(SessionId id, Session& session, Effects& out) {
  using Key = std::tuple<PeerId, std::uint64_t, std::uint32_t>;
  std::map<Key, flow::Delivery> gaps;
  std::uint64_t messages = 0;
  while (session.outbox.bytes() > session.pressure.half()) {
    const flow::Delivery dropped = session.outbox.PopFront();
    messages += dropped.items.size();
    const std::uint64_t from = dropped.is_gap() ? dropped.gap_from : dropped.items.front().sequence;
    const std::uint64_t to = dropped.is_gap() ? dropped.gap_to : dropped.items.back().sequence;
    const auto [it, fresh] = gaps.try_emplace({dropped.origin, dropped.epoch, dropped.channel});
    flow::Delivery& gap = it->second;
    if (fresh) {
      gap.origin = dropped.origin;
      gap.epoch = dropped.epoch;
      gap.channel = dropped.channel;
      gap.gap_from = from;
      gap.gap_reason = LossReason::kSlowSubscriber;
    }
    gap.gap_to = to;
  }
  for (auto& [key, gap] : gaps) {
    stats_.lost_messages[static_cast<std::size_t>(gap.gap_reason)] += gap.gap_to - gap.gap_from + 1;
    session.outbox.PushFront(std::move(gap));
  }
  stats_.dropped_messages[static_cast<std::size_t>(LossReason::kSlowSubscriber)] += messages;
  out.push_back(Note{NoteKind::kSessionSlow, {}, id, {},
                     static_cast<std::uint8_t>(LossReason::kSlowSubscriber), messages});
}

// Tells every session that may have wanted these numbers.
void Node::Impl::AnnounceGap(PeerId origin, std::uint64_t epoch, std::uint32_t channel, std::uint64_t from,
                             std::uint64_t to, LossReason reason, Effects& out) {
  PM_CHECK(from <= to);
  const std::uint64_t count = to - from + 1;
  stats_.lost_messages[static_cast<std::size_t>(reason)] += count;
  out.push_back(Note{NoteKind::kMessagesLost, origin, {}, {}, static_cast<std::uint8_t>(reason), count});
  FlushBuilt();  // what came before the gap stays before it
  for (const SessionId id : interest_.SessionsOnChannel(channel)) {
    Session& session = sessions_.at(id);
    if (session.closing) continue;
    flow::Delivery gap;
    gap.origin = origin;
    gap.epoch = epoch;
    gap.channel = channel;
    gap.gap_from = from;
    gap.gap_to = to;
    gap.gap_reason = reason;
    session.outbox.Push(std::move(gap));
    dirty_sessions_.insert(id);
  }
}

}  // namespace peermesh::node
