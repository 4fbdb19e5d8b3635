#include "mesh/flow/outbox.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "mesh/base/batch.h"
#include "mesh/base/rng.h"

namespace peermesh::flow {
namespace {

struct Piece {
  int number = 0;
  std::uint64_t size = 0;
  BatchRef batch;
  std::uint64_t bytes() const { return size; }
};

BatchRef BufferOf(std::size_t bytes) {
  auto batch = std::make_shared<Batch>();
  batch->buffer = std::make_shared<const std::string>(bytes, '.');
  return batch;
}

std::vector<int> Numbers(const std::vector<Piece>& pieces) {
  std::vector<int> numbers;
  for (const Piece& piece : pieces) numbers.push_back(piece.number);
  return numbers;
}

TEST(OutboxTest, PiecesLeaveInTheirOrder) {
  Outbox<Piece> outbox;
  for (int i = 1; i <= 3; ++i) outbox.Push({i, 10});
  outbox.PushFront({0, 5});
  EXPECT_EQ(outbox.bytes(), 35u);
  EXPECT_EQ(outbox.PopFront().number, 0);
  EXPECT_EQ(Numbers(outbox.TakeUpTo(1000)), (std::vector<int>{1, 2, 3}));
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(outbox.bytes(), 0u);
}

TEST(OutboxTest, TakesAsMuchAsFitsAndAtLeastOne) {
  Outbox<Piece> outbox;
  outbox.Push({1, 100});
  outbox.Push({2, 10});
  outbox.Push({3, 10});
  outbox.Push({4, 10});
  EXPECT_EQ(Numbers(outbox.TakeUpTo(50)), (std::vector<int>{1}))
      << "larger than the budget, and alone";
  EXPECT_EQ(Numbers(outbox.TakeUpTo(20)), (std::vector<int>{2, 3}));
  EXPECT_EQ(outbox.size(), 1u);
  EXPECT_EQ(outbox.bytes(), 10u);
  EXPECT_EQ(Numbers(outbox.TakeUpTo(0)), (std::vector<int>{4}));
  EXPECT_TRUE(outbox.TakeUpTo(50).empty());
}

TEST(OutboxTest, APieceIsChargedForTheBufferItKeepsAliveOnceForNeighbours) {
  Outbox<Piece> outbox;
  const BatchRef large = BufferOf(1000);
  outbox.Push({1, 10, large});
  EXPECT_EQ(outbox.bytes(), 1000u);
  outbox.Push({2, 10, large});
  EXPECT_EQ(outbox.bytes(), 1010u) << "its neighbour keeps the buffer already";
  outbox.Push({3, 10, BufferOf(5)});
  EXPECT_EQ(outbox.bytes(), 1020u) << "never less than its own size";
  EXPECT_EQ(Numbers(outbox.TakeUpTo(20)), (std::vector<int>{1, 2}))
      << "what is written is what is wanted of it";
  outbox.CheckInvariants();
  outbox.TakeUpTo(1000);
  outbox.Push({4, 10, large});
  EXPECT_EQ(outbox.bytes(), 1000u) << "an empty queue keeps nothing alive";
}

TEST(OutboxTest, CountsRightUnderRandomUse) {
  Rng rng({9, 9, 9, 9});
  Outbox<Piece> outbox;
  int in = 0, out = 0;
  for (int step = 0; step < 5000; ++step) {
    if (rng.Below(2) == 0) {
      const std::uint64_t size = 1 + rng.Below(100);
      outbox.Push({in++, size, rng.Below(2) == 0 ? nullptr : BufferOf(200)});
    } else {
      for (const Piece& piece : outbox.TakeUpTo(rng.Below(200))) ASSERT_EQ(piece.number, out++);
    }
    ASSERT_EQ(outbox.size(), static_cast<std::size_t>(in - out));
    outbox.CheckInvariants();
  }
}

TEST(OutboxDeathTest, NothingCanBeTakenFromAnEmptyOne) {
  Outbox<Piece> outbox;
  EXPECT_DEATH(outbox.PopFront(), "empty");
}

}  // namespace
}  // namespace peermesh::flow
