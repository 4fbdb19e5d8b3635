#include "mesh/overlay/overlay.h"

#include <algorithm>
#include <array>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/base/growth.h"

namespace peermesh::overlay {
namespace {

template <class List>
auto FindPeer(List& list, const PeerId& peer) {
  return std::find_if(list.begin(), list.end(),
                      [&peer](const auto& entry) { return entry.peer == peer; });
}

}  // namespace

Overlay::Overlay(PeerId self, Config config, Rng rng)
    : self_(self), config_(config), rng_(rng), passive_(config.passive, rng_) {
  PM_CHECK(config_.active >= 1 && config_.active <= kMostActive);
  PM_CHECK(config_.shuffle_every > kWalkMemory);
}

void Overlay::Seek(Instant now, bool seeks, Wishes& out) {
  if (seeks == seeks_) return;
  seeks_ = seeks;
  if (seeks) {
    // Spread: a whole mesh may begin at once.
    shuffle_at_ = now + rng_.Between(Duration::zero(), config_.shuffle_every);
    PlanSwap(now, kFirstSwap);
    resume_at_ = now;
  } else {
    shuffle_at_ = kNever;
    swap_at_ = kNever;
  }
  Settle(now, out);
}

void Overlay::Linked(Instant now, PeerId peer, Wishes& out) {
  PM_CHECK(peer != self_);
  MakeRoomForOne(linked_);
  const auto place = std::lower_bound(linked_.begin(), linked_.end(), peer);
  if (place != linked_.end() && *place == peer) return;
  linked_.insert(place, peer);
  const std::optional<Timed> lost = Found(now, peer);
  if (Attempt* const attempt = FindAttempt(peer); attempt != nullptr) {
    PM_CHECK(!attempt->asked);
    if (seeks_ && (!IsFull() || attempt->parts)) {
      Ask(now, *attempt, out);
    } else {
      EndAttempt(peer);
      ReleaseIdle(peer, out);
    }
  } else if (seeks_ && !IsFull() && (active_.empty() || lost)) {
    Advise(peer, lost && lost->linked);
    Hurry(now, 1);
  }
  passive_.AddFirstHand(peer, rng_);
  Settle(now, out);
}

void Overlay::Unlinked(Instant now, PeerId peer, Loss how, Wishes& out) {
  const auto place = std::lower_bound(linked_.begin(), linked_.end(), peer);
  PM_CHECK(place != linked_.end() && *place == peer);
  linked_.erase(place);
  ReturnRoom(linked_);
  if (const Attempt* const attempt = FindAttempt(peer); attempt != nullptr) {
    PM_CHECK(attempt->asked);
    EndAttempt(peer);
  }
  if (IsActive(peer)) Deactivate(now, peer, out);
  if (how == Loss::kFailed) Lose(now, peer, true);
  Settle(now, out);
}

void Overlay::CannotReach(Instant now, PeerId peer, Wishes& out) {
  if (IsLinked(peer)) return;  // it came to us meanwhile
  EndAttempt(peer);
  Lose(now, peer, false);
  Settle(now, out);
}

void Overlay::Learn(Instant now, PeerId peer) {
  if (peer == self_ || IsActive(peer)) return;
  if (const std::optional<Timed> lost = Found(now, peer); lost && lost->linked) Advise(peer, true);
  passive_.AddFirstHand(peer, rng_);
  if (resume_at_ == kNever) resume_at_ = now;
}

void Overlay::Forget(Instant now, PeerId peer, Wishes& out) {
  EndAttempt(peer);
  const bool active = IsActive(peer);
  if (active) Deactivate(now, peer, out);
  Lose(now, peer, active || IsLinked(peer));
  Settle(now, out);
}

void Overlay::Activate(const PeerId& peer, bool keep, Wishes& out) {
  PM_CHECK(IsLinked(peer) && !IsActive(peer));
  PM_CHECK(active_.size() < kMostActive);
  MakeRoomForOne(active_);
  const auto place = std::find_if(active_.begin(), active_.end(),
                                  [&peer](const Edge& edge) { return peer < edge.peer; });
  active_.insert(place, Edge{.peer = peer, .kept = keep && kept() < KeptWanted()});
  EndAttempt(peer);
  passive_.Remove(peer);
  std::erase_if(advice_, [&peer](const Advice& advice) { return advice.peer == peer; });
  std::erase_if(seekers_, [&peer](const Timed& seeker) { return seeker.peer == peer; });
  std::erase_if(lost_, [&peer](const Timed& lost) { return lost.peer == peer; });
  if (IsFull()) advice_.clear();
  futile_ = 0;
  out.push_back(Activated{peer});
}

void Overlay::Deactivate(Instant now, const PeerId& peer, Wishes& out) {
  const auto edge = FindPeer(active_, peer);
  PM_CHECK(edge != active_.end());
  active_.erase(edge);
  ReturnRoom(active_);
  out.push_back(Deactivated{peer});
  // It probably lives, but somebody else should have its turn first.
  passive_.AddFirstHand(peer, rng_);
  passive_.MarkTried(peer);
  futile_ = 0;
  Hurry(now, 1);
}

void Overlay::PartWith(Instant now, const PeerId& peer, std::vector<PeerId> candidates,
                       Wishes& out) {
  PM_CHECK(candidates.size() <= kMostCandidates);
  Deactivate(now, peer, out);
  out.push_back(Send{peer, Disconnect{std::move(candidates)}});
  ReleaseIdle(peer, out);
}

// A neighbour that may go for `newcomer`, whose own are `theirs`; none that we chose ourselves.
std::optional<PeerId> Overlay::ToPartWith(const PeerId& newcomer, std::span<const PeerId> theirs,
                                          Which which) {
  std::array<PeerId, kMostActive> list;  // common ones in front
  std::size_t count = 0;
  std::size_t common = 0;
  for (const Edge& edge : active_) {
    if (edge.kept || edge.peer == newcomer) continue;
    const bool both = std::find(theirs.begin(), theirs.end(), edge.peer) != theirs.end();
    if (both ? which == Which::kOthers : which == Which::kCommon) continue;
    list[count++] = edge.peer;
    if (both) std::swap(list[common++], list[count - 1]);
  }
  if (count == 0) return std::nullopt;
  return list[rng_.Below(common > 0 ? common : count)];
}

// For a swap, or somebody who asks urgently.
Overlay::Which Overlay::WhoMayGo() const {
  const bool spare = active_.size() < config_.active + kSpareEdges;
  return config_.active < kSparse && spare ? Which::kCommon : Which::kCommonFirst;
}

std::optional<PeerId> Overlay::RandomNeighbor(const PeerId& but, const PeerId& nor) {
  std::size_t count = 0;
  for (const Edge& edge : active_) count += edge.peer != but && edge.peer != nor ? 1 : 0;
  if (count == 0) return std::nullopt;
  std::uint64_t skip = rng_.Below(count);
  for (const Edge& edge : active_) {
    if (edge.peer == but || edge.peer == nor || skip-- > 0) continue;
    return edge.peer;
  }
  PM_CHECK(false);
}

void Overlay::ReleaseIdle(const PeerId& peer, Wishes& out) const {
  if (IsLinked(peer) && !Needs(peer)) out.push_back(Release{peer});
}

Overlay::Attempt* Overlay::FindAttempt(const PeerId& peer) {
  const auto attempt = FindPeer(attempts_, peer);
  return attempt == attempts_.end() ? nullptr : &*attempt;
}

const Overlay::Attempt* Overlay::FindAttempt(const PeerId& peer) const {
  const auto attempt = FindPeer(attempts_, peer);
  return attempt == attempts_.end() ? nullptr : &*attempt;
}

std::optional<Overlay::Attempt> Overlay::EndAttempt(const PeerId& peer) {
  const auto attempt = FindPeer(attempts_, peer);
  if (attempt == attempts_.end()) return std::nullopt;
  Attempt ended = *attempt;
  attempts_.erase(attempt);
  if (attempts_.empty()) GiveBack(attempts_);
  return ended;
}

bool Overlay::IsLinked(const PeerId& peer) const {
  return std::binary_search(linked_.begin(), linked_.end(), peer);
}

bool Overlay::IsActive(PeerId peer) const { return FindPeer(active_, peer) != active_.end(); }

bool Overlay::Needs(PeerId peer) const { return IsActive(peer) || FindAttempt(peer) != nullptr; }

bool Overlay::IsLost(Instant now, const PeerId& peer) const {
  const auto lost = FindPeer(lost_, peer);
  return lost != lost_.end() && lost->until > now;
}

void Overlay::Lose(Instant now, const PeerId& peer, bool linked) {
  passive_.Remove(peer);
  std::erase_if(advice_, [&peer](const Advice& advice) { return advice.peer == peer; });
  std::erase_if(seekers_, [&peer](const Timed& seeker) { return seeker.peer == peer; });
  std::erase_if(lost_, [&](Timed& lost) {
    if (lost.peer == peer) linked |= lost.linked;
    return lost.peer == peer || lost.until <= now;
  });
  if (lost_.size() >= kMostLost) lost_.erase(lost_.begin());
  MakeRoomForOne(lost_);
  lost_.push_back({.peer = peer, .until = now + kLostMemory, .linked = linked});
}

std::optional<Overlay::Timed> Overlay::Found(Instant now, const PeerId& peer) {
  const auto lost = FindPeer(lost_, peer);
  if (lost == lost_.end()) return std::nullopt;
  const Timed found = *lost;
  lost_.erase(lost);
  if (found.until <= now) return std::nullopt;
  return found;
}

void Overlay::Advise(const PeerId& peer, bool urgent) {
  if (peer == self_ || Needs(peer)) return;
  std::erase_if(advice_, [&peer](const Advice& advice) { return advice.peer == peer; });
  if (advice_.size() >= kMostCandidates) advice_.erase(advice_.begin());
  advice_.push_back({.peer = peer, .urgent = urgent});
}

std::size_t Overlay::kept() const {
  return static_cast<std::size_t>(
      std::count_if(active_.begin(), active_.end(), [](const Edge& edge) { return edge.kept; }));
}

std::vector<PeerId> Overlay::Active() const {
  std::vector<PeerId> ids;
  for (const Edge& edge : active_) ids.push_back(edge.peer);
  return ids;
}

void Overlay::CheckInvariants() const {
  PM_CHECK(active_.size() <= kMostActive && attempts_.size() <= kMostAttempts);
  PM_CHECK(advice_.size() <= kMostCandidates && lost_.size() <= kMostLost);
  PM_CHECK(seekers_.size() <= kMostSeekers && given_.size() <= kMostCandidates);
  PM_CHECK(std::is_sorted(linked_.begin(), linked_.end()));
  PM_CHECK(kept() <= KeptWanted());
  PM_CHECK(!IsLinked(self_) && !passive_.Contains(self_));
  for (std::size_t i = 0; i < active_.size(); ++i) {
    PM_CHECK(i == 0 || active_[i - 1].peer < active_[i].peer);
    PM_CHECK(IsLinked(active_[i].peer));
    PM_CHECK(!passive_.Contains(active_[i].peer) && FindAttempt(active_[i].peer) == nullptr);
  }
  for (const Attempt& attempt : attempts_) {
    PM_CHECK(attempt.asked == IsLinked(attempt.peer) && attempt.peer != self_);
  }
  for (const Timed& lost : lost_) PM_CHECK(!passive_.Contains(lost.peer));
  PM_CHECK(isolated_ <= (alone_since_ != kNever));
  passive_.CheckInvariants();
  walks_.CheckInvariants();
}

std::uint64_t Overlay::Digest() const {
  peermesh::Digest digest;
  digest.Add(self_).Add(rng_.Digest()).Add(seeks_ ? 1u : 0u).Add(isolated_ ? 1u : 0u);
  for (const PeerId& peer : linked_) digest.Add(peer);
  for (const Edge& edge : active_) digest.Add(edge.peer).Add(edge.kept ? 1u : 0u);
  for (const Attempt& attempt : attempts_) {
    digest.Add(attempt.peer).Add(attempt.until).Add(static_cast<std::uint64_t>(attempt.motive));
    digest.Add((attempt.urgent ? 1u : 0u) + (attempt.parts ? 2u : 0u) + (attempt.asked ? 4u : 0u) +
               (attempt.join ? 8u : 0u));
  }
  for (const Advice& advice : advice_) digest.Add(advice.peer).Add(advice.urgent ? 1u : 0u);
  for (const Timed& lost : lost_) digest.Add(lost.peer).Add(lost.until).Add(lost.linked ? 1u : 0u);
  for (const Timed& seeker : seekers_) digest.Add(seeker.peer).Add(seeker.until);
  for (const PeerId& peer : given_) digest.Add(peer);
  digest.Add(awaited_.peer).Add(awaited_.until);
  passive_.AddTo(digest);
  walks_.AddTo(digest);
  digest.Add(splits_.next()).Add(introductions_.next()).Add(resume_at_).Add(join_again_);
  digest.Add(shuffle_at_)
      .Add(swap_at_)
      .Add(alone_since_)
      .Add(tries_)
      .Add(spent_ ? 1u : 0u)
      .Add(futile_);
  return digest.Add(static_cast<std::uint64_t>(swap_wait_.count())).Add(soon_swaps_).value();
}

}  // namespace peermesh::overlay
