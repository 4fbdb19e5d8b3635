#include "tests/sim/experiment/experiment_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/sim/experiment/chart.h"
#include "tests/sim/experiment/report.h"
#include "tests/sim/experiment/run.h"

namespace peermesh::sim {
namespace {

using experiment::Experiment;
using experiment::Outcome;
using experiment::Plan;

struct Options {
  std::vector<std::string> files;
  std::uint64_t seeds = 1, first = 1;
  unsigned jobs = 1;
  std::string cases, json, svg;
  std::uint64_t peers = 0;
  bool twice = false;
};

// What to say should an invariant abort the process: written before each run, printed as it is.
thread_local char replay_line[512];

std::string ReplayCommand(const std::string& file, const std::string& plan, std::uint64_t seed,
                          const Options& options) {
  std::string command = fmt::format("meshsim experiment {} --seed {}", file, seed);
  if (!plan.empty()) command += " --cases " + plan;
  if (options.peers > 0) command += fmt::format(" --peers {}", options.peers);
  if (options.twice) command += " --twice";
  return command;
}

void OnAbort(int) {
  (void)!write(STDERR_FILENO, replay_line, std::strlen(replay_line));
  std::signal(SIGABRT, SIG_DFL);
  std::raise(SIGABRT);
}

// Every case with every seed, in this order.
std::vector<Outcome> RunAllSeeds(const Experiment& experiment, const Options& options) {
  std::vector<Outcome> outcomes(experiment.plans.size() * options.seeds);
  std::atomic<std::size_t> next = 0;
  std::mutex printing;
  const auto work = [&] {
    for (std::size_t i = next++; i < outcomes.size(); i = next++) {
      const Plan& plan = experiment.plans[i / options.seeds];
      const std::uint64_t seed = options.first + i % options.seeds;
      std::snprintf(replay_line, sizeof replay_line, "replay: %s\n",
                    ReplayCommand(experiment.name, plan.name, seed, options).c_str());
      outcomes[i] = experiment::RunPlan(plan, seed);
      if (options.twice && experiment::RunPlan(plan, seed).digest != outcomes[i].digest) {
        ++outcomes[i].failure_count;
        outcomes[i].failures.push_back("a second run has another digest");
      }
      const std::lock_guard lock(printing);
      fmt::print("{}\n", experiment::RunLine(outcomes[i]));
      std::fflush(stdout);
    }
  };
  std::vector<std::thread> workers;
  for (unsigned job = 1; job < options.jobs; ++job) workers.emplace_back(work);
  work();
  for (std::thread& worker : workers) worker.join();
  return outcomes;
}

// What the world found wrong, and the first runs that break a bound. True if there is nothing.
bool PrintFailures(const Experiment& experiment, const std::vector<Outcome>& outcomes,
                   const std::vector<experiment::Row>& rows, const Options& options) {
  bool ok = experiment::AllHold(rows);
  for (const Outcome& outcome : outcomes) {
    if (outcome.failure_count == 0) continue;
    ok = false;
    fmt::print("  seed {} {} FAILED ({} findings):\n", outcome.seed, outcome.plan,
               outcome.failure_count);
    for (const std::string& failure : outcome.failures) fmt::print("    {}\n", failure);
    fmt::print("    replay: {}\n",
               ReplayCommand(experiment.name, outcome.plan, outcome.seed, options));
  }
  for (const experiment::Row& row : rows) {
    if (!row.holds || *row.holds) continue;
    // Of the runs of this case, the one that is farthest off on its own, or all of them.
    fmt::print("  {} {} FAILED: {} required, {} to {}{}\n", row.plan, row.figure, row.required,
               row.spread.least, row.spread.most, row.spread.count == 0 ? ": not measured" : "");
    std::string repeat = fmt::format("meshsim experiment {} --seed {} --seeds {}", experiment.name,
                                     options.first, options.seeds);
    if (!row.plan.empty() && row.plan != "total") repeat += " --cases " + row.plan;
    if (options.peers > 0) repeat += fmt::format(" --peers {}", options.peers);
    fmt::print("    repeat: {}\n", repeat);
  }
  return ok;
}

// Only those cases whose names begin so; with as many peers as wanted.
bool Select(Experiment& experiment, const Options& options) {
  std::erase_if(experiment.plans,
                [&](const Plan& plan) { return !experiment::IsOf(plan.name, options.cases); });
  for (Plan& plan : experiment.plans) {
    if (options.peers > 0) plan.peers = options.peers;
  }
  if (!experiment.plans.empty()) return true;
  fmt::print(stderr, "meshsim: {}: no case is '{}'\n", experiment.name, options.cases);
  return false;
}

int RunAll(const Options& options) {
  std::vector<Experiment> experiments;
  for (const std::string& file : options.files) {
    auto read = experiment::ReadExperiment(file);
    if (!read.ok()) {
      fmt::print(stderr, "meshsim: {}\n", std::string(read.status().message()));
      return kBadInput;
    }
    experiments.push_back(*std::move(read));
    if (!Select(experiments.back(), options)) return kBadInput;
  }
  if (!options.svg.empty() && experiments.size() > 1) {
    fmt::print(stderr, "meshsim: --svg draws one experiment; run them one by one\n");
    return kBadInput;
  }
  fmt::print("seed {}{}\n", options.first,
             options.seeds > 1 ? fmt::format(" to {}", options.first + options.seeds - 1) : "");
  std::fflush(stdout);
  std::signal(SIGABRT, OnAbort);
  bool ok = true;
  Digest digest;
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const Experiment& experiment : experiments) {
    fmt::print("{}: {}\n", experiment.name, experiment.title);
    std::fflush(stdout);
    const std::vector<Outcome> outcomes = RunAllSeeds(experiment, options);
    const std::vector<experiment::Row> rows = experiment::Judge(experiment, outcomes);
    fmt::print("{}", experiment::Table(rows));
    ok &= PrintFailures(experiment, outcomes, rows, options);
    digest.Add(experiment::DigestOf(outcomes));
    if (!options.json.empty()) all.push_back(experiment::ToJson(experiment, outcomes, rows));
    if (options.svg.empty()) continue;
    std::ofstream file(options.svg);
    if (!(file << experiment::Chart(experiment, outcomes))) {
      fmt::print(stderr, "meshsim: {}: cannot be written\n", options.svg);
      return kBadInput;
    }
  }
  fmt::print("digest {:016x}\n", digest.value());
  if (!options.json.empty()) {
    std::ofstream file(options.json);
    if (!(file << all.dump(2) << "\n")) {
      fmt::print(stderr, "meshsim: {}: cannot be written\n", options.json);
      return kBadInput;
    }
  }
  return ok ? 0 : kFailed;
}

}  // namespace

Command AddExperiment(CLI::App& meshsim) {
  const auto owned = std::make_shared<Options>();
  Options& options = *owned;
  CLI::App* command = meshsim.add_subcommand(
      "experiment", "Run experiments of large meshes and compare their figures with bounds.");
  command->add_option("file", options.files, "Files: see tests/scenarios/large")->required();
  command->add_option("--seeds", options.seeds, "How many seeds")->check(CLI::Range(1, 1'000'000));
  command->add_option("--seed", options.first, "The first seed")->capture_default_str();
  command->add_option("--jobs", options.jobs, "Runs at the same time; measure memory with one only")
      ->check(CLI::Range(1, 256));
  command->add_option("--cases", options.cases, "Only these: small means small-5, too");
  command->add_option("--peers", options.peers, "As many peers, whatever the file says")
      ->check(CLI::Range(2, 20'000));
  command->add_option("--json", options.json, "Write all figures and curves to this file");
  command->add_option("--svg", options.svg, "Draw the first seed: spread, degrees, repair");
  command->add_flag("--twice", options.twice, "Run every seed again and compare the digests");
  return {command, [owned] { return RunAll(*owned); }};
}

}  // namespace peermesh::sim
