#include "mesh/membership/roll.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "mesh/base/rng.h"

namespace peermesh::membership {
namespace {

RecordRef Make(std::uint64_t number, std::uint64_t incarnation) {
  Record record;
  record.id.bytes[3] = static_cast<std::uint8_t>(number >> 8);
  record.id.bytes[4] = static_cast<std::uint8_t>(number);
  record.incarnation = incarnation;
  return record;
}

TEST(RollTest, ItDoesAsAMapDoes) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Rng rng({seed, 2, 3, 4});
    Roll roll;
    std::map<PeerId, std::uint64_t> model;
    for (int step = 0; step < 5000; ++step) {
      const RecordRef record = Make(rng.Below(1000), rng.Next());
      if (rng.Below(3) == 0) {
        roll.Erase(record->id);
        model.erase(record->id);
      } else {
        roll.Put(record);
        model[record->id] = record->incarnation;
      }
    }
    roll.CheckInvariants();
    ASSERT_EQ(roll.size(), model.size()) << "seed " << seed;
    for (std::uint64_t number = 0; number < 1000; ++number) {
      const PeerId id = Make(number, 1)->id;
      const RecordRef found = roll.Find(id);
      ASSERT_EQ(static_cast<bool>(found), model.contains(id)) << "seed " << seed;
      if (found) {
        ASSERT_EQ(found->incarnation, model[id]);
      }
    }
    auto expected = model.begin();
    for (const Roll::Chunk& chunk : roll.chunks()) {
      for (const RecordRef& record : chunk) ASSERT_EQ(record->id, (expected++)->first);
    }
    while (!model.empty()) {
      roll.Erase(model.begin()->first);
      model.erase(model.begin());
    }
    roll.CheckInvariants();
    EXPECT_TRUE(roll.chunks().empty());
  }
}

}  // namespace
}  // namespace peermesh::membership
