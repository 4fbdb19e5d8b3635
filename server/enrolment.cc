#include "server/enrolment.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "mesh/identity/token.h"
#include "server/ca/enrol.h"
#include "server/config/logging.h"
#include "server/driver/driver.h"
#include "server/tls/files.h"

namespace peermesh {
namespace {

constexpr config::Logger kLog("identity");

// After a failure: a hundredth of the certificate's life, within these.
constexpr Duration kRetryMin = std::chrono::seconds(1);
constexpr Duration kRetryMax = std::chrono::minutes(10);

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

absl::StatusOr<tls::Material> Join(const std::string& data_dir, const std::string& text,
                                   const std::string& name, const std::vector<std::string>& hosts) {
  const auto token = identity::ParseToken(text);
  if (!token.ok()) return token.status();
  auto key = tls::EnsureKey(IdentityDirectory(data_dir));
  if (!key.ok()) return key.status();
  ca::EnrolOptions options;
  options.name = name;
  options.hosts = hosts;
  auto joined = ca::Enrol(*token, *key, options);
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
                                           const std::vector<std::string>& hosts) {
  auto material = tls::LoadMaterial(IdentityDirectory(data_dir));
  if (!material.ok() || driver::WallNow() < material->certificate.not_after()) return material;
  auto renewed = ca::Renew(*material, hosts);
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

Renewal::Renewal(std::string data_dir, tls::Material material, std::vector<std::string> hosts,
                 OnRenewed on_renewed)
    : data_dir_(std::move(data_dir)),
      material_(std::move(material)),
      hosts_(std::move(hosts)),
      on_renewed_(std::move(on_renewed)),
      rng_(driver::OsSeed()) {
  if (!material_.ca_address.empty()) thread_ = std::thread([this] { Run(); });
}

Renewal::~Renewal() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

Renewal::Stats Renewal::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void Renewal::Run() {
  pthread_setname_np(pthread_self(), "pm-renew");
  std::unique_lock lock(mutex_);
  WallTime due = ca::RenewalTime(material_.certificate, rng_.Next());
  while (!changed_.wait_until(lock, due, [this] { return stopping_; })) {
    lock.unlock();
    const absl::Status status = TryOnce();
    if (status.ok()) {
      kLog.Info("certificate renewed");
      on_renewed_(material_.certificate);
    } else {
      kLog.Warning("certificate not renewed; will try again",
                   {{"error", std::string_view(status.message().data(), status.message().size())}});
    }
    lock.lock();
    if (status.ok()) {
      ++stats_.renewed;
      due = ca::RenewalTime(material_.certificate, rng_.Next());
    } else {
      ++stats_.failed;
      const Duration life = material_.certificate.not_after() - material_.certificate.not_before();
      due = driver::WallNow() + std::clamp<Duration>(life / 100, kRetryMin, kRetryMax);
    }
  }
}

absl::Status Renewal::TryOnce() {
  auto renewed = ca::Renew(material_, hosts_);
  if (!renewed.ok()) return renewed.status();
  tls::Material material = material_;
  material.certificate = std::move(*renewed);
  if (absl::Status status = tls::SaveMaterial(IdentityDirectory(data_dir_), material); !status.ok())
    return status;
  material_ = std::move(material);
  return absl::OkStatus();
}

}  // namespace peermesh
