// Applications: sessions, subscriptions, delivery and gaps.
#include <algorithm>

#include "mesh/node/node_impl.h"
#include "mesh/routing/subject.h"

namespace peermesh::node {
namespace {

std::uint32_t BlockMs(const Subscription& subscription) {
  if (subscription.on_overflow != OnOverflow::kBlock) return 0;
  PM_CHECK(subscription.block_timeout >= Duration{} &&
           subscription.block_timeout <= kMaxBlockTimeout);
  return static_cast<std::uint32_t>(subscription.block_timeout / std::chrono::milliseconds(1));
}

void AddPolicy(Session& session, const Subscription& subscription) {
  if (subscription.on_overflow == OnOverflow::kBlock) {
    session.block = std::max(session.block, subscription.block_timeout);
  }
  session.close_when_slow |= subscription.on_overflow == OnOverflow::kClose;
}

void Matches(flow::Delivery& delivery, std::uint32_t row, std::uint64_t sequence,
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

}  // namespace

void Node::Impl::On(Instant, const SessionOpened& opened, Effects& out) {
  PM_CHECK(opened.session && !sessions_.contains(opened.session));
  Session& session = sessions_[opened.session];
  session.principal = opened.principal;
  ++principals_[opened.principal].sessions;
  if (sessions_.size() <= kMaxSessions && !draining_) return;
  // Refused ones exist until the driver reports their end, so that every session closes exactly
  // once.
  session.closing = true;
  out.push_back(
      CloseSession{opened.session, draining_ ? Refusal::kDraining : Refusal::kTooManySessions});
}

void Node::Impl::On(Instant, const SessionClosed& closed, Effects&) {
  const auto it = sessions_.find(closed.session);
  if (it == sessions_.end()) return;
  Session& session = it->second;
  for (const auto& [id, subscription] : std::exchange(session.subscriptions, {})) {
    interest_.RemoveAll(subscription.pattern, closed.session);
  }
  erase_if(subscribes_,
           [&](const PendingSubscribe& pending) { return pending.session == closed.session; });
  erase_if(held_, [&](const Publish& held) { return held.session == closed.session; });
  std::erase_if(large_.publishes,
                [&](const Publish& waiting) { return waiting.session == closed.session; });
  if (session.pressure.holding()) pressure_eased_ = true;
  const auto principal = principals_.find(session.principal);
  PM_CHECK(principal != principals_.end() && principal->second.sessions > 0);
  --principal->second.sessions;
  queues_wake_.moved = true;
  sessions_.erase(it);
  dirty_sessions_.erase(closed.session);
  // Buckets outlive their sessions, or every unary call would begin with full ones; the oldest idle
  // go first.
  if (principals_.size() <= kMaxPrincipals) return;
  const auto idle = std::find_if(principals_.begin(), principals_.end(),
                                 [](const auto& entry) { return entry.second.sessions == 0; });
  if (idle != principals_.end()) principals_.erase(idle);
}

Refusal Node::Impl::AddSubscriptions(SessionId id, Session& session, Subscribe& subscribe,
                                     const char** limit) {
  if (session.subscriptions.size() + subscribe.subscriptions.size() > kMaxSubscriptionsPerSession) {
    *limit = "subscriptions_per_session";
    return Refusal::kTooManySubscriptions;
  }
  std::set<std::uint32_t> fresh;
  for (const Subscription& wanted : subscribe.subscriptions) {
    PM_CHECK(IsValidPattern(wanted.pattern));
    if (wanted.id == 0 || session.subscriptions.contains(wanted.id) ||
        !fresh.insert(wanted.id).second) {
      return Refusal::kDuplicateSubscription;
    }
  }
  for (Subscription& wanted : subscribe.subscriptions) {
    wanted.block_timeout = std::clamp(wanted.block_timeout, Duration{}, kMaxBlockTimeout);
    const auto added = interest_.Add(wanted.pattern, {id, wanted.id, BlockMs(wanted)});
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
    AddPolicy(session, wanted);
  }
  return Refusal::kNone;
}

void Node::Impl::RemoveSubscription(SessionId id, Session& session, std::uint32_t subscription) {
  const auto it = session.subscriptions.find(subscription);
  PM_CHECK(it != session.subscriptions.end());
  const OnOverflow policy = it->second.on_overflow;
  interest_.Remove(it->second.pattern, {id, subscription, BlockMs(it->second)});
  session.subscriptions.erase(it);
  if (policy == OnOverflow::kGap) return;  // the default took no part in the session's policy
  session.block = {};
  session.close_when_slow = false;
  for (const auto& [other, known] : session.subscriptions) AddPolicy(session, known);
}

// The hold-back this subscription asks for.
void Node::Impl::On(Instant now, Subscribe& subscribe, Effects& out) {
  Answer answer{subscribe.request, subscribe.session};
  const auto it = sessions_.find(subscribe.session);
  if (it == sessions_.end() || it->second.closing) {
    answer.refusal = draining_ ? Refusal::kDraining : Refusal::kUnknownSession;
  } else {
    Principal& principal = principals_.at(it->second.principal);
    // An empty one costs as much as one: it too waits for confirmations.
    const auto cost =
        std::max<std::int64_t>(1, static_cast<std::int64_t>(subscribe.subscriptions.size()));
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
  AnnounceInterest();
  PendingSubscribe pending{.request = subscribe.request,
                           .session = subscribe.session,
                           .generation = interest_.generation(),
                           .deadline = now + kInterestAckTimeout};
  // Publishers that send to few listeners hear of a new one by its record.
  const std::uint64_t told = own_record_ ? own_record_->channels : 0;
  if (large_.on && (interest_.Channels() & ~told) != 0) pending.heard_at = pending.deadline;
  for (const Subscription& subscription : subscribe.subscriptions)
    pending.ids.push_back(subscription.id);
  for (const auto& [id, peer] : peers_) {
    if (!peer.acked || peer.acked_generation < pending.generation) pending.waiting.insert(id);
  }
  // Nor have those that we are about to meet: what they publish until then is not told as lost.
  for (const PeerId& id : out_of_touch_) {
    const membership::Row* row = members_.Find(id);
    const bool suspect = row != nullptr && row->state == membership::State::kSuspect;
    if (suspect && !receipts_.Has(id)) pending.waiting.insert(id);
  }
  subscribes_.push_back(std::move(pending));
}

void Node::Impl::On(Instant, const Unsubscribe& unsubscribe, Effects&) {
  const auto it = sessions_.find(unsubscribe.session);
  if (it == sessions_.end()) return;
  for (const std::uint32_t id : unsubscribe.ids) {
    if (it->second.subscriptions.contains(id))
      RemoveSubscription(unsubscribe.session, it->second, id);
  }
}

// The peer is gone: nobody waits for its confirmation any more.
void Node::Impl::ConfirmedBy(PeerId peer) {
  for (PendingSubscribe& pending : subscribes_) pending.waiting.erase(peer);
}

void Node::Impl::ResolveSubscribes(Instant now, Effects& out) {
  erase_if(subscribes_, [&](const PendingSubscribe& pending) {
    const bool waits = !pending.waiting.empty() || now < pending.heard_at;
    if (waits && now < pending.deadline) return false;
    Subscribed done{pending.request, pending.session, pending.ids, {}};
    done.unconfirmed.assign(pending.waiting.begin(), pending.waiting.end());
    out.push_back(std::move(done));
    return true;
  });
}

// --- Delivery ------------------------------------------------------------------------------------

// Appends the stretch to the deliveries of those that matched_ names.
void Node::Impl::BuildLocal(Instant now, const flow::Delivery& like) {
  // matched_.local is sorted by session: one message, one delivery per session, with all its ids.
  for (std::size_t i = 0; i < matched_.local.size();) {
    const SessionId id = matched_.local[i].session;
    ids_.clear();
    for (; i < matched_.local.size() && matched_.local[i].session == id; ++i) {
      ids_.push_back(matched_.local[i].id);
    }
    if (ids_.size() > kMaxMatchesPerMessage) {
      sessions_.at(id).overmatched = true;
      dirty_sessions_.insert(id);
      continue;
    }
    const auto [it, fresh] = built_.try_emplace(id);
    Built& built = it->second;
    if (fresh) built.delivery = like;
    for (const auto& [row, sequence] : stretch_) {
      if (built.bytes >= kFlushBytes) {
        QueueLocal(now, id, std::exchange(built.delivery, like));
        built.bytes = 0;
      }
      Matches(built.delivery, row, sequence, ids_);
      built.bytes += like.batch->rows[row].record_length + kRowOverheadBytes +
                     sizeof(ids_[0]) * (ids_.size() + 1);
    }
  }
}

void Node::Impl::QueueLocal(Instant now, SessionId id, flow::Delivery delivery) {
  Session& session = sessions_.at(id);
  if (session.closing) return;
  session.outbox.Push(std::move(delivery));
  dirty_sessions_.insert(id);
  // It decides at once, so that the next publish or grant of this very turn finds it as it is.
  Weigh(now, session.pressure, session.outbox.bytes(), session.block);
}

void Node::Impl::FlushBuilt(Instant now) {
  for (auto& [id, built] : std::exchange(built_, {})) {
    QueueLocal(now, id, std::move(built.delivery));
  }
}

void Node::Impl::On(Instant, const DeliverDone& done, Effects&) {
  const auto it = sessions_.find(done.session);
  if (it == sessions_.end()) return;
  PM_CHECK(it->second.busy);
  it->second.busy = false;
  dirty_sessions_.insert(done.session);
}

void Node::Impl::FlushSession(Instant now, SessionId id, Session& session, Effects& out) {
  if (session.closing) return;
  Weigh(now, session.pressure, session.outbox.bytes(), session.block);
  if (session.overmatched) {
    session.closing = true;
    out.push_back(CloseSession{id, Refusal::kTooManyMatches});
    return;
  }
  if (session.pressure.state() == flow::Pressure::State::kSlow && session.close_when_slow) {
    session.closing = true;
    out.push_back(CloseSession{id, Refusal::kSlowConsumer});
    while (!session.outbox.empty()) {
      stats_.dropped_messages[static_cast<std::size_t>(LossReason::kSlowSubscriber)] +=
          session.outbox.PopFront().items.size();
    }
    return;
  }
  if (session.pressure.overfull(session.outbox.bytes())) Overflow(id, session, out);
  if (!session.busy && !session.outbox.empty()) {
    session.busy = true;
    Deliver deliver{id, session.outbox.TakeUpTo(kFlushBytes)};
    for (const flow::Delivery& delivery : deliver.deliveries) {
      stats_.delivered_messages += delivery.items.size();
      for (const flow::Item& item : delivery.items) {
        stats_.delivered_bytes += delivery.batch->rows[item.row].record_length;
      }
    }
    out.push_back(std::move(deliver));
    Weigh(now, session.pressure, session.outbox.bytes(), session.block);
  }
}

// The subscriber is slow and its queue is full: the older half goes behind gaps.
void Node::Impl::Overflow(SessionId id, Session& session, Effects& out) {
  using Key = std::tuple<PeerId, std::uint64_t, std::uint32_t>;
  std::map<Key, flow::Delivery> gaps;
  std::uint64_t messages = 0;
  while (session.outbox.bytes() > session.pressure.half()) {
    const flow::Delivery dropped = session.outbox.PopFront();
    PM_CHECK(dropped.is_gap() == dropped.items.empty());
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
    PM_CHECK(from > 0 && from <= to);
    gap.gap_from = std::min(gap.gap_from, from);
    gap.gap_to = std::max(gap.gap_to, to);
  }
  for (auto& [key, gap] : gaps) session.outbox.PushFront(std::move(gap));
  // Gaps among the dropped were counted when they were made.
  stats_.lost_messages[static_cast<std::size_t>(LossReason::kSlowSubscriber)] += messages;
  stats_.dropped_messages[static_cast<std::size_t>(LossReason::kSlowSubscriber)] += messages;
  out.push_back(Note{NoteKind::kSessionSlow,
                     {},
                     id,
                     {},
                     static_cast<std::uint8_t>(LossReason::kSlowSubscriber),
                     messages});
}

// Tells every session that may have wanted these numbers.
void Node::Impl::AnnounceGap(Instant now, const broadcast::Stream& stream,
                             routing::Receipts::Hole hole, LossReason reason, Effects& out) {
  PM_CHECK(hole.from > 0 && hole.from <= hole.to);
  const std::uint64_t count = hole.to - hole.from + 1;
  stats_.lost_messages[static_cast<std::size_t>(reason)] += count;
  out.push_back(Note{
      NoteKind::kMessagesLost, stream.origin, {}, {}, static_cast<std::uint8_t>(reason), count});
  FlushBuilt(now);  // what came before the gap stays before it
  for (const SessionId id : interest_.SessionsOnChannel(stream.channel)) {
    Session& session = sessions_.at(id);
    if (session.closing) continue;
    flow::Delivery gap;
    gap.origin = stream.origin;
    gap.epoch = stream.epoch;
    gap.channel = stream.channel;
    gap.gap_from = hole.from;
    gap.gap_to = hole.to;
    gap.gap_reason = reason;
    session.outbox.Push(std::move(gap));
    dirty_sessions_.insert(id);
  }
}

}  // namespace peermesh::node
