// Who says who is gone, and what follows from it.
//
// Beyond the full mesh a peer's neighbours observe it. One that loses it says so to everybody, in a
// signed statement; enough of them are a verdict (membership/quorum.h). Whoever hears that it is
// said to be gone itself says a larger incarnation.
#include <algorithm>
#include <utility>

#include "mesh/node/node_impl.h"

namespace peermesh::node {

using membership::Claim;
using membership::StatementRef;
using membership::StateReason;

void Node::Impl::Say(PeerId subject, Claim claim, StateReason why, Effects& out) {
  const membership::Row* row = members_.Find(subject);
  if (row == nullptr && subject != config_.self) return;
  membership::Statement statement;
  statement.observer = config_.self;
  statement.subject = subject;
  statement.incarnation = row != nullptr ? row->incarnation : own_incarnation_;
  if (statement.incarnation == 0) return;  // no record came yet: nothing to speak about
  statement.number = ++large_.statement_number;
  statement.claim = claim;
  statement.reason = why;
  ++stats_.statements_made;
  out.push_back(SignStatement{std::move(statement)});
}

void Node::Impl::Accuse(PeerId subject, StateReason why, Effects& out) {
  if (large_.on && !draining_) Say(subject, Claim::kGone, why, out);
}

void Node::Impl::TakeBack(PeerId subject, Effects& out) {
  if (large_.on && !draining_) Say(subject, Claim::kBack, StateReason::kNone, out);
}

void Node::Impl::On(Instant now, StatementSigned& own, Effects& out) {
  PM_CHECK(own.statement != nullptr && own.statement->observer == config_.self);
  PassOn(own.statement->subject);
  // Who has no record of us cannot check our word.
  const bool unknown = large_.partial() && own_record_;
  if (unknown && large_.strangers->records.IsFirst(now, config_.self, own_record_->incarnation)) {
    large_.news.Add(own_record_, {});
  }
  large_.news.Add(own.statement, {});
  if (own.statement->subject == config_.self) {
    large_.farewell_due = false;
    return;
  }
  quorum_.Hear(now, own.statement);
  ApplyVerdicts(now, out);
}

void Node::Impl::OnFrame(Instant now, Link& link, Statements& frame, Effects& out) {
  const PeerId from = link.peer;
  const LinkId id = link.id;
  for (const StatementRef& statement : frame.statements) {
    PM_CHECK(statement != nullptr);
    ++stats_.statements_heard;
    if (statement->observer == config_.self) {
      // Of an earlier process of ours.
      large_.statement_number = std::max(large_.statement_number, statement->number);
      continue;
    }
    if (statement->subject == config_.self) {
      // Of our records since the last loud one only neighbours know.
      if (statement->claim != Claim::kGone || statement->incarnation < large_.published) continue;
      own_incarnation_ = std::max(own_incarnation_, statement->incarnation) + 1;
      sign_due_ = large_.loud = !draining_;
      ++stats_.refutations;
      health_.Refuted();
      continue;
    }
    const membership::Row* row = members_.Find(statement->subject);
    const bool unknown = row == nullptr || row->incarnation < statement->incarnation;
    bool news = false;
    if (large_.partial() && unknown) {
      news = large_.strangers->statements.IsFirst(now, statement->observer, statement->number);
    } else {
      const auto heard = quorum_.Hear(now, statement);
      if (heard == membership::Quorum::Heard::kImpolite) return Misbehaved(now, id, out);
      news = heard == membership::Quorum::Heard::kNews;
    }
    if (!news) continue;
    PassOn(statement->subject);
    if (large_.partial()) PassOn(statement->observer);
    large_.news.Add(statement, from);
  }
  ApplyVerdicts(now, out);
}

// Voices count by the observers that the subject's latest record names: it goes before them.
void Node::Impl::PassOn(PeerId about) {
  const auto reported = reported_.find(about);
  if (reported == reported_.end() || !std::exchange(reported->second.quiet, false)) return;
  const membership::Row* row = members_.Find(about);
  if (row != nullptr && row->record) large_.news.Add(row->record, {});
}

void Node::Impl::TellNews(Instant now) {
  if (!large_.news.TryTake(now)) return;
  const bool neighbors_only = large_.on && overlay_.HasActive();
  for (auto& [id, link] : links_) {
    if (neighbors_only && !overlay_.IsActive(link.peer)) continue;
    for (ControlFrame& frame : large_.news.FramesFor(link.peer))
      PushControl(link, std::move(frame));
  }
  large_.news.Clear();
}

void Node::Impl::ApplyVerdicts(Instant now, Effects& out) {
  for (const membership::Quorum::Verdict& verdict : quorum_.TakeVerdicts()) {
    const PeerId id = verdict.subject;
    if (!large_.on && verdict.state != membership::State::kLeft) continue;
    members_.Judge(now, id, verdict.state, verdict.reason);
    deadlines_changed_ = true;
    if (overlay_.IsActive(id)) NeighborsChanged(now);  // who counts as our observer
    const bool gone =
        verdict.state == membership::State::kDead || verdict.state == membership::State::kLeft;
    if (!gone) {
      if (verdict.state == membership::State::kAlive) {
        book_.Found(id);
        overlay_.Learn(now, id);
      }
      continue;
    }
    if (verdict.renewed) continue;  // its new links may stay
    overlay_.Forget(now, id, large_.overlay_wishes);
    Apply(now, large_.overlay_wishes, out);
    if (verdict.state == membership::State::kDead) book_.Lost(now, id);
    // Whoever counts on this observer of ours should know those that it has now.
    if (std::binary_search(large_.published_observers.begin(), large_.published_observers.end(),
                           membership::ObserverKey(id))) {
      large_.loud = true;
      large_.record_at =
          std::min(large_.record_at, now + kRecordEvery + rng_.Between({}, kRecordSpread));
    }
    const auto peer = peers_.find(id);
    if (peer == peers_.end()) continue;
    // A link that still looks well is worth nothing: most of its neighbours have lost it.
    for (const LinkId link : {peer->second.loser, peer->second.winner}) {
      Link* const lost = link ? FindLink(link) : nullptr;
      if (lost == nullptr) continue;
      SendEvidence(*lost, id);
      PushControl(*lost, Goodbye{GoodbyeReason::kLost});
      FlushControl(*lost, out);
      DropLink(now, link, StateReason::kLinkClosed, true, out);
    }
  }
}

}  // namespace peermesh::node
