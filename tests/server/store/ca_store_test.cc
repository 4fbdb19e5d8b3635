#include "server/store/ca_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/server/tls/mesh_fixture.h"

namespace peermesh::store {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr const char* kSecret = "the secret";

class CaStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "peermesh-store-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    Reopen();
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }
  void Reopen() {
    store_.reset();
    auto store = CaStore::Open(directory_ + "/ca.db");
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  void AddToken(const std::string& id, const std::string& name = "") {
    ASSERT_TRUE(store_->AddToken({id, kSecret, now_, now_ + hours(1), name, {"a:1", "b:2"}}).ok());
  }
  absl::StatusOr<Redeemed> Redeem(const tls::PrivateKey& key, const std::string& id,
                                  const std::string& name, const std::string& secret = kSecret) {
    return store_->Redeem({id, secret, key.id(), name}, now_, [&](const std::string& granted) {
      ++issued_;
      return absl::StatusOr<identity::Certificate>(
          mesh_.Issue(key, granted, identity::Role::kPeer, now_));
    });
  }
  absl::StatusCode CodeOf(const tls::PrivateKey& key, const std::string& id,
                          const std::string& name, const std::string& secret = kSecret) {
    return Redeem(key, id, name, secret).status().code();
  }
  TokenState StateOf(const std::string& id) {
    const auto records = store_->ListTokens(now_);
    EXPECT_TRUE(records.ok()) << records.status();
    for (const TokenRecord& record : *records) {
      if (record.id == id) return record.state;
    }
    ADD_FAILURE() << "no token " << id;
    return TokenState::kRevoked;
  }

  std::string directory_;
  std::unique_ptr<CaStore> store_;
  WallTime now_ = tls::WallNow();
  tls::TestMesh mesh_;
  tls::PrivateKey alice_ = tls::PrivateKey::Make();
  tls::PrivateKey bob_ = tls::PrivateKey::Make();
  int issued_ = 0;
};

TEST_F(CaStoreTest, ATokenIsRedeemedOnce) {
  AddToken("t1");
  EXPECT_EQ(StateOf("t1"), TokenState::kIssued);
  const auto redeemed = Redeem(alice_, "t1", "alice");
  ASSERT_TRUE(redeemed.ok()) << redeemed.status();
  EXPECT_FALSE(redeemed->again);
  EXPECT_EQ(redeemed->seeds, (std::vector<std::string>{"a:1", "b:2"}));
  EXPECT_EQ(redeemed->certificate.key_id(), alice_.id());
  EXPECT_EQ(StateOf("t1"), TokenState::kRedeemed);
  EXPECT_EQ(store_->ListTokens(now_)->front().holder, alice_.id());
  EXPECT_EQ(store_->ListTokens(now_)->front().name, "alice");
}

TEST_F(CaStoreTest, TheSameKeyGetsTheSameCertificateAgain) {
  AddToken("t1");
  const auto first = Redeem(alice_, "t1", "alice");
  ASSERT_TRUE(first.ok());
  Reopen();
  const auto second = Redeem(alice_, "t1", "alice");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_TRUE(second->again);
  EXPECT_EQ(second->certificate.der(), first->certificate.der());
  EXPECT_EQ(second->seeds, first->seeds);
  EXPECT_EQ(issued_, 1);
  now_ += hours(1);
  EXPECT_EQ(CodeOf(alice_, "t1", "alice"), absl::StatusCode::kUnauthenticated) << "expired by now";
}

TEST_F(CaStoreTest, AnotherKeyMakesTheTokenAbused) {
  AddToken("t1");
  ASSERT_TRUE(Redeem(alice_, "t1", "alice").ok());
  EXPECT_EQ(CodeOf(bob_, "t1", "bob"), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(store_->last_fault(), TokenFault::kAbused) << "the CA's log knows";
  Reopen();
  EXPECT_EQ(StateOf("t1"), TokenState::kAbused);
  EXPECT_EQ(CodeOf(alice_, "t1", "alice"), absl::StatusCode::kUnauthenticated);
}

TEST_F(CaStoreTest, AllFaultsOfATokenSoundTheSame) {
  AddToken("good");
  AddToken("revoked");
  ASSERT_TRUE(store_->RevokeToken("revoked", now_).ok());
  AddToken("used");
  ASSERT_TRUE(Redeem(alice_, "used", "alice").ok());
  const absl::Status wrong_secret = Redeem(bob_, "good", "bob", "wrong").status();
  EXPECT_EQ(wrong_secret.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(Redeem(bob_, "unknown", "bob").status(), wrong_secret);
  EXPECT_EQ(Redeem(bob_, "unknown", "bob", "").status(), wrong_secret);
  EXPECT_EQ(Redeem(bob_, "revoked", "bob").status(), wrong_secret);
  EXPECT_EQ(Redeem(bob_, "used", "bob").status(), wrong_secret);
  now_ += hours(1);
  EXPECT_EQ(Redeem(bob_, "good", "bob").status(), wrong_secret) << "expired";
  EXPECT_EQ(StateOf("good"), TokenState::kExpired);
}

TEST_F(CaStoreTest, AWrongSecretDoesNotUseTheTokenUp) {
  AddToken("t1");
  ASSERT_FALSE(Redeem(alice_, "t1", "alice", "wrong").ok());
  EXPECT_TRUE(Redeem(alice_, "t1", "alice").ok());
}

TEST_F(CaStoreTest, ATokenMayDemandAName) {
  AddToken("t1", "alice");
  EXPECT_EQ(CodeOf(alice_, "t1", "mallory"), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Redeem(alice_, "t1", "alice").ok());
}

TEST_F(CaStoreTest, NamesAreUniqueAndATakenOneCostsNoToken) {
  AddToken("t1");
  AddToken("t2");
  ASSERT_TRUE(Redeem(alice_, "t1", "alice").ok());
  EXPECT_EQ(CodeOf(bob_, "t2", "alice"), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(StateOf("t2"), TokenState::kIssued);
  EXPECT_TRUE(Redeem(bob_, "t2", "bob").ok());
}

TEST_F(CaStoreTest, TheSameKeyKeepsItsNameWhenItJoinsAgain) {
  AddToken("t1");
  AddToken("t2");
  ASSERT_TRUE(Redeem(alice_, "t1", "alice").ok());
  EXPECT_TRUE(Redeem(alice_, "t2", "alice").ok());
}

TEST_F(CaStoreTest, ANameIsFreeWhenItsLastCertificateCannotBeRenewedAnyMore) {
  AddToken("t1");
  const auto first = Redeem(alice_, "t1", "alice");
  ASSERT_TRUE(first.ok());
  now_ = first->certificate.not_after() + kRenewalAllowance - seconds(1);
  AddToken("t2");
  EXPECT_EQ(CodeOf(bob_, "t2", "alice"), absl::StatusCode::kAlreadyExists);
  now_ += seconds(1);
  EXPECT_TRUE(Redeem(bob_, "t2", "alice").ok());
  AddToken("t3");
  EXPECT_EQ(CodeOf(alice_, "t3", "alice"), absl::StatusCode::kAlreadyExists) << "it is bob's now";
}

TEST_F(CaStoreTest, AFailedIssueChangesNothing) {
  AddToken("t1");
  const auto status = store_
                          ->Redeem({"t1", kSecret, alice_.id(), "alice"}, now_,
                                   [](const std::string&) -> absl::StatusOr<identity::Certificate> {
                                     return absl::InvalidArgumentError("no");
                                   })
                          .status();
  EXPECT_EQ(status, absl::InvalidArgumentError("no"));
  EXPECT_EQ(StateOf("t1"), TokenState::kIssued);
  EXPECT_TRUE(Redeem(bob_, "t1", "alice").ok()) << "neither token nor name were taken";
}

TEST_F(CaStoreTest, RenewalsExtendTheNameAndAreLogged) {
  AddToken("t1");
  ASSERT_TRUE(Redeem(alice_, "t1", "alice").ok());
  const auto issue = [&](const tls::PrivateKey& key) {
    return store_->IssueFor(key.id(), "alice", now_, [&](const std::string& name) {
      return absl::StatusOr<identity::Certificate>(
          mesh_.Issue(key, name, identity::Role::kPeer, now_));
    });
  };
  now_ += hours(24);
  const auto renewed = issue(alice_);
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  EXPECT_EQ(issue(bob_).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(*store_->CountCertificates(), 2);
  now_ = renewed->not_after() + kRenewalAllowance - seconds(1);
  EXPECT_EQ(issue(bob_).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(CaStoreTest, RevokingTellsWhatItFound) {
  AddToken("t1");
  const auto revoked = store_->RevokeToken("t1", now_);
  ASSERT_TRUE(revoked.ok());
  EXPECT_EQ(revoked->state, TokenState::kRevoked);
  EXPECT_TRUE(store_->RevokeToken("t1", now_).ok()) << "twice does no harm";
  EXPECT_EQ(store_->RevokeToken("none", now_).status().code(), absl::StatusCode::kNotFound);
  AddToken("t2");
  ASSERT_TRUE(Redeem(alice_, "t2", "alice").ok());
  EXPECT_EQ(store_->RevokeToken("t2", now_).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(CaStoreTest, TokensAreListedNewestFirstAndForgottenInTime) {
  AddToken("old");
  now_ += seconds(1);
  AddToken("new");
  const auto records = store_->ListTokens(now_);
  ASSERT_EQ(records->size(), 2u);
  EXPECT_EQ(records->at(0).id, "new");
  EXPECT_EQ(records->at(1).id, "old");
  now_ += hours(2) + kTokenMemory;
  AddToken("later");
  EXPECT_EQ(store_->ListTokens(now_)->size(), 1u);
}

TEST_F(CaStoreTest, AnIdIsNotGivenTwice) {
  AddToken("t1");
  EXPECT_EQ(store_->AddToken({"t1", kSecret, now_, now_ + hours(1), "", {}}).code(),
            absl::StatusCode::kAlreadyExists);
}

TEST_F(CaStoreTest, NoSecretIsOnDisk) {
  AddToken("t1");
  ASSERT_TRUE(Redeem(alice_, "t1", "alice").ok());
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    EXPECT_EQ(bytes.find(kSecret), std::string::npos) << entry.path();
    struct stat info {};
    ASSERT_EQ(stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 077, 0u) << entry.path();
  }
}

TEST_F(CaStoreTest, WhatWasAnsweredSurvivesAKill) {
  AddToken("t1");
  store_.reset();
  int answer[2];
  ASSERT_EQ(pipe(answer), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto store = CaStore::Open(directory_ + "/ca.db");
    store_ = *std::move(store);
    const auto redeemed = Redeem(alice_, "t1", "alice");
    const std::string der = redeemed.ok() ? redeemed->certificate.der() : "";
    if (write(answer[1], der.data(), der.size()) != static_cast<ssize_t>(der.size())) _exit(1);
    kill(getpid(), SIGKILL);  // the database is open and nothing is cleaned up
  }
  close(answer[1]);
  std::string der(kMaxCertificateBytes, '\0');
  const ssize_t size = read(answer[0], der.data(), der.size());
  ASSERT_GT(size, 0);
  der.resize(static_cast<std::size_t>(size));
  close(answer[0]);
  int how = 0;
  ASSERT_EQ(waitpid(child, &how, 0), child);
  ASSERT_TRUE(WIFSIGNALED(how));
  Reopen();
  const auto again = Redeem(alice_, "t1", "alice");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->again);
  EXPECT_EQ(again->certificate.der(), der);
}

TEST_F(CaStoreTest, ADatabaseOfANewerReleaseIsRefused) {
  store_.reset();
  {
    auto database = Database::Open(directory_ + "/new.db", {});
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE((*database)->Execute("PRAGMA user_version = 99").ok());
  }
  EXPECT_EQ(CaStore::Open(directory_ + "/new.db").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(CaStoreTest, AFileThatIsNoDatabaseIsRefused) {
  std::ofstream(directory_ + "/bad.db") << std::string(8192, 'x');
  EXPECT_EQ(CaStore::Open(directory_ + "/bad.db").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CaStore::Open(directory_ + "/no/such/place.db").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(Transaction, IsRolledBackUnlessCommitted) {
  const std::string path = testing::TempDir() + "peermesh-transaction-" + std::to_string(getpid());
  constexpr const char* kSchema[] = {"CREATE TABLE t (x INTEGER)"};
  auto database = Database::Open(path, kSchema);
  ASSERT_TRUE(database.ok()) << database.status();
  const auto count = [&] {
    Statement statement((*database)->handle(), "SELECT count(*) FROM t");
    EXPECT_TRUE(*statement.Step());
    return statement.Integer(0);
  };
  {
    const auto transaction = Transaction::Begin(**database);
    ASSERT_TRUE(transaction.ok()) << transaction.status();
    ASSERT_TRUE((*database)->Execute("INSERT INTO t VALUES (1)").ok());
    EXPECT_EQ(count(), 1);
  }
  EXPECT_EQ(count(), 0);
  {
    auto transaction = Transaction::Begin(**database);
    ASSERT_TRUE(transaction.ok()) << transaction.status();
    ASSERT_TRUE((*database)->Execute("INSERT INTO t VALUES (1)").ok());
    {
      const auto inner = Transaction::Begin(**database);
      EXPECT_FALSE(inner.ok()) << "transactions do not nest";
    }
    EXPECT_EQ(count(), 1) << "what did not begin rolls nothing back";
    ASSERT_TRUE(transaction->Commit().ok());
  }
  EXPECT_EQ(count(), 1);
  Statement wrong((*database)->handle(), "SELECT nonsense FROM nowhere");
  EXPECT_FALSE(wrong.Bind(1).Step().ok());
  database->reset();
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path + suffix);
}

}  // namespace
}  // namespace peermesh::store
