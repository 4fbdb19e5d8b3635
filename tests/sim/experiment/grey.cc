// Peers that are neither well nor gone: do the others part with exactly them, and once?
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "tests/sim/experiment/run.h"
#include "tests/sim/experiment/stage.h"

namespace peermesh::sim::experiment {
namespace {

constexpr Duration kBound = std::chrono::seconds(60);  // experiment E7

// Nothing that the well ones send arrives at the faulty ones, or it does again.
void FlipFlop(Stage& stage, const std::vector<HostIndex>& faulty, const Grey& grey) {
  const Instant end = stage.world.now() + grey.length;
  for (bool cut = true; stage.world.now() < end; cut = !cut) {
    if (cut) {
      stage.world.Split(faulty, true);
    } else {
      stage.world.HealAll();
    }
    stage.Advance(std::min(grey.turns, end - stage.world.now()));
  }
  stage.world.HealAll();
}

void LosePackets(Stage& stage, const std::vector<HostIndex>& faulty, const Grey& grey) {
  for (const HostIndex host : faulty) stage.world.Lossy(host, grey.loss);
  stage.Advance(grey.length);
  for (const HostIndex host : faulty) stage.world.Lossy(host, 0);
}

void CutPair(Stage& stage, const Grey& grey) {
  const std::vector<HostIndex> running = stage.Running();
  const Graph graph = stage.Neighbors();
  const std::size_t one = stage.rng.Below(running.size());
  if (graph[one].empty()) return stage.Advance(grey.length);
  const std::size_t other = graph[one][stage.rng.Below(graph[one].size())];
  stage.world.Cut(running[one], running[other]);
  stage.Advance(grey.length);
  stage.world.Heal(running[one], running[other]);
}

// What the healthy think of one peer, as time goes by.
struct Opinion {
  std::set<HostIndex> against;  // who takes it for dead
  std::size_t most = 0;         // of these at once
  Instant first = kNever;       // when the majority did for the first time
  // How often each took it back. Not the majority: while one wave of news overtakes another, its
  // opinion crosses the middle several times within a tenth of a second.
  std::map<HostIndex, std::size_t> taken_back;
};

// How many neighbours the faulty ones have after the time they should be parted with in: of healthy
// ones, in the mean.
void CountNeighborsLater(Stage& stage, const std::vector<HostIndex>& faulty, const Grey& grey) {
  if (faulty.empty()) return;
  stage.world.At(stage.world.now() + std::min(grey.length, kBound), [&stage, faulty] {
    const Graph graph = stage.Neighbors();
    const std::vector<HostIndex> running = stage.Running();
    std::size_t near = 0;
    for (std::size_t at = 0; at < graph.size(); ++at) {
      if (std::binary_search(faulty.begin(), faulty.end(), running[at])) continue;
      for (const std::uint32_t other : graph[at]) {
        if (std::binary_search(faulty.begin(), faulty.end(), running[other])) ++near;
      }
    }
    stage.outcome.figures.Set("faulty_degree_60s",
                              static_cast<double>(near) / static_cast<double>(faulty.size()));
  });
}

void DescribeGrey(Stage& stage, const std::vector<HostIndex>& faulty, Instant begin) {
  const std::set<HostIndex> bad(faulty.begin(), faulty.end());
  const std::size_t majority = (stage.Running().size() - bad.size()) / 2 + 1;
  std::map<HostIndex, Opinion> opinions;
  std::set<HostIndex> wronged;
  for (const auto& verdict : stage.verdicts.all()) {
    if (bad.contains(verdict.at)) continue;
    if (verdict.dead && !bad.contains(verdict.about)) wronged.insert(verdict.about);
    if (!bad.contains(verdict.about)) continue;
    Opinion& opinion = opinions[verdict.about];
    if (verdict.dead) {
      opinion.against.insert(verdict.at);
    } else {
      opinion.taken_back[verdict.at] += opinion.against.erase(verdict.at);
    }
    opinion.most = std::max(opinion.most, opinion.against.size());
    const bool removed = opinion.against.size() >= majority;
    if (removed && opinion.first == kNever) opinion.first = verdict.when;
  }
  Duration longest{};
  std::size_t never = 0, flaps = 0, least = SIZE_MAX;
  for (const HostIndex host : faulty) {
    const Opinion& opinion = opinions[host];
    for (const auto& [at, times] : opinion.taken_back) flaps = std::max(flaps, times);
    least = std::min(least, opinion.most);
    if (opinion.first == kNever) {
      ++never;
    } else {
      longest = std::max(longest, opinion.first - begin);
    }
  }
  Figures& figures = stage.outcome.figures;
  figures.Set("faulty", static_cast<double>(faulty.size()));
  figures.Set("faulty_removed_s", Seconds(longest));
  figures.Set("faulty_left", static_cast<double>(never));
  if (!faulty.empty()) figures.Set("accusers_at_best", static_cast<double>(least));
  figures.Set("healthy_removed", static_cast<double>(wronged.size()));
  figures.Set("flaps", static_cast<double>(flaps));
}

}  // namespace

void Perform(Stage& stage, const Grey& grey) {
  const auto share = std::llround(grey.share * static_cast<double>(stage.Running().size()));
  std::vector<HostIndex> faulty =
      grey.how == Greyness::kPair
          ? std::vector<HostIndex>{}
          : stage.Draw(static_cast<std::size_t>(std::max<std::int64_t>(share, 1)));
  std::sort(faulty.begin(), faulty.end());
  stage.verdicts.Listen();
  CountNeighborsLater(stage, faulty, grey);
  const Instant begin = stage.world.now();
  switch (grey.how) {
    case Greyness::kOneWay: FlipFlop(stage, faulty, grey); break;
    case Greyness::kLossy: LosePackets(stage, faulty, grey); break;
    case Greyness::kPair: CutPair(stage, grey); break;
  }
  stage.verdicts.Stop();
  DescribeGrey(stage, faulty, begin);
}

}  // namespace peermesh::sim::experiment
