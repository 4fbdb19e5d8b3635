// peermesh context: names for peers, and which one is meant when none is named.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "client/cli/context.h"
#include "client/cli/contexts.h"
#include "client/cli/exit_code.h"
#include "client/cli/output.h"
#include "client/errors.h"

namespace peermesh::cli {
namespace {

struct AddOptions {
  std::string name, description;
  bool use = false, replace = false;
};

// What a person would say of it.
std::string PeerOf(const Place& place) {
  if (!place.address.empty()) return place.address;
  if (!place.socket.empty()) return place.socket;
  return place.run_dir.empty() ? place.data_dir : place.run_dir;
}

nlohmann::ordered_json InJson(const StoredContext& stored) {
  const Place& place = stored.place;
  return {{"name", stored.name},      {"description", stored.description},
          {"address", place.address}, {"identity", place.identity},
          {"socket", place.socket},   {"dataDir", place.data_dir},
          {"runDir", place.run_dir},  {"caSocket", place.ca_socket}};
}

absl::Status PrintJson(nlohmann::ordered_json json) {
  return WriteOut(json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

// It will be read from anywhere.
std::string Absolute(const std::string& path) {
  std::error_code error;
  return path.empty() ? path : std::filesystem::absolute(path, error).lexically_normal().string();
}

absl::Status Add(Context& context, const AddOptions& options) {
  const Contexts contexts;
  StoredContext stored{options.name, options.description, context.given};
  Place& place = stored.place;
  if (!place.NamesPeer()) {
    return UsageError(
        "A context says where a peer is. Give --socket, --data-dir, or --address with --identity.");
  }
  if (!place.address.empty() && place.identity.empty()) {
    return UsageError(
        "--address needs --identity: a directory made by \"peermesh client add NAME\" beside the "
        "CA.");
  }
  for (std::string* path :
       {&place.data_dir, &place.run_dir, &place.socket, &place.identity, &place.ca_socket}) {
    *path = Absolute(*path);
  }
  if (contexts.Has(options.name) && !options.replace) {
    return client::MakeError(
        absl::StatusCode::kAlreadyExists, "CONTEXT_EXISTS",
        fmt::format("There is a context \"{}\". Choose another name, or use --replace.",
                    options.name));
  }
  if (auto status = contexts.Save(stored); !status.ok()) return status;
  if (options.use) {
    if (auto status = contexts.Use(options.name); !status.ok()) return status;
  }
  if (!context.json) {
    Note(fmt::format("Context {} is {}{}.", options.name, PeerOf(place),
                     options.use ? ", and in use from now on" : ""));
    return absl::OkStatus();
  }
  nlohmann::ordered_json json = {{"schema", context.schema}};
  json.update(InJson(stored));
  return PrintJson(std::move(json));
}

absl::Status List(Context& context, bool quiet) {
  const Contexts contexts;
  const std::string current = contexts.Current();
  auto list = nlohmann::ordered_json::array();
  Table table({"", "NAME", "PEER", "IDENTITY", "DESCRIPTION"});
  std::string names;
  for (const std::string& name : contexts.List()) {
    names += name + "\n";
    const auto stored = contexts.Load(name);
    if (!stored.ok()) {
      table.Add({"", name, {"(cannot be understood)", Style::kBad}, "-", "-"});
      continue;
    }
    list.push_back(InJson(*stored));
    const auto cell = [](const std::string& text) { return text.empty() ? "-" : Escape(text); };
    table.Add({name == current ? "*" : "", name, cell(PeerOf(stored->place)),
               cell(stored->place.identity), cell(stored->description)});
  }
  if (context.json) {
    return PrintJson(
        {{"schema", context.schema}, {"current", current}, {"contexts", std::move(list)}});
  }
  if (quiet) return WriteOut(names);
  if (names.empty()) {
    Note("There is none yet. Make one: peermesh context add NAME --socket PATH");
    return absl::OkStatus();
  }
  return WriteOut(table.Render(WantsColour(stdout)));
}

absl::Status Use(Context& context, const std::string& name, bool none) {
  if (none == !name.empty()) return UsageError("Give the name of a context, or --none.");
  if (auto status = Contexts().Use(name); !status.ok()) return status;
  if (context.json) return PrintJson({{"schema", context.schema}, {"current", name}});
  Note(none ? "No context is in use any more."
            : fmt::format("Context {} is in use from now on.", name));
  return absl::OkStatus();
}

// Of a name what it says; without one, whom a command would talk to now and why.
absl::Status Show(Context& context, const std::string& name) {
  StoredContext shown;
  std::string chosen;
  if (name.empty()) {
    Context now = context;
    now.needs_peer = true;
    if (auto status = FindPlace(now); !status.ok()) return status;
    shown = {now.context_name, "", now};
    chosen = now.chosen_by;
    if (!shown.place.NamesPeer()) shown.place.socket = now.FindPaths().app_socket;
  } else {
    auto stored = Contexts().Load(name);
    if (!stored.ok()) return stored.status();
    shown = *std::move(stored);
  }
  if (context.json) {
    nlohmann::ordered_json json = {{"schema", context.schema}};
    json.update(InJson(shown));
    if (!chosen.empty()) json["chosenBy"] = chosen;
    return PrintJson(std::move(json));
  }
  std::string text;
  const auto line = [&text](const char* label, const std::string& value) {
    if (!value.empty()) text += fmt::format("{:<13}{}\n", label, Escape(value));
  };
  line("context", shown.name.empty() ? "none" : shown.name);
  line("chosen by", chosen);
  line("description", shown.description);
  line("address", shown.place.address);
  line("identity", shown.place.identity);
  line("socket", shown.place.socket);
  line("data", shown.place.data_dir);
  line("run", shown.place.run_dir);
  line("CA socket", shown.place.ca_socket);
  return WriteOut(text);
}

absl::Status Remove(Context& context, const std::string& name) {
  const Contexts contexts;
  const bool current = contexts.Current() == name;
  if (auto status = contexts.Remove(name); !status.ok()) return status;
  if (context.json)
    return PrintJson({{"schema", context.schema}, {"removed", name}, {"wasCurrent", current}});
  Note(fmt::format("Context {} is removed{}.", name, current ? "; none is in use any more" : ""));
  return absl::OkStatus();
}

}  // namespace

void AddContext(CLI::App& app, Context& context) {
  auto* group = app.add_subcommand("context", "Name peers, and choose the one that is meant");
  group->require_subcommand(1);
  group->footer(
      "The first of these that names a peer counts, and nothing is mixed: options (--socket, "
      "--address, --data-dir, --run-dir), --context, the environment (PEERMESH_SOCKET, "
      "PEERMESH_ADDRESS, PEERMESH_DATA_DIR, PEERMESH_RUN_DIR), PEERMESH_CONTEXT, \"peermesh "
      "context use\", the peer of this host.");
  const auto command = [&](const char* name, const char* help,
                           std::function<absl::Status(Context&)> run) {
    auto* added = group->add_subcommand(name, help);
    added->callback([&context, run = std::move(run)] {
      context.needs_peer = false;
      context.command = run;
    });
    return added;
  };

  auto add = std::make_shared<AddOptions>();
  auto* adding = command("add", "Give a peer a name", [add](Context& c) { return Add(c, *add); });
  adding->footer(
      "Where it is, say the options that lead to a peer: --address and --identity, or --socket, "
      "--data-dir, --run-dir and --ca-socket.");
  adding->add_option("NAME", add->name, "Name of the context: a DNS label")->required();
  adding->add_option("--description", add->description, "A few words for people")
      ->type_name("TEXT");
  adding->add_flag("--use", add->use, "Use it from now on");
  adding->add_flag("--replace", add->replace, "Replace the one of that name, if there is one");

  auto quiet = std::make_shared<bool>();
  command("ls", "List contexts; * is the one in use", [quiet](Context& c) {
    return List(c, *quiet);
  })->add_flag("-q,--quiet", *quiet, "Print names alone");

  auto used = std::make_shared<std::string>();
  auto none = std::make_shared<bool>();
  auto* using_it = command("use", "Use a context from now on",
                           [used, none](Context& c) { return Use(c, *used, *none); });
  using_it->add_option(kContextName, *used, "Its name");
  using_it->add_flag("--none", *none, "Use none");

  auto shown = std::make_shared<std::string>();
  command("show", "What a context says; without a name, whom commands talk to now",
          [shown](Context& c) { return Show(c, *shown); })
      ->add_option(kContextName, *shown, "Its name");

  auto removed = std::make_shared<std::string>();
  command("rm", "Remove a context", [removed](Context& c) { return Remove(c, *removed); })
      ->add_option(kContextName, *removed, "Its name")
      ->required();
}

}  // namespace peermesh::cli
