// The issuing CA as a whole: root, store, worker, two ports.
//
// The enrolment port is TLS with an optional certificate (joiners have none; whoever shows one
// must show a right one); the token socket is a unix socket of mode 0600. Each is a gRPC server of
// its own behind one accept loop, so that no connection to one can ever name a method of the
// other.
//
// What an attacker reaches before it has a token: TLS, HTTP/2 and protobuf parsers in a process
// that does nothing else, within caps on connections, streams (kCaStreams), message size and
// connection age.
//
// Thread-safe after Open. Stop from an ordinary thread.
#ifndef PEERMESH_SERVER_CA_CA_SERVER_H_
#define PEERMESH_SERVER_CA_CA_SERVER_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mesh/base/time.h"
#include "mesh/identity/certificate.h"

namespace peermesh::ca {

inline constexpr Duration kDefaultCertificateLifetime = std::chrono::hours(24 * 7);
inline constexpr Duration kOwnCertificateLifetime = std::chrono::hours(24 * 7);
inline constexpr int kCaStreams = 4;                          // a joiner needs one
inline constexpr std::size_t kMaxCaMessageBytes = 64u << 10;  // a certificate and kMaxRoots roots
inline constexpr Duration kCaConnectionAge = std::chrono::seconds(60);
inline constexpr Duration kStopTime = std::chrono::seconds(2);  // for calls under way

struct CaOptions {
  std::string directory;  // private; exists
  bool create = false;    // make the root if there is none
  std::string listen = "[::]:7444";
  // Where joiners reach the enrolment port: "host" or "host:port". Empty: the listen address, or
  // the first of the host's addresses when that is a wildcard.
  std::string advertise;
  Duration certificate_lifetime = kDefaultCertificateLifetime;
  std::function<WallTime()> now;  // empty: the system's clock
};

class CaServer {
 public:
  // Root and store. NOT_FOUND, FAILED_PRECONDITION, DATA_LOSS: the directory is not usable.
  static absl::StatusOr<std::unique_ptr<CaServer>> Open(CaOptions options);
  ~CaServer();  // Stop
  CaServer(const CaServer&) = delete;
  CaServer& operator=(const CaServer&) = delete;

  // Binds both and serves. What net::Acceptor::Listen returns.
  absl::Status Listen();
  // Ends calls under way, at the latest after kStopTime. Idempotent.
  void Stop();

  const std::string& mesh_id() const;
  const identity::TrustBundle& bundle() const;
  int port() const;                    // of the enrolment port
  const std::string& address() const;  // as tokens carry it
  std::string socket() const;          // path of the token socket

  // Gives the enrolment port a fresh certificate when half the life of the current one is over.
  // Call it every hour or so.
  absl::Status Refresh();

 private:
  struct Impl;
  explicit CaServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace peermesh::ca

#endif  // PEERMESH_SERVER_CA_CA_SERVER_H_
