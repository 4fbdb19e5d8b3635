// SQLite with owners: connections, statements and transactions that cannot be forgotten.
//
// Every database of ours is opened the same way: write-ahead log, synchronous FULL (a commit that
// was answered survives a power cut), foreign keys on, busy timeout 5 s, file mode 0600. The
// schema's version is SQLite's own `user_version`; migrations run in one transaction at open.
//
// Blocking I/O: never on a queue thread. One thread at a time for each Database.
#ifndef PEERMESH_SERVER_STORE_SQLITE_H_
#define PEERMESH_SERVER_STORE_SQLITE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/ledger/handle.h"

struct sqlite3;
struct sqlite3_stmt;

namespace peermesh::store {

// A prepared statement, used once: bind, step, read. Errors are sticky; Step and Run report the
// first.
class Statement {
 public:
  Statement(sqlite3* database, std::string_view sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // The next parameter, in order.
  Statement& Bind(std::int64_t value);
  Statement& Bind(std::string_view text);
  Statement& BindBlob(std::string_view bytes);

  // Whether there is a (next) row.
  absl::StatusOr<bool> Step();
  // For statements without rows.
  absl::Status Run();

  // Columns of the current row; NULL reads as 0 or empty.
  std::int64_t Integer(int column) const;
  std::string Text(int column) const;
  std::string Blob(int column) const;

 private:
  void Note(int result);

  sqlite3* const database_;
  sqlite3_stmt* statement_ = nullptr;
  int parameter_ = 0;
  int fault_ = 0;  // first error code
};

class Database {
 public:
  // Creates the file if there is none and applies the migrations it lacks: `migrations[n]` leads
  // from version n to n + 1. FAILED_PRECONDITION if a newer release has written it.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path,
                                                        std::span<const char* const> migrations);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  sqlite3* handle() const { return handle_; }
  // Several statements without parameters or rows.
  absl::Status Execute(const char* sql);
  // Rows changed by the last statement.
  std::int64_t changes() const;

 private:
  Database();
  sqlite3* handle_ = nullptr;
  ledger::Handle booking_;
};

// Rolled back unless committed. IMMEDIATE: a writer waits at the beginning, never in the middle.
class Transaction {
 public:
  static absl::StatusOr<Transaction> Begin(Database& database);
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  // Durable when it returns OK.
  absl::Status Commit();

 private:
  explicit Transaction(Database& database);
  Database* database_;  // null once committed or moved from
  ledger::Handle booking_;
};

}  // namespace peermesh::store

#endif  // PEERMESH_SERVER_STORE_SQLITE_H_
