#include "tests/sim/script.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/sim/disk.h"
#include "tests/sim/judge.h"
#include "tests/sim/parameters.h"
#include "tests/sim/plot.h"
#include "tests/sim/run.h"

namespace peermesh::sim {
namespace {

Script Parse(const std::string& text) {
  auto script = ParseScript("test", text);
  EXPECT_TRUE(script.ok()) << script.status();
  return script.ok() ? *std::move(script) : Script{};
}

TEST(ScriptTest, WhatIsWrongIsNamedWithItsLine) {
  const std::pair<const char*, const char*> wrong[] = {
      {"start all\nfly all", "test:2: unknown word 'fly'"},
      {"start 3-1", "test:1: '3-1' ends before it begins"},
      {"wait 3", "test:1: how long is not a time such as 500ms or 3s: '3'"},
      {"wait 5s..2s", "test:1: '5s..2s' ends before it begins"},
      {"peers 0\nstart all", "test:1: peers: 1 to 20000"},
      {"start all\npeers 3", "test:2: 'peers' belongs before the first thing that happens"},
      {"start all now", "test:1: 'now' was not expected"},
      {"start", "test:1: which peers is missing"},
      {"expect whole 3s", "test:1: 'within' is missing before '3s'"},
      {"expect 1 seen happy within 3s",
       "test:1: a peer is seen suspect, dead, left, unreachable, alive; not 'happy'"},
      {"load 5", "test:1: messages a second must end with /s"},
      {"trouble 3s every 0s kill", "test:1: trouble without a pause has no end"},
      {"stall 5ms\nstart all", "test:1: 'every' is missing"},
      {"limit 5\nstart all", "test:1: 'messages/s' is missing"},
      {"readers 1 overflow now", "test:1: an overflow is gap, block, close, any; not 'now'"},
      {"# nothing", "test: nothing happens in it"},
  };
  for (const auto& [text, message] : wrong) {
    const auto script = ParseScript("test", text);
    ASSERT_FALSE(script.ok()) << text;
    EXPECT_EQ(script.status().message(), message);
  }
}

TEST(ScriptTest, ReadsWhatItSays) {
  const Script script = Parse(
      "# A title.\npeers 3..5 # more\nlatency 1ms..2ms jitter 5us\nbandwidth 10MB/s\nkill 2 any "
      "every 1s");
  EXPECT_EQ(script.title, "A title.");
  EXPECT_EQ(script.peers.from, 3u);
  EXPECT_EQ(script.peers.to, 5u);
  EXPECT_EQ(script.latency.to, std::chrono::milliseconds(2));
  EXPECT_EQ(script.bytes_per_second.to, 10'000'000u);
  ASSERT_EQ(script.steps.size(), 1u);
  EXPECT_EQ(script.steps[0].line, 5);
  const auto& step = std::get<DoInTurn>(script.steps[0].what);
  EXPECT_EQ(step.deed, Deed::kKill);
  EXPECT_EQ(step.who.any.to, 2u);
}

TEST(RunTest, AnExpectationThatFailsIsAFailureWithItsLineAndTime) {
  const Outcome outcome = RunScript(
      Parse("peers 2\nstart all\nexpect whole within 1s\nkill 1\nexpect 1 seen left within 2s"), 1,
      {});
  EXPECT_EQ(outcome.failure_count, 1u);
  ASSERT_EQ(outcome.failures.size(), 1u);
  EXPECT_NE(outcome.failures[0].find("test:5: at 20"), std::string::npos) << outcome.failures[0];
  ASSERT_EQ(outcome.figures.size(), 2u);
  EXPECT_EQ(outcome.figures[1].took, std::chrono::seconds(2));
}

TEST(ParametersTest, ASeedDrawsWithinTheRangesAndWideOnesByOctave) {
  const Script script = Parse("peers 3..5\nlatency 10us..80ms\nwindow 64kB\nstart all");
  int small = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const Parameters drawn(script, Rng({seed, 1, 2, 3}));
    EXPECT_GE(drawn.peers, 3u);
    EXPECT_LE(drawn.peers, 5u);
    EXPECT_GE(drawn.network.latency, std::chrono::microseconds(10));
    EXPECT_LE(drawn.network.latency, std::chrono::milliseconds(80));
    EXPECT_EQ(drawn.network.window, 64'000u);
    small += drawn.network.latency < std::chrono::milliseconds(1) ? 1 : 0;
    ASSERT_EQ(drawn.drawn().size(), 2u) << "what no seed changes is not named";
    EXPECT_EQ(drawn.drawn()[0].first, "peers");
  }
  EXPECT_GT(small, 75) << "a hundredth of the range and half of its octaves";
}

TEST(DiskTest, WhoIsKilledLosesWhatWasNotWrittenYetAndWhoStopsLosesNothing) {
  const auto record = [](std::uint8_t peer) {
    node::PeerRecord made;
    made.id.bytes[0] = peer;
    return made;
  };
  const Instant now(std::chrono::hours(1));
  int kept = 0, lost = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Disk disk(Rng({seed, 1, 2, 3}), std::chrono::seconds(1));
    disk.Remember(now, record(1));
    disk.Remember(now + std::chrono::minutes(1), record(2));
    disk.Remember(now + std::chrono::minutes(1), record(3));
    EXPECT_EQ(disk.records().size(), 1u) << "the first write is over, the second is not";
    const std::size_t gone = disk.Crash(now + std::chrono::minutes(1));
    EXPECT_EQ(disk.records().size() + gone, 3u);
    EXPECT_GE(gone, 1u) << "what only waited";
    (gone == 1 ? kept : lost) += 1;
    disk.Remember(now + std::chrono::minutes(2), record(4));
    disk.Close();
    EXPECT_EQ(disk.records().size(), 3u - gone + 1);
  }
  EXPECT_GT(kept, 5) << "the write under way may have been in time";
  EXPECT_GT(lost, 5);
}

TEST(RunTest, AHistoryIsJudgedAndNeitherItNorAPlotChangesTheRun) {
  const Script script = Parse(
      "peers 4\ndisk 3s\nstart all\nreaders 1 everything\nload 200/s\n"
      "trouble 5s every 100ms kill restart heal partition\nsettle 10s");
  const std::string directory = testing::TempDir() + "history";
  Timeline timeline;
  const Outcome plain = RunScript(script, 7, {});
  const Outcome seen = RunScript(script, 7, {.timeline = &timeline, .history = directory});
  EXPECT_TRUE(seen.ok()) << seen.failures.front();
  EXPECT_EQ(plain.digest, seen.digest);
  EXPECT_GT(seen.changes_lost, 0u) << "no disk was ever behind";
  EXPECT_EQ(Judge(directory), std::vector<std::string>{});
  EXPECT_NE(Judge(directory + "/nothing"), std::vector<std::string>{});
  const std::string svg = Plot(script, {seen, plain}, timeline);
  EXPECT_TRUE(svg.starts_with("<svg"));
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_NE(svg.find("Healed within, of 2 seeds"), std::string::npos);
}

TEST(RunTest, TheSameSeedIsTheSameRunAndAnotherIsNot) {
  const Script script = Parse(
      "peers 3..6\nstart all\nreaders 1 everything\nload 200/s\ntrouble 5s every 100ms kill "
      "restart heal "
      "partition "
      "renew\nsettle 10s");
  const Outcome first = RunScript(script, 7, {}), again = RunScript(script, 7, {}),
                other = RunScript(script, 8, {});
  EXPECT_TRUE(first.ok()) << first.failures.front();
  EXPECT_GT(first.tally.accepted, 0u);
  EXPECT_GT(first.faults, 0u);
  EXPECT_EQ(first.digest, again.digest);
  EXPECT_EQ(first.turns, again.turns);
  EXPECT_NE(first.digest, other.digest);
}

// Every file of the repository is right, and holds for some seeds: those that are small enough.
TEST(RunTest, TheScriptsOfTheRepositoryAreRight) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(PEERMESH_SCRIPTS)) {
    if (entry.path().extension() != ".txt") continue;
    ++files;
    const auto script = ReadScript(entry.path());
    ASSERT_TRUE(script.ok()) << script.status();
    EXPECT_FALSE(script->title.empty()) << entry.path() << " says what it shows";
  }
  EXPECT_GE(files, 6);
}

}  // namespace
}  // namespace peermesh::sim
