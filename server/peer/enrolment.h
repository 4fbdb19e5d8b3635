// How a peer comes by its identity: the first start joins a mesh or makes one, later starts read
// what is there, and certificates are renewed long before they run out.
//
// Blocking; from main's thread, and the renewal from a thread of its own.
#ifndef PEERMESH_SERVER_PEER_ENROLMENT_H_
#define PEERMESH_SERVER_PEER_ENROLMENT_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mesh/base/rng.h"
#include "mesh/identity/certificate.h"
#include "mesh/identity/token.h"
#include "metrics/ledger/thread.h"
#include "server/tls/material.h"

namespace peermesh {

// Where the identity of the peer with this data directory lives.
std::string IdentityDirectory(const std::string& data_dir);
std::string CaDirectory(const std::string& data_dir);

// Seeds that came with the token; kept for starts before any peer is remembered.
std::vector<std::string> ReadSeeds(const std::string& data_dir);

// Whether the environment holds a join token (PEERMESH_JOIN).
bool HasJoinVariable();
// The token in the file `from`, or on standard input if that is "-"; if it is empty, the one of the
// environment, which is removed from there. Nothing if neither is given. NOT_FOUND: no token is
// where it should be.
absl::StatusOr<std::optional<identity::Token>> ReadToken(const std::string& from);

// Redeems the token for an identity in the data directory. Safe to repeat with the same token.
absl::StatusOr<tls::Material> Join(const std::string& data_dir, const identity::Token& token,
                                   const std::string& name, const std::vector<std::string>& hosts);

// The identity of an earlier start. One whose certificate has run out meanwhile is renewed first,
// if the CA can be reached: a peer that was away for a few days comes back by itself. `ca_address`
// is where its CA is now; empty: where it was.
// OUT_OF_RANGE: the clock of this host, or that of the CA, is wrong.
absl::StatusOr<tls::Material> LoadIdentity(const std::string& data_dir,
                                           const std::vector<std::string>& hosts,
                                           const std::string& ca_address);

// An enrolled peer stays what its certificate says. FAILED_PRECONDITION if the token it was started
// with is for another mesh; another name (empty if none was given) is only logged.
absl::Status CheckAskedFor(const tls::Material& material,
                           const std::optional<identity::Token>& token, const std::string& name);

// Renews at a random 50 to 80 % of the certificate's life, and tries again until it works. A
// certificate that cannot be written, because the disk is full, is used all the same and written
// when it can be.
class Renewal {
 public:
  // What a try came to. Returns the same, or why the certificate cannot be used: then it failed
  // too.
  using OnTried = std::function<absl::Status(const absl::StatusOr<identity::Certificate>&)>;
  Renewal(std::string data_dir, tls::Material material, std::vector<std::string> hosts,
          OnTried on_tried);
  // Waits for a call under way, ca::kCallTime at most.
  ~Renewal();

  // Somebody else brought a certificate: it is the one to renew from now on.
  void Adopt(const identity::Certificate& certificate);

 private:
  void Run();
  // Lets go of the lock for the call.
  void Renew(std::unique_lock<std::mutex>& lock);
  void Save();
  Duration Pause() const;  // after a failure

  const std::string data_dir_;
  const std::vector<std::string> hosts_;
  const OnTried on_tried_;

  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  Rng rng_;
  tls::Material material_;
  WallTime due_;
  WallTime save_due_ = WallTime::max();  // of a certificate that is in use and not on disk
  bool stopping_ = false;
  ledger::Thread thread_;
};

}  // namespace peermesh

#endif  // PEERMESH_SERVER_PEER_ENROLMENT_H_
