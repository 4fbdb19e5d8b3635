// What moves a row other than a link of ours: the beliefs of others in a small mesh, the quorum in
// a large one.
#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/membership/members_edit.h"

namespace peermesh::membership {
namespace {

// In a sorted vector; true if that changed it.
bool Insert(std::vector<PeerId>& sorted, const PeerId& id) {
  const auto at = std::lower_bound(sorted.begin(), sorted.end(), id);
  if (at != sorted.end() && *at == id) return false;
  sorted.insert(at, id);
  return true;
}

bool Erase(std::vector<PeerId>& sorted, const PeerId& id) {
  const auto at = std::lower_bound(sorted.begin(), sorted.end(), id);
  if (at == sorted.end() || *at != id) return false;
  sorted.erase(at);
  return true;
}

}  // namespace

void Members::DropVouchersOf(Row& row) {
  for (auto it = beliefs_.begin(); row.vouchers > 0 && it != beliefs_.end();) {
    if (Erase(it->second, row.id)) --row.vouchers;
    it = it->second.empty() ? beliefs_.erase(it) : std::next(it);
  }
  PM_CHECK(row.vouchers == 0);
}

void Members::Belief(Instant now, PeerId from, PeerId about, std::uint64_t incarnation, bool linked,
                     bool left) {
  if (large_ || about == self_ || from == about) return;
  Row* const row = table_.Find(about);
  if (row == nullptr) return;
  const bool current = incarnation >= row->incarnation;
  if (linked && !left && current) {
    if (Insert(beliefs_[from], about)) ++row->vouchers;
    PM_CHECK(row->vouchers > 0);
    if (row->state != State::kDead) return;
    Edit edit(*this, *row);
    return Set(now, *row, State::kUnreachable, row->reason);
  }
  if (const auto it = beliefs_.find(from); it != beliefs_.end() && Erase(it->second, about)) {
    PM_CHECK(row->vouchers > 0);
    --row->vouchers;
    if (it->second.empty()) beliefs_.erase(it);
  }
  if (row->vouchers > 0) return;
  // A goodbye is said to everybody; one heard second-hand counts once our own view agrees it is
  // gone, or if we have no view of our own yet.
  const bool unseen =
      row->reason == StateReason::kRemembered || row->reason == StateReason::kHeardOf;
  if (left && (IsLost(row->state) || unseen) && current) {
    Edit edit(*this, *row);
    Set(now, *row, State::kLeft, StateReason::kGoodbye);
  } else if (row->state == State::kUnreachable) {
    Edit edit(*this, *row);
    Set(now, *row, State::kDead, row->reason);
  }
}

void Members::ForgetBeliefsOf(Instant now, PeerId from) {
  const auto it = beliefs_.find(from);
  if (it == beliefs_.end()) return;
  const std::vector<PeerId> abouts = std::move(it->second);
  beliefs_.erase(it);
  for (const PeerId& about : abouts) {
    Row* const row = table_.Find(about);
    PM_CHECK(row != nullptr && row->vouchers > 0);
    if (--row->vouchers > 0 || row->state != State::kUnreachable) continue;
    Edit edit(*this, *row);
    Set(now, *row, State::kDead, row->reason);
  }
}

void Members::SetLarge(Instant now, bool large) {
  if (large_ == large) return;
  large_ = large;
  if (!large) small_since_ = now;
  beliefs_.clear();
  for (const auto& [id, constant] : table_.rows()) {
    Row& row = *table_.Find(id);
    const State before = row.state;
    table_.Unindex(row);
    row.vouchers = 0;
    row.judged = large && row.state == State::kLeft;
    const bool heard = row.state == State::kSuspect && row.reason == StateReason::kHeardOf;
    const bool vouched = row.state == State::kUnreachable;
    const bool linked = IsLinked(row) && IsLost(row.state);
    if (large ? heard || vouched : linked) Set(now, row, State::kAlive, StateReason::kNone);
    if (large && !IsLinked(row)) LeaveOpen(now, row);
    row.deadline = DeadlineOf(row);
    table_.Index(row);
    if (row.state != before) changed_.insert(id);
  }
}

void Members::Judge(Instant now, PeerId peer, State state, StateReason reason) {
  PM_CHECK(peer != self_ && state != State::kUnreachable);
  Row* const row = table_.Find(peer);
  if (row == nullptr || (!large_ && state != State::kLeft)) return;
  // Nothing but a record brings back who said goodbye.
  if (row->state == State::kLeft && state != State::kLeft) return;
  if (state == State::kLeft) return Left(now, peer);
  Edit edit(*this, *row);
  Set(now, *row, state, reason);
  row->judged = state != State::kAlive;
}

}  // namespace peermesh::membership
