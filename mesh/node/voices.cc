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
  TellOf(now, *own.statement);
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
      sign_due_ = large_.loud = large_.refutes = !draining_;
      ++stats_.refutations;
      if (!statement->past) health_.Refuted();
      continue;
    }
    if (membership::Quorum::IsImpolite(*statement)) return Misbehaved(now, id, out);
    const membership::Row* row = members_.Find(statement->subject);
    const bool unknown = row == nullptr || row->incarnation < statement->incarnation;
    bool news = large_.partial() && unknown;
    if (!news) news = quorum_.Hear(now, statement) == membership::Quorum::Heard::kNews;
    if (news && large_.partial()) {
      news = large_.strangers->statements.TryAdd(now, statement->observer, statement->number);
    }
    if (!news) continue;
    if (unknown && large_.partial()) {
      std::vector<StatementRef>& early = large_.strangers->early;
      if (early.size() == kMostEarly) early.erase(early.begin());
      early.push_back(statement);
    }
    TellOf(now, *statement);
    large_.news.Add(statement, from);
  }
  ApplyVerdicts(now, out);
}

// Voices count by the observers that the subject's latest record names: it goes before them, where
// others may not have it. Among strangers so does the speaker's, or nobody could check its word.
void Node::Impl::TellOf(Instant now, const membership::Statement& statement) {
  for (const PeerId& id : {statement.subject, statement.observer}) {
    const membership::Row* row = members_.Find(id);
    const membership::RecordRef& record =
        id == config_.self || row == nullptr ? own_record_ : row->record;
    if (!record || record->id != id) continue;
    bool due = false;
    if (large_.partial()) {
      due = large_.strangers->records.TryAdd(now, id, record->incarnation);
    } else if (const auto told = reported_.find(id); id == statement.subject) {
      due = told != reported_.end() && std::exchange(told->second.quiet, false);
    }
    if (due) large_.news.Add(record, {});
  }
}

// Those that were early.
void Node::Impl::HearAgain(Instant now, PeerId about) {
  if (!large_.partial()) return;
  for (const StatementRef& statement : std::exchange(large_.strangers->early, {})) {
    const membership::Row* row = members_.Find(statement->subject);
    if (statement->subject == about && row != nullptr &&
        row->incarnation >= statement->incarnation) {
      quorum_.Hear(now, statement);
    } else {
      large_.strangers->early.push_back(statement);
    }
  }
}

void Node::Impl::TellNews(Instant now) {
  if (!large_.news.TryTake(now)) return;
  const bool neighbors_only = large_.on && overlay_.HasActive();
  for (auto [id, link] : links_) {
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
    // Whoever still counts on this observer of ours should know those of now.
    if (std::binary_search(large_.named.begin(), large_.named.end(), membership::ObserverKey(id))) {
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
      SendEvidence(now, *lost, {id});
      PushControl(*lost, Goodbye{GoodbyeReason::kLost});
      FlushControl(*lost, out);
      DropLink(now, link, StateReason::kLinkClosed, true, out);
    }
  }
}

}  // namespace peermesh::node
