#include "server/store/peer_store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <thread>
#include <vector>

#include "mesh/base/limits.h"

namespace peermesh::store {
namespace {

PeerId Peer(std::uint32_t number) {
  PeerId id;
  for (std::size_t i = 0; i < 4; ++i) id.bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
  return id;
}

class PeerStoreTest : public ::testing::Test {
 protected:
  PeerStoreTest() {
    std::string name = (std::filesystem::temp_directory_path() / "peermesh-test.XXXXXX").string();
    directory_ = mkdtemp(name.data());
    path_ = directory_ / "peer.db";
  }
  ~PeerStoreTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<PeerStore> Open() {
    auto store = PeerStore::Open(
        path_, [this](const absl::Status& status) { troubles_.push_back(status.ok()); });
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }
  // As the next run finds them, in no order.
  std::map<PeerId, std::string> Remembered() {
    std::map<PeerId, std::string> records;
    const auto store = Open();
    for (const auto& [peer, encoded] : store->remembered()) records[peer] = encoded;
    return records;
  }
  // Behind the store's back.
  void Execute(const char* sql) {
    sqlite3* other = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(other, sql, nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(other);
    sqlite3_close(other);
  }
  static void WaitFor(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      std::this_thread::yield();
    }
  }

  std::filesystem::path directory_, path_;
  std::vector<bool> troubles_;  // whether writing worked again; the store's thread, until its end
};

TEST_F(PeerStoreTest, EveryRunGetsALargerEpochWhateverTheClockSays) {
  EXPECT_EQ(*Open()->NextEpoch(1000), 1000u);
  EXPECT_EQ(*Open()->NextEpoch(1000), 1001u);
  EXPECT_EQ(*Open()->NextEpoch(5), 1002u) << "the clock went back";
  EXPECT_EQ(*Open()->NextEpoch(9000), 9000u);
}

TEST_F(PeerStoreTest, AnEpochThatWasReturnedSurvivesAKill) {
  for (std::uint64_t run = 0; run < 3; ++run) {
    const pid_t child = fork();
    if (child == 0) {
      const auto store = PeerStore::Open(path_, [](const absl::Status&) {});
      const bool right = store.ok() && *(*store)->NextEpoch(100) == 100 + run;
      _exit(right ? 0 : 1);  // neither closes nor flushes anything
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << run;
  }
}

TEST_F(PeerStoreTest, TheLatestRecordOfEachPeerIsRemembered) {
  const auto store = Open();
  EXPECT_TRUE(store->remembered().empty());
  for (int version = 0; version < 100; ++version) {
    store->Remember(Peer(1), "one, " + std::to_string(version));
  }
  store->Remember(Peer(2), std::string("two\0with a zero", 15));
  store->Remember(Peer(3), "three");
  store->Forget(Peer(3));
  store->Forget(Peer(4));
  store->Close();
  EXPECT_GE(store->stats().written, 4u);
  EXPECT_EQ(store->stats().lost, 0u);
  EXPECT_EQ(Remembered(),
            (std::map<PeerId, std::string>{{Peer(1), "one, 99"},
                                           {Peer(2), std::string("two\0with a zero", 15)}}));
}

TEST_F(PeerStoreTest, NothingIsTakenAfterClose) {
  const auto store = Open();
  store->Close();
  store->Remember(Peer(1), "late");
  store->Forget(Peer(1));
  store->Close();
  EXPECT_TRUE(Remembered().empty());
}

TEST_F(PeerStoreTest, NothingIsForgottenBecauseItIsOld) {
  Open()->Remember(Peer(1), "of a certificate that lives a year");
  Execute("UPDATE peers SET written = written - 300 * 24 * 3600");
  EXPECT_EQ(Remembered().size(), 1u);
}

TEST_F(PeerStoreTest, NoMoreAreKeptThanAPeerMayKnow) {
  {
    const auto store = Open();
    for (std::uint32_t i = 0; i < kMaxPeers; ++i) store->Remember(Peer(i), "first");
    store->Close();
  }
  {
    const auto store = Open();
    for (std::uint32_t i = 0; i < 10; ++i) store->Remember(Peer(1'000'000 + i), "second");
    store->Close();
  }
  Execute("UPDATE peers SET written = written - 1 WHERE record = CAST('first' AS BLOB)");
  const auto kept = Remembered();
  EXPECT_EQ(kept.size(), kMaxPeers);
  for (std::uint32_t i = 0; i < 10; ++i) EXPECT_TRUE(kept.contains(Peer(1'000'000 + i)));
}

TEST_F(PeerStoreTest, WhatTheDiskDoesNotTakeIsTriedAgainAndTheNewestWins) {
  const auto store = Open();
  Execute("ALTER TABLE peers RENAME TO elsewhere");
  store->Remember(Peer(1), "old");
  store->Remember(Peer(2), "kept");
  WaitFor([&] { return store->stats().retries > 0; });
  store->Remember(Peer(1), "new");
  Execute("ALTER TABLE elsewhere RENAME TO peers");
  WaitFor([&] { return store->stats().written == 2; });
  store->Close();
  EXPECT_EQ(store->stats().lost, 0u);
  EXPECT_EQ(troubles_, (std::vector<bool>{false, true}))
      << "one word when it fails, one at its end";
  EXPECT_EQ(Remembered(), (std::map<PeerId, std::string>{{Peer(1), "new"}, {Peer(2), "kept"}}));
}

TEST_F(PeerStoreTest, WhatTheDiskDoesNotTakeInTheEndIsCounted) {
  const auto store = Open();
  Execute("DROP TABLE peers");
  store->Remember(Peer(1), "nowhere");
  store->Close();
  EXPECT_EQ(store->stats().lost, 1u);
  EXPECT_EQ(store->stats().written, 0u);
  EXPECT_EQ(troubles_, std::vector<bool>{false});
}

}  // namespace
}  // namespace peermesh::store
