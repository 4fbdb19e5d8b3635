#include "client/cli/context.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "client/cli/exit_code.h"
#include "client/cli/units.h"
#include "peermesh/v1/admin.grpc.pb.h"

namespace peermesh::cli {

client::Paths Context::FindPaths() const {
  client::Hints hints = client::Hints::FromEnvironment();
  if (hide_directories) hints.data_dir = hints.run_dir = "";
  if (!data_dir.empty()) hints.data_dir = data_dir;
  if (!run_dir.empty()) hints.run_dir = run_dir;
  client::Paths paths = client::FindPaths(hints);
  if (!socket.empty()) paths.app_socket = paths.admin_socket = socket;
  if (!ca_socket.empty()) paths.ca_socket = ca_socket;
  return paths;
}

client::Endpoint Context::AppEndpoint() const {
  if (!address.empty()) return {"", address, identity};
  return {FindPaths().app_socket, "", ""};
}

namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Directories are read from the environment by client/paths, too.
Place FromEnvironment() {
  Place place;
  place.address = Variable("PEERMESH_ADDRESS");
  if (place.address.empty()) place.socket = Variable("PEERMESH_SOCKET");
  place.data_dir = Variable("PEERMESH_DATA_DIR");
  place.run_dir = Variable("PEERMESH_RUN_DIR");
  return place;
}

// The context that counts if nothing comes before it; none is no error.
absl::StatusOr<StoredContext> ChosenContext(Context& context) {
  const Contexts contexts;
  const std::string variable = Variable("PEERMESH_CONTEXT");
  if (!context.context_option.empty()) {
    context.chosen_by = "--context";
    return contexts.Load(context.context_option);
  }
  if (FromEnvironment().NamesPeer()) {
    context.chosen_by = "environment";
    return StoredContext{"", "", FromEnvironment()};
  }
  if (!variable.empty()) {
    context.chosen_by = "PEERMESH_CONTEXT";
    return contexts.Load(variable);
  }
  const std::string current = contexts.Current();
  context.chosen_by = current.empty() ? "default" : "peermesh context use";
  return current.empty() ? StoredContext{} : contexts.Load(current);
}

}  // namespace

absl::Status FindPlace(Context& context) {
  const bool named = context.NamesPeer();
  if (!context.needs_peer) {
    if (context.context_option.empty()) return absl::OkStatus();
    return UsageError("--context is for commands that talk to a peer, and this one does not.");
  }
  StoredContext chosen;
  if (named && context.context_option.empty()) {
    context.chosen_by = "options";
  } else {
    auto found = ChosenContext(context);
    if (!found.ok()) return found.status();
    chosen = *std::move(found);
    context.context_name = chosen.name;
  }
  if (!named) {
    context.address = chosen.place.address;
    context.socket = chosen.place.socket;
    if (!chosen.name.empty()) {
      context.data_dir = chosen.place.data_dir;
      context.run_dir = chosen.place.run_dir;
      context.hide_directories = true;
    }
  }
  if (context.identity.empty()) context.identity = chosen.place.identity;
  if (context.ca_socket.empty()) context.ca_socket = chosen.place.ca_socket;
  if (context.identity.empty()) context.identity = Variable("PEERMESH_IDENTITY");
  context.address_given =
      !context.address.empty() && context.chosen_by != "environment" && context.ca_socket.empty();
  if (!context.given.identity.empty() && context.address.empty()) {
    return UsageError(
        "--identity is for a peer on another host. Name it with --address, or leave both out.");
  }
  return absl::OkStatus();
}

std::string Context::Target() const {
  const client::Endpoint endpoint = AppEndpoint();
  return endpoint.address.empty() ? endpoint.socket : endpoint.address;
}

absl::StatusOr<std::unique_ptr<client::Client>> Context::Connect() const {
  const client::Endpoint endpoint = AppEndpoint();
  client::Options options;
  options.socket = endpoint.socket;
  options.address = endpoint.address;
  options.identity = endpoint.identity;
  options.label = "peermesh/" PEERMESH_VERSION;
  options.connect_timeout = kConnectTimeout;
  options.call_timeout = kCallTimeout;
  return client::Client::Connect(std::move(options));
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Context::DialApp() const {
  return client::Dial(AppEndpoint(), kConnectTimeout);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Context::DialAdmin() const {
  if (!address.empty()) return client::Dial({"", address, identity}, kConnectTimeout);
  return client::Dial({FindPaths().admin_socket, "", ""}, kConnectTimeout);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Context::DialCa() const {
  if (address_given) {
    return UsageError(
        "The CA is reached by its socket alone, and --address does not lead there. Run this on the "
        "CA's host, without --address.");
  }
  const std::string path = FindPaths().ca_socket;
  auto channel = client::Dial({path, "", ""}, kConnectTimeout);
  if (channel.ok() || access(path.c_str(), F_OK) == 0) return channel;
  return client::MakeError(
      absl::StatusCode::kUnavailable, client::ReasonOf(channel.status()),
      fmt::format("The CA does not listen on {}. Run this where the mesh was created, or name its "
                  "socket with --ca-socket.",
                  path));
}

std::vector<std::string> Context::AdvertisedAddresses() const {
  const auto channel = DialAdmin();
  if (!channel.ok()) return {};
  v1::GetStatusResponse response;
  grpc::ClientContext call;
  client::PrepareCall(call, "peermesh/" PEERMESH_VERSION, kCallTimeout);
  if (!v1::AdminService::NewStub(*channel)->GetStatus(&call, {}, &response).ok()) return {};
  return {response.advertised_addresses().begin(), response.advertised_addresses().end()};
}

CLI::Option* AddNumber(CLI::App& app, const std::string& name, std::uint64_t& target,
                       std::uint64_t most, const std::string& help) {
  return app
      .add_option_function<std::string>(
          name,
          [&target, name, most](const std::string& text) {
            const char* end = text.data() + text.size();
            const auto [stop, error] = std::from_chars(text.data(), end, target);
            if (error != std::errc() || stop != end || target < 1 || target > most) {
              // lint:allow(throw): how CLI11 is told of a bad value
              throw CLI::ValidationError(name,
                                         fmt::format("not a number from 1 to {}: {}", most, text));
            }
          },
          help)
      ->type_name("N");
}

CLI::Option* AddDuration(CLI::App& app, const std::string& name, Duration& target,
                         const std::string& help, Duration longest) {
  return app
      .add_option_function<std::string>(
          name,
          [&target, name, longest](const std::string& text) {
            const auto duration = ParseDuration(text);
            if (!duration || *duration > longest) {
              // lint:allow(throw): how CLI11 is told of a bad value
              throw CLI::ValidationError(
                  name, fmt::format("not a duration such as 30s, 5m or 1h30m, of at most {}: {}",
                                    FormatDuration(longest), text));
            }
            target = *duration;
          },
          help)
      ->type_name("DURATION");
}

}  // namespace peermesh::cli
