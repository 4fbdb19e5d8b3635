// Beyond the full mesh: when that is, what the overlay wishes, and links that nobody needs.
//
// Small and large are local policy: nothing on the wire names them. A peer that links to everybody
// answers the overlays of others, and one that does not sends straight to whom it has a link to.
#include <algorithm>

#include "mesh/base/growth.h"
#include "mesh/node/node_impl.h"

namespace peermesh::node {
namespace {

PeerId RandomId(Rng& rng) {
  PeerId id;
  for (std::size_t at = 0; at < 8; ++at) id.bytes[at] = static_cast<std::uint8_t>(rng.Below(256));
  return id;
}

bool LacksNeighbors(const overlay::Overlay& overlay) {
  return overlay.isolated() || overlay.starves();
}

// Those in the table that live and were not lost to the overlay lately, from a random place on: ids
// are hashes.
std::vector<PeerId> DrawLiving(Instant now, const membership::Members& members,
                               const overlay::Overlay& overlay, Rng& rng) {
  std::vector<PeerId> drawn;
  const auto& rows = members.rows();
  auto row = rows.lower_bound(RandomId(rng));
  for (std::size_t seen = 0; seen < rows.size() && drawn.size() < kSeekAtOnce; ++seen, ++row) {
    if (row == rows.end()) row = rows.begin();
    const auto& [id, its] = *row;
    if (membership::IsLiving(its.state) && !overlay.IsLost(now, id)) drawn.push_back(id);
  }
  return drawn;
}

}  // namespace

// Whether the mesh is large, by how many live in it. Grows at once and shrinks with hysteresis.
void Node::Impl::ReviewSize(Instant now, Effects& out) {
  const std::size_t full = config_.shape.full_mesh_peers;
  const std::size_t peers = members_.alive() + 1;
  // Somebody who sees more of the mesh than we do.
  const bool told = large_.surplus_heard && now - *large_.surplus_heard < kNewcomer;
  const bool outgrown = peers > full || told || full == 0;
  if (outgrown || peers > SeekFrom(full)) large_.small_since = kNever;
  if (large_.on && large_.small_since == kNever && !outgrown && peers <= SeekFrom(full)) {
    large_.small_since = now;
  }
  // A mesh that lost half of its peers may be about to find them again.
  const bool shrunk = large_.small_since != kNever && now - large_.small_since >= kShrinkTime;
  const bool large = outgrown || (large_.on && !shrunk);
  const bool seeks = large || peers > SeekFrom(full) || (large_.seeking && peers > SeekUntil(full));
  if (large != large_.on) large ? BecomeLarge(now) : BecomeSmall(now);
  if (seeks == large_.seeking || draining_) return;
  large_.seeking = seeks;
  overlay_.Seek(now, seeks, large_.overlay_wishes);
  Apply(now, large_.overlay_wishes, out);
}

// More peers than the table may hold: those that the overlay does not count on make room, drawn, so
// that what is left is a fair sample.
bool Node::Impl::MakeRoomFor(PeerId peer) {
  const std::size_t most = config_.shape.table_peers;
  const bool room = members_.size() + 1 < most;
  if (room && members_.alive() < most / 2) large_.strangers.reset();
  if (!large_.on || room || members_.Find(peer) != nullptr) return true;
  if (!large_.strangers) large_.strangers = std::make_unique<Strangers>();
  auto row = members_.rows().lower_bound(RandomId(rng_));
  for (int tries = 0; tries < kEvictionTries && !members_.rows().empty(); ++tries) {
    if (row == members_.rows().end()) row = members_.rows().begin();
    const PeerId id = row->first;
    if (!peers_.contains(id) && !overlay_.Needs(id) && !overlay_.IsCandidate(id)) {
      members_.Drop(id);
      return true;
    }
    ++row;
  }
  return false;
}

void Node::Impl::BecomeLarge(Instant now) {
  large_.on = true;
  members_.SetLarge(now, true);
  book_.SetLarge(now, true);
  large_.loud = true;
  for (const membership::Quorum::Verdict& verdict : quorum_.Standing()) {
    // Who came back while the mesh was small had to be linked to be alive. It may have died again
    // since, and nobody accuses in a small mesh.
    const membership::Row* row = members_.Find(verdict.subject);
    const bool lost =
        row != nullptr && membership::IsLost(row->state) && row->since < verdict.since;
    if (verdict.state == membership::State::kAlive && !lost) continue;
    members_.Judge(now, verdict.subject, verdict.state, verdict.reason);
  }
  large_.record_at = now;
  queues_wake_.moved = true;
  for (auto [id, peer] : peers_) {
    peer.surplus_at = now + kSurplusLink + rng_.Between({}, kSurplusSpread);
    peer.doubters = {};
  }
}

void Node::Impl::BecomeSmall(Instant now) {
  large_.on = false;
  members_.SetLarge(now, false);
  book_.SetLarge(now, false);
  large_.record_at = now;
  large_.loud = queues_wake_.moved = true;
  for (auto [id, peer] : peers_) {
    peer.surplus_at = kNever;
    peer.accused = Accused::kNot;
  }
}

void Node::Impl::MeetInOverlay(Instant now, PeerId peer, bool was_lost, Effects& out) {
  overlay_.Linked(now, peer, large_.overlay_wishes);
  Apply(now, large_.overlay_wishes, out);
  const auto met = peers_.find(peer);
  if (!large_.on || met == peers_.end()) return;
  met->second.surplus_at = now + (links_.size() > kMostUnneeded ? kUselessLink : kSurplusLink);
  queues_wake_.moved = true;
  if (!was_lost) return;
  // Two halves of a mesh have found each other, or a peer that we took for dead lives: it should
  // know, and the link should stay.
  SendEvidence(now, *FindLink(met->second.winner), {peer});
  overlay_.Bridge(now, peer, large_.overlay_wishes);
  Apply(now, large_.overlay_wishes, out);
}

// Empties `wishes`. What follows from them may add to it.
void Node::Impl::Apply(Instant now, overlay::Wishes& wishes, Effects& out) {
  for (std::size_t at = 0; at < wishes.size(); ++at) {
    overlay::Wish wish = std::move(wishes[at]);
    if (auto* send = std::get_if<overlay::Send>(&wish)) {
      const auto peer = peers_.find(send->peer);
      if (peer == peers_.end()) continue;  // its link went in this very turn
      Link& link = *FindLink(peer->second.winner);
      Introduce(link, send->message);
      PushControl(link, std::move(send->message));
    } else if (const auto* connect = std::get_if<overlay::Connect>(&wish)) {
      if (peers_.contains(connect->peer)) continue;
      if (draining_ || !book_.Want(now, connect->peer)) {
        overlay_.CannotReach(now, connect->peer, wishes);
      }
      deadlines_changed_ = true;
    } else if (const auto* release = std::get_if<overlay::Release>(&wish)) {
      book_.Unwant(release->peer);
      const auto peer = peers_.find(release->peer);
      if (peer != peers_.end() && large_.on) {
        peer->second.surplus_at = std::min(peer->second.surplus_at, now + kUselessLink);
        queues_wake_.moved = true;
      }
    } else if (const auto* up = std::get_if<overlay::Activated>(&wish)) {
      trees_.NeighborUp(now, up->peer, large_.broadcast_wishes);
      NeighborsChanged(now);
    } else if (const auto* down = std::get_if<overlay::Deactivated>(&wish)) {
      trees_.NeighborDown(now, down->peer, large_.broadcast_wishes);
      NeighborsChanged(now);
      if (const auto peer = peers_.find(down->peer); peer != peers_.end() && large_.on) {
        peer->second.surplus_at = peer->second.observed_until = now + kSurplusLink;
        queues_wake_.moved = true;
      }
    }
  }
  GiveBack(wishes);  // they come seldom
  Apply(now, large_.broadcast_wishes, out);
}

// A message names peers: whoever gets it must be able to find them. Unless it knows all that we
// know, their records go before it.
void Node::Impl::Introduce(Link& link, const overlay::Message& message) {
  if (!large_.on || SameTable(link)) return;
  std::vector<PeerId> named;
  if (const auto* walk = std::get_if<overlay::ForwardJoin>(&message)) named = {walk->joiner};
  if (const auto* reply = std::get_if<overlay::NeighborReply>(&message)) named = reply->candidates;
  if (const auto* end = std::get_if<overlay::Disconnect>(&message)) named = end->candidates;
  if (large_.partial()) {
    if (const auto* sample = std::get_if<overlay::Shuffle>(&message)) named = sample->sample;
    if (const auto* sample = std::get_if<overlay::ShuffleReply>(&message)) named = sample->sample;
  }
  SendRecordsOf(link, named);
}

void Node::Impl::OnFrame(Instant now, Link& link, overlay::Message& frame, Effects& out) {
  const LinkId id = link.id;
  if (!overlay_.Receive(now, link.peer, frame, large_.overlay_wishes)) {
    large_.overlay_wishes.clear();
    return Misbehaved(now, id, out);
  }
  Apply(now, large_.overlay_wishes, out);
}

void Node::Impl::WakeLarge(Instant now, Effects& out) {
  overlay_.Wake(now, large_.overlay_wishes);
  Apply(now, large_.overlay_wishes, out);
  trees_.Wake(now, large_.broadcast_wishes);
  Apply(now, large_.broadcast_wishes, out);
  quorum_.SetMultiplier(now, health_.multiplier());
  quorum_.Wake(now);
  ApplyVerdicts(now, out);
  if (large_.on && LacksNeighbors(overlay_) && large_.sought_all + kSeekAllEvery <= now) {
    large_.sought_all = now;
    if (overlay_.isolated()) book_.SeekAll(now);
    // Cut off with a few others, we may know them only from the table.
    for (const PeerId& peer : DrawLiving(now, members_, overlay_, rng_)) overlay_.Learn(now, peer);
  }
  if (large_.record_at <= now) {
    large_.record_at = kNever;
    const std::vector<std::uint64_t> observers = Observers();
    // Who knows none or few of our neighbours would believe anybody.
    large_.loud |= large_.published_observers < observers.size() / 2;
    large_.loud |= own_record_ && large_.on && own_record_->channels != interest_.Channels();
    if (large_.loud || (own_record_ && own_record_->observers != observers)) {
      ++own_incarnation_;
      sign_due_ = true;
    }
  }
  if (large_.partial()) {
    large_.strangers->records.Wake(now);
    large_.strangers->statements.Wake(now);
  }
  if (!large_.waiting.empty()) DeliverWaiting(now, {}, out);
  if (!large_.aside.empty()) TakeAside(now, {}, out);
  if (!large_.sparse.empty()) WakeSparse(now);
  if (QueuesWake() > now) return;
  // Whoever is told that a link is too many takes the mesh for one beyond the full mesh.
  const bool few = !large_.partial() && members_.alive() + 1 <= config_.shape.full_mesh_peers;
  std::vector<LinkId> surplus;
  for (auto [id, peer] : peers_) {
    if (peer.surplus_at > now) continue;
    peer.surplus_at = now + kSurplusLink;
    queues_wake_.moved = true;
    const bool carries = peer.loser || !peer.outbox.empty() || !peer.relay.empty();
    if (few || carries || overlay_.Needs(id) || Observes(now, id)) continue;
    surplus.push_back(peer.winner);
  }
  for (const LinkId id : surplus) {
    Link* link = FindLink(id);
    if (link == nullptr) continue;
    PushControl(*link, Goodbye{GoodbyeReason::kSurplus});
    FlushControl(*link, out);
    DropLink(now, id, membership::StateReason::kLinkClosed, true, out);
  }
}

// Of what is not looked for link by link.
Instant Node::Impl::LargeDeadline() const {
  Instant next = std::min({overlay_.NextWake(), trees_.NextWake(), quorum_.NextWake(),
                           large_.record_at, large_.news.due()});
  if (large_.on && LacksNeighbors(overlay_)) {
    next = std::min(next, large_.sought_all + kSeekAllEvery);
  }
  for (const auto& [peer, until] : large_.borrowed) next = std::min(next, until);
  for (const auto& [stream, waiting] : large_.waiting) next = std::min(next, waiting.until);
  for (const auto& [stream, aside] : large_.aside) next = std::min(next, aside.until);
  for (const auto& [channel, sparse] : large_.sparse) {
    if (sparse.owes) next = std::min(next, sparse.ask_at);
  }
  return next;
}

// One that goes is mostly followed by one that comes: one record says both.
void Node::Impl::NeighborsChanged(Instant now) {
  large_.record_at =
      std::min(large_.record_at, std::max(now + kRecordDelay, large_.last_record + kRecordEvery));
}

// Our record tells publishers on which channels somebody here listens.
void Node::Impl::ChannelsChanged() {
  if (!large_.on || !own_record_ || own_record_->channels == interest_.Channels()) return;
  large_.record_at = std::min(large_.record_at, large_.last_record + kChannelsEvery);
}

void Node::Impl::SignOwnRecord(Instant now, Effects& out) {
  SignRecord wish{.incarnation = own_incarnation_};
  if (large_.on) {
    wish.channels = interest_.Channels();
    wish.observers = Observers();
    // A refutation, or anything else but a change of neighbours, concerns everybody.
    if (large_.loud || large_.published == 0 || large_.named.size() > kMostNamed) {
      large_.published = own_incarnation_;
      large_.published_observers = wish.observers.size();
      GiveBack(large_.named);
    }
    for (const std::uint64_t observer : wish.observers) {
      const auto at = std::lower_bound(large_.named.begin(), large_.named.end(), observer);
      if (at == large_.named.end() || *at != observer) large_.named.insert(at, observer);
    }
    wish.published = large_.published;
  } else {
    large_.published = 0;
    GiveBack(large_.named);
  }
  large_.loud = false;
  large_.last_record = now;
  out.push_back(std::move(wish));
}

// Whom our record names: they say when we are gone. A small mesh needs none.
std::vector<std::uint64_t> Node::Impl::Observers() const {
  std::vector<std::uint64_t> keys;
  if (!large_.on) return keys;
  // Who is dead for a penalty does not count: its silence would in time be a voice against us.
  for (const PeerId& peer : overlay_.Active()) {
    const membership::Row* row = members_.Find(peer);
    if (row == nullptr || membership::IsLiving(row->state)) {
      keys.push_back(membership::ObserverKey(peer));
    }
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

}  // namespace peermesh::node
