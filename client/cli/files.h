// Files that the command line writes: whole or not at all.
#ifndef PEERMESH_CLIENT_CLI_FILES_H_
#define PEERMESH_CLIENT_CLI_FILES_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace peermesh::cli {

// Replaces the file in one step: whoever reads it finds the old or the new one. `mode` as for
// chmod.
absl::Status WriteFile(const std::string& path, std::string_view bytes, unsigned mode);

// NOT_FOUND if there is none; larger than 1 MiB is an error.
absl::StatusOr<std::string> ReadFile(const std::string& path);

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_FILES_H_
