#include "mesh/membership/members.h"

#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/membership/members_edit.h"

namespace peermesh::membership {
namespace {

// Weight of a new round-trip sample: 1/8, as TCP (RFC 6298).
Duration Smooth(Duration old, Duration sample) { return old + (sample - old) / 8; }

std::uint32_t Micros(Duration duration) {
  return static_cast<std::uint32_t>(std::min<Duration::rep>(duration.count(), UINT32_MAX));
}

// Neither linked nor about to be given up.
bool IsForgettable(const Row& row) {
  return !IsLinked(row) && (row.state == State::kDead || row.state == State::kLeft);
}

// Lost though nothing spoke against it.
bool LacksEvidence(const Row& row) {
  return row.reason == StateReason::kHeardOf || row.reason == StateReason::kRemembered ||
         row.reason == StateReason::kLinkClosed;
}

}  // namespace

Instant Members::DeadlineOf(const Row& row) const {
  if (IsLinked(row)) return kNever;
  if (IsForgettable(row)) return row.last_alive + kPeerMemory;
  if (row.state == State::kUnreachable) return kNever;
  if (large_) return IsRemembered(row) ? row.since + kRecallTime : kNever;
  // What was so before the mesh became small was so without a link.
  if (row.state == State::kAlive || row.since < small_since_) return small_since_ + kRelinkTime;
  return row.since + kSuspicion;
}

bool Members::MakeRoom(Instant now, Newcomer newcomer) {
  if (!table_.full()) return true;
  const bool linked = newcomer == Newcomer::kLinked;
  Row* victim = table_.OldestIdle();
  if (victim != nullptr) {
    const bool lost = victim->state != State::kSuspect;
    const bool settled = !large_ || victim->since + kSettled <= now;
    if (!(lost ? linked || settled : linked && !large_)) victim = nullptr;
  }
  if (victim == nullptr && linked) victim = table_.Farthest();
  if (victim == nullptr) return false;
  Remove(*victim);
  return true;
}

void Members::Remove(Row& row) {
  PM_CHECK(!IsLinked(row));
  DropVouchersOf(row);
  changed_.erase(row.id);
  removed_[row.id] = View(row);
  table_.Remove(row);
}

void Members::Drop(PeerId peer) {
  Row* const row = table_.Find(peer);
  PM_CHECK(row != nullptr && !IsLinked(*row));
  Remove(*row);
}

Row& Members::RowOf(Instant now, PeerId peer, StateReason how) {
  PM_CHECK(peer != self_);
  if (Row* const known = table_.Find(peer)) return *known;
  Row& row = table_.Add(peer);  // the caller made room
  // It once existed; a link, a failed dial or time will tell. Or others would tell if it were gone.
  const bool alive = large_ && how == StateReason::kHeardOf;
  row.state = alive ? State::kAlive : State::kSuspect;
  row.reason = how;
  row.since = now;
  row.last_alive = now;
  row.deadline = DeadlineOf(row);
  table_.Index(row);
  changed_.insert(peer);
  removed_.erase(peer);
  return row;
}

// Inside an Edit of the row.
void Members::Set(Instant now, Row& row, State state, StateReason reason) {
  // Alive until now: it was linked, or others vouched for it.
  if (state == State::kAlive || row.state == State::kAlive || row.state == State::kUnreachable) {
    row.last_alive = now;
  }
  if (row.state != state) {
    row.state = state;
    row.since = now;
  }
  row.reason = reason;
  row.judged = false;
}

// A peer that no longer answers us: dead, or unreachable if somebody else still has it.
void Members::Lose(Instant now, Row& row, StateReason why) {
  if (row.state == State::kLeft) return;
  Set(now, row, row.vouchers > 0 ? State::kUnreachable : State::kDead, why);
}

// Suspected when the mesh was small, and nobody judges that any more: as if we remembered it. Those
// whose neighbours have it tell us; if nobody does, it is dead.
void Members::LeaveOpen(Instant now, Row& row) {
  if (row.state != State::kSuspect || row.judged || IsRemembered(row)) return;
  Set(now, row, State::kSuspect, StateReason::kRemembered);
  row.since = now;
}

// What a record says for a peer; inside an Edit of the row, whose incarnation is still the old one.
void Members::Revive(Instant now, Row& row, StateReason how) {
  if (large_ && row.state != State::kAlive) {
    Set(now, row, State::kAlive, StateReason::kNone);
  } else if (row.state == State::kLeft) {
    Set(now, row, State::kSuspect, how);
  }
}

// Whether hearing a record of this incarnation would change anything: it is larger, or the row was
// lost, or is suspected, without a verdict or evidence.
bool Members::Wants(PeerId peer, std::uint64_t incarnation) const {
  if (peer == self_) return false;
  const Row* const row = table_.Find(peer);
  if (row == nullptr || row->incarnation < incarnation) return true;
  if (!large_ || row->judged || IsLinked(*row) || row->incarnation > incarnation) return false;
  return row->state == State::kSuspect || (IsLost(row->state) && LacksEvidence(*row));
}

bool Members::Describe(Instant now, RecordRef record, StateReason how) {
  if (record->id == self_) return false;
  Row* const known = table_.Find(record->id);
  if (known != nullptr && known->incarnation >= record->incarnation) {
    if (how == StateReason::kHeardOf && Wants(record->id, record->incarnation)) {
      Edit edit(*this, *known);
      Revive(now, *known, how);
    }
    return false;
  }
  if (known == nullptr && !MakeRoom(now, Newcomer::kHeardOf)) return false;
  Row& row = RowOf(now, record->id, how);
  Edit edit(*this, row);
  PM_CHECK(record->addresses.size() <= kMaxAddressesPerPeer);
  if (known != nullptr) Revive(now, row, how);
  row.incarnation = record->incarnation;
  if (!IsLinked(row)) row.epoch = record->epoch;  // the link knows better
  row.certificate_expiry = std::max(row.certificate_expiry, record->certificate_expiry);
  table_.SetRecord(row, std::move(record));
  return true;
}

void Members::LinkUp(Instant now, PeerId peer, std::string_view name, std::uint64_t epoch,
                     std::string_view software, WallTime certificate_expiry,
                     std::uint8_t direction) {
  PM_CHECK(direction == 1 || direction == 2);
  if (table_.Find(peer) == nullptr) {
    // Links are bounded far below the rows, so there is always one without.
    const bool room = MakeRoom(now, Newcomer::kLinked);
    PM_CHECK(room);
  }
  Row& row = RowOf(now, peer, StateReason::kLinkUp);
  Edit edit(*this, row);
  table_.SetTold(row, name, software);
  row.epoch = epoch;
  // A server goes on showing the old one for a moment after its renewal, which its record has told
  // us of.
  row.certificate_expiry = std::max(row.certificate_expiry, certificate_expiry);
  row.connection = Connection::kConnected;
  row.connection_reason = StateReason::kLinkUp;
  row.direction = direction;
  if (row.judged && !IsLiving(row.state)) return;
  Set(now, row, State::kAlive, StateReason::kNone);
}

void Members::LinkDown(Instant now, PeerId peer, StateReason why) {
  Row* const row = table_.Find(peer);
  if (row == nullptr) return;
  Edit edit(*this, *row);
  row->connection = Connection::kDisconnected;
  row->connection_reason = why;
  row->direction = 0;
  row->round_trip.reset();
  if (large_) return LeaveOpen(now, *row);
  if (row->state == State::kAlive) {
    Set(now, *row, State::kSuspect, why);
  } else if (row->state == State::kSuspect && why == StateReason::kHeartbeatTimeout) {
    Lose(now, *row, why);
  }
}

void Members::Keep(PeerId peer, std::uint8_t direction) {
  PM_CHECK(direction == 1 || direction == 2);
  Row* const row = table_.Find(peer);
  PM_CHECK(row != nullptr && IsLinked(*row));
  if (row->direction == direction) return;
  row->direction = direction;
  changed_.insert(peer);
}

void Members::Silent(Instant now, PeerId peer) {
  Row* const row = table_.Find(peer);
  if (large_ || row == nullptr || row->state != State::kAlive) return;
  Edit edit(*this, *row);
  Set(now, *row, State::kSuspect, StateReason::kHeartbeatTimeout);
}

void Members::Heard(Instant now, PeerId peer) {
  Row* const row = table_.Find(peer);
  if (row == nullptr || !IsLinked(*row)) return;
  // A goodbye stands, whatever still comes over the link; so does a verdict.
  if (row->state != State::kSuspect || row->judged) return;
  Edit edit(*this, *row);
  Set(now, *row, State::kAlive, StateReason::kNone);
}

void Members::RoundTrip(PeerId peer, Duration sample) {
  Row* const row = table_.Find(peer);
  if (row == nullptr || !IsLinked(*row) || sample < Duration{}) return;
  const bool known = row->round_trip.has_value();
  row->round_trip = known ? Smooth(*row->round_trip, sample) : sample;
  const std::uint32_t now = Micros(*row->round_trip), told = row->round_trip_told;
  if (known && (now > told ? now - told : told - now) < std::max(told / 8, 1u)) return;
  row->round_trip_told = now;
  changed_.insert(peer);
}

void Members::Dialling(Instant, PeerId peer) {
  Row* const row = table_.Find(peer);
  if (row == nullptr || IsLinked(*row) || row->connection == Connection::kConnecting) return;
  row->connection = Connection::kConnecting;
  changed_.insert(peer);
}

void Members::DialFailed(Instant now, PeerId peer, StateReason why) {
  Row* const row = table_.Find(peer);
  if (row == nullptr || IsLinked(*row)) return;
  Edit edit(*this, *row);
  row->connection = Connection::kDisconnected;
  row->connection_reason = why;
  // Nobody listens where it was: the process is gone. Other failures tell less, and time does the
  // rest.
  if (large_ || !IsLiving(row->state)) return;
  if (why == StateReason::kConnectionRefused) Lose(now, *row, why);
}

void Members::Left(Instant now, PeerId peer) {
  Row* const row = table_.Find(peer);
  if (row == nullptr) return;
  Edit edit(*this, *row);
  DropVouchersOf(*row);
  Set(now, *row, State::kLeft, StateReason::kGoodbye);
  row->judged = large_;  // its own word, which the quorum passes on
}

void Members::Wake(Instant now) {
  for (Row* row = table_.NextDue(); row != nullptr && row->deadline <= now;
       row = table_.NextDue()) {
    if (IsForgettable(*row)) {
      Remove(*row);
      continue;
    }
    PM_CHECK(IsLiving(row->state) && !IsLinked(*row));
    Edit edit(*this, *row);
    // Alive without a link since the mesh became small: nobody told why.
    Lose(now, *row, row->state == State::kAlive ? StateReason::kHeardOf : row->reason);
  }
}

}  // namespace peermesh::membership
