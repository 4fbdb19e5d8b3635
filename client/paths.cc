#include "client/paths.h"

#include <unistd.h>

#include <cstdlib>

namespace peermesh::client {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string DefaultDataDir(const Hints& hints) {
  if (hints.root) return "/var/lib/peermesh";
  if (!hints.xdg_state_home.empty()) return hints.xdg_state_home + "/peermesh";
  return hints.home + "/.local/state/peermesh";
}

std::string DefaultRunDir(const Hints& hints, const std::string& data_dir) {
  if (!hints.data_dir.empty()) return data_dir + "/run";
  if (hints.root) return hints.system_run_dir;
  const std::string own =
      hints.xdg_runtime_dir.empty() ? data_dir + "/run" : hints.xdg_runtime_dir + "/peermesh";
  if (access((own + "/app.sock").c_str(), F_OK) == 0) return own;
  if (access((hints.system_run_dir + "/app.sock").c_str(), F_OK) == 0) return hints.system_run_dir;
  return own;
}

}  // namespace

Hints Hints::FromEnvironment() {
  Hints hints;
  hints.data_dir = Environment("PEERMESH_DATA_DIR");
  hints.run_dir = Environment("PEERMESH_RUN_DIR");
  hints.root = geteuid() == 0;
  hints.home = Environment("HOME");
  hints.xdg_state_home = Environment("XDG_STATE_HOME");
  hints.xdg_runtime_dir = Environment("XDG_RUNTIME_DIR");
  return hints;
}

Paths FindPaths(const Hints& hints) {
  Paths paths;
  paths.data_dir = hints.data_dir.empty() ? DefaultDataDir(hints) : hints.data_dir;
  paths.run_dir = hints.run_dir.empty() ? DefaultRunDir(hints, paths.data_dir) : hints.run_dir;
  paths.app_socket = paths.run_dir + "/app.sock";
  paths.admin_socket = paths.run_dir + "/admin.sock";
  paths.ca_socket = paths.data_dir + "/ca/ca.sock";
  return paths;
}

}  // namespace peermesh::client
