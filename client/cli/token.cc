// peermesh token: what another host needs to join. Talks to the CA's own socket.
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <memory>

#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/output.h"
#include "client/cli/units.h"
#include "peermesh/ca/v1/ca.grpc.pb.h"

namespace peermesh::cli {
namespace {

struct CreateOptions {
  std::string name;
  std::string ca;
  std::vector<std::string> seeds;
  Duration lifetime{};
  bool quiet = false;
};

WallTime Now() {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

// One call to the CA.
template <class Request, class Response>
absl::StatusOr<Response> Call(Context& context,
                              grpc::Status (ca::v1::TokenService::Stub::*method)(
                                  grpc::ClientContext*, const Request&, Response*),
                              const Request& request) {
  const auto channel = context.DialCa();
  if (!channel.ok()) return channel.status();
  const auto stub = ca::v1::TokenService::NewStub(*channel);
  Response response;
  grpc::ClientContext call;
  client::PrepareCall(call, "peermesh/" PEERMESH_VERSION, kCallTimeout);
  const grpc::Status status = ((*stub).*method)(&call, request, &response);
  if (!status.ok()) return client::FromGrpc(status);
  return response;
}

absl::Status Create(Context& context, const CreateOptions& options) {
  ca::v1::CreateTokenRequest request;
  if (options.lifetime > Duration::zero()) *request.mutable_lifetime() = ToProto(options.lifetime);
  request.set_name(options.name);
  request.set_ca_address(options.ca);
  const auto seeds = options.seeds.empty() ? context.AdvertisedAddresses() : options.seeds;
  for (const auto& seed : seeds) request.add_seeds(seed);
  const auto response = Call(context, &ca::v1::TokenService::Stub::CreateToken, request);
  if (!response.ok()) return response.status();
  if (context.json) return WriteOut(ToJson(context.schema, *response, Json::kIndented));
  if (options.quiet) return WriteOut(response->token() + "\n");
  const Duration life =
      FromProto(response->info().expires()) - FromProto(response->info().created());
  Note(fmt::format("Run this on the host that is to join, within {}. The token works once.",
                   FormatDuration(life)));
  if (seeds.empty()) Note("No peer runs here: add --seed HOST:PORT of one that does.");
  return WriteOut(fmt::format("echo '{}' | peermesh up{} --join -\n", response->token(),
                              options.name.empty() ? "" : " --name " + options.name));
}

std::string Lower(std::string name) {
  constexpr std::string_view kPrefix = "TOKEN_STATE_";
  if (name.starts_with(kPrefix)) name.erase(0, kPrefix.size());
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return name;
}

absl::Status List(Context& context) {
  const auto response =
      Call(context, &ca::v1::TokenService::Stub::ListTokens, ca::v1::ListTokensRequest());
  if (!response.ok()) return response.status();
  if (context.json) return WriteOut(ToJson(context.schema, *response, Json::kIndented));
  Table table({"ID", "STATE", "NAME", "PEER", "CREATED", "EXPIRES"});
  const WallTime now = Now();
  const auto text = [](Duration d) {
    return FormatDuration(std::chrono::floor<std::chrono::seconds>(d));
  };
  for (const auto& token : response->tokens()) {
    const bool abused = token.state() == ca::v1::TOKEN_STATE_ABUSED;
    const Duration left = FromProto(token.expires()) - now;
    table.Add(
        {token.id(),
         {Lower(ca::v1::TokenState_Name(token.state())), abused ? Style::kBad : Style::kPlain},
         token.name().empty() ? "-" : Escape(token.name()),
         token.peer_id().empty() ? "-" : token.peer_id().substr(0, 8),
         text(now - FromProto(token.created())) + " ago",
         left > Duration::zero() ? "in " + text(left) : text(-left) + " ago"});
  }
  return WriteOut(table.Render(WantsColour(stdout)));
}

absl::Status Revoke(Context& context, const std::string& id) {
  ca::v1::RevokeTokenRequest request;
  request.set_id(id);
  const auto response = Call(context, &ca::v1::TokenService::Stub::RevokeToken, request);
  if (!response.ok()) return response.status();
  if (context.json) return WriteOut(ToJson(context.schema, *response, Json::kIndented));
  Note(fmt::format("Token {} is of no use any more.", id));
  return absl::OkStatus();
}

}  // namespace

void AddToken(CLI::App& app, Context& context) {
  auto* token = app.add_subcommand("token", "Make and manage join tokens, where the CA runs");
  token->require_subcommand(1);

  auto options = std::make_shared<CreateOptions>();
  auto* create = token->add_subcommand("create", "Make a token and print the command that uses it");
  create->add_option("--name", options->name, "Name the joiner must take");
  AddDuration(*create, "--ttl", options->lifetime,
              "How long it may be used (default 1h, at most 7d)");
  create
      ->add_option("--seed", options->seeds,
                   "Peer to dial first (default: the one here); repeatable")
      ->type_name("HOST:PORT");
  create->add_option("--ca", options->ca, "Address of the CA as the joiner reaches it")
      ->type_name("HOST:PORT");
  create->add_flag("-q,--quiet", options->quiet, "Print the token alone");
  create->callback([options, &context] {
    context.command = [options](Context& c) { return Create(c, *options); };
  });

  token->add_subcommand("ls", "List tokens")->callback([&context] {
    context.command = [](Context& c) { return List(c); };
  });

  auto id = std::make_shared<std::string>();
  auto* revoke = token->add_subcommand("revoke", "Make an unused token useless");
  revoke->add_option("ID", *id, "As \"peermesh token ls\" shows it")->required();
  revoke->callback(
      [id, &context] { context.command = [id](Context& c) { return Revoke(c, *id); }; });
}

}  // namespace peermesh::cli
