#include "server/observe/targets.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "server/net/hosts.h"

namespace peermesh {
namespace {

using Json = nlohmann::ordered_json;

std::string HostOf(const std::string& address) {
  const auto parsed = net::ParseHostPort(address);
  return parsed.ok() ? parsed->host : "";
}

bool IsLoopback(const std::string& host) {
  return host.starts_with("127.") || host == "localhost" || host == "::1";
}

// Hosts by which a peer is known; any loopback is the same one.
std::set<std::string> HostsOf(const membership::PeerView& peer) {
  std::set<std::string> hosts;
  for (const std::string& address : peer.addresses) {
    const std::string host = HostOf(address);
    hosts.insert(IsLoopback(host) ? "localhost" : host);
  }
  return hosts;
}

bool ShareHost(const std::set<std::string>& some, const std::set<std::string>& others) {
  return std::any_of(some.begin(), some.end(),
                     [&](const std::string& host) { return others.contains(host); });
}

// Smaller goes first.
int RankOf(membership::State state) {
  switch (state) {
    case membership::State::kAlive: return 0;
    case membership::State::kSuspect: return 1;
    case membership::State::kUnreachable: return 2;
    case membership::State::kDead: return 3;
    case membership::State::kLeft: break;
  }
  return 4;
}

}  // namespace

const char* NameOf(membership::State state) {
  switch (state) {
    case membership::State::kAlive: return "alive";
    case membership::State::kSuspect: return "suspect";
    case membership::State::kDead: return "dead";
    case membership::State::kLeft: return "left";
    case membership::State::kUnreachable: return "unreachable";
  }
  return "unknown";
}

std::string AdvertisedMetrics(const std::string& listening,
                              const std::vector<std::string>& advertised) {
  const auto parsed = net::ParseHostPort(listening);
  if (!parsed.ok()) return "";
  if (!net::IsWildcard(parsed->host)) return listening;
  for (const std::string& address : advertised) {
    const std::string host = HostOf(address);
    if (!host.empty() && host.find(':') == std::string::npos)
      return net::FormatHostPort(host, parsed->port);
  }
  return "";
}

std::string TargetsJson(const std::vector<membership::PeerView>& peers, std::string_view mesh_id) {
  std::set<std::string> own_hosts;
  std::vector<const membership::PeerView*> order;
  for (const membership::PeerView& peer : peers) {
    if (peer.self) own_hosts = HostsOf(peer);
    if (peer.state != membership::State::kLeft && !peer.metrics_address.empty())
      order.push_back(&peer);
  }
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::tuple(!a->self, RankOf(a->state), a->name, a->id) <
           std::tuple(!b->self, RankOf(b->state), b->name, b->id);
  });
  Json all = Json::array();
  std::set<std::string> listed;
  for (const membership::PeerView* peer : order) {
    const bool here = peer->self || ShareHost(HostsOf(*peer), own_hosts);
    if (IsLoopback(HostOf(peer->metrics_address)) && !here) continue;
    if (!listed.insert(peer->metrics_address).second) continue;
    all.push_back({{"targets", {peer->metrics_address}},
                   {"labels",
                    {{"__meta_peermesh_mesh", mesh_id},
                     {"__meta_peermesh_peer_id", peer->id.ToText()},
                     {"__meta_peermesh_peer_name", peer->name},
                     {"__meta_peermesh_state", NameOf(peer->state)}}}});
  }
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace peermesh
