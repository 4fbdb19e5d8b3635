#include "mesh/membership/members.h"

#include <algorithm>
#include <iterator>

#include "mesh/base/check.h"
#include "mesh/base/digest.h"

namespace peermesh::membership {
namespace {

constexpr std::size_t kMinPrefix = 4;  // shorter ones are typing accidents

// How long a peer whose link broke stays suspect before it is dead, when no dial settles the matter
// sooner: a link that was lost soon after it came up is redialled late, and a killed peer must be
// seen dead within 1 s.
constexpr Duration kSuspicion = std::chrono::milliseconds(800);
static_assert(kSuspicion <= kDeadAfter - kSuspectAfter, "a broken link tells more than silence");

// Weight of a new round-trip sample: 1/8, as TCP (RFC 6298).
Duration Smooth(Duration old, Duration sample) { return old + (sample - old) / 8; }

bool IsLost(State state) { return state == State::kDead || state == State::kUnreachable; }

// Neither linked nor about to be given up.
bool Forgettable(const PeerView& row) {
  return row.connection != Connection::kConnected && row.state != State::kAlive &&
         row.state != State::kSuspect && row.state != State::kUnreachable;
}

}  // namespace

const char* ToString(StateReason reason) {
  switch (reason) {
    case StateReason::kNone: return "";
    case StateReason::kLinkUp: return "LINK_UP";
    case StateReason::kHeardOf: return "HEARD_OF";
    case StateReason::kRemembered: return "REMEMBERED";
    case StateReason::kLinkClosed: return "LINK_CLOSED";
    case StateReason::kLinkBroken: return "LINK_BROKEN";
    case StateReason::kHeartbeatTimeout: return "HEARTBEAT_TIMEOUT";
    case StateReason::kConnectionRefused: return "CONNECTION_REFUSED";
    case StateReason::kDialTimeout: return "DIAL_TIMEOUT";
    case StateReason::kDialUnreachable: return "DIAL_UNREACHABLE";
    case StateReason::kDialRejected: return "DIAL_REJECTED";
    case StateReason::kGoodbye: return "GOODBYE";
    case StateReason::kStalled: return "STALLED";
    case StateReason::kProtocolError: return "PROTOCOL_ERROR";
  }
  return "";
}

bool Members::MakeRoom(Newcomer newcomer) {
  if (rows_.size() < kMaxPeers) return true;
  auto oldest = rows_.end();
  auto oldest_suspect = rows_.end();
  for (auto it = rows_.begin(); it != rows_.end(); ++it) {
    if (it->second.connection == Connection::kConnected) continue;
    PM_CHECK(it->second.state != State::kAlive);
    auto& candidate = it->second.state == State::kSuspect ? oldest_suspect : oldest;
    if (candidate == rows_.end() || it->second.since < candidate->second.since) candidate = it;
  }
  if (oldest == rows_.end() && newcomer == Newcomer::kLinked) oldest = oldest_suspect;
  if (oldest == rows_.end()) return false;
  Remove(oldest);
  return true;
}

std::map<PeerId, PeerView>::iterator Members::Remove(std::map<PeerId, PeerView>::iterator row) {
  PM_CHECK(row->second.connection != Connection::kConnected);
  changes_[row->first] = {row->second, true};
  last_alive_.erase(row->first);
  vouchers_.erase(row->first);
  return rows_.erase(row);
}

PeerView& Members::Row(Instant now, PeerId peer, StateReason how) {
  PM_CHECK(peer != self_);
  const auto it = rows_.find(peer);
  if (it != rows_.end()) return it->second;
  PM_CHECK(rows_.size() < kMaxPeers);  // the caller made room
  PeerView& row = rows_[peer];
  row.id = peer;
  // It once existed; a link, a failed dial or time will tell.
  row.state = State::kSuspect;
  row.reason = how;
  row.since = now;
  last_alive_[peer] = now;
  changes_[peer] = {row, false};
  return row;
}

void Members::Set(Instant now, PeerView& row, State state, StateReason reason) {
  // Alive until now: it was linked, or others vouched for it.
  if (state == State::kAlive || row.state == State::kAlive || row.state == State::kUnreachable) {
    last_alive_[row.id] = now;
  }
  if (row.state != state) {
    row.state = state;
    row.since = now;
  }
  row.reason = reason;
  changes_[row.id] = {row, false};
}

// A peer that no longer answers us: dead, or unreachable if somebody else still has it.
void Members::Lose(Instant now, PeerView& row, StateReason why) {
  if (row.state == State::kLeft) return;
  const auto vouchers = vouchers_.find(row.id);
  const bool vouched = vouchers != vouchers_.end() && !vouchers->second.empty();
  Set(now, row, vouched ? State::kUnreachable : State::kDead, why);
}

bool Members::Describe(Instant now, const Description& description, StateReason how) {
  if (description.id == self_) return false;
  const auto known = rows_.find(description.id);
  if (known != rows_.end() && known->second.incarnation >= description.incarnation) return false;
  if (known == rows_.end() && !MakeRoom(Newcomer::kHeardOf)) return false;
  PeerView& row = Row(now, description.id, how);
  row.incarnation = description.incarnation;
  row.name = description.name;
  row.addresses = description.addresses;
  row.metrics_address = description.metrics_address;
  row.software = description.software;
  if (row.connection != Connection::kConnected)
    row.epoch = description.epoch;  // the link knows better
  row.certificate_expiry = std::max(row.certificate_expiry, description.certificate_expiry);
  PM_CHECK(row.addresses.size() <= kMaxAddressesPerPeer);
  if (row.state == State::kLeft) Set(now, row, State::kSuspect, how);  // it is back
  changes_[row.id] = {row, false};
  return true;
}

void Members::LinkUp(Instant now, PeerId peer, std::string_view name, std::uint64_t epoch,
                     std::string_view software, WallTime certificate_expiry,
                     std::uint8_t direction) {
  PM_CHECK(direction == 1 || direction == 2);
  if (!rows_.contains(peer)) {
    // Links are bounded far below the rows, so there is always one without.
    const bool room = MakeRoom(Newcomer::kLinked);
    PM_CHECK(room);
  }
  PeerView& row = Row(now, peer, StateReason::kLinkUp);
  row.name = std::string(name);
  row.epoch = epoch;
  row.software = std::string(software);
  // A server goes on showing the old one for a moment after its renewal, which its record has told
  // us of.
  row.certificate_expiry = std::max(row.certificate_expiry, certificate_expiry);
  row.connection = Connection::kConnected;
  row.connection_reason = StateReason::kLinkUp;
  row.direction = direction;
  Set(now, row, State::kAlive, StateReason::kNone);
}

void Members::LinkDown(Instant now, PeerId peer, StateReason why) {
  const auto it = rows_.find(peer);
  if (it == rows_.end()) return;
  PeerView& row = it->second;
  row.connection = Connection::kDisconnected;
  row.connection_reason = why;
  row.direction = 0;
  row.round_trip.reset();
  if (row.state == State::kAlive) {
    Set(now, row, State::kSuspect, why);
  } else if (row.state == State::kSuspect && why == StateReason::kHeartbeatTimeout) {
    Lose(now, row, why);
  } else {
    changes_[peer] = {row, false};
  }
}

void Members::Keep(PeerId peer, std::uint8_t direction) {
  PM_CHECK(direction == 1 || direction == 2);
  const auto it = rows_.find(peer);
  PM_CHECK(it != rows_.end() && it->second.connection == Connection::kConnected);
  if (it->second.direction == direction) return;
  it->second.direction = direction;
  changes_[peer] = {it->second, false};
}

void Members::Silent(Instant now, PeerId peer) {
  const auto it = rows_.find(peer);
  if (it == rows_.end() || it->second.state != State::kAlive) return;
  Set(now, it->second, State::kSuspect, StateReason::kHeartbeatTimeout);
}

void Members::Heard(Instant now, PeerId peer) {
  const auto it = rows_.find(peer);
  if (it == rows_.end() || it->second.connection != Connection::kConnected) return;
  // A goodbye stands, whatever still comes over the link.
  if (it->second.state == State::kSuspect) Set(now, it->second, State::kAlive, StateReason::kNone);
}

void Members::RoundTrip(PeerId peer, Duration sample) {
  const auto it = rows_.find(peer);
  if (it == rows_.end() || sample < Duration{}) return;
  std::optional<Duration>& smoothed = it->second.round_trip;
  smoothed = smoothed ? Smooth(*smoothed, sample) : sample;
  changes_[peer] = {it->second, false};
}

void Members::Dialling(Instant, PeerId peer) {
  const auto it = rows_.find(peer);
  if (it == rows_.end() || it->second.connection == Connection::kConnected) return;
  if (it->second.connection == Connection::kConnecting) return;
  it->second.connection = Connection::kConnecting;
  changes_[peer] = {it->second, false};
}

void Members::DialFailed(Instant now, PeerId peer, StateReason why) {
  const auto it = rows_.find(peer);
  if (it == rows_.end() || it->second.connection == Connection::kConnected) return;
  PeerView& row = it->second;
  row.connection = Connection::kDisconnected;
  row.connection_reason = why;
  changes_[peer] = {row, false};
  // Nobody listens where it was: the process is gone. Other failures tell less, and time does the
  // rest.
  if (row.state == State::kSuspect && why == StateReason::kConnectionRefused) Lose(now, row, why);
}

void Members::Left(Instant now, PeerId peer) {
  const auto it = rows_.find(peer);
  if (it == rows_.end()) return;
  vouchers_.erase(peer);
  Set(now, it->second, State::kLeft, StateReason::kGoodbye);
}

void Members::Belief(Instant now, PeerId from, PeerId about, std::uint64_t incarnation, bool linked,
                     bool left) {
  if (about == self_ || from == about) return;
  const auto it = rows_.find(about);
  if (it == rows_.end()) return;
  PeerView& row = it->second;
  std::set<PeerId>& vouchers = vouchers_[about];
  if (linked && !left && incarnation >= row.incarnation) {
    vouchers.insert(from);
    if (row.state == State::kDead) Set(now, row, State::kUnreachable, row.reason);
  } else {
    vouchers.erase(from);
    const bool lost = vouchers.empty() && row.state == State::kUnreachable;
    // A goodbye is said to everybody; one heard second-hand counts once our own view agrees it is
    // gone, or if we have no view of our own yet.
    const bool unseen =
        row.reason == StateReason::kRemembered || row.reason == StateReason::kHeardOf;
    if (left && (IsLost(row.state) || unseen) && vouchers.empty() &&
        incarnation >= row.incarnation) {
      Set(now, row, State::kLeft, StateReason::kGoodbye);
    } else if (lost) {
      Set(now, row, State::kDead, row.reason);
    }
  }
  if (vouchers.empty()) vouchers_.erase(about);
}

void Members::ForgetBeliefsOf(Instant now, PeerId from) {
  for (auto it = vouchers_.begin(); it != vouchers_.end();) {
    it->second.erase(from);
    if (!it->second.empty()) {
      ++it;
      continue;
    }
    const auto row = rows_.find(it->first);
    if (row != rows_.end() && row->second.state == State::kUnreachable) {
      Set(now, row->second, State::kDead, row->second.reason);
    }
    it = vouchers_.erase(it);
  }
}

void Members::Wake(Instant now) {
  for (auto it = rows_.begin(); it != rows_.end();) {
    PeerView& row = it->second;
    if (row.state == State::kSuspect && row.connection != Connection::kConnected &&
        row.since + kSuspicion <= now) {
      Lose(now, row, row.reason);
    }
    const bool old = Forgettable(row) && last_alive_.at(it->first) + kPeerMemory <= now;
    it = old ? Remove(it) : std::next(it);
  }
}

Instant Members::NextWake() const {
  Instant next = kNever;
  for (const auto& [id, row] : rows_) {
    if (row.state == State::kSuspect) {
      if (row.connection != Connection::kConnected) next = std::min(next, row.since + kSuspicion);
    } else if (Forgettable(row)) {
      next = std::min(next, last_alive_.at(id) + kPeerMemory);
    }
  }
  return next;
}

const PeerView* Members::Find(PeerId peer) const {
  const auto it = rows_.find(peer);
  return it == rows_.end() ? nullptr : &it->second;
}

std::vector<PeerId> Members::Vouchers(PeerId about) const {
  const auto it = vouchers_.find(about);
  if (it == vouchers_.end()) return {};
  return {it->second.begin(), it->second.end()};
}

Members::Lookup Members::Resolve(std::string_view text) const {
  Lookup by_name;
  Lookup by_prefix;
  const auto offer = [](Lookup& lookup, PeerId id) {
    if (lookup.peer) lookup.ambiguous = true;
    lookup.peer = id;
  };
  const bool long_enough = text.size() >= kMinPrefix;
  if (long_enough && self_.ToText().starts_with(text)) offer(by_prefix, self_);
  for (const auto& [id, row] : rows_) {
    if (row.name == text) offer(by_name, id);
    if (long_enough && id.ToText().starts_with(text)) offer(by_prefix, id);
  }
  Lookup result = by_name.peer ? by_name : by_prefix;
  if (result.ambiguous) result.peer.reset();
  return result;
}

std::vector<Members::Change> Members::TakeChanges() {
  std::vector<Change> taken;
  taken.reserve(changes_.size());
  for (auto& [id, change] : changes_) taken.push_back(std::move(change));
  changes_.clear();
  return taken;
}

void Members::CheckInvariants() const {
  PM_CHECK(rows_.size() <= kMaxPeers);
  PM_CHECK(!rows_.contains(self_));
  PM_CHECK(last_alive_.size() == rows_.size());
  for (const auto& [id, row] : rows_) {
    PM_CHECK(row.id == id);
    PM_CHECK(last_alive_.contains(id));
    PM_CHECK((row.direction != 0) == (row.connection == Connection::kConnected));
    if (row.state == State::kAlive) PM_CHECK(row.connection == Connection::kConnected);
    PM_CHECK(!IsLost(row.state) || row.connection != Connection::kConnected);
    PM_CHECK(row.addresses.size() <= kMaxAddressesPerPeer);
    PM_CHECK(!row.round_trip || row.connection == Connection::kConnected);
    if (IsLost(row.state)) PM_CHECK(vouchers_.contains(id) == (row.state == State::kUnreachable));
  }
  for (const auto& [about, vouchers] : vouchers_) {
    PM_CHECK(!vouchers.empty() && rows_.contains(about));
    PM_CHECK(!vouchers.contains(about) && !vouchers.contains(self_));
  }
}

std::uint64_t Members::Digest() const {
  peermesh::Digest digest;
  for (const auto& [id, row] : rows_) {
    digest.Add(id).Add(row.incarnation).Add(row.epoch).Add(row.since).Add(row.name);
    digest.Add(static_cast<std::uint64_t>(row.state))
        .Add(static_cast<std::uint64_t>(row.connection));
    digest.Add(static_cast<std::uint64_t>(row.reason));
  }
  for (const auto& [about, vouchers] : vouchers_) {
    digest.Add(about);
    for (const PeerId& from : vouchers) digest.Add(from);
  }
  return digest.value();
}

}  // namespace peermesh::membership
