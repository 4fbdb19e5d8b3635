// What a command line that cannot be parsed is told: which word is wrong, what was probably meant,
// and whose --help says more. CLI11's own words are meant for programmers.
#ifndef PEERMESH_CLIENT_CLI_PARSE_ERROR_H_
#define PEERMESH_CLIENT_CLI_PARSE_ERROR_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace peermesh::cli {

// `error` as `app.parse` threw it.
absl::Status Translate(const CLI::App& app, const CLI::ParseError& error);

// " Did you mean ...?", or nothing if none is near.
std::string Suggest(const std::string& word, const std::vector<std::string>& known);

// An error if an option or argument other than MSG is empty. It would be taken for one that is not
// given, and name another peer, or all of them.
absl::Status RefuseEmptyValues(const CLI::App& app);
// The same for "--option=", whose value CLI11 takes from the next word. Before parsing.
absl::Status RefuseEmptyValues(int argc, const char* const* argv);

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_PARSE_ERROR_H_
