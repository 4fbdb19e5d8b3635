// How a peer comes by its identity: the first start joins a mesh or makes one, later starts read
// what is there, and certificates are renewed long before they run out.
//
// Blocking; from main's thread, and the renewal from a thread of its own.
#ifndef PEERMESH_SERVER_ENROLMENT_H_
#define PEERMESH_SERVER_ENROLMENT_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mesh/base/rng.h"
#include "mesh/identity/certificate.h"
#include "server/tls/material.h"

namespace peermesh {

// Where the identity of the peer with this data directory lives.
std::string IdentityDirectory(const std::string& data_dir);
std::string CaDirectory(const std::string& data_dir);

// Seeds that came with the token; kept for starts before any peer is remembered.
std::vector<std::string> ReadSeeds(const std::string& data_dir);

// Redeems the token for an identity in the data directory. Safe to repeat with the same token.
absl::StatusOr<tls::Material> Join(const std::string& data_dir, const std::string& token,
                                   const std::string& name, const std::vector<std::string>& hosts);

// The identity of an earlier start. One whose certificate has run out meanwhile is renewed first,
// if the CA can be reached: a peer that was away for a few days comes back by itself.
absl::StatusOr<tls::Material> LoadIdentity(const std::string& data_dir,
                                           const std::vector<std::string>& hosts);

// Renews at a random 50 to 80 % of the certificate's life, and tries again until it works.
class Renewal {
 public:
  using OnRenewed = std::function<void(const identity::Certificate&)>;
  Renewal(std::string data_dir, tls::Material material, std::vector<std::string> hosts,
          OnRenewed on_renewed);
  // Waits for a call under way, a few seconds at most.
  ~Renewal();

  struct Stats {
    std::uint64_t renewed = 0, failed = 0;
  };
  Stats stats() const;

 private:
  void Run();
  absl::Status TryOnce();

  const std::string data_dir_;
  tls::Material material_;
  const std::vector<std::string> hosts_;
  const OnRenewed on_renewed_;
  Rng rng_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  Stats stats_;
  std::thread thread_;
};

}  // namespace peermesh

#endif  // PEERMESH_SERVER_ENROLMENT_H_
