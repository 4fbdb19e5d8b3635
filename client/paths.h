// Where a peer on this host keeps its sockets and state: the same rules as peermeshd's
// (config.proto).
//
//   data directory  given, PEERMESH_DATA_DIR, else /var/lib/peermesh for root, else
//   $XDG_STATE_HOME/peermesh run directory   given, PEERMESH_RUN_DIR; <data directory>/run when
//   that was given; else /run/peermesh for root,
//                   else $XDG_RUNTIME_DIR/peermesh. A user without a peer of its own finds the
//                   host's.
//   sockets         <run directory>/app.sock and admin.sock; the CA's is <data
//   directory>/ca/ca.sock
//
// Pure but for one look whether a socket exists. Thread-safe.
#ifndef PEERMESH_CLIENT_PATHS_H_
#define PEERMESH_CLIENT_PATHS_H_

#include <string>

namespace peermesh::client {

// What the caller knows. Empty: not given.
struct Hints {
  std::string data_dir;  // option, else PEERMESH_DATA_DIR
  std::string run_dir;   // option, else PEERMESH_RUN_DIR
  bool root = false;
  std::string home;             // HOME
  std::string xdg_state_home;   // XDG_STATE_HOME
  std::string xdg_runtime_dir;  // XDG_RUNTIME_DIR
  std::string system_run_dir = "/run/peermesh";

  static Hints FromEnvironment();
};

struct Paths {
  std::string data_dir;
  std::string run_dir;
  std::string app_socket;
  std::string admin_socket;
  std::string ca_socket;
};

Paths FindPaths(const Hints& hints);

}  // namespace peermesh::client

#endif  // PEERMESH_CLIENT_PATHS_H_
