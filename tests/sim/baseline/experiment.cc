#include "tests/sim/baseline/experiment.h"

#include <algorithm>
#include <numeric>

#include "mesh/base/check.h"

namespace peermesh::sim::baseline {
namespace {

double Seconds(Duration time) { return static_cast<double>(time.count()) / 1e6; }

// Times of all crashes of all runs, in seconds.
struct Samples {
  std::vector<double> probed, suspected, declared, known;

  void Add(const Detection& detection) {
    const auto note = [&](Instant when, std::vector<double>& times) {
      if (when != kNever) times.push_back(Seconds(when - detection.crashed));
    };
    note(detection.probed, probed);
    note(detection.suspected, suspected);
    note(detection.declared, declared);
    note(detection.known, known);
  }
};

}  // namespace

Summary Summarise(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const std::size_t last = values.size() - 1;
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return {values.size(), sum / static_cast<double>(values.size()), values[last / 2],
          values[last * 99 / 100], values[last]};
}

Report RunExperiment(const Experiment& experiment) {
  PM_CHECK(experiment.plan.members == experiment.config.members && experiment.seeds > 0);
  Report report{.paused = experiment.plan.paused};
  Samples samples;
  Digest digest;
  const Instant end = experiment.plan.end() + experiment.settle;
  for (std::uint64_t i = 0; i < experiment.seeds; ++i) {
    const std::uint64_t seed = experiment.first_seed + i;
    Swim swim(experiment.config, seed, DrawPauses(experiment.plan, seed),
              DrawCrashes(experiment.plan, experiment.crashes, seed));
    swim.RunUntil(end);
    const Figures& figures = swim.figures();
    const auto deaths = static_cast<double>(figures.false_deaths);
    report.false_deaths += deaths;
    report.false_deaths_most = std::max(report.false_deaths_most, deaths);
    report.seeds_with_false_deaths += figures.false_deaths > 0 ? 1 : 0;
    report.false_events += static_cast<double>(figures.false_events);
    report.raw_healthy_events += static_cast<double>(figures.raw_healthy_events);
    report.raw_events += static_cast<double>(figures.raw_events);
    report.sends += static_cast<double>(figures.total_sent());
    report.overflowed += figures.overflowed;
    for (const Detection& detection : figures.detections) {
      samples.Add(detection);
      report.undetected += detection.declared == kNever ? 1 : 0;
    }
    digest.Add(swim.digest());
  }
  const auto runs = static_cast<double>(experiment.seeds);
  for (double* sum : {&report.false_deaths, &report.false_events, &report.raw_healthy_events,
                      &report.raw_events, &report.sends}) {
    *sum /= runs;
  }
  const double periods = Seconds(end - Instant{}) / Seconds(experiment.config.period);
  report.sends /= periods * experiment.config.members;
  report.probed = Summarise(std::move(samples.probed));
  report.suspected = Summarise(std::move(samples.suspected));
  report.declared = Summarise(std::move(samples.declared));
  report.known = Summarise(std::move(samples.known));
  report.digest = digest.value();
  return report;
}

}  // namespace peermesh::sim::baseline
