// The doors of a peer, mesh, app and admin, and the gRPC server behind them.
//
// Listen binds all three, so that addresses are known and taken before anything else is made;
// connections wait in the kernel until Open. A door takes what its limits permit and hands it to
// the server, which offers the services that may be asked for by who comes that way.
//
// Listen, Start, Open and those that end it: from the thread that starts the peer. The rest is
// thread-safe.
#ifndef PEERMESH_SERVER_PEER_SERVERS_H_
#define PEERMESH_SERVER_PEER_SERVERS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mesh/limits/gcra.h"
#include "server/api/access.h"
#include "server/link/rpc_server.h"
#include "server/net/acceptor.h"
#include "server/net/hosts.h"
#include "server/tls/credentials.h"

namespace peermesh::config::v1 {
class Config;
class Limits;
class Rate;
}  // namespace peermesh::config::v1

namespace peermesh {

limits::Rate ToRate(const config::v1::Rate& rate);

class Servers {
 public:
  using OnCall = std::function<void(api::Caller, const std::shared_ptr<link::Stream>&)>;

  Servers();
  ~Servers();

  // UNAVAILABLE names the flag that sets what cannot be listened on.
  absl::Status Listen(const config::v1::Config& config);
  absl::Status Start(tls::Credentials& credentials, const OnCall& on_call);
  // Connections are let in.
  void Open();
  // Of connections: those that are there stay.
  void SetLimits(const config::v1::Limits& limits);

  // Not serving any more, no new connections; calls go on.
  void Leave();
  void Shutdown(Duration grace);
  // After Shutdown: lets go of all connections.
  void Stop();

  // After Listen.
  const std::string& mesh_address() const { return mesh_address_; }
  const std::string& app_socket() const { return app_socket_; }
  const std::string& admin_socket() const { return admin_socket_; }
  net::Acceptor& acceptor() { return *acceptor_; }
  // After Start.
  link::RpcServer& rpc() { return *rpc_; }

 private:
  std::string mesh_address_, app_socket_, admin_socket_;
  std::unique_ptr<net::Acceptor> acceptor_;
  std::unique_ptr<link::RpcServer> rpc_;
};

// What other peers are told to dial, when the mesh port is bound to `bound`: what is configured,
// else the address itself, else those of the host's interfaces.
std::vector<std::string> AdvertisedAddresses(const config::v1::Config& config,
                                             const net::HostPort& bound);

}  // namespace peermesh

#endif  // PEERMESH_SERVER_PEER_SERVERS_H_
