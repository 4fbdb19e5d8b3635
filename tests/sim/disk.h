// What a peer remembers between its processes, as server/store/peer_store.h keeps it: changes wait
// in memory, the latest of each peer; one write at a time takes all that wait, and is durable as a
// whole when it is done. Who is killed loses what waits, and, by chance, the write under way.
//
// The epoch is not here: it is durable before a process does anything, so none is ever used twice.
// Not thread-safe.
#ifndef PEERMESH_TESTS_SIM_DISK_H_
#define PEERMESH_TESTS_SIM_DISK_H_

#include <map>
#include <optional>
#include <utility>

#include "mesh/base/rng.h"
#include "mesh/base/time.h"
#include "mesh/membership/record.h"

namespace peermesh::sim {

class Disk {
 public:
  // A write takes up to `slowest`.
  Disk(Rng rng, Duration slowest) : rng_(rng), slowest_(slowest) {}

  void Remember(Instant now, membership::RecordRef record) {
    const PeerId peer = record->id;
    Change(now, peer, std::move(record));
  }
  void Forget(Instant now, const PeerId& peer) { Change(now, peer, std::nullopt); }

  // An orderly end.
  void Close() {
    Apply(writing_);
    Apply(waiting_);
    done_ = kNever;
  }
  // How many changes were lost.
  std::size_t Crash(Instant now) {
    WriteUntil(now);
    if (done_ != kNever && rng_.Below(2) == 0) Apply(writing_);
    const std::size_t lost = writing_.size() + waiting_.size();
    writing_.clear();
    waiting_.clear();
    done_ = kNever;
    return lost;
  }

  const std::map<PeerId, membership::RecordRef>& records() const { return records_; }

 private:
  using Changes = std::map<PeerId, std::optional<membership::RecordRef>>;

  void Change(Instant now, const PeerId& peer, std::optional<membership::RecordRef> record) {
    WriteUntil(now);
    waiting_[peer] = std::move(record);
    if (done_ == kNever) Begin(now);
    WriteUntil(now);
  }
  void Begin(Instant now) {
    writing_ = std::exchange(waiting_, {});
    done_ = now + rng_.Between({}, slowest_);
  }
  void WriteUntil(Instant now) {
    while (done_ <= now) {
      const Instant done = std::exchange(done_, kNever);
      Apply(writing_);
      if (!waiting_.empty()) Begin(done);
    }
  }
  void Apply(Changes& changes) {
    for (auto& [peer, record] : std::exchange(changes, {})) {
      if (record) {
        records_[peer] = *std::move(record);
      } else {
        records_.erase(peer);
      }
    }
  }

  Rng rng_;
  const Duration slowest_;
  std::map<PeerId, membership::RecordRef> records_;
  Changes writing_, waiting_;
  Instant done_ = kNever;  // when the write under way is; kNever: there is none
};

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_DISK_H_
