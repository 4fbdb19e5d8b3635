// Peers that crash, and peers that only stand still: who is taken for dead, and when.
#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "tests/sim/baseline/experiment.h"
#include "tests/sim/baseline/pauses.h"
#include "tests/sim/experiment/run.h"
#include "tests/sim/experiment/stage.h"

namespace peermesh::sim::experiment {
namespace {

// One crash, and who should find out.
struct Crash {
  HostIndex host = 0;
  Instant when{};
  std::vector<HostIndex> believers;  // took it for alive when it crashed
  std::set<HostIndex> neighbors;     // of these, those that were its neighbours
};

Crash CrashOne(Stage& stage, const std::vector<HostIndex>& running, Manner manner) {
  Crash crash;
  crash.host = running[stage.rng.Below(running.size())];
  const std::vector<PeerId> neighbors = stage.world.node(crash.host).Neighbors();
  for (const HostIndex host : running) {
    if (host == crash.host || !stage.Believes(host, crash.host)) continue;
    crash.believers.push_back(host);
    const bool near =
        std::find(neighbors.begin(), neighbors.end(), stage.world.id(host)) != neighbors.end();
    if (near) crash.neighbors.insert(host);
  }
  crash.when = stage.world.now();
  stage.Take(crash.host, manner);
  return crash;
}

// Instants at which each pair of a peer and a crashed one was decided; kNever: it was not.
Instant DecidedAt(const std::vector<Verdicts::Verdict>& verdicts, HostIndex at,
                  const Crash& crash) {
  for (const auto& verdict : verdicts) {
    if (verdict.dead && verdict.at == at && verdict.about == crash.host &&
        verdict.when >= crash.when) {
      return verdict.when;
    }
  }
  return kNever;
}

void DescribeCrashes(Stage& stage, const std::vector<Crash>& crashes, const std::string& as) {
  std::vector<double> all, observers, first, spread;
  std::size_t undetected = 0, forgotten = 0;
  for (const Crash& crash : crashes) {
    std::vector<Verdicts::Verdict> about;
    for (const auto& verdict : stage.verdicts.all()) {
      if (verdict.about == crash.host) about.push_back(verdict);
    }
    std::sort(about.begin(), about.end(), [](const auto& a, const auto& b) {
      return std::pair(a.at, a.when) < std::pair(b.at, b.when);
    });
    Instant soonest = kNever, latest = crash.when;
    for (const HostIndex host : crash.believers) {
      if (!stage.world.running(host)) continue;  // it crashed, too
      const auto from = std::lower_bound(about.begin(), about.end(), host,
                                         [](const auto& v, HostIndex at) { return v.at < at; });
      const auto to = std::find_if(from, about.end(), [&](const auto& v) { return v.at != host; });
      const Instant when = DecidedAt({from, to}, host, crash);
      if (when == kNever) {
        // A partial table may have given it up for others in the meantime.
        ++(stage.world.RowOf(host, crash.host) ? undetected : forgotten);
        continue;
      }
      soonest = std::min(soonest, when);
      latest = std::max(latest, when);
      all.push_back(Seconds(when - crash.when));
      if (crash.neighbors.contains(host)) observers.push_back(all.back());
    }
    if (soonest == kNever) continue;
    first.push_back(Seconds(soonest - crash.when));
    spread.push_back(Seconds(latest - soonest));
  }
  Figures& figures = stage.outcome.figures;
  SetTimes(figures, as + "detect", std::move(all));
  SetTimes(figures, as + "detect_first", std::move(first));
  if (!observers.empty()) SetTimes(figures, as + "detect_observers", std::move(observers));
  SetTimes(figures, as + "detect_spread", std::move(spread));
  figures.Set(as + "undetected", static_cast<double>(undetected));
  figures.Set(as + "forgotten_first", static_cast<double>(forgotten));
}

}  // namespace

void Perform(Stage& stage, const Crashes& crashes) {
  stage.verdicts.Listen();
  std::vector<Crash> done;
  for (std::uint64_t i = 0; i < crashes.count; ++i) {
    // At no particular moment between two heartbeats.
    stage.Advance(stage.rng.Between(crashes.every / 2, crashes.every * 3 / 2));
    const std::vector<HostIndex> running = stage.Running();
    if (running.size() < 3) break;
    done.push_back(CrashOne(stage, running, crashes.manner));
  }
  stage.Advance(crashes.within);
  stage.verdicts.Stop();
  DescribeCrashes(stage, done, crashes.as.empty() ? "" : crashes.as + ".");
  // Whoever lives and was taken for dead by somebody who lives.
  std::set<HostIndex> wronged;
  for (const auto& verdict : stage.verdicts.all()) {
    if (verdict.dead && stage.world.running(verdict.about)) wronged.insert(verdict.about);
  }
  stage.outcome.figures.Set("healthy_removed", static_cast<double>(wronged.size()));
}

void Perform(Stage& stage, const Pauses& pauses) {
  baseline::Experiment classic;
  classic.config.members = static_cast<std::uint32_t>(stage.world.hosts());
  classic.plan.members = classic.config.members;
  classic.plan.paused = static_cast<std::uint32_t>(pauses.members);
  classic.plan.length = pauses.length;
  classic.first_seed = stage.seed;
  classic.seeds = 1;
  const baseline::Report report = baseline::RunExperiment(classic);

  const auto plan = baseline::DrawPauses(classic.plan, stage.seed);
  const Duration shift = stage.world.now() - classic.plan.start;
  World& world = stage.world;
  for (const baseline::Pause& pause : plan) {
    world.At(pause.from + shift, [&world, member = pause.member] { world.Pause(member); });
    world.At(pause.until + shift, [&world, member = pause.member] { world.Continue(member); });
  }
  stage.verdicts.Listen();
  stage.Advance(pauses.length);
  stage.Advance(classic.settle);
  stage.verdicts.Stop();

  const baseline::Health health(classic.config.members, plan, {});
  const auto healthy = [&](HostIndex host, Instant when) {
    return health.Healthy(static_cast<std::uint32_t>(host), when - shift, classic.config.grace);
  };
  std::set<std::pair<HostIndex, std::uint64_t>> wronged;  // in which incarnation
  std::size_t beliefs = 0, by_anyone = 0;
  for (const auto& verdict : stage.verdicts.all()) {
    if (!verdict.dead || !healthy(verdict.about, verdict.when)) continue;
    ++by_anyone;
    if (!healthy(verdict.at, verdict.when)) continue;
    wronged.emplace(verdict.about, verdict.incarnation);
    ++beliefs;
  }
  Figures& figures = stage.outcome.figures;
  figures.Set("false_deaths", static_cast<double>(wronged.size()));
  figures.Set("false_beliefs", static_cast<double>(beliefs));
  figures.Set("false_beliefs_of_anyone", static_cast<double>(by_anyone));
  figures.Set("classic_false_beliefs_of_anyone", report.raw_healthy_events);
  figures.Set("classic_false_deaths", report.false_deaths);
  figures.Set("classic_false_beliefs", report.false_events);
}

}  // namespace peermesh::sim::experiment
