// Whether those with a link to us are well: heard, silent, or answering too late.
//
// Heartbeats go both ways, and each says which one of ours was heard last. Silence is one sign of
// trouble. The other is a peer that is heard but does not hear, or hears late: its own heartbeats
// arrive, their echoes of ours do not. Beyond the full mesh both are accusations (voices.cc); in a
// full mesh those who hear nothing from a peer tell each other, and when nearly all agree its death
// need not wait for each link's own time.
#include <algorithm>
#include <bit>

#include "mesh/node/node_impl.h"

namespace peermesh::node {
namespace {

using membership::StateReason;

bool IsSilent(Instant, const Link& link) { return link.suspected; }

// One that is silent, or late, is in trouble; when most are, we are.
bool MostAre(bool (*so)(Instant, const Link&), Instant now, const FlatMap<LinkId, Link>& links) {
  const auto count = std::count_if(links.begin(), links.end(),
                                   [&](const auto& one) { return so(now, one.second); });
  return links.size() > 2 && 2 * static_cast<std::size_t>(count) > links.size();
}

// Who hears nothing from a peer counts against it until it does again, or is gone itself.
void NoteDoubt(std::vector<PeerId>& doubters, PeerId from, const PeerBelief& belief) {
  const auto at = std::lower_bound(doubters.begin(), doubters.end(), from);
  const bool doubted = at != doubters.end() && *at == from;
  if (belief.silent && !doubted) doubters.insert(at, from);
  if (belief.linked && !belief.silent && doubted) doubters.erase(at);
}

}  // namespace

// A control frame is proof of life, because that lane is always read. A data frame is none: it may
// have waited for its grant since long before the other side went silent.
void Node::Impl::HeardFrom(Instant now, Link& link, Effects& out) {
  // To be heard from later moves the soonest deadline only if it was this one.
  const Duration patience = kSuspectAfter + links_wake_.patience;
  links_wake_.moved |= link.suspected || now < link.last_heard;
  links_wake_.moved |= link.last_heard + patience <= links_wake_.at;
  link.last_heard = now;
  members_.Heard(now, link.peer);
  Peer& peer = peers_.at(link.peer);
  if (std::exchange(link.suspected, false) && link.id == peer.winner)
    TellBelief(link.peer, link.peer);
  if (peer.accused == Accused::kSilent) {
    peer.accused = Accused::kNot;
    TakeBack(link.peer, out);
  }
}

// How long to wait for a sign of life, by how well we keep up ourselves.
Duration Node::Impl::Patience(Duration silence) const {
  return large_.on ? silence + kHeartbeat * (health_.multiplier() - 1) : silence;
}

// Whether others count on us to say when it is gone. For a moment they do though it is no neighbour
// any more: until its next record names others. It may die in between.
bool Node::Impl::Observes(Instant now, PeerId id) const {
  if (overlay_.IsActive(id)) return true;
  const auto peer = peers_.find(id);
  if (!large_.on || peer == peers_.end() || peer->second.observed_until <= now) return false;
  const membership::Row* row = members_.Find(id);
  return row != nullptr && membership::IsLiving(row->state) && row->record &&
         membership::Names(*row->record, membership::ObserverKey(config_.self));
}

void Node::Impl::Suspect(Instant now, Link& link, Effects& out) {
  PM_CHECK(!link.suspected && now < link.last_heard + Patience(kDeadAfter));
  link.suspected = links_wake_.moved = true;
  const bool own_trouble = MostAre(IsSilent, now, links_);
  if (own_trouble) health_.Missed();
  Peer& peer = peers_.at(link.peer);
  const Link* other = FindLink(link.id == peer.winner ? peer.loser : peer.winner);
  if (other != nullptr && !other->suspected) return;
  members_.Silent(now, link.peer);
  if (own_trouble) return;
  TellBelief(link.peer, link.peer);
  if (!Observes(now, link.peer) || peer.accused != Accused::kNot) return;
  peer.accused = Accused::kSilent;
  Accuse(link.peer, StateReason::kHeartbeatTimeout, out);
}

// Before each heartbeat: was the one before the last answered? Rapid's rule: 40 % of the last ten.
void Node::Impl::Watch(Instant now, const Link& link, Effects& out) {
  Peer& peer = peers_.at(link.peer);
  if (!large_.on || link.id != peer.winner || !overlay_.IsActive(link.peer)) return;
  peer.late = static_cast<std::uint16_t>((peer.late << 1 | IsLate(now, link)) & kWatchedMask);
  const int late = std::popcount(peer.late);
  if (late >= kLateAllowed && peer.accused == Accused::kNot && !MostAre(IsLate, now, links_)) {
    peer.accused = Accused::kLate;
    Accuse(link.peer, StateReason::kHeartbeatTimeout, out);
  } else if (late <= kLateForgiven && peer.accused == Accused::kLate) {
    peer.accused = Accused::kNot;
    TakeBack(link.peer, out);
  }
}

void Node::Impl::OnFrame(Instant now, Link& link, PeerStates& frame, Effects& out) {
  const PeerId from = link.peer;
  for (const PeerBelief& belief : frame.beliefs) {
    members_.Belief(now, from, belief.id, belief.incarnation, belief.linked, belief.left);
    if (const auto about = peers_.find(belief.id); !large_.on && about != peers_.end()) {
      NoteDoubt(about->second.doubters, from, belief);
    }
  }
  LoseTogether(now, out);
}

// In a full mesh: a peer that missed a heartbeat to us is lost as soon as most of the others that
// we do hear, and that have or had a link to it, take it for silent. With fewer than three of us
// there is no majority worth the name.
void Node::Impl::LoseTogether(Instant now, Effects& out) {
  if (large_.on) return;
  std::vector<LinkId> lost;
  for (const auto& [id, peer] : peers_) {
    if (peer.doubters.empty() || peer.loser) continue;
    if (now < links_.at(peer.winner).last_heard + kAgreeAfter) continue;
    std::size_t voters = 1, against = 1;
    for (const auto& [other, its] : peers_) {
      if (other == id || links_.at(its.winner).suspected) continue;
      const bool doubts = std::binary_search(peer.doubters.begin(), peer.doubters.end(), other);
      against += doubts;
      voters += doubts || members_.Vouches(other, id);
    }
    if (voters >= kFewestVoters && against >= membership::HighMark(voters)) {
      lost.push_back(peer.winner);
    }
  }
  for (const LinkId id : lost) DropLink(now, id, StateReason::kHeartbeatTimeout, true, out);
}

}  // namespace peermesh::node
