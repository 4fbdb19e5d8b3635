#include "server/tls/credentials.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <mutex>
#include <utility>

#include "mesh/base/check.h"
#include "metrics/ledger/fd.h"
#include "metrics/ledger/kinds.h"
#include "server/tls/channel.h"
#include "server/tls/issue.h"

namespace peermesh::tls {
namespace {

namespace ge = grpc::experimental;
using identity::Certificate;
using identity::Identity;
using identity::Refusal;
using identity::TrustBundle;
using identity::Verdict;

// How often gRPC looks whether the server's certificate has changed: the least it can do without
// spinning.
constexpr unsigned kPollSeconds = 1;

WallTime Now() {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

bool IsDate(Refusal refusal) {
  return refusal == Refusal::kNotYetValid || refusal == Refusal::kExpired;
}

std::string_view View(grpc::string_ref text) { return {text.data(), text.size()}; }

// What verifiers share with the factory; they may outlive it.
struct Trust {
  TrustBundle bundle;
  CredentialsHooks hooks;
};

struct Rules {
  identity::VerifyOptions options;
  Direction direction = Direction::kInbound;
  bool certificate_optional = false;
};

class Verifier final : public ge::ExternalCertificateVerifier {
 public:
  Verifier(std::shared_ptr<const Trust> trust, Rules rules)
      : trust_(std::move(trust)), rules_(rules) {}

  // Synchronous: a parse and one signature check, well below a millisecond.
  bool Verify(ge::TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* status) override {
    const std::string_view pem = View(request->peer_cert());
    if (pem.empty() && rules_.certificate_optional) {
      *status = grpc::Status::OK;
      return true;
    }
    const Verdict verdict = identity::Verify(pem, trust_->bundle, Now(), rules_.options);
    const auto& hooks = trust_->hooks;
    if (verdict.ok()) {
      *status = grpc::Status::OK;
    } else {
      if (hooks.on_refused) hooks.on_refused(verdict.refusal(), rules_.direction);
      *status = grpc::Status(
          grpc::StatusCode::UNAUTHENTICATED,
          std::string(ToString(verdict.refusal())) + ": " + identity::Explain(verdict.refusal()));
    }
    return true;
  }
  void Cancel(ge::TlsCustomVerificationCheckRequest*) override {}

 private:
  const std::shared_ptr<const Trust> trust_;
  const Rules rules_;
};

std::shared_ptr<ge::CertificateVerifier> MakeVerifier(std::shared_ptr<const Trust> trust,
                                                      const Rules& rules) {
  return ge::ExternalCertificateVerifier::Create<Verifier>(std::move(trust), rules);
}

// Passes the CA of the bundle and nobody else.
std::shared_ptr<ge::CertificateVerifier> CaVerifier(const TrustBundle& bundle) {
  return MakeVerifier(
      std::make_shared<const Trust>(Trust{bundle, {}}),
      {.options = {.roles = {identity::Role::kCa}}, .direction = Direction::kOutbound});
}

// Key and certificate as one anonymous file that gRPC polls by name. Replacing it is one system
// call, so no reader ever sees half a file or a key with somebody else's certificate.
class MemoryFile {
 public:
  // RESOURCE_EXHAUSTED, and nothing changes, if there is no descriptor or memory for it.
  absl::Status Replace(std::string_view bytes) {
    PM_CHECK(!bytes.empty());  // gRPC aborts on an empty one
    ledger::UniqueFd fresh(memfd_create("peermesh-credentials", MFD_CLOEXEC), ledger::kProcessFd,
                           ledger::Scope{});
    if (!fresh ||
        write(fresh.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
      return absl::ResourceExhaustedError(std::string("Cannot keep the certificate in memory: ") +
                                          std::strerror(errno) +
                                          ". Raise the limit of open files, or free memory.");
    }
    if (!fd_) {
      fd_ = std::move(fresh);
      return absl::OkStatus();
    }
    PM_CHECK(dup3(fresh.get(), fd_.get(), O_CLOEXEC) == fd_.get());
    return absl::OkStatus();
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }

 private:
  ledger::UniqueFd fd_;
};

std::shared_ptr<grpc::Channel> TlsChannel(
    const std::string& target, std::shared_ptr<ge::CertificateProviderInterface> provider,
    bool with_certificate, std::shared_ptr<ge::CertificateVerifier> verifier,
    const std::string& server_name) {
  ge::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(std::move(provider));
  // Never used to verify; without a root gRPC would go and load the system's.
  options.watch_root_certs();
  if (with_certificate) options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(false);
  options.set_check_call_host(false);
  options.set_certificate_verifier(std::move(verifier));
  grpc::ChannelArguments arguments = ChannelLimits();
  if (!server_name.empty()) arguments.SetSslTargetNameOverride(server_name);
  return MakeChannel(target, ge::TlsCredentials(options), arguments);
}

}  // namespace

const char* ToString(Direction direction) {
  return direction == Direction::kInbound ? "inbound" : "outbound";
}

struct Credentials::Impl {
  Impl(PrivateKey private_key, const Certificate& first, Identity first_self,
       std::shared_ptr<const Trust> shared)
      : key(std::move(private_key)),
        trust(std::move(shared)),
        certificate(first),
        self(std::move(first_self)) {}

  // What a certificate must be to stand for us.
  static absl::StatusOr<Identity> Check(const PrivateKey& key, const Certificate& certificate,
                                        const TrustBundle& bundle) {
    if (certificate.spki() != key.spki()) {
      return absl::InvalidArgumentError(
          "The certificate does not belong to the private key. Ask the CA for one with this key.");
    }
    const identity::VerifyOptions any{.expected = key.id(),
                                      .roles = {identity::Role::kPeer, identity::Role::kClient,
                                                identity::Role::kAdmin, identity::Role::kCa}};
    const Verdict verdict = identity::Verify(certificate, bundle, Now(), any);
    if (!verdict.ok() && IsDate(verdict.refusal())) {
      return ClockContradicts(std::string("the own certificate (") + ToString(verdict.refusal()) +
                              ")");
    }
    if (!verdict.ok()) {
      return absl::InvalidArgumentError(std::string("The own certificate does not verify (") +
                                        ToString(verdict.refusal()) + "). Renew it or join again.");
    }
    return verdict.identity();
  }

  // Shows this certificate from now on; holds mutex. If it fails nothing has changed.
  absl::Status Provide(const Certificate& fresh, Identity fresh_self) {
    const std::string key_pem = key.ToPem(), pem = fresh.ToPem();
    if (absl::Status status = file.Replace(key_pem + pem); !status.ok()) return status;
    outbound = std::make_shared<ge::StaticDataCertificateProvider>(
        trust->bundle.ToPem(), std::vector<ge::IdentityKeyCertPair>{{key_pem, pem}});
    certificate = fresh;
    self = std::move(fresh_self);
    return absl::OkStatus();
  }

  const PrivateKey key;
  const std::shared_ptr<const Trust> trust;

  mutable std::mutex mutex;
  Certificate certificate;
  Identity self;
  std::shared_ptr<ge::CertificateProviderInterface> outbound;  // replaced by each rotation
  MemoryFile file;
  std::shared_ptr<ge::CertificateProviderInterface>
      inbound;  // polls `file`; only if there is a server
};

Credentials::Credentials(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Credentials::~Credentials() = default;

absl::Status ClockContradicts(std::string_view what) {
  return absl::OutOfRangeError(fmt::format(
      "By the clock of this host, {:%Y-%m-%d %H:%M:%S} UTC, {} is not valid: look at the "
      "clocks here and of the CA. Set one by: timedatectl set-ntp true",
      fmt::gmtime(std::chrono::system_clock::to_time_t(Now())), what));
}

absl::StatusOr<std::unique_ptr<Credentials>> Credentials::Create(PrivateKey key,
                                                                 const Certificate& certificate,
                                                                 TrustBundle bundle,
                                                                 CredentialsHooks hooks) {
  auto self = Impl::Check(key, certificate, bundle);
  if (!self.ok()) return self.status();
  auto trust = std::make_shared<const Trust>(Trust{std::move(bundle), std::move(hooks)});
  auto impl =
      std::make_unique<Impl>(std::move(key), certificate, *std::move(self), std::move(trust));
  if (absl::Status status = impl->Provide(certificate, impl->self); !status.ok()) return status;
  return std::unique_ptr<Credentials>(new Credentials(std::move(impl)));
}

std::shared_ptr<grpc::ServerCredentials> Credentials::ForServer(const InboundRules& rules) {
  const std::lock_guard lock(impl_->mutex);
  if (!impl_->inbound) {
    const std::string path = impl_->file.path();
    impl_->inbound = std::make_shared<ge::FileWatcherCertificateProvider>(path, path, kPollSeconds);
  }
  ge::TlsServerCredentialsOptions options(impl_->inbound);
  options.watch_identity_key_cert_pairs();
  // Requested, not required: a missing one then reaches our verifier, which refuses and counts it.
  options.set_cert_request_type(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
  options.set_check_call_host(false);
  options.set_certificate_verifier(
      MakeVerifier(impl_->trust, {.options = {.roles = rules.roles, .late = rules.late},
                                  .direction = Direction::kInbound,
                                  .certificate_optional = rules.certificate_optional}));
  return ge::TlsServerCredentials(options);
}

std::shared_ptr<grpc::Channel> Credentials::Dial(const std::string& target,
                                                 const OutboundRules& rules) {
  std::shared_ptr<ge::CertificateProviderInterface> provider;
  {
    const std::lock_guard lock(impl_->mutex);
    provider = impl_->outbound;
  }
  auto verifier =
      MakeVerifier(impl_->trust, {.options = {.expected = rules.expected, .roles = rules.roles},
                                  .direction = Direction::kOutbound});
  return TlsChannel(target, std::move(provider), /*with_certificate=*/true, std::move(verifier),
                    rules.expected ? rules.expected->ToText() : "");
}

absl::Status Credentials::Rotate(const Certificate& certificate) {
  auto self = Impl::Check(impl_->key, certificate, impl_->trust->bundle);
  if (!self.ok()) return self.status();
  const std::lock_guard lock(impl_->mutex);
  if (self->role != impl_->self.role) {
    return absl::InvalidArgumentError(
        "The new certificate has another role than the old one. Ask the CA for a renewal.");
  }
  return impl_->Provide(certificate, *std::move(self));
}

Certificate Credentials::certificate() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->certificate;
}

Identity Credentials::self() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->self;
}

const PrivateKey& Credentials::key() const { return impl_->key; }
const TrustBundle& Credentials::bundle() const { return impl_->trust->bundle; }

absl::StatusOr<Certificate> RemoteCertificate(const grpc::AuthContext& context) {
  const auto values = context.FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  const auto certificate =
      values.size() == 1 ? Certificate::Parse(View(values.front())) : std::nullopt;
  if (!certificate) {
    return absl::UnauthenticatedError(
        "The call comes without a certificate. Connect with the directory of a peer or client.");
  }
  return *certificate;
}

absl::StatusOr<Identity> RemoteIdentity(const grpc::AuthContext& context) {
  const auto certificate = RemoteCertificate(context);
  if (!certificate.ok()) return certificate.status();
  auto claims = certificate->Claims();
  PM_CHECK(claims.has_value());  // the verifier has passed it
  return *std::move(claims);
}

std::shared_ptr<grpc::Channel> DialWithoutCertificate(const std::string& target,
                                                      const std::optional<TrustBundle>& bundle) {
  std::shared_ptr<ge::CertificateVerifier> verifier;
  std::string roots;
  if (bundle) {
    verifier = CaVerifier(*bundle);
    roots = bundle->ToPem();
  } else {
    verifier = std::make_shared<ge::NoOpCertificateVerifier>();
    // Any root will do, nothing is verified; gRPC wants one.
    roots = MakeRoot(PrivateKey::Make(), Now()).ToPem();
  }
  return TlsChannel(target, std::make_shared<ge::StaticDataCertificateProvider>(roots),
                    /*with_certificate=*/false, std::move(verifier), "");
}

std::shared_ptr<grpc::Channel> DialToRenew(const std::string& target, const PrivateKey& key,
                                           const Certificate& certificate,
                                           const TrustBundle& bundle) {
  auto provider = std::make_shared<ge::StaticDataCertificateProvider>(
      bundle.ToPem(), std::vector<ge::IdentityKeyCertPair>{{key.ToPem(), certificate.ToPem()}});
  return TlsChannel(target, std::move(provider), /*with_certificate=*/true, CaVerifier(bundle), "");
}

}  // namespace peermesh::tls
