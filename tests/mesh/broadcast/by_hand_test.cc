// Experiments too long for every build: BROADCAST_PEERS=10000 mesh_broadcast_test
// --gtest_filter='*ByHand*'
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iomanip>
#include <iostream>

#include "tests/mesh/broadcast/swarm.h"

namespace peermesh::broadcast {
namespace {

using namespace std::chrono_literals;

struct Figures {
  double redundancy = 0, hops = 0, last_by_flood = 0, heard = 0;
  std::uint32_t most_hops = 0;
  std::uint64_t missed = 0;
  int pieces = 0;
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();

  void Add(const Swarm& swarm, std::size_t i) {
    const Swarm::Outcome& outcome = swarm.outcomes()[i];
    const double others = static_cast<double>(swarm.Reachable(outcome.source)) - 1;
    ++pieces;
    redundancy += static_cast<double>(outcome.copies) / others - 1;
    hops += outcome.hops;
    most_hops = std::max(most_hops, outcome.hops);
    last_by_flood += static_cast<double>(outcome.last.count()) /
                     static_cast<double>(swarm.FloodTime(outcome.source).count());
    missed += static_cast<std::uint64_t>(others) - outcome.delivered;
  }
  void Print(const char* what, const Swarm& swarm, std::uint64_t heard_before) const {
    const double each = static_cast<double>(pieces) * swarm.size();
    const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began);
    const Stats total = swarm.total();
    std::cout << std::fixed << std::setprecision(3) << what << ": redundancy "
              << redundancy / pieces << ", hops mean " << hops / pieces << " most " << most_hops
              << ", last/flood " << last_by_flood / pieces << ", announcements "
              << static_cast<double>(swarm.announced() - heard_before) / each << ", missed "
              << missed << ", grafts " << total.grafts_sent << " unserved " << total.grafts_unserved
              << " in back-off " << total.grafts_in_back_off << " changed " << total.optimised
              << ", " << seconds.count() << " s\n";
  }
};

class ByHandTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* peers = std::getenv("BROADCAST_PEERS");
    if (peers == nullptr) GTEST_SKIP() << "BROADCAST_PEERS is not set";
    options.peers = static_cast<std::uint32_t>(std::atoi(peers));
    if (const char* degree = std::getenv("BROADCAST_DEGREE"))
      options.degree = static_cast<std::uint32_t>(std::atoi(degree));
    if (const char* parents = std::getenv("BROADCAST_PARENTS"))
      options.eager_parents = static_cast<std::size_t>(std::atoi(parents));
    if (const char* seed = std::getenv("BROADCAST_SEED"))
      options.seed = static_cast<std::uint64_t>(std::atoi(seed));
  }
  Swarm::Options options;
};

TEST_F(ByHandTest, SteadyState) {
  Swarm swarm(options);
  swarm.Run(10s);
  for (int i = 0; i < 2; ++i) {
    swarm.Publish(0);
    swarm.Run(2s);
  }
  Figures single;
  std::uint64_t heard = swarm.announced();
  for (int i = 0; i < 30; ++i) {
    const std::size_t piece = swarm.Publish(0);
    swarm.Run(2s);
    single.Add(swarm, piece);
  }
  single.Print("one source", swarm, heard);
  Figures random;
  heard = swarm.announced();
  for (std::uint32_t i = 0; i < 30; ++i) {
    const std::size_t piece = swarm.Publish((i * 7919 + 13) % swarm.size());
    swarm.Run(2s);
    random.Add(swarm, piece);
  }
  random.Print("many sources", swarm, heard);
  Figures burst;
  heard = swarm.announced();
  const std::uint32_t sources = std::min(swarm.size(), 100u);
  for (int round = 0; round < 3; ++round) {
    const std::size_t begin = swarm.outcomes().size();
    for (std::uint32_t i = 0; i < sources; ++i) swarm.Publish(i * (swarm.size() / sources));
    swarm.Run(5s);
    for (std::size_t i = begin; i < swarm.outcomes().size(); ++i) burst.Add(swarm, i);
  }
  burst.Print("100 at once", swarm, heard);
  EXPECT_EQ(single.missed + random.missed + burst.missed, 0u);
  EXPECT_TRUE(swarm.violations().empty()) << swarm.violations().front();
  swarm.CheckInvariants();
}

}  // namespace
}  // namespace peermesh::broadcast
