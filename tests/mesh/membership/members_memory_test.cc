// What a member table costs, counted by malloc itself.
#include <gtest/gtest.h>
#include <malloc.h>

#include <string>
#include <vector>

#include "mesh/base/rng.h"
#include "mesh/membership/members.h"
#include "mesh/membership/quorum.h"

namespace peermesh::membership {
namespace {

using namespace std::chrono_literals;

RecordRef Make(Rng& rng, std::size_t number) {
  Record record;
  for (std::uint8_t& byte : record.id.bytes) byte = static_cast<std::uint8_t>(rng.Next());
  record.name = "peer-" + std::to_string(number);
  record.incarnation = 1;
  for (int i = 0; i < 8; ++i) record.observers.push_back(rng.Next());
  return record;
}

std::size_t InUse() { return mallinfo2().uordblks; }

// Only glibc's own allocator counts; sanitizers bring another.
bool Counts() {
  const std::size_t before = InUse();
  const std::vector<char> some(10'000);
  return InUse() >= before + some.size();
}

// What it says it takes is what malloc gave it, but for what malloc had put by and uses again.
void ExpectAbout(std::size_t said, std::size_t measured) {
  const std::size_t slack = measured / 10 + 2000;
  EXPECT_LE(said, measured + slack);
  EXPECT_GE(said + slack, measured);
}

TEST(MembersMemoryTest, ARowCostsLittleBesideItsRecord) {
  if (!Counts()) GTEST_SKIP() << "another allocator";
  for (const std::size_t peers : {100u, 1000u, 4000u}) {
    Rng rng({1, 2, 3, 4});
    std::vector<RecordRef> records;
    records.reserve(peers);
    const std::size_t empty = InUse();
    for (std::size_t i = 0; i < peers; ++i) records.push_back(Make(rng, i));
    const std::size_t before = InUse();
    std::size_t told = 0;
    for (const RecordRef& record : records) told += record.HeapShare(1);
    ExpectAbout(told, before - empty);
    Members members{PeerId()};
    members.SetLarge(Instant(1s), true);
    for (const RecordRef& record : records) {
      members.Describe(Instant(1s), record, StateReason::kHeardOf);
      members.TakeChanges();
    }
    const std::size_t table = InUse() - before;
    Quorum quorum;
    for (const RecordRef& record : records) quorum.Describe(Instant(1s), record);
    const std::size_t voices = InUse() - before - table;
    ExpectAbout(members.HeapBytes(), table);
    ExpectAbout(quorum.roll_bytes(), voices);
    EXPECT_NEAR(records[0].HeapShare(3), 3 * records[0].HeapShare(1), 3) << "of three holders";
    RecordProperty("row_bytes_" + std::to_string(peers), static_cast<int>(table / peers));
    RecordProperty("roll_bytes_" + std::to_string(peers), static_cast<int>(voices / peers));
    EXPECT_EQ(members.alive(), peers);
    EXPECT_LE(table + sizeof(Members), 250 * peers + 200) << peers << " peers";
    EXPECT_LE(voices, 28 * peers + 1000) << peers << " peers";
  }
}

TEST(MembersMemoryTest, AnIdleComponentIsSmall) {
  EXPECT_LE(sizeof(Members), 3000u);
  EXPECT_LE(sizeof(Quorum), 400u);
  EXPECT_LE(sizeof(Row), 160u);
}

}  // namespace
}  // namespace peermesh::membership
