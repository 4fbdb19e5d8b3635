// Links made for a message to one peer, or a ping, beyond the full mesh.
//
// Such a message goes straight, as it does in a small mesh. What needs the link waits until it is
// up and the other side has said what it wants; what cannot be reached in time is refused as ever.
#include <algorithm>
#include <utility>

#include "mesh/node/node_impl.h"

namespace peermesh::node {

// True while a link to the target is being made. Asks for it the first time.
bool Node::Impl::WaitsForLink(Instant now, std::string_view target) {
  if (!large_.on || draining_ || target.empty()) return false;
  const std::optional<PeerId> id = Find(target).peer;
  if (!id || *id == config_.self) return false;
  const auto peer = peers_.find(*id);
  if (peer != peers_.end() && peer->second.interest_known) {
    large_.borrowed.erase(*id);
    KeepBorrowed(now, peer->second);
    return false;
  }
  const membership::Row* row = members_.Find(*id);
  if (row == nullptr || !membership::IsTold(*row)) return false;
  if (const auto asked = large_.borrowed.find(*id); asked != large_.borrowed.end()) {
    return now < asked->second;
  }
  return Borrow(now, *id);
}

// False: too many are being made, or nobody knows where it is.
bool Node::Impl::Borrow(Instant now, PeerId id) {
  if (large_.borrowed.size() >= kMaxBorrowed) return false;
  if (!peers_.contains(id) && !book_.Want(now, id)) return false;
  large_.borrowed[id] = now + kBorrowTime;
  deadlines_changed_ = true;
  return true;
}

// Those whose link is there, or will not be.
void Node::Impl::RetryWaiting(Instant now, Effects& out) {
  if (large_.publishes.empty() && large_.pings.empty()) {
    if (!large_.borrowed.empty()) {
      std::erase_if(large_.borrowed, [now](const auto& asked) { return asked.second <= now; });
    }
    return;
  }
  for (Publish& publish : std::exchange(large_.publishes, {})) {
    if (sessions_.contains(publish.session)) On(now, publish, out);
  }
  for (const PingAsked& ping : std::exchange(large_.pings, {})) On(now, ping, out);
  std::erase_if(large_.borrowed, [now](const auto& asked) { return asked.second <= now; });
}

}  // namespace peermesh::node
