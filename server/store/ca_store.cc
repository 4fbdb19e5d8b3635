#include "server/store/ca_store.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <utility>

#include "mesh/base/check.h"

namespace peermesh::store {
namespace {

using identity::Certificate;

// Times are microseconds since 1970, ids and hashes raw bytes.
constexpr const char* kMigrations[] = {
    "CREATE TABLE tokens ("
    " id TEXT PRIMARY KEY, secret_hash BLOB NOT NULL, state INTEGER NOT NULL,"
    " created INTEGER NOT NULL, expires INTEGER NOT NULL, name TEXT NOT NULL, seeds TEXT NOT NULL,"
    " holder BLOB, certificate BLOB) WITHOUT ROWID;"
    "CREATE INDEX tokens_by_expiry ON tokens (expires);"
    "CREATE TABLE names ("
    " name TEXT PRIMARY KEY, holder BLOB NOT NULL, held_until INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE certificates ("
    " fingerprint BLOB PRIMARY KEY, holder BLOB NOT NULL, name TEXT NOT NULL, uri TEXT NOT NULL,"
    " issued INTEGER NOT NULL, not_after INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX certificates_by_expiry ON certificates (not_after);",
};

std::int64_t Stored(WallTime time) { return time.time_since_epoch().count(); }
WallTime Loaded(std::int64_t stored) { return WallTime(Duration(stored)); }

std::string HashOf(std::string_view bytes) { return identity::PeerIdOf(bytes).ToBytes(); }

std::string Join(const std::vector<std::string>& lines) {
  return fmt::format("{}", fmt::join(lines, "\n"));
}

std::vector<std::string> SplitLines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

constexpr std::string_view kTokenColumns = "id, state, created, expires, name, holder";

TokenRecord RecordOf(const Statement& row, WallTime now) {
  TokenRecord record;
  record.id = row.Text(0);
  record.state = static_cast<TokenState>(row.Integer(1));
  record.created = Loaded(row.Integer(2));
  record.expires = Loaded(row.Integer(3));
  record.name = row.Text(4);
  record.holder = PeerId::FromBytes(row.Blob(5));
  if (record.state == TokenState::kIssued && now >= record.expires)
    record.state = TokenState::kExpired;
  return record;
}

// A row of `tokens` as a redemption needs it.
struct Stub {
  TokenRecord record;
  std::string secret_hash;
  std::vector<std::string> seeds;
  std::string certificate;
};

absl::StatusOr<Stub> LoadStub(Database& database, std::string_view id, WallTime now) {
  Statement select(
      database.handle(),
      fmt::format("SELECT {}, secret_hash, seeds, certificate FROM tokens WHERE id = ?",
                  kTokenColumns));
  const auto row = select.Bind(id).Step();
  if (!row.ok()) return row.status();
  // An unknown id is compared like a known one, with a hash that nothing has.
  if (!*row)
    return Stub{.record = {}, .secret_hash = std::string(32, '\0'), .seeds = {}, .certificate = {}};
  return Stub{RecordOf(select, now), select.Blob(6), SplitLines(select.Text(7)), select.Blob(8)};
}

absl::Status MarkAbused(Database& database, const std::string& id) {
  return Statement(database.handle(), "UPDATE tokens SET state = ? WHERE id = ?")
      .Bind(static_cast<std::int64_t>(TokenState::kAbused))
      .Bind(id)
      .Run();
}

absl::Status MarkRedeemed(Database& database, const Redemption& redemption, const std::string& name,
                          const Certificate& certificate) {
  return Statement(
             database.handle(),
             "UPDATE tokens SET state = ?, name = ?, holder = ?, certificate = ? WHERE id = ?")
      .Bind(static_cast<std::int64_t>(TokenState::kRedeemed))
      .Bind(name)
      .BindBlob(redemption.key_id.ToBytes())
      .BindBlob(certificate.der())
      .Bind(redemption.token_id)
      .Run();
}

}  // namespace

const char* ToString(TokenFault fault) {
  switch (fault) {
    case TokenFault::kNone: return "none";
    case TokenFault::kUnknownOrWrongSecret: return "unknown_or_wrong_secret";
    case TokenFault::kExpired: return "expired";
    case TokenFault::kRevoked: return "revoked";
    case TokenFault::kAbused: return "abused";
  }
  return "unknown";
}

absl::StatusOr<std::unique_ptr<CaStore>> CaStore::Open(const std::string& path) {
  auto database = Database::Open(path, kMigrations);
  if (!database.ok()) return database.status();
  return std::unique_ptr<CaStore>(new CaStore(*std::move(database)));
}

absl::Status CaStore::Forget(WallTime now) {
  const absl::Status status = Statement(database_->handle(), "DELETE FROM tokens WHERE expires < ?")
                                  .Bind(Stored(now - kTokenMemory))
                                  .Run();
  if (!status.ok()) return status;
  return Statement(database_->handle(), "DELETE FROM certificates WHERE not_after < ?")
      .Bind(Stored(now - kLogMemory))
      .Run();
}

absl::Status CaStore::AddToken(const NewToken& token) {
  auto transaction = Transaction::Begin(*database_);
  if (!transaction.ok()) return transaction.status();
  if (absl::Status status = Forget(token.created); !status.ok()) return status;
  {
    Statement count(database_->handle(),
                    "SELECT count(*) FROM tokens WHERE state = ? AND expires > ?");
    const auto row = count.Bind(static_cast<std::int64_t>(TokenState::kIssued))
                         .Bind(Stored(token.created))
                         .Step();
    if (!row.ok()) return row.status();
    if (count.Integer(0) >= static_cast<std::int64_t>(kMaxTokens)) {
      return absl::ResourceExhaustedError(
          "Too many unused tokens are waiting. Revoke some with `peermesh token revoke`.");
    }
  }
  const absl::Status status =
      Statement(database_->handle(),
                "INSERT INTO tokens (id, secret_hash, state, created, expires, name, seeds)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)")
          .Bind(token.id)
          .BindBlob(HashOf(token.secret))
          .Bind(static_cast<std::int64_t>(TokenState::kIssued))
          .Bind(Stored(token.created))
          .Bind(Stored(token.expires))
          .Bind(token.name)
          .Bind(Join(token.seeds))
          .Run();
  if (!status.ok()) return status;
  return transaction->Commit();
}

absl::StatusOr<std::vector<TokenRecord>> CaStore::ListTokens(WallTime now) {
  Statement select(
      database_->handle(),
      fmt::format("SELECT {} FROM tokens ORDER BY created DESC, id LIMIT ?", kTokenColumns));
  select.Bind(static_cast<std::int64_t>(kMaxListedTokens));
  std::vector<TokenRecord> records;
  for (;;) {
    const auto row = select.Step();
    if (!row.ok()) return row.status();
    if (!*row) return records;
    records.push_back(RecordOf(select, now));
  }
}

absl::StatusOr<TokenRecord> CaStore::RevokeToken(std::string_view id, WallTime now) {
  auto transaction = Transaction::Begin(*database_);
  if (!transaction.ok()) return transaction.status();
  TokenRecord record;
  {
    Statement select(database_->handle(),
                     fmt::format("SELECT {} FROM tokens WHERE id = ?", kTokenColumns));
    const auto row = select.Bind(id).Step();
    if (!row.ok()) return row.status();
    if (!*row) {
      return absl::NotFoundError("There is no such token. List them with `peermesh token ls`.");
    }
    record = RecordOf(select, now);
  }
  if (record.state == TokenState::kRedeemed || record.state == TokenState::kAbused) {
    return absl::FailedPreconditionError(
        "The token has been used; revoking it changes nothing. `peermesh token ls` shows who holds "
        "it.");
  }
  if (record.state == TokenState::kIssued) {
    record.state = TokenState::kRevoked;
    const absl::Status status =
        Statement(database_->handle(), "UPDATE tokens SET state = ? WHERE id = ?")
            .Bind(static_cast<std::int64_t>(TokenState::kRevoked))
            .Bind(id)
            .Run();
    if (!status.ok()) return status;
  }
  if (absl::Status status = transaction->Commit(); !status.ok()) return status;
  return record;
}

absl::Status CaStore::RefuseToken(TokenFault fault) {
  last_fault_ = fault;
  return absl::UnauthenticatedError(
      "The join token was refused: it is unknown, expired, revoked or used. Ask for a new one.");
}

absl::StatusOr<Redeemed> CaStore::Redeem(const Redemption& redemption, WallTime now,
                                         const Issue& issue) {
  last_fault_ = TokenFault::kNone;
  auto transaction = Transaction::Begin(*database_);
  if (!transaction.ok()) return transaction.status();
  const auto stub = LoadStub(*database_, redemption.token_id, now);
  if (!stub.ok()) return stub.status();
  const std::string hash = HashOf(redemption.token_secret);
  if (stub->secret_hash.size() != hash.size() ||
      CRYPTO_memcmp(stub->secret_hash.data(), hash.data(), hash.size()) != 0) {
    return RefuseToken(TokenFault::kUnknownOrWrongSecret);
  }
  const TokenRecord& token = stub->record;
  if (now >= token.expires) return RefuseToken(TokenFault::kExpired);
  if (token.state == TokenState::kRedeemed) {
    if (token.holder == redemption.key_id) {
      const auto certificate = Certificate::Parse(stub->certificate);
      PM_CHECK(certificate.has_value());
      return Redeemed{*certificate, stub->seeds, true};
    }
    absl::Status status = MarkAbused(*database_, token.id);
    if (status.ok()) status = transaction->Commit();
    return status.ok() ? RefuseToken(TokenFault::kAbused) : status;
  }
  if (token.state == TokenState::kAbused) return RefuseToken(TokenFault::kAbused);
  if (token.state != TokenState::kIssued) return RefuseToken(TokenFault::kRevoked);
  if (!token.name.empty() && token.name != redemption.name) {
    return absl::InvalidArgumentError(fmt::format(
        "The join token is for the name {}. Join with --name {}.", token.name, token.name));
  }
  const auto certificate = IssueNamed(redemption.key_id, redemption.name, now, issue);
  if (!certificate.ok()) return certificate.status();
  absl::Status status = MarkRedeemed(*database_, redemption, redemption.name, *certificate);
  if (status.ok()) status = transaction->Commit();
  if (!status.ok()) return status;
  return Redeemed{*certificate, stub->seeds, false};
}

absl::StatusOr<Certificate> CaStore::IssueFor(const PeerId& key_id, const std::string& name,
                                              WallTime now, const Issue& issue) {
  auto transaction = Transaction::Begin(*database_);
  if (!transaction.ok()) return transaction.status();
  const auto certificate = IssueNamed(key_id, name, now, issue);
  if (!certificate.ok()) return certificate.status();
  if (absl::Status status = transaction->Commit(); !status.ok()) return status;
  return certificate;
}

absl::Status CaStore::CheckName(const std::string& name, const PeerId& key_id, WallTime now) {
  Statement select(database_->handle(), "SELECT holder, held_until FROM names WHERE name = ?");
  const auto row = select.Bind(name).Step();
  if (!row.ok()) return row.status();
  if (*row && select.Blob(0) != key_id.ToBytes() && Loaded(select.Integer(1)) > now) {
    return absl::AlreadyExistsError(
        fmt::format("The name {} belongs to another key in this mesh. Choose another name.", name));
  }
  return absl::OkStatus();
}

absl::StatusOr<Certificate> CaStore::IssueNamed(const PeerId& key_id, const std::string& name,
                                                WallTime now, const Issue& issue) {
  if (absl::Status status = CheckName(name, key_id, now); !status.ok()) return status;
  const auto certificate = issue(name);
  if (!certificate.ok()) return certificate;
  const auto claims = certificate->Claims();
  PM_CHECK(claims.has_value() && claims->id == key_id && claims->name == name);
  // An older certificate of the same key may last longer than this one: the name is kept for the
  // later.
  absl::Status status =
      Statement(database_->handle(),
                "INSERT INTO names (name, holder, held_until) VALUES (?1, ?2, ?3)"
                " ON CONFLICT (name) DO UPDATE SET held_until = CASE WHEN holder = ?2"
                " THEN max(held_until, ?3) ELSE ?3 END, holder = ?2")
          .Bind(name)
          .BindBlob(key_id.ToBytes())
          .Bind(Stored(certificate->not_after() + kRenewalAllowance))
          .Run();
  if (!status.ok()) return status;
  status = Statement(database_->handle(),
                     "INSERT INTO certificates (fingerprint, holder, name, uri, issued, not_after)"
                     " VALUES (?, ?, ?, ?, ?, ?)")
               .BindBlob(HashOf(certificate->der()))
               .BindBlob(key_id.ToBytes())
               .Bind(name)
               .Bind(identity::UriOf(claims->mesh_id, claims->role, claims->id))
               .Bind(Stored(now))
               .Bind(Stored(certificate->not_after()))
               .Run();
  if (!status.ok()) return status;
  return certificate;
}

absl::StatusOr<std::int64_t> CaStore::CountCertificates() {
  Statement count(database_->handle(), "SELECT count(*) FROM certificates");
  const auto row = count.Step();
  if (!row.ok()) return row.status();
  return count.Integer(0);
}

}  // namespace peermesh::store
