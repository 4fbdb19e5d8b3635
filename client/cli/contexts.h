// Contexts: names for the peers that somebody works with, and which one is meant when none is
// named.
//
//   $XDG_CONFIG_HOME/peermesh/contexts/NAME.json   one context (~/.config when that is not set)
//   $XDG_CONFIG_HOME/peermesh/context              the name of the one in use
//
// Directories are 0700 and files 0600: they name hosts, and where keys are, but hold no key. A file
// is replaced in one step, so whoever reads meets a whole one. What a later release writes beside
// the fields below is left alone when read.
//
// Thread-compatible.
#ifndef PEERMESH_CLIENT_CLI_CONTEXTS_H_
#define PEERMESH_CLIENT_CLI_CONTEXTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace peermesh::cli {

// Where a peer is: what the global options say. Empty: not said.
struct Place {
  std::string data_dir, run_dir, socket, address, identity, ca_socket;

  // Whether it says which peer is meant.
  bool NamesPeer() const {
    return !data_dir.empty() || !run_dir.empty() || !socket.empty() || !address.empty();
  }
};

struct StoredContext {
  std::string name, description;
  Place place;
};

class Contexts {
 public:
  // Of this user.
  Contexts();
  explicit Contexts(std::string directory) : directory_(std::move(directory)) {}

  // UNKNOWN_CONTEXT, or BAD_CONTEXT for a file that is none.
  absl::StatusOr<StoredContext> Load(const std::string& name) const;
  // Names, in alphabetical order.
  std::vector<std::string> List() const;
  bool Has(const std::string& name) const;
  absl::Status Save(const StoredContext& context) const;
  absl::Status Remove(const std::string& name) const;

  // The name of the one in use; empty: none.
  std::string Current() const;
  // Empty: none from now on.
  absl::Status Use(const std::string& name) const;

 private:
  std::string PathOf(const std::string& name) const;

  const std::string directory_;
};

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_CONTEXTS_H_
