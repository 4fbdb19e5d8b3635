// peermesh errors: what a reason means, why it came to be, and what to do.
//
// Reasons of peers and of the CA are read from docs/errors.md, which is embedded when this is
// built; that page is generated from server/wire/reasons.cc, and a test compares the two. So the
// command line knows the table without knowing the server.
#include "client/errors.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <memory>
#include <nlohmann/json.hpp>

#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/lines.h"
#include "client/cli/output.h"
#include "client/cli/parse_error.h"
#include "embedded/errors_page.h"

namespace peermesh::cli {
namespace {

struct Reason {
  std::string name, code, meaning, action;
  std::string side;  // who says it
};

// Said by the command line and the client library; those of the server that these say, too, are in
// its table. tests/client/cli looks for reasons in the sources that are in neither.
const std::vector<Reason>& OwnReasons() {
  static const std::vector<Reason> all = {
      {"BAD_CERTIFICATE", "INTERNAL", "The CA sent a certificate that does not fit the request.",
       "Check that peermesh and peermesh-ca are of compatible versions."},
      {"BAD_CONFIG", "INVALID_ARGUMENT", "peermeshd does not accept the configuration.",
       "Correct the line that the message names."},
      {"BAD_CONTEXT", "FAILED_PRECONDITION", "The file of a context cannot be understood.",
       "Make the context again: `peermesh context add NAME --replace`."},
      {"BAD_FRAME", "INTERNAL", "The peer sent what this release does not understand.",
       "Check that client and peer are of compatible versions."},
      {"BAD_IDENTITY", "FAILED_PRECONDITION", "The files of a client identity cannot be used.",
       "See what the message says of them, or make a new one: `peermesh client add`."},
      {"BAD_OPTIONS", "INVALID_ARGUMENT", "What says where the peer is contradicts itself.",
       "Give a socket, or an address with an identity."},
      {"CONNECTION_LOST", "UNAVAILABLE",
       "The connection broke before the answer: what was asked may or may not have been done.",
       "See whether the peer runs (`peermesh health`), then ask again."},
      {"CONTEXT_EXISTS", "ALREADY_EXISTS", "There is a context of that name.",
       "Choose another name, or use --replace."},
      {"GAP", "DATA_LOSS", "Messages were lost, and --raw cannot show where.",
       "Read faster, or use --on-overflow block; --allow-gaps accepts losses."},
      {"IDENTITY_EXISTS", "ALREADY_EXISTS", "The directory holds an identity.",
       "Choose another --out, or remove it."},
      {"NOT_CONNECTED", "UNAVAILABLE", "The peer cannot be reached.",
       "Start it (`peermesh up`), or name another with --socket, --address or --context."},
      {"NOT_SERVING", "UNAVAILABLE", "The peer runs and is not ready.",
       "See what it is doing: `peermesh status`."},
      {"PEER_REFUSED", "PERMISSION_DENIED",
       "The peer at the address did not accept this identity, or is not of its mesh.",
       "Check --address and --identity; an identity expires."},
      {"PROCESS_HIDDEN", "PERMISSION_DENIED", "The process of the peer may not be looked at.",
       "Run this as the user of the peer or as root, on its host."},
      {"SESSION_CLOSED", "FAILED_PRECONDITION", "The program closed its own session.",
       "Open a new one."},
      {"SOCKET_DENIED", "PERMISSION_DENIED", "The socket may not be opened by this user.",
       "Run as the user of the peer, or join the group of the socket."},
      {"UNKNOWN_CONTEXT", "NOT_FOUND", "No context has this name.",
       "Look at `peermesh context ls`."},
      {"UNKNOWN_FINDING", "NOT_FOUND", "No finding of the leak detector has this number.",
       "Look at `peermesh leaks`."},
      {"UNKNOWN_REASON", "NOT_FOUND", "No error has this reason.", "Look at `peermesh errors ls`."},
      {"USAGE", "INVALID_ARGUMENT", "The command line cannot be understood.",
       "See the --help of the command."},
      {"WINDOW_FULL", "RESOURCE_EXHAUSTED", "Too many publishes of the session are unanswered.",
       "Wait for their answers."}};
  return all;
}

std::string Trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return std::string(text);
}

// Rows "| `NAME` | CODE | what happened | what to do |".
std::vector<Reason> AllReasons() {
  std::vector<Reason> all = OwnReasons();
  for (Reason& reason : all) reason.side = "client";
  for (const std::string& line : Split(kErrorsPage, '\n')) {
    const std::vector<std::string> cells = Split(line, '|');
    if (cells.size() != 5 || !line.starts_with("| `")) continue;
    std::string name = Trim(cells[1]);
    std::erase(name, '`');
    all.push_back({name, Trim(cells[2]), Trim(cells[3]), Trim(cells[4]), "peer or CA"});
  }
  std::sort(all.begin(), all.end(),
            [](const Reason& a, const Reason& b) { return a.name < b.name; });
  return all;
}

// As a script sees it.
int ExitCodeOf(const Reason& reason) {
  for (int code = 1; code <= 16; ++code) {
    const auto status = static_cast<absl::StatusCode>(code);
    if (absl::StatusCodeToString(status) == reason.code)
      return cli::ExitCodeOf(client::MakeError(status, reason.name, ""));
  }
  return kError;
}

nlohmann::ordered_json InJson(const Reason& reason) {
  return {{"reason", reason.name},      {"code", reason.code},   {"saidBy", reason.side},
          {"happened", reason.meaning}, {"toDo", reason.action}, {"exitCode", ExitCodeOf(reason)}};
}

absl::Status List(Context& context) {
  const std::vector<Reason> all = AllReasons();
  if (!context.json) {
    Table table({"REASON", "EXIT", "WHAT HAPPENED"});
    for (const Reason& reason : all)
      table.Add({reason.name, std::to_string(ExitCodeOf(reason)), reason.meaning});
    return WriteOut(table.Render(WantsColour(stdout)));
  }
  auto errors = nlohmann::ordered_json::array();
  for (const Reason& reason : all) errors.push_back(InJson(reason));
  const nlohmann::ordered_json json = {{"schema", context.schema}, {"errors", std::move(errors)}};
  return WriteOut(json.dump(1) + "\n");
}

absl::Status LookUp(Context& context, std::string name) {
  // As it stands in a message, too: [RATE_LIMITED].
  std::erase_if(name, [](char c) { return c == '[' || c == ']'; });
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return c == '-' ? '_' : std::toupper(c); });
  const std::vector<Reason> all = AllReasons();
  std::vector<std::string> names;
  for (const Reason& reason : all) {
    names.push_back(reason.name);
    if (reason.name != name) continue;
    if (context.json) {
      nlohmann::ordered_json json = {{"schema", context.schema}};
      json.update(InJson(reason));
      return WriteOut(json.dump(1) + "\n");
    }
    return WriteOut(fmt::format(
        "reason     {}\nhappened   {}\nto do      {}\nsaid by    {}\ngRPC code  {}\nexit code  "
        "{}\n",
        reason.name, reason.meaning, reason.action, reason.side, reason.code, ExitCodeOf(reason)));
  }
  return client::MakeError(
      absl::StatusCode::kNotFound, "UNKNOWN_REASON",
      fmt::format("No error has the reason \"{:.80}\".{} See \"peermesh errors "
                  "ls\".",
                  name, Suggest(name, names)));
}

}  // namespace

void AddErrors(CLI::App& app, Context& context) {
  auto* group = app.add_subcommand("errors", "Explain the reasons that errors carry");
  group->require_subcommand(1);
  group->footer(
      "The reason of an error stands in brackets at its end, and in \"reason\" with --json.");
  group->add_subcommand("ls", "List every reason")->callback([&context] {
    context.needs_peer = false;
    context.command = [](Context& c) { return List(c); };
  });
  auto name = std::make_shared<std::string>();
  auto* lookup = group->add_subcommand("lookup", "What happened, and what to do");
  lookup->add_option("REASON", *name, "Such as RATE_LIMITED")->required();
  lookup->callback([name, &context] {
    context.needs_peer = false;
    context.command = [name](Context& c) { return LookUp(c, *name); };
  });
}

}  // namespace peermesh::cli
