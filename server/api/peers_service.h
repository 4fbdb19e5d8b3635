// PeersService: the peer table, once or as a watch.
//
// A watch sends the table, then every change; a watcher that reads slowly gets the latest row of
// each peer, not every step in between, so what waits for it is bounded by the table. Changes are
// numbered; a resume token is the run of this process and a number, good for as long as the change
// is in the log of kLoggedChanges. What a caller that resumes holds is not known here, so it may be
// told to remove a row that it does not hold, and is never left with one that is gone.
//
// A change to a state that accuses somebody is shown with who says so, which only the node knows:
// it is looked up in the next turn, and later changes wait behind it.
//
// A ping waits for the node's answer, which comes within kPingTimeout (mesh/node/bounds.h) and so
// bounds what waits here.
//
// Thread-safe.
#ifndef PEERMESH_SERVER_API_PEERS_SERVICE_H_
#define PEERMESH_SERVER_API_PEERS_SERVICE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "mesh/membership/members.h"
#include "server/driver/driver.h"
#include "server/link/stream.h"

namespace peermesh::api {

// Resuming after a pause costs a snapshot beyond this: a table of 32 peers that all change 32
// times.
inline constexpr std::size_t kLoggedChanges = 1024;
inline constexpr std::size_t kMaxWatchers = 256;  // guess: consoles and resolvers on one host

class PeersService {
 public:
  // `look` runs its argument within the turn (Driver::Look), `post` tells the node a fact; `run`
  // differs in every run of the process.
  PeersService(std::function<void(std::function<void(const node::Node&)>)> look,
               std::function<void(node::Input)> post, std::uint64_t run);
  ~PeersService();

  void Take(const std::shared_ptr<link::Stream>& stream);
  // Within the turn.
  void Perform(const node::PeerChanged& wish);
  void Perform(const node::Pinged& wish);
  // Ends every watch in good order, and every call that waits.
  void FinishAll();

  struct LoggedChange {
    std::uint64_t number = 0;
    membership::PeerView peer;
    bool removed = false;
    std::vector<PeerId> accusers;
  };

 private:
  class ListCall;
  class GetCall;
  class PingCall;
  class Watch;
  void Drop(Watch* watch);
  std::uint64_t LastChange() const;
  void Explain(const node::Node& node);
  void Tell(LoggedChange change);

  const std::function<void(std::function<void(const node::Node&)>)> look_;
  const std::function<void(node::Input)> post_;
  const std::uint64_t run_;

  mutable std::mutex mutex_;
  std::map<Watch*, std::shared_ptr<Watch>> watches_;
  std::deque<LoggedChange> log_;
  std::vector<LoggedChange> unexplained_;  // of one turn; touched within turns only
  std::uint64_t last_change_ = 0;
  std::map<RequestId, std::shared_ptr<link::Stream>> pings_;  // unanswered
  std::uint64_t next_ping_ = 1;
};

}  // namespace peermesh::api

#endif  // PEERMESH_SERVER_API_PEERS_SERVICE_H_
