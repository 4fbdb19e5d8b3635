// One join token for each of some peers, in files: how a mesh that is started all at once, by a
// compose file or a test bed, comes together with nobody there to carry tokens.
//
// Rules:
//  * DIRECTORY/<name>.token, for its owner only, whole or not at all. A token demands its name.
//  * A start makes them anew and revokes what an earlier one left unused, so that at most one token
//    of a name is good. A name that has joined gets none, and its file goes.
//  * They are short-lived: everything is started within minutes, or the CA is started again.
//
// Whoever reads the directory within kBootstrapTokenLifetime can be any of those peers that has not
// joined yet, and nothing else.
//
// Blocking, from main's thread. Talks to the CA's own socket as `peermesh token` does.
#ifndef PEERMESH_SERVER_CA_BOOTSTRAP_TOKENS_H_
#define PEERMESH_SERVER_CA_BOOTSTRAP_TOKENS_H_

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace peermesh {

// Guess: pulling an image takes minutes, and nobody pulls between the CA and its peers for longer.
inline constexpr std::chrono::minutes kBootstrapTokenLifetime(15);
inline constexpr std::size_t kMaxBootstrapPeers = 64;  // more than start on one host

// INVALID_ARGUMENT: a name is none, or there are too many. FAILED_PRECONDITION: the directory or a
// file in it cannot be used.
absl::Status WriteBootstrapTokens(const std::string& ca_socket, const std::string& directory,
                                  const std::vector<std::string>& names);

}  // namespace peermesh

#endif  // PEERMESH_SERVER_CA_BOOTSTRAP_TOKENS_H_
