// What every command has: the global options, where the peer is, and how to talk to it.
#ifndef PEERMESH_CLIENT_CLI_CONTEXT_H_
#define PEERMESH_CLIENT_CLI_CONTEXT_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/channel.h"
#include "client/cli/contexts.h"
#include "client/cli/interrupts.h"
#include "client/cli/units.h"
#include "client/paths.h"
#include "client/peermesh.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace peermesh::cli {

inline constexpr Duration kConnectTimeout = std::chrono::seconds(5);
inline constexpr Duration kCallTimeout = std::chrono::seconds(10);

// The place is that of the options when they are parsed, and the one that counts when the command
// runs.
struct Context : Place {
  Place given;                 // by options
  std::string context_option;  // --context
  std::string context_name;    // of the one that is used; empty: none
  std::string chosen_by;  // what chose the place: "options", "--context", "PEERMESH_CONTEXT", ...
  bool json = false;
  std::string schema;             // of what --json prints: "peermesh.peers.show.v1"
  bool address_given = false;     // as an option or by a context, not by the environment
  bool hide_directories = false;  // those of the environment: another peer is meant

  // Set by the command that was given; run once parsing has succeeded.
  std::function<absl::Status(Context&)> command;
  // The command replaces this process: it must find signals as it left them.
  bool plain_process = false;
  // The command asks a peer or the CA, so it matters which.
  bool needs_peer = true;
  // There while a command runs, unless plain_process.
  Interrupts* interrupts = nullptr;

  client::Paths FindPaths() const;
  // Where the peer is, for people: its socket, or its address.
  std::string Target() const;
  // The peer, for applications.
  absl::StatusOr<std::unique_ptr<client::Client>> Connect() const;
  // Its health; its administration; the CA's tokens.
  absl::StatusOr<std::shared_ptr<grpc::Channel>> DialApp() const;
  absl::StatusOr<std::shared_ptr<grpc::Channel>> DialAdmin() const;
  absl::StatusOr<std::shared_ptr<grpc::Channel>> DialCa() const;
  // What the peer tells others to dial; empty if it cannot be asked.
  std::vector<std::string> AdvertisedAddresses() const;

 private:
  client::Endpoint AppEndpoint() const;
};

// Which peer is meant, of what options, environment and contexts say; see AddContext for the order.
absl::Status FindPlace(Context& context);

// One file each; adds the subcommands of a group and their actions.
void AddUp(CLI::App& app, Context& context);
void AddPeer(CLI::App& app, Context& context);  // status, health
void AddReload(CLI::App& app, Context& context);
void AddDrain(CLI::App& app, Context& context);
void AddVersion(CLI::App& app, Context& context);
void AddPeers(CLI::App& app, Context& context);  // peers
void AddPeersShow(CLI::App& peers, Context& context);
void AddPeersPing(CLI::App& peers, Context& context);
void AddLeaks(CLI::App& app, Context& context);       // leaks, resources
void AddCheck(CLI::App& app, Context& context);       // check
void AddConfig(CLI::App& app, Context& context);      // config
void AddErrors(CLI::App& app, Context& context);      // errors
void AddContext(CLI::App& app, Context& context);     // context
void AddCompletion(CLI::App& app, Context& context);  // completion
void AddSnippet(CLI::App& app, Context& context);     // snippet
void AddPub(CLI::App& app, Context& context);         // pub, send
void AddSub(CLI::App& app, Context& context);         // sub
void AddBench(CLI::App& app, Context& context);       // bench
void AddToken(CLI::App& app, Context& context);       // token
void AddClient(CLI::App& app, Context& context);      // client

// The one argument that may be empty: any other empty value is a variable that was not set.
inline constexpr char kMessage[] = "MSG";
// A peer of the mesh, for completion.
inline constexpr char kPeer[] = "PEER";
// A context, for the same.
inline constexpr char kContextName[] = "CONTEXT";

// More than anybody counts; keeps what is computed from it in 64 bits.
inline constexpr std::uint64_t kMostMessages = 1'000'000'000'000;

// An option that takes a number from 1 to `most`.
CLI::Option* AddNumber(CLI::App& app, const std::string& name, std::uint64_t& target,
                       std::uint64_t most, const std::string& help);

// An option that takes a duration such as "30s", of at most `longest`.
CLI::Option* AddDuration(CLI::App& app, const std::string& name, Duration& target,
                         const std::string& help, Duration longest = kLongestDuration);

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_CONTEXT_H_
