// meshsim: runs scripts of the simulator.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/sim/run.h"
#include "tests/sim/wire_codec.h"

namespace peermesh::sim {
namespace {

constexpr int kFailed = 1, kBadScript = 2;

struct Options {
  std::vector<std::string> scripts;
  std::uint64_t seeds = 1, first = 1;
  unsigned jobs = 1;
  std::uint64_t check_every = 0;
  bool json = false, twice = false, through_wire = false;
  Span trace;
};

// What to say should an invariant abort the process: written before each run, printed as it is.
thread_local char replay_line[512];

std::string ReplayCommand(const Script& script, std::uint64_t seed, const Options& options) {
  std::string command = fmt::format("meshsim run {} --seed {}", script.name, seed);
  if (options.through_wire) command += " --through-wire";
  if (options.check_every > 0) command += fmt::format(" --check-every {}", options.check_every);
  return command;
}

void OnAbort(int) {
  (void)!write(STDERR_FILENO, replay_line, std::strlen(replay_line));
  signal(SIGABRT, SIG_DFL);
  raise(SIGABRT);
}

std::vector<Outcome> RunSeeds(const Script& script, const Options& options) {
  std::vector<Outcome> outcomes(options.seeds);
  std::atomic<std::uint64_t> next = 0, done = 0, failed = 0;
  const auto work = [&] {
    for (std::uint64_t i = next++; i < options.seeds; i = next++) {
      const std::uint64_t seed = options.first + i;
      const std::string replay = "replay: " + ReplayCommand(script, seed, options) + "\n";
      std::snprintf(replay_line, sizeof replay_line, "%s", replay.c_str());
      WireCodec codec;
      const RunOptions run{.check_every = options.check_every,
                           .codec = options.through_wire ? &codec : nullptr,
                           .trace = options.trace};
      outcomes[i] = RunScript(script, seed, run);
      if (options.twice && RunScript(script, seed, run).digest != outcomes[i].digest) {
        ++outcomes[i].failure_count;
        outcomes[i].failures.push_back("a second run has another digest");
      }
      failed += outcomes[i].ok() ? 0 : 1;
      ++done;
    }
  };
  std::vector<std::thread> workers;
  for (unsigned job = 1; job < options.jobs; ++job) workers.emplace_back(work);
  std::mutex mutex;
  std::condition_variable over;
  bool all_done = false;
  std::thread progress([&] {
    const bool terminal = isatty(STDERR_FILENO) == 1;
    const auto pause = terminal ? std::chrono::seconds(1) : std::chrono::seconds(30);
    std::unique_lock lock(mutex);
    while (!over.wait_for(lock, pause, [&] { return all_done; })) {
      fmt::print(stderr, "{}{}: {} of {} seeds, {} failed{}", terminal ? "\r" : "", script.name,
                 done.load(), options.seeds, failed.load(), terminal ? "" : "\n");
    }
    if (terminal) fmt::print(stderr, "\r\x1b[K");
  });
  work();
  for (std::thread& worker : workers) worker.join();
  {
    const std::lock_guard lock(mutex);
    all_done = true;
  }
  over.notify_all();
  progress.join();
  return outcomes;
}

struct Spread {
  Duration least = Duration::max(), most{}, sum{}, bound{};
  std::uint64_t count = 0;
};

std::vector<std::pair<std::string, Spread>> FiguresOf(const std::vector<Outcome>& outcomes) {
  std::vector<std::pair<std::string, Spread>> all;
  for (const Outcome& outcome : outcomes) {
    for (const Figure& figure : outcome.figures) {
      auto place = std::find_if(all.begin(), all.end(),
                                [&](const auto& named) { return named.first == figure.name; });
      if (place == all.end()) place = all.insert(all.end(), {figure.name, {}});
      Spread& spread = place->second;
      spread.least = std::min(spread.least, figure.took);
      spread.most = std::max(spread.most, figure.took);
      spread.sum += figure.took;
      spread.bound = figure.bound;
      ++spread.count;
    }
  }
  return all;
}

double Seconds(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

struct Totals {
  std::uint64_t failed = 0, turns = 0, faults = 0, digest = 0;
  double virtual_seconds = 0, cpu_seconds = 0;
  Tally tally;

  explicit Totals(const std::vector<Outcome>& outcomes) {
    Digest all;
    for (const Outcome& outcome : outcomes) {
      failed += outcome.ok() ? 0 : 1;
      turns += outcome.turns;
      faults += outcome.faults;
      virtual_seconds += Seconds(outcome.virtual_time);
      cpu_seconds += outcome.seconds;
      tally += outcome.tally;
      all.Add(outcome.digest);
    }
    digest = outcomes.size() == 1 ? outcomes[0].digest : all.value();
  }
};

void PrintTable(const Script& script, const std::vector<Outcome>& outcomes,
                const Options& options) {
  const Totals totals(outcomes);
  fmt::print("{}: {}\n", script.name, script.title);
  for (const auto& [name, spread] : FiguresOf(outcomes)) {
    fmt::print("  {:<28} least {:>7.3f} s  mean {:>7.3f} s  most {:>7.3f} s  bound {:>6.1f} s\n",
               name, Seconds(spread.least), Seconds(spread.sum) / static_cast<double>(spread.count),
               Seconds(spread.most), Seconds(spread.bound));
  }
  fmt::print("  owed {}  delivered {}  announced as lost {}  missing {}  faults {}\n",
             totals.tally.accepted, totals.tally.delivered, totals.tally.gapped,
             totals.tally.missing, totals.faults);
  fmt::print("  {:.1f} s of virtual time in {:.1f} s: {:.1f} times as fast as real, {} turns\n",
             totals.virtual_seconds, totals.cpu_seconds,
             totals.virtual_seconds / std::max(totals.cpu_seconds, 1e-9), totals.turns);
  int shown = 0;
  for (const Outcome& outcome : outcomes) {
    if (outcome.ok() || ++shown > 3) continue;
    fmt::print("  seed {} FAILED ({} findings):\n", outcome.seed, outcome.failure_count);
    for (const std::string& failure : outcome.failures) fmt::print("    {}\n", failure);
    fmt::print("    replay: {}\n", ReplayCommand(script, outcome.seed, options));
  }
  fmt::print("  {} of {} seeds passed\n", outcomes.size() - totals.failed, outcomes.size());
  fmt::print("digest {:016x}\n", totals.digest);
}

nlohmann::ordered_json ToJson(const Script& script, const std::vector<Outcome>& outcomes) {
  const Totals totals(outcomes);
  nlohmann::ordered_json json{{"script", script.name},
                              {"seeds", outcomes.size()},
                              {"failed", totals.failed},
                              {"owed", totals.tally.accepted},
                              {"delivered", totals.tally.delivered},
                              {"lost", totals.tally.gapped},
                              {"missing", totals.tally.missing},
                              {"faults", totals.faults},
                              {"turns", totals.turns},
                              {"virtual_seconds", totals.virtual_seconds},
                              {"cpu_seconds", totals.cpu_seconds},
                              {"digest", fmt::format("{:016x}", totals.digest)}};
  for (const auto& [name, spread] : FiguresOf(outcomes)) {
    json["figures"].push_back({{"name", name},
                               {"least", Seconds(spread.least)},
                               {"mean", Seconds(spread.sum) / static_cast<double>(spread.count)},
                               {"most", Seconds(spread.most)},
                               {"bound", Seconds(spread.bound)}});
  }
  for (const Outcome& outcome : outcomes) {
    if (!outcome.ok())
      json["failures"].push_back({{"seed", outcome.seed}, {"what", outcome.failures}});
  }
  return json;
}

int RunAll(const Options& options) {
  std::vector<Script> scripts;
  for (const std::string& path : options.scripts) {
    auto script = ReadScript(path);
    if (!script.ok()) {
      fmt::print(stderr, "meshsim: {}\n", std::string(script.status().message()));
      return kBadScript;
    }
    scripts.push_back(*std::move(script));
  }
  if (!options.json) {
    fmt::print("seed {}{}\n", options.first,
               options.seeds > 1 ? fmt::format(" to {}", options.first + options.seeds - 1) : "");
    std::fflush(stdout);
  }
  signal(SIGABRT, OnAbort);
  bool failed = false;
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const Script& script : scripts) {
    const std::vector<Outcome> outcomes = RunSeeds(script, options);
    for (const Outcome& outcome : outcomes) failed |= !outcome.ok();
    if (options.json) {
      all.push_back(ToJson(script, outcomes));
    } else {
      PrintTable(script, outcomes, options);
      std::fflush(stdout);
    }
  }
  if (options.json) fmt::print("{}\n", all.dump(2));
  return failed ? kFailed : 0;
}

int Main(int argc, char** argv) {
  CLI::App app{"Simulates a mesh in virtual time."};
  app.require_subcommand(1);
  Options options;
  CLI::App* run = app.add_subcommand("run", "Run scripts with a number of seeds.");
  run->add_option("script", options.scripts, "Files: see tests/scenarios/sim")->required();
  run->add_option("--seeds", options.seeds, "How many seeds")->check(CLI::Range(1, 1'000'000));
  run->add_option("--seed", options.first, "The first seed")->capture_default_str();
  run->add_option("--jobs", options.jobs, "Runs at the same time")->check(CLI::Range(1, 256));
  run->add_option(
      "--check-every", options.check_every,
      "Turns between checks of a node's invariants; 0: every turn up to 8 peers, else 64");
  std::string trace;
  run->add_option("--trace", trace, "Print every turn of this virtual time: 10s..12s")
      ->check([&options](const std::string& text) {
        const auto span = ParseSpan(text);
        if (span.ok()) options.trace = *span;
        return std::string(span.status().message());
      });
  run->add_flag("--through-wire", options.through_wire, "Encode and decode every frame");
  run->add_flag("--twice", options.twice, "Run every seed again and compare the digests");
  run->add_flag("--json", options.json, "Machine-readable");
  CLI11_PARSE(app, argc, argv);
  return RunAll(options);
}

}  // namespace
}  // namespace peermesh::sim

int main(int argc, char** argv) { return peermesh::sim::Main(argc, argv); }
