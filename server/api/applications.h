// MessagingService: publish, subscribe and exchange for applications.
//
// Each call is a session of the node. What a session may use is limited for its principal: all
// callers of the application socket together, or one client certificate.
//
// Thread-safe.
#ifndef PEERMESH_SERVER_API_APPLICATIONS_H_
#define PEERMESH_SERVER_API_APPLICATIONS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "mesh/base/id.h"
#include "mesh/base/limits.h"
#include "mesh/node/effect.h"
#include "mesh/node/input.h"
#include "server/link/stream.h"

namespace peermesh::api {

class Session;

// Those of the table, and as many that have left it.
inline constexpr std::size_t kMaxNames = 2 * kMaxPeers;

// What a session tells an application of the peer it talks to.
struct PeerFacts {
  PeerId id;
  std::string name;
  std::string mesh_id;
};

// Names of peers, learnt from the table; a name once seen stays for messages still under way.
using NameOf = std::function<std::string(const PeerId&)>;

class Applications {
 public:
  Applications(PeerFacts self, std::function<void(node::Input)> post);
  ~Applications();

  // A call of MessagingService, from a caller who may make it.
  void Take(const std::shared_ptr<link::Stream>& stream);

  // Wishes of the node.
  void Perform(node::Deliver wish);
  void Perform(node::Answer wish);
  void Perform(node::Subscribed wish);
  void Perform(node::CloseSession wish);
  void Perform(const node::PeerChanged& wish);

  // Tells every session that the peer leaves; from now on no call is taken.
  void GoAway(Duration grace);
  // Ends every session when it is written out.
  void FinishAll();

  // For sessions.
  void Opened(std::shared_ptr<Session> session);
  void Closed(SessionId session);
  void Post(node::Input input) { post_(std::move(input)); }
  const PeerFacts& self() const { return self_; }
  const NameOf& names() const { return names_; }
  RequestId NextRequest();
  link::RpcStatus StatusOf(node::Refusal refusal, const char* limit = "", Duration retry_after = {},
                           const std::string& subject = {}) const;
  void CountRefused();

  // Calls refused because of what they sent: undecodable, or against the rules.
  std::uint64_t bad_requests() const;

 private:
  PrincipalId PrincipalOf(const link::CallInfo& info);
  std::shared_ptr<Session> Find(SessionId session) const;
  std::vector<std::shared_ptr<Session>> All() const;

  const PeerFacts self_;
  const std::function<void(node::Input)> post_;
  const NameOf names_;

  mutable std::mutex mutex_;
  std::unordered_map<SessionId, std::shared_ptr<Session>> sessions_;
  std::map<PeerId, PrincipalId>
      principals_;  // clients with certificates; ids are bounded by what the CA issued
  struct KnownName {
    std::string name;
    bool gone = false;  // the peer has left the table; messages of it may be under way
  };
  std::map<PeerId, KnownName> peer_names_;  // at most kMaxNames
  std::uint64_t next_session_ = 1, next_request_ = 1, next_principal_ = 2;
  bool leaving_ = false;
  std::uint64_t bad_requests_ = 0;
};

}  // namespace peermesh::api

#endif  // PEERMESH_SERVER_API_APPLICATIONS_H_
