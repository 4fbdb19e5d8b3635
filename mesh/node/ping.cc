// Pings, and what is known of one peer.
//
// A ping is a heartbeat that asks for one back at once: whatever delays heartbeats delays it, so
// what it measures is the path that decides whether the peer counts as alive.
#include <algorithm>

#include "mesh/node/node_impl.h"

namespace peermesh::node {

membership::Members::Lookup Node::Impl::Find(std::string_view target) const {
  // As for a publish: names win over prefixes, and this peer has both.
  if (target == config_.name) return {config_.self, false};
  return members_.Resolve(target);
}

void Node::Impl::On(Instant now, const PingAsked& ping, Effects& out) {
  const membership::Members::Lookup found = Find(ping.target);
  Pinged answer{ping.request};
  if (!found.peer) {
    answer.refusal = found.ambiguous ? Refusal::kAmbiguousPeer : Refusal::kUnknownPeer;
    out.push_back(answer);
    return;
  }
  answer.peer = *found.peer;
  if (answer.peer == config_.self) {
    out.push_back(answer);
    return;
  }
  if (large_.pings.size() < kMaxPings && WaitsForLink(now, ping.target)) {
    large_.pings.push_back(ping);
    return;
  }
  const auto peer = peers_.find(answer.peer);
  if (peer == peers_.end()) {
    answer.refusal = Refusal::kPeerUnreachable;
    out.push_back(answer);
    return;
  }
  static const limits::Rate rate = limits::Rate::PerSecond(kPingsPerSecond, kPingsBurst);
  const auto until = peer->second.pings.TryTake(rate, 1, now);
  if (until || pings_.size() >= kMaxPings) {
    answer.refusal = Refusal::kRateLimited;
    answer.retry_after = until ? *until - now : kPingTimeout;
    out.push_back(answer);
    return;
  }
  Link& link = *FindLink(peer->second.winner);
  PushHeartbeat(now, link, true);
  pings_.push_back({ping.request, answer.peer, link.id, link.heartbeats_sent, now});
}

void Node::Impl::PingAnswered(Instant now, const Link& link, const Heartbeat& answer,
                              Effects& out) {
  if (pings_.empty() || answer.echo > link.heartbeats_sent) return;
  erase_if(pings_, [&](const PendingPing& ping) {
    if (ping.link != link.id || ping.number > answer.echo) return false;
    // What is echoed may be later than what asked: then the wait there is not known, and counted.
    const Duration waited = ping.number == answer.echo ? answer.echo_delay : Duration{};
    const Duration total = now - ping.asked;
    out.push_back(Pinged{ping.request, Refusal::kNone, ping.peer,
                         std::clamp(total - waited, Duration{}, total)});
    return true;
  });
}

// Those whose link is gone, and those that have waited for too long.
void Node::Impl::ResolvePings(Instant now, Effects& out) {
  if (pings_.empty()) return;
  erase_if(pings_, [&](const PendingPing& ping) {
    const bool linked = links_.contains(ping.link);
    if (linked && now < ping.asked + kPingTimeout) return false;
    out.push_back(
        Pinged{ping.request, linked ? Refusal::kNoAnswer : Refusal::kPeerUnreachable, ping.peer});
    return true;
  });
}

std::optional<PeerDetail> Node::Impl::Detail(PeerId id) const {
  PeerDetail detail;
  if (id == config_.self) {
    detail.row = Peers().front();
    return detail;
  }
  const membership::Row* row = members_.Find(id);
  if (row == nullptr) return std::nullopt;
  detail.row = members_.View(*row);
  detail.linked_to = members_.Vouchers(id);
  detail.neighbor = overlay_.IsActive(id);
  detail.accusers = quorum_.Accusers(id);
  const auto it = peers_.find(id);
  if (it == peers_.end()) return detail;
  const Peer& peer = it->second;
  for (const LinkId link_id : {peer.winner, peer.loser}) {
    if (!link_id) continue;
    const Link& link = links_.at(link_id);
    detail.links.push_back({link.id, link.direction, link.since, link.last_heard, link.expires,
                            link.heartbeats_sent, link.id == peer.sending});
  }
  detail.interest_known = peer.interest_known;
  detail.patterns = interest_.RemotePatterns(id).size();
  detail.interest_confirmed = peer.acked && peer.acked_generation == interest_.generation();
  detail.queued_bytes = peer.outbox.bytes();
  return detail;
}

}  // namespace peermesh::node
