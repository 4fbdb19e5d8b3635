// What a service manager is told, and the signs of life it asks for: systemd's protocol over its
// datagram socket, without its library.
//
// Rules:
//  * The variables that say where to (NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID) are removed from
//    the environment: a process we start, such as the CA beside a peer, must not speak for us.
//  * Nothing waits and nothing fails: a manager that does not listen loses what it was told.
//  * A sign of life is given only after proof of it (Feed): a process that merely has a thread left
//    to say so is not alive. Three are due in each of the manager's intervals, so that one late
//    proof does not end a peer.
//
// Without a manager every call does nothing. A status line is cut at kMaxStatusBytes.
// From main's thread, and made before any other thread: it changes the environment.
#ifndef PEERMESH_SERVER_PROCESS_NOTIFY_H_
#define PEERMESH_SERVER_PROCESS_NOTIFY_H_

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "mesh/base/time.h"
#include "metrics/ledger/fd.h"

namespace peermesh {

inline constexpr std::size_t kMaxStatusBytes = 256;  // one line of `systemctl status`
inline constexpr int kProofsPerInterval = 3;
// For each step of a proof. A healthy peer needs a millisecond for all of them; the shortest
// WatchdogSec that makes sense is a multiple of it.
inline constexpr Duration kProofPatience = std::chrono::seconds(2);

class Notifier {
 public:
  static Notifier FromEnvironment();

  // It serves; what it is, in a line.
  void Ready(std::string_view status);
  // It reads its configuration again; Ready when that is done.
  void Reloading();
  // It leaves, which may take as long as that.
  void Stopping(Duration at_most);
  void Status(std::string_view status);

  // Readable when a sign of life is due; -1 if nobody wants any.
  int due() const { return timer_.get(); }
  // If one is due, gives it if `alive` says so. False: it was due and withheld.
  bool Feed(const std::function<bool()>& alive);

 private:
  Notifier() = default;
  void StartTimer(Duration interval);
  void Send(std::string_view text) const;

  std::string address_;  // of a socket, as in sockaddr_un; empty: nobody is to be told
  ledger::UniqueFd socket_;
  ledger::UniqueFd timer_;
};

// Whether a server of gRPC answers on a unix socket: the connection is taken and greeted, which
// needs the accept thread and the server behind it. Waits at most `patience`.
bool Greets(const std::string& path, Duration patience);

}  // namespace peermesh

#endif  // PEERMESH_SERVER_PROCESS_NOTIFY_H_
