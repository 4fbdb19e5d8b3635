// What a peer remembers between runs: the epoch of its numbering and the signed records of the
// peers it met.
//
// Rules:
//  * An epoch is durable before it is used, so no two runs ever number under the same one,
//    whatever the clock does.
//  * Records are written by a thread of their own, the latest of each peer; a turn never waits for
//    a disk. A crash may lose the last second of them, which costs a newcomer's address and
//    nothing else.
//  * Records not renewed for two weeks, longer than any certificate of a live peer goes unrenewed,
//    are dropped at open. They are verified again by whoever reads them.
//
// Bounds: one record waiting for each peer, kMaxPeers of them. Thread-safe.
#ifndef PEERMESH_SERVER_STORE_PEER_STORE_H_
#define PEERMESH_SERVER_STORE_PEER_STORE_H_

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "mesh/base/id.h"
#include "mesh/base/time.h"
#include "server/store/sqlite.h"

namespace peermesh::store {

class PeerStore {
 public:
  static absl::StatusOr<std::unique_ptr<PeerStore>> Open(const std::string& path, WallTime now);
  // As Close().
  ~PeerStore();

  // max(last + 1, unix_ms), stored. Before anything else.
  absl::StatusOr<std::uint64_t> NextEpoch(std::uint64_t unix_ms);
  // Encoded records as they were when the store was opened.
  const std::vector<std::string>& remembered() const { return remembered_; }

  void Remember(const PeerId& peer, std::string encoded);
  void Forget(const PeerId& peer);

  struct Stats {
    std::uint64_t written = 0;
    std::uint64_t failed = 0;  // changes the disk would not take
  };
  Stats stats() const;

  // Writes what waits; nothing is taken afterwards.
  void Close();

 private:
  explicit PeerStore(std::unique_ptr<Database> database);
  absl::Status Load(WallTime now);
  void Run();
  absl::Status Write(const std::map<PeerId, std::optional<std::string>>& changes);

  const std::unique_ptr<Database> database_;
  std::vector<std::string> remembered_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<PeerId, std::optional<std::string>> waiting_;  // nullopt: forget
  bool closing_ = false;
  Stats stats_;
  std::thread writer_;
};

}  // namespace peermesh::store

#endif  // PEERMESH_SERVER_STORE_PEER_STORE_H_
