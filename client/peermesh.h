// PeerMesh for C++ applications: connect to a peer, publish, subscribe, watch who is there.
//
//   auto client = peermesh::client::Client::Connect({});               // the peer on this host
//   auto session = (*client)->Subscribe({"orders.>"}, [](const Received& received) { ... });
//   auto receipt = (*client)->Publish("orders.new", "42");
//
// The peer is reached over its unix socket (whoever may open it may use it) or, from another host,
// over mutual TLS with the directory that `peermesh client add` made. Nothing throws; errors are
// absl::Status with a reason (errors.h). Streams reconnect by themselves and say so.
//
// A program that uses TLS calls peermesh::tls::InitProcess first thing in main: it makes TLS 1.3
// the only version, ignores SIGPIPE and switches off lock checks that make Debian's Abseil ten
// times slower.
//
// Thread-safe. Sessions and watches may outlive the client that made them.
#ifndef PEERMESH_CLIENT_PEERMESH_H_
#define PEERMESH_CLIENT_PEERMESH_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/errors.h"
#include "client/message.h"
#include "client/peer_watch.h"
#include "client/session.h"
#include "mesh/base/time.h"

namespace grpc {
class Channel;
}
namespace peermesh::v1 {
class ListPeersResponse;
class PeerFilter;
}  // namespace peermesh::v1

namespace peermesh::client {

struct Options {
  // Exactly one of these two; both empty: the application socket of the peer on this host
  // (paths.h).
  std::string socket;   // path of an application socket
  std::string address;  // "host:port" of a peer's mesh port; needs `identity`
  // Directory with key.pem, cert.pem and ca.pem.
  std::string identity;
  // Shown in the peer's reports; a label, never a right.
  std::string label = "cpp/" PEERMESH_VERSION;
  // For Connect, and for opening a session.
  Duration connect_timeout = std::chrono::seconds(5);
  // For one Publish or ListPeers.
  Duration call_timeout = std::chrono::seconds(10);
};

class Client {
 public:
  // Fails fast with NOT_CONNECTED if nobody listens.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(Options options);
  ~Client();

  // One call, one answer. For a stream of messages open a session: it pipelines.
  absl::StatusOr<Receipt> Publish(std::string_view subject, std::string_view payload);
  // At most 1,024 messages; one bad message refuses them all. `target`: only the subscriptions on
  // that peer (its name, id, or a unique prefix of its id).
  absl::StatusOr<Receipt> Publish(std::vector<Message> messages, std::string_view target = {});

  // In force when this returns. `handler` runs on the session's thread; losses and reconnects are
  // not shown to it: use OpenSession for those.
  absl::StatusOr<std::unique_ptr<Session>> Subscribe(std::vector<std::string> subjects,
                                                     std::function<void(const Received&)> handler);
  absl::StatusOr<std::unique_ptr<Session>> OpenSession(SessionOptions options);

  // Include peermesh/v1/peers.pb.h to read the answer.
  absl::StatusOr<v1::ListPeersResponse> ListPeers(const v1::PeerFilter& filter);
  std::unique_ptr<PeerWatch> WatchPeers(const v1::PeerFilter& filter);

  // For stubs of one's own on the same connection.
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

 private:
  Client(Options options, std::shared_ptr<grpc::Channel> channel);

  const Options options_;
  const std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace peermesh::client

#endif  // PEERMESH_CLIENT_PEERMESH_H_
