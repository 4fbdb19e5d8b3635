// peermesh snippet: a complete program in another language that talks to this peer.
//
// The programs are those of client/examples, which are embedded when this is built and tested
// there: what is printed is an example and what it shares with the others in one file, with the
// defaults that lead to the peer that a command would talk to.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "client/cli/context.h"
#include "client/cli/lines.h"
#include "client/cli/output.h"
#include "embedded/examples.h"
#include "mesh/base/check.h"

namespace peermesh::cli {
namespace {

struct Target {
  Place place;
  std::string protos;
};

// Where the public protos are: of the installation, or of the checkout that holds this program.
std::string FindProtos() {
  if (const char* given = std::getenv("PEERMESH_PROTOS"); given != nullptr && *given != '\0')
    return given;
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* place : {"../share/peermesh/protos", "../../protos"}) {
    const std::string path = (self / place).lexically_normal();
    if (access((path + "/peermesh/v1/messaging.proto").c_str(), R_OK) == 0) return path;
  }
  return "/usr/share/peermesh/protos";
}

// A string literal of Python, JavaScript and Go alike.
std::string Literal(const std::string& text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote || c == '\\') out += '\\';
    out += c;
  }
  return out + quote;
}

// What stands in an example, once: its tests would notice.
void Replace(std::string& text, std::string_view what, const std::string& with) {
  const std::size_t at = text.find(what);
  PM_CHECK(at != std::string::npos);
  text.replace(at, what.size(), with);
}

void ReplaceAll(std::string& text, std::string_view what, std::string_view with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
    text.replace(at, what.size(), with);
}

bool IsImport(const std::string& line) {
  return line.starts_with("import ") || line.starts_with("from ");
}

// --- Python --------------------------------------------------------------------------------------

struct Module {
  std::string title;  // the line in its """
  std::set<std::string> imports;
  std::string body;
};

Module Parse(std::string_view source) {
  Module module;
  bool titled = false;
  for (const std::string& line : Split(source, '\n')) {
    if (!titled && line.starts_with("\"\"\"")) {
      module.title = line.substr(3, line.size() - 6);
      titled = true;
    } else if (IsImport(line)) {
      module.imports.insert(line);
    } else if (!module.body.empty() || !line.empty()) {
      module.body += line + "\n";
    }
  }
  return module;
}

std::string Python(std::string_view example, const std::string& name, const Target& target) {
  Module shared = Parse(kConnectPy), program = Parse(example);
  program.imports.erase("import connect");
  ReplaceAll(program.body, "connect.", "");
  const std::string socket = Literal(target.place.socket, '"');
  Replace(shared.body, "\"/run/peermesh/app.sock\"", socket);
  for (const auto& [variable, value] : {std::pair{"PEERMESH_ADDRESS", target.place.address},
                                        std::pair{"PEERMESH_IDENTITY", target.place.identity}}) {
    if (value.empty()) continue;
    const std::string call = fmt::format("os.environ.get(\"{}\"", variable);
    Replace(shared.body, call + ")", fmt::format("{}, {})", call, Literal(value, '"')));
  }
  program.imports.merge(shared.imports);
  // The standard library, gRPC and what it needs, and ours.
  std::string parts[3];
  for (const std::string& line : program.imports) {
    const bool ours = line.starts_with("from peermesh.");
    parts[ours                                                                  ? 2
          : line.find("grpc") != std::string::npos || line.starts_with("from ") ? 1
                                                                                : 0] += line + "\n";
  }
  const std::string usage = name == "publish"
                                ? "echo hi | PYTHONPATH=stubs python3 publish.py hello.world"
                                : "PYTHONPATH=stubs python3 subscribe.py 'hello.>'";
  return fmt::format(
      "\"\"\"{}\n\n"
      "Needs python3-grpcio and python3-protobuf, and stubs (protobuf-compiler-grpc):\n\n"
      "    mkdir -p stubs && (cd {} && protoc -I . --python_out=\"$OLDPWD/stubs\" "
      "--grpc_python_out=\"$OLDPWD/stubs\" \\\n"
      "      --plugin=protoc-gen-grpc_python=\"$(command -v grpc_python_plugin)\" "
      "google/rpc/*.proto "
      "peermesh/v1/*.proto)\n"
      "    {}\n\"\"\"\n\n{}\n{}\n{}\n{}\n\n{}",
      program.title, target.protos, usage, parts[0], parts[1], parts[2], shared.body, program.body);
}

// --- Node.js -------------------------------------------------------------------------------------

std::string WithoutLines(std::string_view source, std::initializer_list<std::string_view> begins) {
  std::string out;
  for (const std::string& line : Split(source, '\n')) {
    const bool goes = std::any_of(begins.begin(), begins.end(),
                                  [&](std::string_view begin) { return line.starts_with(begin); });
    if (!goes && !(out.empty() && line.empty())) out += line + "\n";
  }
  return out;
}

std::string Node(std::string_view example, const std::string& name, const Target& target) {
  std::string shared =
      WithoutLines(kConnectJs, {"// What the examples share", "'use strict'", "module.exports"});
  Replace(shared, "path.join(__dirname, '../../../protos')", Literal(target.protos, '\''));
  Replace(shared, "'/run/peermesh/app.sock'", Literal(target.place.socket, '\''));
  for (const auto& [variable, value] : {std::pair{"PEERMESH_ADDRESS", target.place.address},
                                        std::pair{"PEERMESH_IDENTITY", target.place.identity}}) {
    if (value.empty()) continue;
    const std::string read = fmt::format("process.env.{}", variable);
    Replace(shared, read + " ", fmt::format("{} || {} ", read, Literal(value, '\'')));
  }
  const std::string program =
      WithoutLines(example, {"// ", "'use strict'", "const { api, connect"});
  const std::vector<std::string> lines = Split(example, '\n');
  const std::string usage =
      name == "publish" ? "node publish.js hello.world hi" : "node subscribe.js 'hello.>'";
  return fmt::format(
      "{}\n//\n// Needs Node.js 18 and: npm install @grpc/grpc-js @grpc/proto-loader\n//\n//     "
      "{}\n"
      "'use strict';\n\n{}\n{}",
      lines.front(), usage, shared, program);
}

// --- Go ------------------------------------------------------------------------------------------

std::string Go(std::string_view example, const std::string&, const Target& target) {
  std::string program(example);
  ReplaceAll(program, "/usr/share/peermesh/protos", target.protos);
  Replace(program, "\"/run/peermesh/app.sock\"", Literal(target.place.socket, '"'));
  Replace(program, "env(\"PEERMESH_ADDRESS\", \"\")",
          fmt::format("env(\"PEERMESH_ADDRESS\", {})", Literal(target.place.address, '"')));
  Replace(program, "env(\"PEERMESH_IDENTITY\", \"\")",
          fmt::format("env(\"PEERMESH_IDENTITY\", {})", Literal(target.place.identity, '"')));
  return program;
}

// -------------------------------------------------------------------------------------------------

struct Language {
  std::string (*write)(std::string_view, const std::string&, const Target&);
  std::string_view publish, subscribe;
};

const std::map<std::string, Language>& Languages() {
  static const std::map<std::string, Language> all = {
      {"go", {Go, kPublishGo, kSubscribeGo}},
      {"node", {Node, kPublishJs, kSubscribeJs}},
      {"python", {Python, kPublishPy, kSubscribePy}}};
  return all;
}

const std::set<std::string>& Programs() {
  static const std::set<std::string> all = {"publish", "subscribe"};
  return all;
}

// The program may be started from anywhere.
std::string Absolute(const std::string& path) {
  std::error_code error;
  return path.empty() ? path : std::filesystem::absolute(path, error).lexically_normal().string();
}

absl::Status Print(Context& context, const std::string& language, const std::string& program) {
  Target target;
  target.place.socket = Absolute(context.FindPaths().app_socket);
  target.place.address = context.address;
  target.place.identity = Absolute(context.identity);
  target.protos = Absolute(FindProtos());
  const Language& in = Languages().at(language);
  const std::string text =
      in.write(program == "publish" ? in.publish : in.subscribe, program, target);
  if (!context.json) return WriteOut(text);
  const nlohmann::ordered_json json = {
      {"schema", context.schema}, {"language", language}, {"program", program}, {"source", text}};
  return WriteOut(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace

void AddSnippet(CLI::App& app, Context& context) {
  struct SnippetOptions {
    std::string language, program = "subscribe";
  };
  auto options = std::make_shared<SnippetOptions>();
  auto* command = app.add_subcommand("snippet", "Print a program that talks to this peer");
  command->footer(
      "It begins with what it needs and how it is run, and leads to the peer that this command "
      "line names.");
  command->add_option("LANGUAGE", options->language, "python, go or node")
      ->required()
      ->check(CLI::IsMember(Languages()));
  command->add_option("PROGRAM", options->program, "publish, or subscribe (default)")
      ->check(CLI::IsMember(Programs()));
  command->callback([options, &context] {
    context.command = [options](Context& c) {
      return Print(c, options->language, options->program);
    };
  });
}

}  // namespace peermesh::cli
