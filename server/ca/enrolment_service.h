// The CA's public face: GetBundle, Join and Renew (peermesh.ca.v1.EnrolmentService).
//
// Rules and why:
//   - Nothing of a request is believed but its key, which the request proves; name and hosts are
//     checked.
//   - The format of everything is checked before the token, so a token is judged only in complete
//     requests; all its faults get one answer, the true one goes to the log.
//   - Joins are rationed by address (an IPv6 one counts as its /64), renewals by identity: a commit
//     costs a disk write.
//   - Renewals keep name and role of the certificate that the TLS handshake proved.
//
// An attacker without a token gains, for each rationed call, the check of one ECDSA signature and
// one SHA-256, and the database's write lock for one look-up; nothing is written. Handlers return
// at once; the work is done on the worker. Thread-safe. Outlives its server.
#ifndef PEERMESH_SERVER_CA_ENROLMENT_SERVICE_H_
#define PEERMESH_SERVER_CA_ENROLMENT_SERVICE_H_

#include <functional>
#include <string>

#include "mesh/base/time.h"
#include "peermesh/ca/v1/ca.grpc.pb.h"
#include "server/ca/authority.h"
#include "server/ca/call_limiter.h"
#include "server/process/worker.h"
#include "server/store/ca_store.h"

namespace peermesh::ca {

// A whole rack of new hosts behind one address may join at once.
inline constexpr int kJoinsPerSecond = 2;
inline constexpr int kJoinBurst = 64;
// A peer renews every few days; the burst serves one that restarts in a loop.
inline constexpr int kRenewalsPerSecond = 1;
inline constexpr int kRenewalBurst = 10;

class EnrolmentService final : public v1::EnrolmentService::CallbackService {
 public:
  struct Options {
    const Authority* authority = nullptr;
    store::CaStore* store = nullptr;  // touched on the worker only
    Worker* worker = nullptr;
    std::function<WallTime()> now;
    Duration certificate_lifetime{};  // of peers
    // A call arrived from this peer (as ServerContext::peer() shows it): its handshake is
    // complete.
    std::function<void(const std::string& peer)> on_call;
  };
  explicit EnrolmentService(Options options);

  grpc::ServerUnaryReactor* GetBundle(grpc::CallbackServerContext* context,
                                      const v1::GetBundleRequest* request,
                                      v1::GetBundleResponse* response) override;
  grpc::ServerUnaryReactor* Join(grpc::CallbackServerContext* context,
                                 const v1::JoinRequest* request,
                                 v1::JoinResponse* response) override;
  grpc::ServerUnaryReactor* Renew(grpc::CallbackServerContext* context,
                                  const v1::RenewRequest* request,
                                  v1::RenewResponse* response) override;

 private:
  grpc::Status DoJoin(const std::string& peer, const v1::JoinRequest& request,
                      v1::JoinResponse& response);
  grpc::Status DoRenew(const grpc::AuthContext& caller, const v1::RenewRequest& request,
                       v1::RenewResponse& response);

  const Options options_;
  CallLimiter joins_;     // the worker's
  CallLimiter renewals_;  // the worker's
};

}  // namespace peermesh::ca

#endif  // PEERMESH_SERVER_CA_ENROLMENT_SERVICE_H_
