// The inside of the acceptor: its loop is in acceptor.cc, what becomes of each connection in
// connections.cc. Internal to this folder.
#ifndef PEERMESH_SERVER_NET_ACCEPTOR_IMPL_H_
#define PEERMESH_SERVER_NET_ACCEPTOR_IMPL_H_

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "metrics/ledger/fd.h"
#include "metrics/ledger/thread.h"
#include "server/net/acceptor.h"
#include "server/net/sockets.h"

namespace peermesh::net {

// The time of all deadlines here.
Instant SteadyNow();

class Acceptor::Impl {
 public:
  Impl(AcceptorTimes times, ledger::UniqueFd epoll, ledger::UniqueFd wake, ledger::UniqueFd reserve)
      : times_(times),
        epoll_(std::move(epoll)),
        wake_(std::move(wake)),
        reserve_(std::move(reserve)) {}

  absl::StatusOr<std::string> Listen(ListenOptions options, Handler handler);
  void Start(const std::string& thread_name);
  void SetCaps(const std::string& listener, const Caps& caps);
  void TellLimits() const;  // to the ledger; with the lock held
  void StopListening();
  void Stop();

  bool Established(ConnectionId id, WallTime expires);
  bool Cut(ConnectionId id);
  std::size_t CutExpired(WallTime now);
  std::optional<ConnectionId> FindByPeer(const std::string& peer) const;
  void Identify(ConnectionId id, ledger::ScopeType type, std::string label);
  ledger::Scope ScopeFor(const std::string& listener, const std::string& peer,
                         ledger::ScopeType type, std::string label) const;
  std::vector<ConnectionInfo> Connections() const;
  std::vector<ListenerStats> Stats() const;

 private:
  struct Listener {
    Listener(ListenOptions o, Handler h, ListeningSocket s)
        : options(std::move(o)),
          handler(std::move(h)),
          socket(std::move(s)),
          admission(options.caps),
          scope(ledger::Scope{}, ledger::ScopeType::kClient, "of " + options.name) {
      stats.name = options.name;
      stats.address = socket.address;
    }
    const ListenOptions options;
    const Handler handler;
    ListeningSocket socket;
    Admission admission;
    ledger::Scope scope;  // of callers that cannot be told apart
    ListenerStats stats;
  };
  struct Connection {
    Listener* listener = nullptr;
    ledger::Scope owner;
    ledger::Scope scope;  // below its owner's; everything of the connection is booked here
    ledger::Handle booking;
    ledger::UniqueFd dup;
    ledger::UniqueFd held;  // what will be handed over when its first bytes are there
    ledger::Handle handed_over_fd;
    Unproven end = Unproven::kEnded;
    std::string peer;
    std::string cap_key;
    Instant opened{};
    Instant handed_over{};
    WallTime expires = WallTime::max();  // of its certificate, once that is known
    Instant deadline = kNever;  // of the handshake, or of the time after the other side closed
    bool handshaking = true;
    bool established = false;
    bool cut = false;
  };
  using Connections_ = std::map<ConnectionId, Connection>;
  enum class Next : std::uint8_t { kMore, kEmpty, kPause };

  void Run();
  int WaitMs(Instant now) const;
  void FireTimers(Instant now);
  void SetListening(Listener& listener, bool on, int operation);
  void Pause(Instant now);
  void AcceptFrom(Listener& listener);
  Next AcceptOne(std::unique_lock<std::mutex>& lock, Listener& listener);
  Next AfterError(Listener& listener, int error);
  bool PushOut(Listener& listener, const std::string& newcomer);
  bool Register(Listener& listener, ledger::UniqueFd& fd, std::string cap_key, Accepted& accepted);
  void HandOver(std::unique_lock<std::mutex>& lock, Listener& listener, Accepted accepted);
  void OnConnectionEvent(std::unique_lock<std::mutex>& lock, ConnectionId id, std::uint32_t events);
  void OnFirstBytes(std::unique_lock<std::mutex>& lock, Connections_::iterator it, bool last);
  bool Watch(ConnectionId id, const Connection& connection, int operation, bool bytes);
  void SetDeadline(ConnectionId id, Connection& connection, Instant deadline);
  void EndHandshake(Connection& connection);
  static bool Shut(Connection& connection);
  std::optional<Unproven> HowItFailed(const Connection& connection) const;
  ledger::Outcome OutcomeOf(const Connection& connection) const;
  void Forget(Connections_::iterator it);
  bool OnAcceptThread() const { return std::this_thread::get_id() == accept_thread_; }

  const AcceptorTimes times_;
  const ledger::UniqueFd epoll_;
  const ledger::UniqueFd wake_;
  ledger::Thread thread_;  // set once, by Start

  mutable std::mutex mutex_;  // guards all below; never held while a handler runs
  std::condition_variable idle_;
  ledger::UniqueFd reserve_;  // given up for a moment when there is no other descriptor
  bool started_ = false;
  bool stopping_ = false;
  bool in_handler_ = false;
  std::thread::id accept_thread_;
  Instant paused_until_ = Instant::min();
  bool paused_ = false;
  std::vector<std::unique_ptr<Listener>> listeners_;
  Connections_ connections_;
  // A pure look-up, never iterated.
  std::unordered_map<std::string, ConnectionId> by_peer_;
  std::set<std::pair<Instant, ConnectionId>> timers_;
  std::uint64_t last_id_ = 0;
};

}  // namespace peermesh::net

#endif  // PEERMESH_SERVER_NET_ACCEPTOR_IMPL_H_
