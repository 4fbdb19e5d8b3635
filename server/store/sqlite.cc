#include "server/store/sqlite.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "mesh/base/check.h"
#include "metrics/ledger/fd.h"
#include "server/store/kinds.h"

namespace peermesh::store {
namespace {

constexpr int kBusyTimeoutMs = 5'000;  // longer than any of our transactions by far

absl::Status Failed(sqlite3* database, int result) {
  const std::string path = database != nullptr ? sqlite3_db_filename(database, "main") : "";
  // A full disk is an I/O error where the log or the shared memory of the database was to grow.
  const bool room = (result & 0xff) == SQLITE_FULL || (result & 0xff) == SQLITE_IOERR;
  const std::string text =
      fmt::format("The database {} reports: {}. {} {}", path,
                  database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(result),
                  room ? "Is there room? Run: df -h" : "Look at it, or restore it: ls -l",
                  room ? std::filesystem::path(path).parent_path().string() : path);
  switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return absl::UnavailableError(text);
    case SQLITE_CONSTRAINT: return absl::AlreadyExistsError(text);
    case SQLITE_FULL: return absl::ResourceExhaustedError(text);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return absl::DataLossError(text);
    default: return absl::InternalError(text);
  }
}

// SQLite would create the file by the umask.
absl::Status CreatePrivate(const std::string& path) {
  const ledger::UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600),
                            ledger::kBriefFd, ledger::Scope{});
  if (!fd) {
    return absl::FailedPreconditionError(fmt::format(
        "Cannot open {}: {}. Check the path and its owner.", path, std::strerror(errno)));
  }
  return absl::OkStatus();
}

absl::Status Migrate(Database& database, const std::string& path,
                     std::span<const char* const> migrations) {
  auto transaction = Transaction::Begin(database);
  if (!transaction.ok()) return transaction.status();
  std::int64_t version = 0;
  {
    Statement statement(database.handle(), "PRAGMA user_version");
    const auto row = statement.Step();
    if (!row.ok()) return row.status();
    version = statement.Integer(0);
  }
  const auto newest = static_cast<std::int64_t>(migrations.size());
  if (version > newest) {
    return absl::FailedPreconditionError(
        fmt::format("{} was written by a newer release (schema {}, known {}). Use that release.",
                    path, version, newest));
  }
  if (version == newest) return absl::OkStatus();
  for (auto step = version; step < newest; ++step) {
    const auto status = database.Execute(migrations[static_cast<std::size_t>(step)]);
    if (!status.ok()) return status;
  }
  const auto status = database.Execute(fmt::format("PRAGMA user_version = {}", newest).c_str());
  if (!status.ok()) return status;
  return transaction->Commit();
}

}  // namespace

Statement::Statement(sqlite3* database, std::string_view sql) : database_(database) {
  Note(
      sqlite3_prepare_v2(database, sql.data(), static_cast<int>(sql.size()), &statement_, nullptr));
}

Statement::~Statement() { sqlite3_finalize(statement_); }

void Statement::Note(int result) {
  if (fault_ == SQLITE_OK) fault_ = result;
}

Statement& Statement::Bind(std::int64_t value) {
  Note(sqlite3_bind_int64(statement_, ++parameter_, value));
  return *this;
}

Statement& Statement::Bind(std::string_view text) {
  Note(sqlite3_bind_text(statement_, ++parameter_, text.data(), static_cast<int>(text.size()),
                         SQLITE_TRANSIENT));
  return *this;
}

Statement& Statement::BindBlob(std::string_view bytes) {
  Note(sqlite3_bind_blob(statement_, ++parameter_, bytes.data(), static_cast<int>(bytes.size()),
                         SQLITE_TRANSIENT));
  return *this;
}

absl::StatusOr<bool> Statement::Step() {
  if (fault_ != SQLITE_OK) return Failed(database_, fault_);
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  fault_ = result;
  return Failed(database_, result);
}

absl::Status Statement::Run() {
  const auto row = Step();
  if (!row.ok()) return row.status();
  PM_CHECK(!*row);
  return absl::OkStatus();
}

std::int64_t Statement::Integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::string Statement::Text(int column) const { return Blob(column); }

std::string Statement::Blob(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return size > 0 ? std::string(static_cast<const char*>(data), static_cast<std::size_t>(size))
                  : std::string();
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path,
                                                         std::span<const char* const> migrations) {
  if (absl::Status status = CreatePrivate(path); !status.ok()) return status;
  std::unique_ptr<Database> database(new Database());
  const int result = sqlite3_open_v2(path.c_str(), &database->handle_,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (result != SQLITE_OK) return Failed(database->handle_, result);
  sqlite3_extended_result_codes(database->handle_, 1);
  sqlite3_busy_timeout(database->handle_, kBusyTimeoutMs);
  absl::Status status = database->Execute(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;");
  if (status.ok()) status = Migrate(*database, path, migrations);
  if (!status.ok()) return status;
  return database;
}

Database::Database() : booking_(kDatabase, ledger::Scope{}) {}

Database::~Database() {
  // No statement outlives a call, so nothing keeps it open.
  if (handle_ != nullptr) PM_CHECK(sqlite3_close(handle_) == SQLITE_OK);
}

absl::Status Database::Execute(const char* sql) {
  const int result = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? absl::OkStatus() : Failed(handle_, result);
}

std::int64_t Database::changes() const { return sqlite3_changes64(handle_); }

absl::StatusOr<Transaction> Transaction::Begin(Database& database) {
  if (absl::Status status = database.Execute("BEGIN IMMEDIATE"); !status.ok()) return status;
  return Transaction(database);
}

Transaction::Transaction(Database& database)
    : database_(&database), booking_(kTransaction, ledger::Scope{}) {}

Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)), booking_(std::move(other.booking_)) {}

Transaction::~Transaction() {
  // A failed commit may have rolled back already; SQLite then only complains.
  if (database_ == nullptr) return;
  database_->Execute("ROLLBACK").IgnoreError();
  booking_.End(ledger::Outcome::kCancelled);
}

absl::Status Transaction::Commit() {
  PM_CHECK(database_ != nullptr);
  absl::Status status = database_->Execute("COMMIT");
  if (status.ok()) {
    database_ = nullptr;
    booking_.End();
  }
  return status;
}

}  // namespace peermesh::store
