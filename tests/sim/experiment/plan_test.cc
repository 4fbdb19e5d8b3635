#include "tests/sim/experiment/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

namespace peermesh::sim::experiment {
namespace {

using testing::ElementsAre;

Experiment Parse(const std::string& text) {
  auto experiment = ParseExperiment("test", text);
  EXPECT_TRUE(experiment.ok()) << experiment.status();
  return experiment.ok() ? *std::move(experiment) : Experiment{};
}

TEST(PlanTest, WhatIsWrongIsNamedWithItsLine) {
  const std::pair<const char*, const char*> wrong[] = {
      {"peers 5\nfly 3s", "test:2: unknown word 'fly'"},
      {"peers 1\nwait 1s", "test:1: peers: 2 to 20000"},
      {"peers five\nwait 1s", "test:1: how many peers is not a number: 'five'"},
      {"wait 1s", "test: 'peers' is missing"},
      {"peers 5", "test: nothing happens in it"},
      {"peers 5\nwait 1s\nlatency 5ms",
       "test:3: 'latency' belongs before the first thing that happens"},
      {"peers 5\nwait 3", "test:2: how long is not a time such as 500ms or 3s: '3'"},
      {"peers 5\nwait 0s", "test:2: how long: more than 0"},
      {"peers 5\njoin 3", "test:2: peers join 'every' or 'within' some time"},
      {"peers 5\njoin every 1ms through 3", "test:2: 'seeds' is missing"},
      {"peers 5\nshape wide 3\nwait 1s",
       "test:2: a shape has full-mesh, active, passive, table, parents, shuffle; not 'wide'"},
      {"peers 5\nmeasure joy",
       "test:2: what is measured is graph, memory, traffic, speed; not 'joy'"},
      {"peers 5\nvanish 120%", "test:2: how many peers is 0% to 100%, not '120%'"},
      {"peers 5\nvanish 0", "test:2: how many peers: at least 1"},
      {"peers 5\nbroadcast every 1s for 3", "test:2: 'rounds' is missing"},
      {"peers 5\nbroadcast every 1s for 3 rounds warm-up 3", "test:2: all rounds are warm-up"},
      {"peers 5\nbroadcast every 1s for 3 rounds from me", "test:2: 'one' is missing before 'me'"},
      {"peers 5\ngrey cloudy", "test:2: grey is one-way, lossy or a pair; not 'cloudy'"},
      {"peers 5\nsplit 50% for 3s", "test:2: 'heal' is missing"},
      {"peers 5\nload 5", "test:2: messages a second must end with /s"},
      {"peers 5\nwait 1s now", "test:2: 'now' was not expected"},
      {"peers 5\nwait 1s\nmean x 3..2", "test:3: '3..2' ends before it begins"},
      {"peers 5\nwait 1s\nmean x at any 2", "test:3: after 'at': most, least; not 'any'"},
      {"peers 5\nwait 1s\nmean x 1..y", "test:3: what it must be is not a number: 'y'"},
      {"peers 5\nwait 1s\nmean x 1 at full", "test:3: no case is 'full'"},
      {"peers 5\ncases a 1", "test:2: 'cases' belongs before all else"},
      {"cases a,b 1\npeers $a", "test:1: each case has as many values as there are names: 2"},
      {"cases a 1 1\npeers $a", "test:1: two cases begin with '1'"},
      {"cases a\npeers $a", "test:1: a case is missing"},
      {"cases a 5\npeers $b", "test:2: no case gives '$b'"},
  };
  for (const auto& [text, message] : wrong) {
    const auto experiment = ParseExperiment("test", text);
    ASSERT_FALSE(experiment.ok()) << text;
    EXPECT_EQ(experiment.status().message(), message);
  }
}

TEST(PlanTest, ReadsWhatItSays) {
  const Experiment experiment = Parse(
      "# A title.\npeers 10k # more\nshape full-mesh 0 active 5 passive 30 table 512 parents 2 "
      "shuffle 10s\nlatency 10ms..50ms jitter 1ms\njoin every 10ms through 3 seeds\n"
      "vanish 10 busiest\nbroadcast every 2s for 30 rounds size 500 warm-up 2 from any within "
      "3s as after\nload 100/s");
  EXPECT_EQ(experiment.title, "A title.");
  ASSERT_EQ(experiment.plans.size(), 1u);
  const Plan& plan = experiment.plans[0];
  EXPECT_EQ(plan.peers, 10'000u);
  EXPECT_EQ(plan.shape.full_mesh_peers, 0u);
  EXPECT_EQ(plan.shape.active, 5u);
  EXPECT_EQ(plan.shape.passive, 30u);
  EXPECT_EQ(plan.shape.table_peers, 512u);
  EXPECT_EQ(plan.shape.eager_parents, 2u);
  EXPECT_EQ(plan.shape.shuffle_every, std::chrono::seconds(10));
  EXPECT_EQ(plan.latency.to, std::chrono::milliseconds(50));
  EXPECT_EQ(plan.jitter, std::chrono::milliseconds(1));
  ASSERT_EQ(plan.deeds.size(), 4u);
  EXPECT_EQ(plan.deeds[1].line, 6);
  const auto& join = std::get<Join>(plan.deeds[0].what);
  EXPECT_EQ(join.every, std::chrono::milliseconds(10));
  EXPECT_EQ(join.seeds, 3u);
  const auto& fail = std::get<Fail>(plan.deeds[1].what);
  EXPECT_EQ(fail.who.count, 10u);
  EXPECT_TRUE(fail.who.busiest);
  EXPECT_EQ(fail.manner, Manner::kSilent);
  const auto& broadcast = std::get<Broadcast>(plan.deeds[2].what);
  EXPECT_EQ(broadcast.rounds, 30u);
  EXPECT_EQ(broadcast.warm_up, 2u);
  EXPECT_EQ(broadcast.bytes, 500u);
  EXPECT_TRUE(broadcast.from_any);
  EXPECT_EQ(broadcast.within, std::chrono::seconds(3));
  EXPECT_EQ(broadcast.as, "after");
  EXPECT_EQ(std::get<Offered>(plan.deeds[3].what).per_second, 100u);
}

TEST(PlanTest, EachCaseHasItsOwnValues) {
  const Experiment experiment = Parse(
      "cases name,peer,peers small-a,3,5 small-b,4,6 full,1,7\npeers $peers\n"
      "vanish $peer\nmean x 1 at small");
  ASSERT_EQ(experiment.plans.size(), 3u);
  EXPECT_EQ(experiment.plans[1].name, "small-b");
  EXPECT_EQ(experiment.plans[1].peers, 6u);
  EXPECT_EQ(std::get<Fail>(experiment.plans[0].deeds[0].what).who.count, 3u);
  ASSERT_EQ(experiment.bounds.size(), 1u) << "bounds are not repeated with the cases";
}

TEST(PlanTest, BoundsAreRangesOrEndsOrMultiples) {
  const Experiment experiment = Parse(
      "cases name full\npeers 5\nwait 1s\neach components 1\nmean path 6.2..6.6 at full\n"
      "mean share at least 99.9%\ntotal bad at most 0.02 of worse");
  constexpr double kEndless = std::numeric_limits<double>::infinity();
  ASSERT_EQ(experiment.bounds.size(), 4u);
  const auto& [one, path, share, total] = std::tie(experiment.bounds[0], experiment.bounds[1],
                                                   experiment.bounds[2], experiment.bounds[3]);
  EXPECT_EQ(one.of, Of::kEach);
  EXPECT_EQ(one.least, 1);
  EXPECT_EQ(one.most, 1);
  EXPECT_EQ(path.least, 6.2);
  EXPECT_EQ(path.at, "full");
  EXPECT_EQ(path.text, "6.2..6.6");
  EXPECT_DOUBLE_EQ(share.least, 0.999);
  EXPECT_EQ(share.most, kEndless);
  EXPECT_EQ(share.text, "at least 99.9%");
  EXPECT_EQ(total.of, Of::kTotal);
  EXPECT_EQ(total.least, -kEndless);
  EXPECT_EQ(total.times, "worse");
  EXPECT_EQ(total.text, "at most 0.02 of worse");
}

TEST(PlanTest, EveryFileOfTheFolderIsRight) {
  std::size_t files = 0;
  for (const auto& file : std::filesystem::directory_iterator(PEERMESH_EXPERIMENTS)) {
    if (file.path().extension() != ".txt") continue;
    ++files;
    const auto experiment = ReadExperiment(file.path());
    EXPECT_TRUE(experiment.ok()) << experiment.status();
    if (!experiment.ok()) continue;
    EXPECT_FALSE(experiment->title.empty()) << file.path();
    EXPECT_FALSE(experiment->bounds.empty()) << file.path();
  }
  EXPECT_GT(files, 0u);
}

}  // namespace
}  // namespace peermesh::sim::experiment
