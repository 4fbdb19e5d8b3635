// What a peer remembers between runs: the epoch of its numbering and the signed records of the
// peers it met.
//
// Rules:
//  * An epoch is durable before it is used, so no two runs ever number under the same one,
//    whatever the clock does.
//  * Records are written by a thread of their own, the latest of each peer; a turn never waits for
//    a disk. A crash may lose the last second of them, which costs a newcomer's address and
//    nothing else. What the disk does not take is tried again every kRetryPause.
//  * Nothing here grows old: whoever reads the records verifies them, and forgets those that fail.
//
// Bounds: kMaxPeers records on disk after an open, kMaxPeers changes waiting. Thread-safe.
#ifndef PEERMESH_SERVER_STORE_PEER_STORE_H_
#define PEERMESH_SERVER_STORE_PEER_STORE_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mesh/base/id.h"
#include "metrics/ledger/thread.h"
#include "server/store/sqlite.h"

namespace peermesh::store {

inline constexpr std::chrono::seconds kRetryPause(1);  // a full disk needs somebody to act

class PeerStore {
 public:
  // Writing has failed for this reason, or works again. On the store's own thread.
  using OnWriting = std::function<void(const absl::Status&)>;

  static absl::StatusOr<std::unique_ptr<PeerStore>> Open(const std::string& path,
                                                         OnWriting on_writing);
  // As Close().
  ~PeerStore();

  // max(last + 1, unix_ms), stored. Before anything else.
  absl::StatusOr<std::uint64_t> NextEpoch(std::uint64_t unix_ms);
  // Encoded records as they were when the store was opened, the latest first.
  struct Remembered {
    PeerId peer;
    std::string encoded;
  };
  const std::vector<Remembered>& remembered() const { return remembered_; }

  void Remember(const PeerId& peer, std::string encoded);
  void Forget(const PeerId& peer);

  struct Stats {
    std::uint64_t written = 0;
    std::uint64_t retries = 0;  // writes that failed and are tried again
    std::uint64_t lost = 0;     // changes that the disk had not taken at the end
  };
  Stats stats() const;

  // Writes what waits; nothing is taken afterwards.
  void Close();

 private:
  using Changes = std::map<PeerId, std::optional<std::string>>;  // nullopt: forget

  PeerStore(std::unique_ptr<Database> database, OnWriting on_writing);
  absl::Status Load();
  void Change(const PeerId& peer, std::optional<std::string> record);
  void Run();
  absl::Status Write(const Changes& changes);

  const std::unique_ptr<Database> database_;
  const OnWriting on_writing_;
  std::vector<Remembered> remembered_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Changes waiting_;
  bool closing_ = false;
  Stats stats_;
  ledger::Thread writer_;
};

}  // namespace peermesh::store

#endif  // PEERMESH_SERVER_STORE_PEER_STORE_H_
