// What a peer tells Prometheus: one snapshot a scrape, taken within one turn, no peer as a label;
// and where it finds the others (targets.h).
#ifndef PEERMESH_SERVER_OBSERVE_PEER_METRICS_H_
#define PEERMESH_SERVER_OBSERVE_PEER_METRICS_H_

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "mesh/base/time.h"
#include "mesh/identity/certificate.h"
#include "mesh/node/node.h"
#include "metrics/export/exporter.h"
#include "metrics/ledger/auditor.h"
#include "server/tls/credentials.h"

namespace peermesh {

namespace api {
class Applications;
}  // namespace api
namespace link {
class Links;
class RpcServer;
}  // namespace link
namespace net {
class Acceptor;
}  // namespace net

// Handshakes refused by our verifier. Counted from gRPC's threads.
class TlsRefusals {
 public:
  void Count(identity::Refusal refusal, tls::Direction direction) {
    ++counts_[static_cast<std::size_t>(direction)][static_cast<std::size_t>(refusal)];
  }
  std::uint64_t count(identity::Refusal refusal, tls::Direction direction) const {
    return counts_[static_cast<std::size_t>(direction)][static_cast<std::size_t>(refusal)];
  }

 private:
  std::array<std::array<std::atomic<std::uint64_t>, identity::kRefusalCount>, 2> counts_{};
};

class PeerMetrics {
 public:
  // How often the configuration was read again.
  struct Reloads {
    std::atomic<std::uint64_t> done{0}, failed{0};
  };
  // All outlive the metrics; Stop comes before they go.
  struct Sources {
    std::function<bool()> ready;
    std::function<bool(const std::function<void(const node::Node&)>&)> look;
    const net::Acceptor* acceptor = nullptr;
    const link::Links* links = nullptr;
    const link::RpcServer* rpc = nullptr;
    const api::Applications* applications = nullptr;
    const TlsRefusals* refusals = nullptr;
    const std::atomic<std::uint64_t>* failed_renewals = nullptr;
    const Reloads* reloads = nullptr;
    std::function<WallTime()> certificate_expiry;
    const ledger::Auditor* auditor = nullptr;
    std::string title;  // of the debug pages: "peer alpha"
    std::string mesh_id;
  };

  // `listen` "off" serves nothing.
  static absl::StatusOr<std::unique_ptr<PeerMetrics>> Start(const std::string& listen,
                                                            Sources sources);
  void Stop() { exporter_.Stop(); }
  // "host:port"; empty if off.
  std::string address() const { return exporter_.address(); }

 private:
  explicit PeerMetrics(Sources sources) : sources_(std::move(sources)) {}
  metrics::Document Targets() const;
  void Collect(metrics::Page& page) const;
  void CollectNode(const node::Node& node, metrics::Page& page) const;
  void CollectConnections(metrics::Page& page) const;
  static void CollectLargeMesh(const node::Node& node, const node::Census& census,
                               metrics::Page& page);
  void CollectLinks(metrics::Page& page) const;
  void CollectRefusals(metrics::Page& page) const;

  const Sources sources_;
  metrics::Exporter exporter_;
};

}  // namespace peermesh

#endif  // PEERMESH_SERVER_OBSERVE_PEER_METRICS_H_
