#include "client/cli/run.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

#include "client/cli/command_tree.h"
#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/help.h"
#include "client/cli/interrupts.h"
#include "client/cli/output.h"
#include "client/cli/parse_error.h"
#include "server/tls/process.h"

namespace peermesh::cli {
namespace {

void AddGlobalOptions(CLI::App& app, Context& context) {
  const auto add = [&app](const char* name, std::string& target, const char* type,
                          const char* help) {
    return app.add_option(name, target, help)->type_name(type)->group("Where the peer is");
  };
  add("--data-dir", context.data_dir, "DIR",
      "Data directory of a peer on this host (or PEERMESH_DATA_DIR)");
  add("--run-dir", context.run_dir, "DIR", "Directory of its sockets (or PEERMESH_RUN_DIR)");
  auto* socket =
      add("--socket", context.socket, "PATH", "Its socket, and not --address (or PEERMESH_SOCKET)");
  add("--ca-socket", context.ca_socket, "PATH", "Socket of the CA, for token and client");
  add("--address", context.address, "HOST:PORT",
      "Mesh port of a peer on another host (or PEERMESH_ADDRESS)")
      ->excludes(socket);
  add("--identity", context.identity, "DIR",
      "Directory made by \"peermesh client add\", for --address (or PEERMESH_IDENTITY)");
  add("--context", context.context_option, "NAME",
      "A peer named by \"peermesh context add\" (or PEERMESH_CONTEXT)");
  app.add_flag("--json", context.json,
               "Print JSON for programs, with a \"schema\"; an error has \"code\", \"reason\" and "
               "\"message\"");
}

absl::Status RunCommand(Context& context) {
  if (context.plain_process) return context.command(context);
  if (auto status = tls::InitProcess(tls::Signals::kBlock); !status.ok()) return status;
  // What gRPC says of a failed connection is said better by the error that follows.
  tls::SetGrpcLogSink({});
  Interrupts interrupts;
  context.interrupts = &interrupts;
  absl::Status status = context.command(context);
  interrupts.SetAction({});
  if (auto flushed = FlushOut(); status.ok()) status = flushed;
  return status;
}

// "peermesh.peers.show.v1": what the command prints with --json.
std::string SchemaOf(const CLI::App& app) {
  std::string path = "peermesh";
  for (const CLI::App* command = &app; !command->get_subcommands().empty();) {
    command = command->get_subcommands().front();
    path += "." + command->get_name();
  }
  return path + ".v1";
}

// Options that the parser takes one by one and that make sense together only.
absl::Status CheckOptions(const CLI::App& app, Context& context) {
  if (auto status = RefuseEmptyValues(app); !status.ok()) return status;
  context.schema = SchemaOf(app);
  context.given = context;
  return FindPlace(context);
}

// Prints what went wrong and returns the exit code.
int Fail(const absl::Status& status, bool json) {
  const int code = ExitCodeOf(status);
  if (code >= kSignalled || IsSaid(status)) return code;  // whoever ended it knows
  if (json && WriteOut(JsonOf(status)).ok()) FlushOut().IgnoreError();
  PrintError(status);
  return code;
}

// Gives the commands that have none yet a heading in --help and in the manual.
void Head(CLI::App& app, const char* heading) {
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    if (command->get_group() == "Subcommands") command->group(heading);
}

void AddCommands(CLI::App& app, Context& context) {
  AddUp(app, context);
  AddPeer(app, context);
  AddReload(app, context);
  AddDrain(app, context);
  Head(app, "The peer of this host");
  AddPub(app, context);
  AddSub(app, context);
  Head(app, "Messages");
  AddPeers(app, context);
  AddToken(app, context);
  AddClient(app, context);
  Head(app, "The mesh");
  AddCheck(app, context);
  AddLeaks(app, context);
  AddBench(app, context);
  Head(app, "Diagnosis");
  AddConfig(app, context);
  AddContext(app, context);
  AddErrors(app, context);
  AddCompletion(app, context);
  AddSnippet(app, context);
  AddVersion(app, context);
  Head(app, "Settings and tools");
}

}  // namespace

void AddProgram(CLI::App& app, Context& context) {
  app.name("peermesh");
  app.description("PeerMesh: messages between hosts without a broker.");
  app.set_help_flag("-h,--help", "Print this and exit");
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", "peermesh " PEERMESH_VERSION, "Print the version and exit");
  app.formatter_fn([](const CLI::App* of, const std::string&, CLI::AppFormatMode) {
    const CommandTree tree(*of);
    return HelpOf(tree.program());
  });
  AddGlobalOptions(app, context);
  AddCommands(app, context);
  app.footer(
      "\"check\" has the exit codes of Nagios, and \"up\" those of peermeshd.\n\n"
      "\"peermesh COMMAND --help\" describes a command, and \"man peermesh-COMMAND\" says more.");
  // -h everywhere but where a message may begin with it: a command takes its help flag from here
  // when it is added, and what a command does not know is asked of the program.
  app.set_help_flag("--help", "Print this and exit");
}

int Run(int argc, const char* const* argv) {
  Context context;
  CLI::App app;
  AddProgram(app, context);
  if (argc == 2 && std::string_view(argv[1]) == "-h") {
    fmt::print("{}", app.help());
    return kOk;
  }
  absl::Status status = RefuseEmptyValues(argc, argv);
  if (status.ok()) {
    try {
      app.parse(argc, argv);
      status = CheckOptions(app, context);
    } catch (const CLI::ParseError& error) {
      if (error.get_exit_code() == 0) return app.exit(error);
      status = Translate(app, error);
      context.json = app.count("--json") != 0;
    }
  }
  if (status.ok()) status = RunCommand(context);
  if (status.ok()) return kOk;
  const int code = Fail(status, context.json);
  // To Nagios a mistake is no finding; and what it shows is the first line.
  if (!app.got_subcommand("check") || code >= kSignalled || IsSaid(status)) return code;
  if (!context.json) fmt::print("UNKNOWN - {}\n", Escape(std::string(status.message())));
  return kCheckUnknown;
}

}  // namespace peermesh::cli
