// peermesh client add: an identity for an application or an operator on another host.
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/output.h"
#include "client/cli/units.h"
#include "peermesh/ca/v1/ca.grpc.pb.h"
#include "server/tls/material.h"

namespace peermesh::cli {
namespace {

struct AddOptions {
  std::string name;
  std::string out;  // empty: a directory of that name
  bool admin = false;
  Duration lifetime{};
};

absl::Status BadAnswer() {
  return client::MakeError(
      absl::StatusCode::kInternal, "BAD_CERTIFICATE",
      "The CA sent a certificate that does not fit the request. Check that peermesh and "
      "peermesh-ca are of compatible versions.");
}

absl::StatusOr<ca::v1::IssueClientResponse> Issue(const std::shared_ptr<grpc::Channel>& channel,
                                                  const AddOptions& options,
                                                  const tls::PrivateKey& key) {
  ca::v1::IssueClientRequest request;
  request.set_name(options.name);
  request.set_role(options.admin ? ca::v1::ROLE_ADMIN : ca::v1::ROLE_CLIENT);
  request.set_certificate_request(key.MakeRequest());
  if (options.lifetime > Duration::zero()) *request.mutable_lifetime() = ToProto(options.lifetime);
  ca::v1::IssueClientResponse response;
  grpc::ClientContext call;
  client::PrepareCall(call, "peermesh/" PEERMESH_VERSION, kCallTimeout);
  const grpc::Status status =
      ca::v1::TokenService::NewStub(channel)->IssueClient(&call, request, &response);
  if (!status.ok()) return client::FromGrpc(status);
  return response;
}

absl::StatusOr<tls::Material> Enrol(Context& context, const AddOptions& options,
                                    const std::string& directory) {
  const auto channel = context.DialCa();
  if (!channel.ok()) return channel.status();
  std::error_code error;
  const bool fresh = !std::filesystem::exists(directory, error);
  auto key = tls::EnsureKey(directory);
  if (!key.ok()) return key.status();
  const auto response = Issue(*channel, options, *key);
  if (!response.ok()) {
    // Refused. Without an answer the name may be taken by this very key: a new try needs it.
    if (fresh && !client::ReasonOf(response.status()).empty()) {
      std::filesystem::remove_all(directory, error);
    }
    return response.status();
  }
  const auto certificate = identity::Certificate::Parse(response->certificate());
  if (!certificate || certificate->spki() != key->spki()) return BadAnswer();
  auto bundle = identity::TrustBundle::Create({response->roots().begin(), response->roots().end()},
                                              response->mesh_id());
  if (!bundle.ok()) return BadAnswer();
  tls::Material material{*std::move(key), *certificate, *std::move(bundle), ""};
  if (auto saved = tls::SaveMaterial(directory, material); !saved.ok()) return saved;
  return material;
}

void Explain(const Context& context, const std::string& directory, const tls::Material& material) {
  const auto now =
      std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
  const auto addresses = context.AdvertisedAddresses();
  const std::string address = addresses.empty() ? "HOST:7443" : addresses.front();
  Note(
      fmt::format("{0}/ holds key.pem, cert.pem and ca.pem, valid for {1}.\n"
                  "Copy it to the host that is to use it, and keep key.pem to yourself. Then:\n\n"
                  "  peermesh --address {2} --identity {0} peers\n\n"
                  "or in Python:\n\n"
                  "  names = (\"ca\", \"key\", \"cert\")\n"
                  "  files = [open(f\"{0}/{{name}}.pem\", \"rb\").read() for name in names]\n"
                  "  channel = grpc.secure_channel(\"{2}\", grpc.ssl_channel_credentials(*files))",
                  directory, FormatDuration(material.certificate.not_after() - now), address));
}

absl::Status Add(Context& context, const AddOptions& options) {
  if (!identity::IsName(options.name)) {
    return UsageError(fmt::format(
        "\"{:.80}\" is not a name. Use 1 to {} of a to z, 0 to 9 and -, not - at the ends.",
        options.name, identity::kMaxNameBytes));
  }
  const std::string directory = options.out.empty() ? options.name : options.out;
  if (tls::HasCertificate(directory)) {
    return client::MakeError(
        absl::StatusCode::kAlreadyExists, "IDENTITY_EXISTS",
        fmt::format("{} already holds an identity. Choose another --out, or remove it.",
                    directory));
  }
  const auto material = Enrol(context, options, directory);
  if (!material.ok()) return material.status();
  if (!context.json) {
    Explain(context, directory, *material);
    return WriteOut(directory + "\n");
  }
  const nlohmann::ordered_json json = {{"schema", context.schema},
                                       {"directory", directory},
                                       {"id", material->key.id().ToText()},
                                       {"meshId", material->bundle.mesh_id()}};
  return WriteOut(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace

void AddClient(CLI::App& app, Context& context) {
  auto* group = app.add_subcommand("client", "Make identities for applications, where the CA runs");
  group->require_subcommand(1);
  auto options = std::make_shared<AddOptions>();
  auto* add = group->add_subcommand("add", "Make a directory with a key, a certificate and the CA");
  add->add_option("NAME", options->name, "Name of the application: a DNS label, unique in the mesh")
      ->required();
  add->add_flag("--admin", options->admin, "May administer peers, too");
  add->add_option("--out", options->out, "Directory to make (default: NAME)")->type_name("DIR");
  AddDuration(*add, "--ttl", options->lifetime, "How long it is valid (default 90d, at most 365d)");
  add->callback([options, &context] {
    context.command = [options](Context& c) { return Add(c, *options); };
  });
}

}  // namespace peermesh::cli
