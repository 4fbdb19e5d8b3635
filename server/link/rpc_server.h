// The gRPC server of a peer, behind several doors: the mesh port, the socket of applications, the
// socket of administrators.
//
// Why one server for all doors: what crosses a peer comes in by one door and leaves by another, and
// with one completion queue the thread that polls is the one that works. With a server and a queue
// for each door, every message woke threads of other doors: a quarter to a third of the CPU of a
// peer (docs/adr/0005).
//
// gRPC shows all callers on unix sockets as "unix:", so it is the kind of credentials that tells by
// which door a call came: there is at most one door of each kind.
//
// Rules:
//   - It never listens: net::Acceptor does and hands over descriptors (gRPC's listener dies with
//   one failed accept).
//     A descriptor that comes after Shutdown began is closed here; gRPC would leak it.
//   - Every method that no registered service serves arrives at `on_call` as a Stream, on the
//   thread of its queue.
//   - Whoever, over the network, cancels more than kMaxCancels calls in kCancelWindow on one
//   connection is reported, to be cut: gRPC has
//     no defence against rapid resets of its own.
//   - Shutdown cuts connections that do not take in their end, because the other side is frozen.
//   - Shutdown always ends: a watchdog writes down the live streams and ends the process otherwise.
//
// Bounds: streams per connection (`max_streams`), message size, metadata, connections (net::Caps).
//
// Thread-safe. Shutdown from an ordinary thread only, never from a callback.
#ifndef PEERMESH_SERVER_LINK_RPC_SERVER_H_
#define PEERMESH_SERVER_LINK_RPC_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "mesh/base/limits.h"
#include "mesh/base/time.h"
#include "metrics/ledger/fd.h"
#include "server/link/queue.h"
#include "server/link/stream.h"

namespace grpc {
class ServerCredentials;
class Service;
}  // namespace grpc

namespace peermesh::link {

inline constexpr int kMaxStreams = 1024;  // for each connection; applications multiplex
// Calls at once of each connection over TLS; what is beyond is refused with STREAM_LIMIT. A link
// takes one.
inline constexpr std::size_t kMaxTlsStreams = 64;
// An application that ends 200 calls in ten seconds is broken. Guess.
inline constexpr std::size_t kMaxCancels = 200;
inline constexpr Duration kCancelWindow = std::chrono::seconds(10);
// Connections watched at once; net::Caps allows fewer.
inline constexpr std::size_t kMaxCancellers = 4096;
// For each queue: calls that may arrive while one is being taken.
inline constexpr int kCallsWaited = 8;
inline constexpr Duration kWatchdog = std::chrono::seconds(2);
inline constexpr int kStuckExitCode = 70;  // EX_SOFTWARE of sysexits.h

enum class DoorKind : std::uint8_t {
  kTls,          // callers have identities
  kSocket,       // a unix socket, whose mode is its protection
  kOwnerSocket,  // another one, which gRPC tells apart by its "local" credentials
};

// A way in: who comes by it and who serves them.
struct Door {
  std::string name;  // "mesh", "app", "admin"
  DoorKind kind = DoorKind::kSocket;
  std::shared_ptr<grpc::ServerCredentials> credentials;  // for kTls
  // Services that `on_call` serves, "peermesh.v1.MessagingService": for health, which cannot know.
  std::vector<std::string> stream_services;
  // A call, on its queue's thread: Accept or Finish it before returning.
  std::function<void(const std::shared_ptr<Stream>&)> on_call;
  // The scope in which a call of that label is booked, below that of its connection. Unset: below
  // the process.
  std::function<ledger::Scope(const CallInfo& info, std::string label)> scope_of;
};

struct RpcServerOptions {
  std::string name;  // of its threads: at most 13 bytes
  std::vector<Door> doors = std::vector<Door>(1);
  int queues = 1;
  int max_streams = kMaxStreams;
  std::size_t max_message_bytes = kMaxDataFrameBytes;
  // Callback services served beside, at every door and without asking who calls: they must outlive
  // the server. Health is always there. Their calls are in no book of ours: a peer has none.
  std::vector<grpc::Service*> services;
  // Whether calls of the method are unary and so end soon. Unset: none.
  std::function<bool(const std::string& method)> is_unary;
  // This connection cancels too much (`peer` as in CallInfo). On a queue's thread, once for each
  // window.
  std::function<void(const std::string& peer)> on_abuse;
  // Shutdown hangs; the process ends with kStuckExitCode when this returns. Default: writes the
  // table to stderr.
  std::function<void(const std::string& table)> on_stuck;
  Duration watchdog = kWatchdog;  // how long after `grace`; tests shorten it
};

struct RpcServerStats {
  std::uint64_t calls = 0;             // arrived
  std::uint64_t broken = 0;            // cancelled by the caller, or its connection broke
  std::uint64_t unauthenticated = 0;   // refused before on_call
  std::uint64_t abuses = 0;            // reports to on_abuse
  std::uint64_t late_descriptors = 0;  // closed because the server was stopping
  std::size_t live = 0;                // of these calls, now
};

class RpcServer {
 public:
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(RpcServerOptions options);
  // Shutdown(0) if that has not happened.
  ~RpcServer();
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  // A connection that came by that door, ready to use (net::Accepted).
  void HandOver(ledger::UniqueFd fd, std::size_t door = 0);
  // What grpc.health.v1 answers for the server and for each of a door's services; not serving at
  // first.
  void SetServing(bool serving);
  // Takes no more calls, waits `grace` for those there are, cancels what is left, stops the queues.
  // Streams that we opened on these queues must have ended or are cancelled. All callbacks have
  // returned when this does.
  void Shutdown(Duration grace);

  // For streams of our own on this server's queues. They must be over before Shutdown returns.
  QueuePool& pool();
  const std::vector<Door>& doors() const;
  RpcServerStats stats(std::size_t door = 0) const;
  std::vector<StreamRow> Table() const;

 private:
  class Impl;
  explicit RpcServer(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace peermesh::link

#endif  // PEERMESH_SERVER_LINK_RPC_SERVER_H_
