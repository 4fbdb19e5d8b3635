// Channels that few listen on, beyond the full mesh: what is published there goes straight.
//
// A broadcast is read by everybody, whoever wants it. Where at most kFewListeners peers have a
// subscription, as their records say, and each of them has a link to us, messages go to those
// alone, as in a small mesh; with no listener at all nothing is sent. A channel in use is worth the
// links: they are asked for, and kept for a minute after the last message. Until they are there,
// and where they cannot be made, the trees carry what is published; order.cc keeps the order
// between the two.
#include <algorithm>

#include "mesh/node/node_impl.h"

namespace peermesh::node {

// Whether what is published on this channel now goes to its listeners alone.
bool Node::Impl::GoesStraight(Instant now, std::uint32_t channel) {
  if (interested_[channel] > kFewListeners) large_.sparse.erase(channel);
  if (interested_[channel] > kFewListeners || !KnowsEverybody(now)) return false;
  Sparse& sparse = large_.sparse[channel];
  ListListeners(now, channel, sparse);
  const bool in_use = sparse.published && now - *sparse.published < kSurplusLink;
  sparse.published = now;
  bool all = true;
  for (const PeerId& id : sparse.listeners) {
    const auto peer = peers_.find(id);
    if (peer == peers_.end() || !peer->second.interest_known) {
      all = false;
    } else {
      KeepBorrowed(now, peer->second);
    }
  }
  if (all) {
    sparse.ask_pause = kAskFirst;
  } else if (in_use) {
    AskForListeners(now, sparse);
  }
  return all;
}

// Whether we know who listens: everybody is in our table, as far as neighbours tell, who have the
// same, and nobody came of late. While a mesh grows its news takes longer than a subscription is
// waited for.
bool Node::Impl::KnowsEverybody(Instant now) const {
  if (large_.partial() || now - std::max(started_, large_.met_at) < kNewcomer) return false;
  if (!overlay_.HasActive()) return false;
  return std::all_of(links_.begin(), links_.end(), [this](const auto& entry) {
    const Link& link = entry.second;
    return !overlay_.IsActive(link.peer) || link.table_differs < kTableDiffers;
  });
}

// Newcomers are asked for at once.
void Node::Impl::ListListeners(Instant now, std::uint32_t channel, Sparse& sparse) {
  if (std::exchange(sparse.known, true)) return;
  const std::vector<PeerId> before = std::exchange(sparse.listeners, {});
  for (const auto& [id, reported] : reported_) {
    if ((reported.channels >> channel & 1) == 0) continue;
    sparse.listeners.push_back(id);
    if (std::binary_search(before.begin(), before.end(), id)) continue;
    sparse.ask_at = now;
    sparse.ask_pause = kAskFirst;
  }
}

// For the links that are not there, less and less often.
void Node::Impl::AskForListeners(Instant now, Sparse& sparse) {
  if (now < sparse.ask_at) return;
  sparse.ask_at = now + sparse.ask_pause;
  sparse.ask_pause = std::min(2 * sparse.ask_pause, kAskAgain);
  sparse.owes = false;
  for (const PeerId& id : sparse.listeners) {
    const auto peer = peers_.find(id);
    if (peer != peers_.end()) continue;
    sparse.owes |= baselines_.Has(id);
    if (links_.size() + large_.borrowed.size() < kMostUnneeded) Borrow(now, id);
  }
  deadlines_changed_ = true;
}

// A link broke. What it carried last is accounted for by the next one, which is asked for even if
// nothing more is published.
void Node::Impl::ListenerLost(Instant now, PeerId id) {
  for (auto& [channel, sparse] : large_.sparse) {
    if (!std::binary_search(sparse.listeners.begin(), sparse.listeners.end(), id)) continue;
    sparse.owes = true;
    sparse.ask_at = now;
    deadlines_changed_ = true;
  }
}

void Node::Impl::WakeSparse(Instant now) {
  for (auto& [channel, sparse] : large_.sparse) {
    if (!sparse.owes || now < sparse.ask_at) continue;
    ListListeners(now, channel, sparse);
    AskForListeners(now, sparse);
  }
}

// A link that carries messages goes a minute after the last one, unless there are too many.
void Node::Impl::KeepBorrowed(Instant now, Peer& peer) {
  if (!large_.on || links_.size() > kMostUnneeded) return;
  // Later by half at least: it is a deadline of every message.
  if (peer.surplus_at >= now + kBorrowedLink / 2) return;
  peer.surplus_at = now + kBorrowedLink;
  queues_wake_.moved = true;
}

}  // namespace peermesh::node
