#include "client/cli/run.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

#include "client/cli/context.h"
#include "client/cli/exit_code.h"
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
      "Data directory of the peer on this host (or PEERMESH_DATA_DIR)");
  add("--run-dir", context.run_dir, "DIR", "Directory of its sockets (or PEERMESH_RUN_DIR)");
  auto* socket = add("--socket", context.socket, "PATH", "Its socket (or PEERMESH_SOCKET)");
  add("--ca-socket", context.ca_socket, "PATH", "Socket of the CA, for token and client");
  add("--address", context.address, "HOST:PORT", "A peer on another host (or PEERMESH_ADDRESS)")
      ->excludes(socket);
  add("--identity", context.identity, "DIR",
      "Directory made by \"peermesh client add\", for --address (or PEERMESH_IDENTITY)");
  add("--context", context.context_option, "NAME",
      "A peer that has a name: \"peermesh context\" (or PEERMESH_CONTEXT)");
  app.add_flag(
      "--json", context.json,
      "Print JSON with a \"schema\"; an error is {\"error\": {\"code\", \"reason\", \"message\"}}");
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

}  // namespace

int Run(int argc, const char* const* argv) {
  Context context;
  CLI::App app(
      "PeerMesh: messages between hosts without a broker.\n\n"
      "  peermesh up --name alpha          start a peer, and a mesh with it\n"
      "  peermesh token create             what another host needs to join\n"
      "  peermesh sub 'hello.>'            print what arrives\n"
      "  peermesh pub hello.world hi       publish\n",
      "peermesh");
  app.set_help_flag("-h,--help", "Print this and exit");
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(std::string(kExitCodes));
  app.set_version_flag("--version", "peermesh " PEERMESH_VERSION, "Print the version and exit");
  app.get_formatter()->column_width(34);
  AddGlobalOptions(app, context);
  AddUp(app, context);
  AddPeer(app, context);
  AddPeers(app, context);
  AddLeaks(app, context);
  AddCheck(app, context);
  AddConfig(app, context);
  AddContext(app, context);
  AddErrors(app, context);
  AddCompletion(app, context);
  AddSnippet(app, context);
  AddPub(app, context);
  AddSub(app, context);
  AddToken(app, context);
  AddClient(app, context);
  // -h everywhere but where a message may begin with it: a command takes its help flag from here
  // when it is added, and what a command does not know is asked of the program.
  app.set_help_flag("--help", "Print this and exit");
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
