#include "mesh/flow/run.h"

#include <gtest/gtest.h>

namespace peermesh::flow {
namespace {

BatchRef ThreeRows() {
  auto batch = std::make_shared<Batch>();
  batch->buffer = std::make_shared<const std::string>("abc");
  for (std::uint32_t i = 0; i < 3; ++i) batch->rows.push_back({i, 1, i, 1});
  batch->bytes = 3;
  return batch;
}

Run Good() {
  Run run;
  run.channel = 5;
  run.first = 10;
  run.lost = 2;
  run.next = 20;
  run.batch = ThreeRows();
  run.items = {{0, 12}, {2, 15}, {1, 19}};
  return run;
}

TEST(RunTest, LostThenItemsWithSkipsBetweenIsWellFormed) {
  EXPECT_TRUE(Good().IsWellFormed());
  flow::Run mark;
  mark.first = mark.next = 1;
  EXPECT_TRUE(mark.IsWellFormed());
  flow::Run all_lost;
  all_lost.first = 1;
  all_lost.next = 6;
  all_lost.lost = 5;
  EXPECT_TRUE(all_lost.IsWellFormed());
}

TEST(RunTest, EveryOtherShapeIsNot) {
  const auto broken = [](auto change) {
    flow::Run run = Good();
    change(run);
    return !run.IsWellFormed();
  };
  EXPECT_TRUE(broken([](flow::Run& run) { run.channel = kChannels; }));
  EXPECT_TRUE(broken([](flow::Run& run) { run.first = 0; }));
  EXPECT_TRUE(broken([](flow::Run& run) { run.next = 9; }));
  EXPECT_TRUE(broken([](flow::Run& run) { run.next = 19; })) << "the last item is beyond the end";
  EXPECT_TRUE(broken([](flow::Run& run) { run.lost = 3; })) << "the first item is among the lost";
  EXPECT_TRUE(broken([](flow::Run& run) { run.lost = ~std::uint64_t{0}; })) << "sums do not wrap";
  EXPECT_TRUE(broken([](flow::Run& run) { run.items[1].sequence = 12; })) << "twice the same";
  EXPECT_TRUE(broken([](flow::Run& run) { run.items[1].row = 3; }));
  EXPECT_TRUE(broken([](flow::Run& run) { run.batch = nullptr; }));
}

TEST(RunTest, APieceCountsItsRecordsAndWhatTheyCostBesides) {
  EXPECT_EQ(Good().bytes(), 3 + 4 * kRowOverheadBytes);
  Delivery gap;
  EXPECT_TRUE(gap.is_gap());
  EXPECT_EQ(gap.bytes(), kRowOverheadBytes) << "a gap is not free";
  Delivery matched;
  matched.batch = ThreeRows();
  matched.items = {{0, 1}};
  matched.matched = {1, 2, 3};
  matched.matched_counts = {3};
  EXPECT_EQ(matched.bytes(), 1 + 2 * kRowOverheadBytes + 4 * 4) << "nor are ids";
}

}  // namespace
}  // namespace peermesh::flow
