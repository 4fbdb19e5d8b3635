#include "server/store/peer_store.h"

#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/base/limits.h"
#include "metrics/ledger/kinds.h"

namespace peermesh::store {
namespace {

constexpr const char* kMigrations[] = {
    "CREATE TABLE epoch (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), last INTEGER NOT NULL);"
    "CREATE TABLE peers (id BLOB PRIMARY KEY, record BLOB NOT NULL, written INTEGER NOT NULL);",
};

std::int64_t Seconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

WallTime Now() {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

}  // namespace

absl::StatusOr<std::unique_ptr<PeerStore>> PeerStore::Open(const std::string& path,
                                                           OnWriting on_writing) {
  auto database = Database::Open(path, kMigrations);
  if (!database.ok()) return database.status();
  std::unique_ptr<PeerStore> store(new PeerStore(std::move(*database), std::move(on_writing)));
  if (absl::Status status = store->Load(); !status.ok()) return status;
  store->writer_ = ledger::Thread("pm-store", ledger::kThread, ledger::Scope{},
                                  [raw = store.get()] { raw->Run(); });
  return store;
}

PeerStore::PeerStore(std::unique_ptr<Database> database, OnWriting on_writing)
    : database_(std::move(database)), on_writing_(std::move(on_writing)) {
  PM_CHECK(database_ != nullptr && on_writing_ != nullptr);
}

PeerStore::~PeerStore() { Close(); }

absl::Status PeerStore::Load() {
  absl::Status dropped = Statement(database_->handle(),
                                   "DELETE FROM peers WHERE id NOT IN"
                                   " (SELECT id FROM peers ORDER BY written DESC LIMIT ?)")
                             .Bind(static_cast<std::int64_t>(kMaxPeers))
                             .Run();
  if (!dropped.ok()) return dropped;
  Statement rows(database_->handle(), "SELECT id, record FROM peers ORDER BY written DESC");
  for (;;) {
    const auto row = rows.Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    if (const auto peer = PeerId::FromBytes(rows.Blob(0)))
      remembered_.push_back({*peer, rows.Blob(1)});
  }
}

absl::StatusOr<std::uint64_t> PeerStore::NextEpoch(std::uint64_t unix_ms) {
  auto transaction = Transaction::Begin(*database_);
  if (!transaction.ok()) return transaction.status();
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
  if (absl::Status durable = transaction->Commit(); !durable.ok()) return durable;
  return epoch;
}

void PeerStore::Remember(const PeerId& peer, std::string encoded) {
  Change(peer, std::move(encoded));
}

void PeerStore::Forget(const PeerId& peer) { Change(peer, std::nullopt); }

void PeerStore::Change(const PeerId& peer, std::optional<std::string> record) {
  const std::lock_guard lock(mutex_);
  if (closing_ || (waiting_.size() >= kMaxPeers && !waiting_.contains(peer))) return;
  waiting_[peer] = std::move(record);
  changed_.notify_one();
}

void PeerStore::Run() {
  bool failing = false;
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return closing_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const bool last = closing_;
    Changes changes = std::exchange(waiting_, {});
    lock.unlock();
    const absl::Status written = Write(changes);
    if (written.ok() == failing) {
      failing = !failing;
      on_writing_(written);
    }
    lock.lock();
    if (written.ok()) {
      stats_.written += changes.size();
    } else if (last) {
      stats_.lost += changes.size();
      return;
    } else {
      ++stats_.retries;
      for (auto& [peer, record] : changes) {  // what came meanwhile is newer
        if (waiting_.size() < kMaxPeers) waiting_.try_emplace(peer, std::move(record));
      }
      changed_.wait_for(lock, kRetryPause, [this] { return closing_; });
    }
  }
}

absl::Status PeerStore::Write(const Changes& changes) {
  const std::int64_t now = Seconds(Now());
  auto transaction = Transaction::Begin(*database_);
  if (!transaction.ok()) return transaction.status();
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
  return transaction->Commit();
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
  writer_.Join();
}

}  // namespace peermesh::store
