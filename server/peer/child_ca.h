// The CA that lives beside a peer which created its mesh: a process of its own, so that its key is
// in no process that talks to the mesh. Ends with its parent.
//
// From main's thread only, before and after the peer runs.
#ifndef PEERMESH_SERVER_PEER_CHILD_CA_H_
#define PEERMESH_SERVER_PEER_CHILD_CA_H_

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mesh/identity/token.h"
#include "metrics/ledger/fd.h"

namespace peermesh {

class ChildCa {
 public:
  struct Options {
    std::string directory;  // of the CA; made if there is none
    std::string listen;     // "host:port"
    std::string advertise;  // host joiners reach it at; may be empty
    std::string lifetime;   // of certificates: "168h"; empty: its default
  };
  // Starts it and waits until it serves. UNAVAILABLE: its port or socket cannot be listened on;
  // DATA_LOSS: its directory cannot be used; OUT_OF_RANGE: the clock contradicts its certificate.
  static absl::StatusOr<std::unique_ptr<ChildCa>> Start(const Options& options);
  // SIGTERM, and SIGKILL if that is not enough.
  ~ChildCa();

  // What enrolling the first peer needs: a token for `name`, which leads to the CA where it
  // listens, over loopback if that is everywhere.
  absl::StatusOr<identity::Token> CreateToken(const std::string& name) const;
  // Readable when the process has ended.
  int pidfd() const { return pidfd_.get(); }
  // Where it is reached from this host.
  std::string address() const;

 private:
  ChildCa() = default;
  // False if it still runs after `patience`.
  bool WaitForEnd(std::chrono::milliseconds patience) const;
  // Why it does not serve. Reaps it if it has ended.
  absl::Status Failure();

  pid_t pid_ = -1;
  ledger::UniqueFd pidfd_;
  int port_ = 0;
  std::string host_;  // to reach it at from here
  std::string socket_;
};

}  // namespace peermesh

#endif  // PEERMESH_SERVER_PEER_CHILD_CA_H_
