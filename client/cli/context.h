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

struct Context {
  // Options.
  std::string data_dir;
  std::string run_dir;
  std::string socket;
  std::string address;
  std::string identity;
  std::string ca_socket;
  bool json = false;
  bool address_given = false;  // as an option, not by the environment

  // Set by the command that was given; run once parsing has succeeded.
  std::function<absl::Status(Context&)> command;
  // The command replaces this process: it must find signals as it left them.
  bool plain_process = false;
  // There while a command runs, unless plain_process.
  Interrupts* interrupts = nullptr;

  client::Paths FindPaths() const;
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

// One file each; adds the subcommands of a group and their actions.
void AddUp(CLI::App& app, Context& context);
void AddPeer(CLI::App& app, Context& context);    // status, drain, health, version
void AddPeers(CLI::App& app, Context& context);   // peers
void AddLeaks(CLI::App& app, Context& context);   // leaks, resources
void AddPub(CLI::App& app, Context& context);     // pub, send
void AddSub(CLI::App& app, Context& context);     // sub
void AddToken(CLI::App& app, Context& context);   // token
void AddClient(CLI::App& app, Context& context);  // client

// The one argument that may be empty: any other empty value is a variable that was not set.
inline constexpr char kMessage[] = "MSG";

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
