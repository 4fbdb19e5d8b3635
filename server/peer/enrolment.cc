#include "server/peer/enrolment.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <utility>

#include "metrics/ledger/kinds.h"
#include "server/ca/enrol.h"
#include "server/config/logging.h"
#include "server/driver/driver.h"
#include "server/tls/credentials.h"
#include "server/tls/files.h"

namespace peermesh {
namespace {

constexpr config::Logger kLog("identity");

// After a failure: a hundredth of the certificate's life, within these.
constexpr Duration kRetryMin = std::chrono::seconds(1);
constexpr Duration kRetryMax = std::chrono::minutes(10);

constexpr const char* kJoinVariable = "PEERMESH_JOIN";

std::string SeedsFile(const std::string& data_dir) {
  return IdentityDirectory(data_dir) + "/seeds";
}

}  // namespace

std::string IdentityDirectory(const std::string& data_dir) { return data_dir + "/identity"; }
std::string CaDirectory(const std::string& data_dir) { return data_dir + "/ca"; }

std::vector<std::string> ReadSeeds(const std::string& data_dir) {
  std::vector<std::string> seeds;
  const auto text = tls::ReadPrivateFile(SeedsFile(data_dir));
  if (!text.ok()) return seeds;  // a peer that made its mesh has none
  std::string::size_type begin = 0;
  for (auto end = text->find('\n'); end != std::string::npos;
       begin = end + 1, end = text->find('\n', begin)) {
    if (end > begin) seeds.push_back(text->substr(begin, end - begin));
  }
  return seeds;
}

bool HasJoinVariable() {
  const char* variable = std::getenv(kJoinVariable);
  return variable != nullptr && *variable != '\0';
}

absl::StatusOr<std::optional<identity::Token>> ReadToken(const std::string& from) {
  std::string text;
  if (HasJoinVariable()) {
    text = std::getenv(kJoinVariable);
    ::unsetenv(kJoinVariable);
  }
  if (from.empty() && text.empty()) return std::nullopt;
  if (from == "-") {
    std::getline(std::cin, text);
  } else if (!from.empty()) {
    std::ifstream file(from);
    if (!file)
      return absl::NotFoundError("cannot read the token file " + from + "; check the path");
    std::getline(file, text);
  }
  if (text.empty())
    return absl::NotFoundError("the join token is empty; `peermesh token create` makes one");
  auto token = identity::ParseToken(text);
  if (!token.ok()) return token.status();
  return *std::move(token);
}

absl::StatusOr<tls::Material> Join(const std::string& data_dir, const identity::Token& token,
                                   const std::string& name, const std::vector<std::string>& hosts) {
  auto key = tls::EnsureKey(IdentityDirectory(data_dir));
  if (!key.ok()) return key.status();
  ca::EnrolOptions options;
  options.name = name;
  options.hosts = hosts;
  auto joined = ca::Enrol(token, *key, options);
  if (!joined.ok()) return joined.status();
  std::string seeds;
  for (const std::string& seed : joined->seeds) seeds += seed + "\n";
  if (!seeds.empty()) {
    if (absl::Status status = tls::WritePrivateFile(SeedsFile(data_dir), seeds); !status.ok())
      return status;
  }
  // The certificate last: its presence says that all is there.
  if (absl::Status status = tls::SaveMaterial(IdentityDirectory(data_dir), joined->material);
      !status.ok()) {
    return status;
  }
  return std::move(joined->material);
}

absl::StatusOr<tls::Material> LoadIdentity(const std::string& data_dir,
                                           const std::vector<std::string>& hosts,
                                           const std::string& ca_address) {
  auto material = tls::LoadMaterial(IdentityDirectory(data_dir));
  if (material.ok() && !ca_address.empty()) material->ca_address = ca_address;
  if (!material.ok()) return material;
  const WallTime now = driver::WallNow();
  if (now < material->certificate.not_before()) return tls::ClockContradicts("the own certificate");
  if (now < material->certificate.not_after()) return material;
  auto renewed = ca::Renew(*material, hosts);
  if (absl::IsOutOfRange(renewed.status())) return renewed.status();
  if (!renewed.ok()) {
    return absl::UnavailableError(
        "the certificate of this peer has run out and was not renewed (" +
        std::string(renewed.status().message()) +
        "); start the CA and this peer again, or join anew with a token after removing " +
        IdentityDirectory(data_dir));
  }
  material->certificate = std::move(*renewed);
  if (absl::Status saved = tls::SaveMaterial(IdentityDirectory(data_dir), *material); !saved.ok())
    return saved;
  return material;
}

absl::Status CheckAskedFor(const tls::Material& material,
                           const std::optional<identity::Token>& token, const std::string& name) {
  const auto& roots = material.bundle.roots();
  const auto is_pinned = [&](const std::string& der) {
    const auto root = identity::Certificate::Parse(der);
    return root && identity::PinOf(root->spki()) == token->ca_pin;
  };
  if (token && std::none_of(roots.begin(), roots.end(), is_pinned)) {
    return absl::FailedPreconditionError(
        "the join token is for another mesh than the one this peer is in; start without the token, "
        "or join with another --data-dir");
  }
  if (token) kLog.Info("enrolled already; the join token was not needed");
  const auto claims = material.certificate.Claims();
  if (!name.empty() && claims && claims->name != name) {
    kLog.Warning("the certificate's name stays; another one needs another data directory",
                 {{"name", claims->name}, {"configured", name}});
  }
  return absl::OkStatus();
}

Renewal::Renewal(std::string data_dir, tls::Material material, std::vector<std::string> hosts,
                 OnTried on_tried)
    : data_dir_(std::move(data_dir)),
      hosts_(std::move(hosts)),
      on_tried_(std::move(on_tried)),
      rng_(driver::OsSeed()),
      material_(std::move(material)),
      due_(ca::RenewalTime(material_.certificate, rng_.Next())) {
  if (!material_.ca_address.empty())
    thread_ = ledger::Thread("pm-renew", ledger::kThread, ledger::Scope{}, [this] { Run(); });
}

Renewal::~Renewal() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.Join();
}

void Renewal::Adopt(const identity::Certificate& certificate) {
  const std::lock_guard lock(mutex_);
  material_.certificate = certificate;
  due_ = ca::RenewalTime(certificate, rng_.Next());
  save_due_ = WallTime::max();  // it was read from there
  changed_.notify_all();
}

void Renewal::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    changed_.wait_until(lock, std::min(due_, save_due_));
    if (stopping_) return;
    const WallTime now = driver::WallNow();
    if (now >= due_) {
      Renew(lock);
    } else if (now >= save_due_) {
      Save();
    }
  }
}

Duration Renewal::Pause() const {
  const Duration life = material_.certificate.not_after() - material_.certificate.not_before();
  return std::clamp<Duration>(life / 100, kRetryMin, kRetryMax);
}

void Renewal::Renew(std::unique_lock<std::mutex>& lock) {
  const tls::Material material = material_;
  lock.unlock();
  const auto renewed = ca::Renew(material, hosts_);
  const absl::Status used = on_tried_(renewed);
  lock.lock();
  if (!used.ok()) {
    kLog.Warning("certificate not renewed; will try again",
                 {{"error", std::string(used.message())}});
    due_ = driver::WallNow() + Pause();
    return;
  }
  kLog.Info("certificate renewed");
  material_.certificate = *renewed;
  due_ = ca::RenewalTime(*renewed, rng_.Next());
  Save();
}

void Renewal::Save() {
  const absl::Status saved = tls::SaveMaterial(IdentityDirectory(data_dir_), material_);
  if (saved.ok()) {
    if (std::exchange(save_due_, WallTime::max()) != WallTime::max())
      kLog.Info("certificate saved");
    return;
  }
  save_due_ = driver::WallNow() + Pause();
  kLog.Error("the certificate in use is not on disk; will try again",
             {{"error", std::string(saved.message())}});
  on_tried_(saved).IgnoreError();  // counts it
}

}  // namespace peermesh
