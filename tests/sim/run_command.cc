// `meshsim run`: scripts with a number of seeds, and what to say of them.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/sim/commands.h"
#include "tests/sim/plot.h"
#include "tests/sim/run.h"
#include "tests/sim/wire_codec.h"

namespace peermesh::sim {
namespace {

struct Options {
  std::vector<std::string> scripts;
  std::uint64_t seeds = 1, first = 1;
  unsigned jobs = 1;
  std::uint64_t check_every = 0;
  bool json = false, twice = false, through_wire = false, only_failed = false;
  Span trace;
  std::string history, plot;
};

// What to say should an invariant abort the process: written before each run, printed as it is.
thread_local char replay_line[512];

std::string ReplayCommand(const Script& script, std::uint64_t seed, const Options& options) {
  std::string command = fmt::format("meshsim run {} --seed {}", script.name, seed);
  if (options.through_wire) command += " --through-wire";
  if (!options.history.empty()) command += " --history " + options.history;
  if (options.check_every > 0) command += fmt::format(" --check-every {}", options.check_every);
  return command;
}

// A directory for each run, or none.
std::string HistoryOf(const Script& script, std::uint64_t seed, const Options& options) {
  if (options.history.empty()) return "";
  const std::string name = std::filesystem::path(script.name).stem().string();
  return fmt::format("{}/{}-{}", options.history, name, seed);
}

void OnAbort(int) {
  (void)!write(STDERR_FILENO, replay_line, std::strlen(replay_line));
  signal(SIGABRT, SIG_DFL);
  raise(SIGABRT);
}

std::vector<Outcome> RunSeeds(const Script& script, const Options& options, Timeline& timeline) {
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
                           .trace = options.trace,
                           .timeline = i == 0 && !options.plot.empty() ? &timeline : nullptr,
                           .history = HistoryOf(script, seed, options)};
      outcomes[i] = RunScript(script, seed, run);
      const RunOptions again{.check_every = options.check_every, .codec = run.codec};
      if (options.twice && RunScript(script, seed, again).digest != outcomes[i].digest) {
        ++outcomes[i].failure_count;
        outcomes[i].failures.push_back("a second run has another digest");
      }
      failed += outcomes[i].ok() ? 0 : 1;
      if (options.only_failed && outcomes[i].ok() && !run.history.empty()) {
        std::error_code ignored;
        std::filesystem::remove_all(run.history, ignored);
      }
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
  if (outcomes.size() == 1 && !outcomes[0].parameters.empty()) {
    fmt::print("  with {}\n", ToText(outcomes[0].parameters));
  }
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
    if (!outcome.parameters.empty()) fmt::print("    with {}\n", ToText(outcome.parameters));
    fmt::print("    replay: {}\n", ReplayCommand(script, outcome.seed, options));
  }
  fmt::print("  {} of {} seeds passed\n", outcomes.size() - totals.failed, outcomes.size());
  fmt::print("digest {:016x}\n", totals.digest);
}

nlohmann::ordered_json ToJson(const Script& script, const std::vector<Outcome>& outcomes,
                              const Options& options) {
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
    auto& drawn = json["parameters"].emplace_back(nlohmann::ordered_json{{"seed", outcome.seed}});
    for (const auto& [name, value] : outcome.parameters) drawn[name] = value;
  }
  for (const Outcome& outcome : outcomes) {
    if (outcome.ok()) continue;
    json["failures"].push_back({{"seed", outcome.seed},
                                {"what", outcome.failures},
                                {"replay", ReplayCommand(script, outcome.seed, options)}});
  }
  return json;
}

int RunAll(const Options& options) {
  if (!options.plot.empty() && options.scripts.size() > 1) {
    fmt::print(stderr, "meshsim: --plot draws one script; run them one by one\n");
    return kBadInput;
  }
  std::vector<Script> scripts;
  for (const std::string& path : options.scripts) {
    auto script = ReadScript(path);
    if (!script.ok()) {
      fmt::print(stderr, "meshsim: {}\n", std::string(script.status().message()));
      return kBadInput;
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
    Timeline timeline;
    const std::vector<Outcome> outcomes = RunSeeds(script, options, timeline);
    if (!options.plot.empty()) {
      std::ofstream file(options.plot);
      if (!(file << Plot(script, outcomes, timeline))) {
        fmt::print(stderr, "meshsim: {}: cannot be written\n", options.plot);
        return kBadInput;
      }
    }
    for (const Outcome& outcome : outcomes) failed |= !outcome.ok();
    if (options.json) {
      all.push_back(ToJson(script, outcomes, options));
    } else {
      PrintTable(script, outcomes, options);
      std::fflush(stdout);
    }
  }
  if (options.json) fmt::print("{}\n", all.dump(2));
  return failed ? kFailed : 0;
}

}  // namespace

Command AddRun(CLI::App& meshsim) {
  const auto owned = std::make_shared<Options>();
  Options& options = *owned;
  CLI::App* run = meshsim.add_subcommand("run", "Run scripts with a number of seeds.");
  run->add_option("script", options.scripts, "Files: see tests/scenarios/sim")->required();
  run->add_option("--seeds", options.seeds, "How many seeds")->check(CLI::Range(1, 1'000'000));
  run->add_option("--seed", options.first, "The first seed")->capture_default_str();
  run->add_option("--jobs", options.jobs, "Runs at the same time")->check(CLI::Range(1, 256));
  run->add_option(
      "--check-every", options.check_every,
      "Turns between checks of a node's invariants; 0: every turn up to 8 peers, else 64");
  run->add_option_function<std::string>(
         "--trace", [owned](const std::string& text) { owned->trace = *ParseSpan(text); },
         "Print every turn of this virtual time: 10s..12s")
      ->check(
          [](const std::string& text) { return std::string(ParseSpan(text).status().message()); });
  run->add_option("--history", options.history,
                  "Write the history of each run below this directory, and judge the run by it");
  run->add_flag("--only-failed", options.only_failed, "Keep histories of runs that failed only");
  run->add_option("--plot", options.plot,
                  "Draw the first seed's time line, and how fast all healed: an SVG");
  run->add_flag("--through-wire", options.through_wire, "Encode and decode every frame");
  run->add_flag("--twice", options.twice, "Run every seed again and compare the digests");
  run->add_flag("--json", options.json, "Machine-readable");
  return {run, [owned] { return RunAll(*owned); }};
}

}  // namespace peermesh::sim
