// Accepts connections so that gRPC does not have to.
//
// gRPC's own listener dies for good after one failed accept() (CVE-2023-4785) and has no way to
// refuse, count or cut a connection. Here one thread accepts for all listeners of a process,
// refuses what is over a cap before a byte is read, and hands the rest over as file descriptors.
//
// Rules:
//  * No accept error ends a listener. Out of descriptors: one kept in reserve is given up to take
//    the waiting connection and close it, so nobody hangs; then accepting pauses for a moment.
//  * A connection to a TLS listener is held until its first bytes are there: what cannot become
//    TLS 1.3 ends here, and silence costs a descriptor and nothing of gRPC.
//  * A connection counts as a handshake until Established(), at most 5 s while it is held and 5 s
//    from then on. Then it is closed if it is still held, else gRPC's own deadline does.
//  * When max_handshakes are under way, a newcomer pushes out the oldest one of the address that
//    has the most, if that has more than its own: a few addresses cannot shut out all others.
//  * A dup() of each connection is kept: shutdown() on it is the only way to cut a connection gRPC
//    holds. It is closed when the connection ends, which the kernel tells without our reading.
//  * A refused connection is reset, not closed: it must not leave a TIME_WAIT entry behind.
//  * Each connection is a scope of the ledger below the one of whoever is at the other end, whose
//    name comes with Identify(). What is made on its behalf is booked there (ScopeFor).
//
// An attacker from one address gets `max_per_address` connections, `handshakes.burst` at once, and
// no more; from many addresses it can fill `max_connections` of this listener and nothing of
// another.
//
// Thread-safe. Handlers run on the accept thread and must not block; they may call back in here.
#ifndef PEERMESH_SERVER_NET_ACCEPTOR_H_
#define PEERMESH_SERVER_NET_ACCEPTOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "mesh/base/id.h"
#include "mesh/base/time.h"
#include "metrics/ledger/fd.h"
#include "metrics/ledger/scope.h"
#include "server/net/admission.h"

namespace peermesh::net {

struct ListenOptions {
  std::string name;  // for metrics and logs: "mesh", "app", "admin", "ca"
  // "host:port" (port 0: a free one; "[::]:port" takes IPv4 too) or "unix:/path".
  std::string address;
  Caps caps;
  unsigned unix_mode = 0600;  // permissions of a unix socket
  bool tls = false;           // only a ClientHello that offers TLS 1.3 is handed over
};

// A new connection. The receiver owns `fd`: non-blocking, close-on-exec, TCP_NODELAY. Until the
// connection ends it is booked as handed over; gRPC takes `fd.Release()`.
struct Accepted {
  ledger::UniqueFd fd;
  ConnectionId id;
  // As grpc::ServerContext::peer() shows it: "ipv4:192.0.2.1:5000", "ipv6:%5B::1%5D:5000", "unix:".
  std::string peer;
};

struct ConnectionInfo {
  ConnectionId id;
  std::string peer;
  std::string listener;  // its name
  Instant opened;        // steady clock
  bool established = false;
};

// How a connection ended within the time for a handshake and without Established(). TCP only: a
// socket's permissions prove enough.
enum class Unproven : std::uint8_t {
  kEnded,       // by either side: a refused certificate, a client that went away
  kTimeout,     // after all the time a handshake may take
  kNotTls,      // its first bytes were no ClientHello
  kOldTls,      // it did not offer TLS 1.3
  kCrowdedOut,  // for a newcomer, when too many were under way
};
inline constexpr std::size_t kUnprovenCount = 5;
// lower_snake, as in metric labels: "not_tls".
const char* ToString(Unproven how);

struct ListenerStats {
  std::string name;
  std::string address;                                   // as bound
  std::uint64_t accepted = 0;                            // and not refused at once
  std::uint64_t closed = 0;                              // of those
  std::uint64_t cut = 0;                                 // of those, by Cut()
  std::array<std::uint64_t, kUnprovenCount> unproven{};  // of those closed, by Unproven
  RefusalCounts refused{};                               // by net::Refusal
  std::size_t open = 0;                                  // now
  std::size_t handshakes = 0;                            // now
};

// A connection that has not proved itself after `handshake` is closed if gRPC does not have it yet;
// else it no longer counts as a handshake, and gRPC's own deadline closes it. One whose other side
// has closed is shut from here if gRPC has not noticed after `half_closed`.
struct AcceptorTimes {
  Duration handshake = std::chrono::seconds(5);
  Duration half_closed = std::chrono::seconds(5);
};

class Acceptor {
 public:
  using Handler = std::function<void(Accepted)>;

  // RESOURCE_EXHAUSTED if the process is out of descriptors.
  static absl::StatusOr<std::unique_ptr<Acceptor>> Create(AcceptorTimes times = {});
  // As Stop().
  ~Acceptor();

  // Binds and listens; connections wait in the kernel until Start(). Returns the address as bound.
  // A socket file nobody answers on is replaced. INVALID_ARGUMENT: not an address; ALREADY_EXISTS:
  // in use; PERMISSION_DENIED, UNAVAILABLE: what the system says.
  absl::StatusOr<std::string> Listen(ListenOptions options, Handler handler);
  // Begins to accept, once; listeners added later accept at once. `thread_name`: at most 15 bytes.
  void Start(const std::string& thread_name = "accept");
  // Of the listener of that name, from now on; connections that are there stay.
  void SetCaps(const std::string& listener, const Caps& caps);
  // Closes the listeners; connections that were handed over stay. After its return no handler runs,
  // unless it is called from one.
  void StopListening();
  // StopListening, then lets go of all connections without cutting them, and joins. Not from a
  // handler.
  void Stop();

  // The handshake is complete: the connection proved who it is, by a certificate good until then.
  // True the first time.
  bool Established(ConnectionId id, WallTime expires = WallTime::max());
  // Cuts the connections whose certificate has run out. Returns how many.
  std::size_t CutExpired(WallTime now);
  // Ends the connection at once. False if it is gone already.
  bool Cut(ConnectionId id);
  // By the text of `Accepted::peer`. Nothing for unix sockets: all their clients have the same
  // text.
  std::optional<ConnectionId> FindByPeer(const std::string& peer) const;

  // Who is at the other end, known from the handshake: a peer or a client, by name.
  void Identify(ConnectionId id, ledger::ScopeType type, std::string label);
  // A scope below the one of the connection `peer` came by. On unix sockets, where all have the
  // same text, below the one of the listener of that name; of the process if there is none.
  ledger::Scope ScopeFor(const std::string& listener, const std::string& peer,
                         ledger::ScopeType type, std::string label) const;

  std::vector<ConnectionInfo> Connections() const;
  std::vector<ListenerStats> Stats() const;

 private:
  class Impl;
  explicit Acceptor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace peermesh::net

#endif  // PEERMESH_SERVER_NET_ACCEPTOR_H_
