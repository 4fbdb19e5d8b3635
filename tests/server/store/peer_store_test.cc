#include "server/store/peer_store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "mesh/base/limits.h"

namespace peermesh::store {
namespace {

using std::chrono::hours;

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

  std::unique_ptr<PeerStore> Open(Duration later = {}) {
    const auto now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
    auto store = PeerStore::Open(path_, now + later);
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }
  // As the next run finds them, in no order.
  std::set<std::string> Remembered(Duration later = {}) {
    const auto records = Open(later)->remembered();
    return {records.begin(), records.end()};
  }

  std::filesystem::path directory_, path_;
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
      const auto store = PeerStore::Open(path_, WallTime{});
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
  EXPECT_EQ(store->stats().failed, 0u);
  EXPECT_EQ(Remembered(), (std::set<std::string>{"one, 99", std::string("two\0with a zero", 15)}));
}

TEST_F(PeerStoreTest, NothingIsTakenAfterClose) {
  const auto store = Open();
  store->Close();
  store->Remember(Peer(1), "late");
  store->Forget(Peer(1));
  store->Close();
  EXPECT_TRUE(Remembered().empty());
}

TEST_F(PeerStoreTest, WhatIsNotRenewedForTwoWeeksIsDropped) {
  Open()->Remember(Peer(1), "old");
  EXPECT_EQ(Remembered(hours(24 * 13)).size(), 1u);
  EXPECT_TRUE(Remembered(hours(24 * 15)).empty());
  EXPECT_TRUE(Remembered().empty()) << "for good";
}

TEST_F(PeerStoreTest, NoMoreAreReadThanAPeerMayKnow) {
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
  EXPECT_EQ(Open()->remembered().size(), kMaxPeers);
}

TEST_F(PeerStoreTest, ChangesTheDatabaseDoesNotTakeAreCounted) {
  const auto store = Open();
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "DROP TABLE peers", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(other);
  store->Remember(Peer(1), "nowhere");
  store->Close();
  EXPECT_EQ(store->stats().failed, 1u);
  EXPECT_EQ(store->stats().written, 0u);
}

}  // namespace
}  // namespace peermesh::store
