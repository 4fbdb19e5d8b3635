// What the overlay answers, and what it learns from others.
#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/base/growth.h"
#include "mesh/overlay/overlay.h"

namespace peermesh::overlay {
namespace {

bool Holds(const std::vector<PeerId>& ids, const PeerId& peer) {
  return std::find(ids.begin(), ids.end(), peer) != ids.end();
}

bool IsSound(const std::vector<PeerId>& ids) {
  if (ids.size() > kMostCandidates) return false;
  for (std::size_t i = 1; i < ids.size(); ++i) {
    const auto here = ids.begin() + static_cast<std::ptrdiff_t>(i);
    if (std::find(ids.begin(), here, *here) != here) return false;
  }
  return true;
}

}  // namespace

bool Overlay::Receive(Instant now, PeerId from, const Message& message, Wishes& out) {
  PM_CHECK(IsLinked(from));
  const bool sound =
      std::visit([&](const auto& content) { return Hear(now, from, content, out); }, message);
  Settle(now, out);
  return sound;
}

void Overlay::NotNeighbor(Instant now, PeerId peer, Wishes& out) {
  PM_CHECK(IsLinked(peer));
  if (Needs(peer)) return;
  out.push_back(Send{peer, Disconnect{}});
  Settle(now, out);
}

bool Overlay::Hear(Instant now, const PeerId& from, const Join&, Wishes& out) {
  const std::size_t wanted = std::min((config_.active - 1) / 2, kMostJoinWalks);
  std::vector<PeerId> guides = Active();
  std::erase(guides, from);
  Answer(now, from, Question::kJoin, {}, out);
  for (std::size_t i = 0; i < wanted && !guides.empty(); ++i) {
    PeerId& drawn = guides[rng_.Below(guides.size())];
    // A guide we have just parted with is no way any more.
    if (IsActive(drawn) && introductions_.TryTake(now, kIntroductionPeriod, kIntroductionBurst)) {
      out.push_back(Send{drawn, ForwardJoin{from, kMostHops - 1}});
    }
    drawn = guides.back();
    guides.pop_back();
  }
  return true;
}

bool Overlay::Hear(Instant now, const PeerId& from, const ForwardJoin& message, Wishes& out) {
  if (message.ttl > kMostHops || message.joiner == from) return false;
  if (!IsActive(from)) {
    NotNeighbor(now, from, out);
    return true;
  }
  if (message.joiner == self_) return true;
  if (!introductions_.TryTake(now, kIntroductionPeriod, kIntroductionBurst)) return true;
  if (message.ttl == kNoteAt) TakeIn(now, from, {&message.joiner, 1}, {});
  const std::optional<PeerId> next = RandomNeighbor(from, message.joiner);
  if (message.ttl == 0 || !next) {
    Introduce(now, message.joiner, out);
  } else {
    const auto left = static_cast<std::uint8_t>(message.ttl - 1);
    out.push_back(Send{*next, ForwardJoin{message.joiner, left}});
  }
  return true;
}

// The end of a walk: this newcomer gets an edge here, or an edge of ours is split for it.
void Overlay::Introduce(Instant now, const PeerId& joiner, Wishes& out) {
  if (!seeks_ || Needs(joiner) || attempts_.size() >= kMostAttempts) return;
  Attempt attempt{.peer = joiner, .motive = Motive::kIntroduced};
  if (active_.size() + attempts_.size() >= config_.active) {
    if (!ToPartWith(joiner) || !splits_.TryTake(now, kSplitPeriod, 1)) return;
    attempt.parts = true;
  }
  Start(now, attempt, out);
}

bool Overlay::Hear(Instant now, const PeerId& from, const Neighbor& message, Wishes& out) {
  if (!IsSound(message.neighbors)) return false;
  Question question = Question::kLow;
  switch (message.urgency) {
    case Urgency::kLow: break;
    case Urgency::kHigh: question = Question::kHigh; break;
    case Urgency::kSwap: question = Question::kSwap; break;
    default: return false;
  }
  Answer(now, from, question, message.neighbors, out);
  return true;
}

void Overlay::Answer(Instant now, const PeerId& from, Question question,
                     std::span<const PeerId> theirs, Wishes& out) {
  if (IsActive(from)) {
    out.push_back(Send{from, NeighborReply{true, {}}});
    return;
  }
  const std::optional<Attempt> ours = EndAttempt(from);
  NeighborReply reply{true, {}};
  // It made place for us elsewhere: rather one too many here than one too few there.
  const bool awaited = awaited_.peer == from && awaited_.until > now && !IsOver();
  if (ours || awaited ? active_.size() >= kMostActive : IsFull()) {
    const bool asked = question == Question::kHigh || question == Question::kSwap;
    const Which which = asked ? WhoMayGo() : Which::kCommonFirst;
    const std::optional<PeerId> goes =
        question == Question::kLow ? std::nullopt : ToPartWith(from, theirs, which);
    const bool may = goes || (asked && which == Which::kCommon);
    if (!may || !splits_.TryTake(now, kSplitPeriod, 1)) return Refuse(now, from, theirs, out);
    if (goes) {
      // Who swaps has no place for it, and names it to whom it parts with itself.
      std::vector<PeerId> candidates;
      if (question != Question::kSwap) candidates.push_back(from);
      PartWith(now, *goes, std::move(candidates), out);
      reply.candidates.push_back(*goes);
    }
  }
  const bool chosen = ours && (ours->motive == Motive::kChosen || ours->motive == Motive::kSwap);
  Activate(from, chosen, out);
  if (question != Question::kLow) {
    // A newcomer wants to hear of anybody; who swaps, of our neighbours (see HearYes).
    const bool alone = question == Question::kJoin;
    for (const PeerId& peer : alone ? Candidates(now, from) : Active()) {
      if (peer == from || reply.candidates.size() == kMostCandidates) continue;
      if (!alone || !Holds(reply.candidates, peer)) reply.candidates.push_back(peer);
    }
  }
  out.push_back(Send{from, std::move(reply)});
  // Crossing swaps: both ends have asked with a full view.
  if (ours && ours->parts && IsOver()) {
    if (const std::optional<PeerId> goes = ToPartWith(from)) PartWith(now, *goes, {from}, out);
  }
}

void Overlay::Refuse(Instant now, const PeerId& from, std::span<const PeerId> theirs, Wishes& out) {
  // One too many: it goes to somebody who looks for one, and does not have it.
  if (IsOver()) {
    if (const auto goes = ToPartWith(from, theirs, Which::kOthers)) {
      PartWith(now, *goes, {from}, out);
    }
  }
  out.push_back(Send{from, NeighborReply{false, Candidates(now, from)}});
  std::erase_if(seekers_,
                [&](const Timed& seeker) { return seeker.peer == from || seeker.until <= now; });
  if (seekers_.size() >= kMostSeekers) seekers_.erase(seekers_.begin());
  seekers_.push_back({.peer = from, .until = now + kSeekerMemory});
  ReleaseIdle(from, out);
}

// Whom else to ask: who was refused here lately, then neighbours and others at random.
std::vector<PeerId> Overlay::Candidates(Instant now, const PeerId& reader) {
  std::vector<PeerId> list{reader};
  for (const Timed& seeker : seekers_) {
    if (seeker.until > now && seeker.peer != reader) list.push_back(seeker.peer);
  }
  std::vector<PeerId> neighbors = Active();
  for (std::size_t i = 0; i < 2 && !neighbors.empty(); ++i) {
    PeerId& drawn = neighbors[rng_.Below(neighbors.size())];
    if (!Holds(list, drawn)) list.push_back(drawn);
    drawn = neighbors.back();
    neighbors.pop_back();
  }
  PM_CHECK(list.size() <= kMostCandidates);
  passive_.Sample(kMostCandidates + 1 - list.size(), rng_, list);
  list.erase(list.begin());
  return list;
}

bool Overlay::Hear(Instant now, const PeerId& from, const NeighborReply& message, Wishes& out) {
  if (!IsSound(message.candidates)) return false;
  if (message.accepted) {
    HearYes(now, from, message, out);
  } else {
    HearNo(now, from, message, out);
  }
  return true;
}

void Overlay::HearYes(Instant now, const PeerId& from, const NeighborReply& message, Wishes& out) {
  if (IsActive(from)) return;
  const std::optional<Attempt> attempt = EndAttempt(from);
  if (!attempt || active_.size() >= kMostActive) {
    out.push_back(Send{from, Disconnect{}});
    ReleaseIdle(from, out);
    return;
  }
  const bool chosen = attempt->motive == Motive::kChosen || attempt->motive == Motive::kSwap;
  Activate(from, chosen, out);
  TakeIn(now, from, message.candidates, {});
  if (attempt->join) resume_at_ = std::max(resume_at_, now + kAfterJoin);
  if (active_.size() == config_.active && !message.candidates.empty()) {
    awaited_ = {.peer = message.candidates.front(), .until = now + kAwaited};
  }
  if (!attempt->parts || !IsOver()) return;
  // Of a swap, the first one named is who the other end has parted with: free, and not common.
  const bool swap = attempt->motive == Motive::kSwap && !message.candidates.empty();
  const std::span<const PeerId> named = message.candidates;
  const auto goes = swap ? ToPartWith(from, named.subspan(1), WhoMayGo()) : ToPartWith(from, named);
  if (!goes) return;
  // Who asked for an edge hands it on.
  std::vector<PeerId> candidates{from};
  if (swap && named.front() != *goes && named.front() != from) {
    candidates.insert(candidates.begin(), named.front());
  }
  PartWith(now, *goes, std::move(candidates), out);
}

void Overlay::HearNo(Instant now, const PeerId& from, const NeighborReply& message, Wishes& out) {
  const std::optional<Attempt> attempt = EndAttempt(from);
  if (IsActive(from)) {
    Deactivate(now, from, out);
  } else if (!attempt) {
    return;  // too late to mean anything
  }
  TakeIn(now, from, message.candidates, {});
  if (attempt && attempt->join && seeks_ && soon_swaps_ == 0) {
    soon_swaps_ = kSoonSwaps;
    PlanSwap(now, kSoonSwap);
  }
  if (!IsFull()) {
    // Who was refused there lately stands first, and so is asked first.
    for (std::size_t i = std::min<std::size_t>(message.candidates.size(), 3); i > 0; --i) {
      if (!IsLost(now, message.candidates[i - 1])) Advise(message.candidates[i - 1], false);
    }
    if (!spent_ && !advice_.empty()) resume_at_ = std::min(resume_at_, now);
  }
  ReleaseIdle(from, out);
}

bool Overlay::Hear(Instant now, const PeerId& from, const Disconnect& message, Wishes& out) {
  if (!IsSound(message.candidates)) return false;
  if (!IsActive(from)) return true;
  Deactivate(now, from, out);
  TakeIn(now, from, message.candidates, {});
  if (message.candidates.empty() && active_.size() + 1 == config_.active) {
    resume_at_ = std::max(resume_at_, now + kAskedInstead);
  }
  for (std::size_t i = std::min<std::size_t>(message.candidates.size(), 2); i > 0; --i) {
    if (!IsLost(now, message.candidates[i - 1])) Advise(message.candidates[i - 1], false);
  }
  ReleaseIdle(from, out);
  return true;
}

bool Overlay::Hear(Instant now, const PeerId& from, const Shuffle& message, Wishes& out) {
  if (message.ttl > kMostHops || message.sample.empty() || !IsSound(message.sample)) return false;
  if (!IsActive(from)) {
    NotNeighbor(now, from, out);
    return true;
  }
  if (!walks_.Remember(now, message.walk, from)) return true;
  const std::optional<PeerId> next = RandomNeighbor(from, message.sample.front());
  if (message.ttl > 0 && next) {
    Shuffle onward = message;
    --onward.ttl;
    out.push_back(Send{*next, std::move(onward)});
    return true;
  }
  PM_CHECK(walks_.TakeBack(now, message.walk) == from);  // we answer ourselves, once
  ShuffleReply reply{message.walk, {self_}};
  std::vector<PeerId> known = message.sample;
  const std::size_t heard = known.size();
  passive_.Sample(std::min(heard, kMostCandidates) - 1, rng_, known);
  reply.sample.insert(reply.sample.end(), known.begin() + static_cast<std::ptrdiff_t>(heard),
                      known.end());
  const std::vector<PeerId> given(reply.sample.begin() + 1, reply.sample.end());
  out.push_back(Send{from, std::move(reply)});
  if (TakeIn(now, from, message.sample, given)) Hurry(now, 1);
  return true;
}

bool Overlay::Hear(Instant now, const PeerId& from, const ShuffleReply& message, Wishes& out) {
  if (!IsSound(message.sample)) return false;
  const std::optional<PeerId> back = walks_.TakeBack(now, message.walk);
  if (!back) return true;
  if (*back == self_) {
    if (TakeIn(now, from, message.sample, given_)) Hurry(now, 1);
    GiveBack(given_);
  } else if (IsLinked(*back)) {
    out.push_back(Send{*back, message});
  }
  return true;
}

// True if anything new was taken in.
bool Overlay::TakeIn(Instant now, const PeerId& source, std::span<const PeerId> peers,
                     std::span<const PeerId> given) {
  bool learned = false;
  std::erase_if(lost_, [now](const Timed& lost) { return lost.until <= now; });
  ReturnRoom(lost_);  // of a storm
  for (const PeerId& peer : peers) {
    if (peer == self_ || IsActive(peer) || IsLost(now, peer)) continue;
    learned |= passive_.AddHearsay(peer, source, given, rng_);
  }
  if (learned && resume_at_ == kNever) resume_at_ = now;
  return learned;
}

}  // namespace peermesh::overlay
