// One running peer: every part made, wired and taken down in order.
//
// Up:   listeners bound (addresses known), gRPC servers, links, node and driver, services, metrics;
// then the first
//       turn, then connections are let in.
// Down: not ready; no new connections; goodbye to applications and peers; queues written out,
// `grace` at most;
//       streams ended; servers shut down; what is left is reported.
//
// Start and Stop from main's thread; the rest is thread-safe.
#ifndef PEERMESH_SERVER_PEER_PEER_H_
#define PEERMESH_SERVER_PEER_PEER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mesh/base/time.h"
#include "mesh/identity/certificate.h"
#include "server/api/admin_service.h"
#include "server/tls/material.h"

namespace peermesh::config::v1 {
class Config;
}  // namespace peermesh::config::v1

namespace peermesh {

class Peer {
 public:
  // What operators ask for over the network and main does. Called from any thread.
  struct Asked {
    // To leave: main then calls Stop with that grace.
    std::function<void(std::optional<Duration>)> drain;
    // To read the configuration again; the report goes to whoever asked.
    std::function<void(api::AdminService::OnReloaded)> reload;
  };
  // `config` is complete and valid (server/config). Errors say what is wrong and what to do.
  // DATA_LOSS: the state in the data directory cannot be used; UNAVAILABLE: an address or socket
  // cannot be listened on.
  static absl::StatusOr<std::unique_ptr<Peer>> Start(const config::v1::Config& config,
                                                     tls::Material material, Asked asked);
  ~Peer();

  struct Facts {
    std::string id, name, mesh_id;
    std::string listen, metrics, app_socket, admin_socket;
    std::vector<std::string> advertised;
  };
  const Facts& facts() const;

  // What a renewal came to. A certificate, of the same key, is used from now on and links are
  // replaced one by one; a failure is counted and returned.
  absl::Status Rotate(const absl::StatusOr<identity::Certificate>& renewed);
  // One that is not from a renewal, as Rotate. A failure is only returned.
  absl::Status Adopt(const identity::Certificate& certificate);
  identity::Certificate certificate() const;
  // Takes limits and seeds from a configuration that is complete and valid, and nothing else.
  void Reconfigure(const config::v1::Config& fresh);
  // The configuration was read again, and this came of it: for status and metrics.
  void Reloaded(const absl::Status& outcome);
  // Every few seconds: ends connections whose certificate has run out.
  void Sweep();
  // Proof of life: its own socket takes and greets a connection, and the node has a turn. Waits
  // `patience` at most for each of them.
  bool Answers(Duration patience);

  // What the auditor of the resource ledger has found, to the log.
  void LogLeaks();

  // Leaves the mesh in good order. Returns false if something was still queued at the end of
  // `grace`.
  bool Stop(Duration grace);

 private:
  class Impl;
  explicit Peer(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace peermesh

#endif  // PEERMESH_SERVER_PEER_PEER_H_
