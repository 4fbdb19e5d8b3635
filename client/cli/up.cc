// peermesh up: becomes peermeshd.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>

#include "client/cli/context.h"
#include "client/cli/daemon.h"
#include "client/cli/exit_code.h"

namespace peermesh::cli {
namespace {

struct UpOptions {
  std::string name, join, listen, metrics, config, ca_listen, certificate_lifetime, ready_fd,
      log_level, log_format, journal;
  std::vector<std::string> advertise, seeds;
};

std::vector<std::string> Arguments(const UpOptions& up, const Context& context, bool create) {
  std::vector<std::string> out = {kDaemon};
  const auto add = [&out](const char* flag, const std::string& value) {
    if (!value.empty()) out.insert(out.end(), {flag, value});
  };
  add("--name", up.name);
  add("--data-dir", context.data_dir);
  add("--run-dir", context.run_dir);
  add("--listen", up.listen);
  for (const auto& address : up.advertise) add("--advertise", address);
  for (const auto& seed : up.seeds) add("--seed", seed);
  add("--metrics", up.metrics);
  add("--config", up.config);
  add("--join", up.join);
  add("--ca-listen", up.ca_listen);
  add("--certificate-lifetime", up.certificate_lifetime);
  add("--ready-fd", up.ready_fd);
  add("--log-level", up.log_level);
  add("--log-format", up.log_format);
  add("--journal", up.journal);
  if (create) out.emplace_back("--create");
  return out;
}

absl::Status Up(const UpOptions& up, const Context& context) {
  if (context.json) {
    return UsageError(
        "\"up\" becomes peermeshd, which prints no JSON. Leave --json out; --ready-fd gets a line "
        "of "
        "it, and --log-format json makes the log of it.");
  }
  if (up.join.starts_with("pm1.")) {
    return UsageError(
        "--join takes a file, because every user of this host can read the arguments of a program. "
        "Pass the token on standard input: echo TOKEN | peermesh up --join -");
  }
  std::error_code error;
  if (std::filesystem::is_directory(up.join, error)) {
    return UsageError(fmt::format("{} is a directory. Name the file with the token.", up.join));
  }
  const char* join = std::getenv("PEERMESH_JOIN");
  const bool joins = !up.join.empty() || (join != nullptr && *join != '\0');
  // A peer that is in a mesh already stays in it: --create is for one that is in none.
  std::vector<std::string> arguments = Arguments(up, context, !joins);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const std::string daemon = FindDaemon();
  execvp(daemon.c_str(), argv.data());
  return CannotStart(daemon);
}

}  // namespace

void AddUp(CLI::App& app, Context& context) {
  auto up = std::make_shared<UpOptions>();
  auto* command = app.add_subcommand("up", "Start the peer of this host");
  command->footer(
      "The peer returns to its mesh, joins one with --join, or creates one. It runs until it is "
      "told to "
      "stop: ^C, SIGTERM, or \"peermesh drain\".");
  command->add_option("--name", up->name, "Name of the peer (default: the host's)");
  command
      ->add_option("--join", up->join,
                   "File with a join token, - for standard input (or the token in PEERMESH_JOIN)")
      ->type_name("FILE");
  command->add_option("--listen", up->listen, "Address of the mesh port (default [::]:7443)")
      ->type_name("HOST:PORT");
  command->add_option("--advertise", up->advertise, "Address told to other peers; repeatable")
      ->type_name("HOST[:PORT]");
  command->add_option("--seed", up->seeds, "Peer to dial first; repeatable")
      ->type_name("HOST:PORT");
  command
      ->add_option("--metrics", up->metrics,
                   "Address of the metrics port (default 127.0.0.1:9464), or off")
      ->type_name("HOST:PORT");
  command
      ->add_option("--ca-listen", up->ca_listen,
                   "Address of the CA's port (default: the host of --listen, port 7444)")
      ->type_name("HOST:PORT");
  command
      ->add_option("--certificate-lifetime", up->certificate_lifetime,
                   "Life of certificates that CA issues (default 7d)")
      ->type_name("DURATION");
  command->add_option("--config", up->config, "Configuration file")->type_name("FILE");
  command
      ->add_option("--ready-fd", up->ready_fd,
                   "Write a line of JSON to this file descriptor when the peer is ready")
      ->type_name("N");
  command->add_option("--log-level", up->log_level, "trace, debug, info, warning or error");
  command->add_option("--log-format", up->log_format, "text or json");
  command
      ->add_option("--journal", up->journal,
                   "Record what the mesh controller is told, payloads left out")
      ->type_name("FILE");
  command->callback([up, &context] {
    context.plain_process = true;
    context.needs_peer = false;
    context.command = [up](Context& c) { return Up(*up, c); };
  });
}

}  // namespace peermesh::cli
