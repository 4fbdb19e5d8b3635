// The one factory of TLS credentials and channels.
//
// Rules and why:
//   - Both sides present certificates and mesh/identity decides on both, within the handshake:
//     nothing unauthenticated reaches the HTTP/2 parser. gRPC itself checks nothing else.
//   - One object serves every dial; the expected peer id is also the TLS server name, so that a
//     log line or a TLS router in between knows whom a connection is for.
//   - New certificates are validated before they are published; a bad one changes nothing. New
//     channels use it at once, new inbound connections within two seconds (gRPC polls); live
//     connections keep the old one, so whoever owns them replaces them.
//   - A private key never touches a disk here: the server's copy lies in an anonymous memory file.
//
// The hooks run on gRPC's threads within a handshake: they must not block, and may still be called
// while a channel or server made here lives. Thread-safe. Outlives the servers made from it;
// channels may outlive it.
#ifndef PEERMESH_SERVER_TLS_CREDENTIALS_H_
#define PEERMESH_SERVER_TLS_CREDENTIALS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mesh/identity/certificate.h"
#include "server/tls/key.h"

namespace grpc {
class AuthContext;
class Channel;
class ServerBuilder;
class ServerCredentials;
}  // namespace grpc

namespace peermesh::tls {

enum class Direction : std::uint8_t { kInbound, kOutbound };
const char* ToString(Direction direction);  // "inbound", "outbound"

struct CredentialsHooks {
  // A handshake failed for this reason. Counts and logs.
  std::function<void(identity::Refusal, Direction)> on_refused;
};

// Whom a port admits.
struct InboundRules {
  identity::RoleSet roles = {identity::Role::kPeer, identity::Role::kClient,
                             identity::Role::kAdmin};
  // A connection without a certificate passes the handshake (enrolment only); one that is shown
  // must be right.
  bool certificate_optional = false;
  Duration late = Duration::zero();  // renewals only
};

// Whom a dial accepts.
struct OutboundRules {
  std::optional<PeerId> expected = std::nullopt;
  identity::RoleSet roles = {identity::Role::kPeer};
};

// Whose clock is wrong cannot be told from one host; that one is, can. OUT_OF_RANGE: by the clock
// here `what` is not valid, and ought to be.
absl::Status ClockContradicts(std::string_view what);

class Credentials {
 public:
  // INVALID_ARGUMENT if the certificate does not belong to the key or does not verify under the
  // bundle; OUT_OF_RANGE if it does, but not now.
  static absl::StatusOr<std::unique_ptr<Credentials>> Create(
      PrivateKey key, const identity::Certificate& certificate, identity::TrustBundle bundle,
      CredentialsHooks hooks);
  ~Credentials();
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  std::shared_ptr<grpc::ServerCredentials> ForServer(const InboundRules& rules);
  // A channel with a connection of its own. `target` is a gRPC target or "host:port".
  std::shared_ptr<grpc::Channel> Dial(const std::string& target, const OutboundRules& rules);

  // Same key, same id, valid now; else as Create, and nothing changes. RESOURCE_EXHAUSTED
  // when the process is out of descriptors: try again.
  absl::Status Rotate(const identity::Certificate& certificate);

  identity::Certificate certificate() const;
  identity::Identity self() const;  // what the current certificate says
  const PrivateKey& key() const;
  const identity::TrustBundle& bundle() const;

 private:
  struct Impl;
  explicit Credentials(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Who is at the other end of a call: UNAUTHENTICATED if there was no certificate. The handshake
// has verified it. About 50 us: once for each stream.
absl::StatusOr<identity::Identity> RemoteIdentity(const grpc::AuthContext& context);
// The certificate itself.
absl::StatusOr<identity::Certificate> RemoteCertificate(const grpc::AuthContext& context);

// Channels for somebody who has no certificate yet. Without a bundle nothing at all is verified:
// for GetBundle, whose answer is compared with a pin. With one, the other side must be a CA of
// that mesh.
std::shared_ptr<grpc::Channel> DialWithoutCertificate(
    const std::string& target, const std::optional<identity::TrustBundle>& bundle);

// A channel to the CA of the bundle that shows a certificate whatever its dates: an expired one
// may still be renewed.
std::shared_ptr<grpc::Channel> DialToRenew(const std::string& target, const PrivateKey& key,
                                           const identity::Certificate& certificate,
                                           const identity::TrustBundle& bundle);

// A channel to a unix socket, "unix:/path". The socket's mode is its protection.
std::shared_ptr<grpc::Channel> DialSocket(const std::string& path);

// What every server of ours sets: message limits, keepalive, no decompression, streams for each
// connection, handshake deadline.
void ApplyServerLimits(grpc::ServerBuilder& builder, int max_streams, int max_message_bytes);

}  // namespace peermesh::tls

#endif  // PEERMESH_SERVER_TLS_CREDENTIALS_H_
