#include "server/store/peer_store.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/base/limits.h"

namespace peermesh::store {
namespace {

constexpr const char* kMigrations[] = {
    "CREATE TABLE epoch (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), last INTEGER NOT NULL);"
    "CREATE TABLE peers (id BLOB PRIMARY KEY, record BLOB NOT NULL, written INTEGER NOT NULL);",
};

// A record is re-signed at least once in the life of its certificate (7 days by default, renewable
// 7 days late).
constexpr std::chrono::seconds kMaxRecordAge = std::chrono::hours(24 * 14);

std::int64_t Seconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

WallTime Now() {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

}  // namespace

absl::StatusOr<std::unique_ptr<PeerStore>> PeerStore::Open(const std::string& path, WallTime now) {
  auto database = Database::Open(path, kMigrations);
  if (!database.ok()) return database.status();
  std::unique_ptr<PeerStore> store(new PeerStore(std::move(*database)));
  if (absl::Status status = store->Load(now); !status.ok()) return status;
  store->writer_ = std::thread([raw = store.get()] { raw->Run(); });
  return store;
}

PeerStore::PeerStore(std::unique_ptr<Database> database) : database_(std::move(database)) {
  PM_CHECK(database_ != nullptr);
}

PeerStore::~PeerStore() { Close(); }

absl::Status PeerStore::Load(WallTime now) {
  absl::Status dropped = Statement(database_->handle(), "DELETE FROM peers WHERE written < ?")
                             .Bind(static_cast<std::int64_t>(Seconds(now) - kMaxRecordAge.count()))
                             .Run();
  if (!dropped.ok()) return dropped;
  Statement rows(database_->handle(), "SELECT record FROM peers ORDER BY written DESC LIMIT ?");
  rows.Bind(static_cast<std::int64_t>(kMaxPeers));
  for (;;) {
    const auto row = rows.Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    remembered_.push_back(rows.Blob(0));
  }
}

absl::StatusOr<std::uint64_t> PeerStore::NextEpoch(std::uint64_t unix_ms) {
  Transaction transaction(*database_);
  std::uint64_t epoch = unix_ms;
  {
    Statement last(database_->handle(), "SELECT last FROM epoch");
    const auto row = last.Step();
    if (!row.ok()) return row.status();
    if (*row) epoch = std::max(epoch, static_cast<std::uint64_t>(last.Integer(0)) + 1);
  }
  absl::Status stored = Statement(database_->handle(), "INSERT OR REPLACE INTO epoch VALUES (1, ?)")
                            .Bind(static_cast<std::int64_t>(epoch))
                            .Run();
  if (!stored.ok()) return stored;
  if (absl::Status durable = transaction.Commit(); !durable.ok()) return durable;
  return epoch;
}

void PeerStore::Remember(const PeerId& peer, std::string encoded) {
  const std::lock_guard lock(mutex_);
  if (closing_ || (waiting_.size() >= kMaxPeers && !waiting_.contains(peer))) return;
  waiting_[peer] = std::move(encoded);
  changed_.notify_one();
}

void PeerStore::Forget(const PeerId& peer) {
  const std::lock_guard lock(mutex_);
  if (closing_) return;
  waiting_[peer] = std::nullopt;
  changed_.notify_one();
}

void PeerStore::Run() {
  pthread_setname_np(pthread_self(), "pm-store");
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return closing_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const auto changes = std::exchange(waiting_, {});
    lock.unlock();
    const absl::Status written = Write(changes);
    lock.lock();
    (written.ok() ? stats_.written : stats_.failed) += changes.size();
  }
}

absl::Status PeerStore::Write(const std::map<PeerId, std::optional<std::string>>& changes) {
  const std::int64_t now = Seconds(Now());
  Transaction transaction(*database_);
  for (const auto& [peer, record] : changes) {
    absl::Status status =
        record ? Statement(database_->handle(), "INSERT OR REPLACE INTO peers VALUES (?, ?, ?)")
                     .BindBlob(peer.ToBytes())
                     .BindBlob(*record)
                     .Bind(now)
                     .Run()
               : Statement(database_->handle(), "DELETE FROM peers WHERE id = ?")
                     .BindBlob(peer.ToBytes())
                     .Run();
    if (!status.ok()) return status;
  }
  return transaction.Commit();
}

PeerStore::Stats PeerStore::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void PeerStore::Close() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    changed_.notify_one();
  }
  if (writer_.joinable()) writer_.join();
}

}  // namespace peermesh::store
