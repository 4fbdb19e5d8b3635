#include "client/cli/context.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>

#include "client/cli/exit_code.h"
#include "client/cli/units.h"
#include "peermesh/v1/admin.grpc.pb.h"

namespace peermesh::cli {

client::Paths Context::FindPaths() const {
  client::Hints hints = client::Hints::FromEnvironment();
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
