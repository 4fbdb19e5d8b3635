// A mesh falls apart for a while: does it become one again, and does everybody remember everybody?
#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/sim/experiment/run.h"
#include "tests/sim/experiment/stage.h"

namespace peermesh::sim::experiment {
namespace {

constexpr Duration kLookEvery = std::chrono::seconds(1);

// Pairs of living peers of which the first has no row of the second, or takes it for gone.
std::size_t Forgotten(const Stage& stage) {
  const std::vector<HostIndex> running = stage.Running();
  std::size_t forgotten = 0;
  for (const HostIndex at : running) {
    for (const HostIndex about : running) {
      if (at != about && !stage.Believes(at, about)) ++forgotten;
    }
  }
  return forgotten;
}

}  // namespace

void Perform(Stage& stage, const Split& split) {
  const std::vector<HostIndex> running = stage.Running();
  const auto count =
      static_cast<std::size_t>(std::llround(split.share * static_cast<double>(running.size())));
  stage.world.Split(stage.Draw(count));
  stage.Advance(split.length);
  Figures& figures = stage.outcome.figures;
  figures.Set("components_while_split", static_cast<double>(CountComponents(stage.Neighbors())));
  stage.world.HealAll();

  const Instant healed = stage.world.now(), bound = healed + split.within;
  Instant one = kNever;
  while (stage.world.now() < bound) {
    stage.Advance(std::min(kLookEvery, bound - stage.world.now()));
    if (one == kNever && CountComponents(stage.Neighbors()) == 1) one = stage.world.now();
    if (one != kNever) break;
  }
  // Not within the bound: more than it, so that no bound holds.
  figures.Set("one_component_s", Seconds(one == kNever ? 10 * split.within : one - healed));
  stage.Advance(bound - stage.world.now());
  figures.Set("forgotten", static_cast<double>(Forgotten(stage)));
  figures.Set("components", static_cast<double>(CountComponents(stage.Neighbors())));
}

}  // namespace peermesh::sim::experiment
