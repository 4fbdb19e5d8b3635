// meshsim replay: a recorded run again.
#include <signal.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "tests/sim/commands.h"
#include "tests/sim/replay.h"
#include "tests/sim/script.h"

namespace peermesh::sim {
namespace {

struct Options {
  std::vector<std::string> files;
  ReplayOptions replay;
};

// Told when the node breaks an invariant.
char last_turn[64] = "";

void OnAbort(int) {
  (void)!write(STDERR_FILENO, last_turn, std::strlen(last_turn));
  signal(SIGABRT, SIG_DFL);
  raise(SIGABRT);
}

// Returns whether the run came out as recorded.
bool Print(const std::string& file, const Replayed& run) {
  const journal::Start& start = run.start;
  fmt::print("seed {:016x}{:016x}{:016x}{:016x}\n", start.seed[0], start.seed[1], start.seed[2],
             start.seed[3]);
  fmt::print("{}: peer {} ({}), release {}\n", file, start.config.name,
             start.config.self.ToShortText(), start.software);
  fmt::print(
      "  {} turns and {} facts in {:.3f} s; published {}, sent {}, received {}, delivered {}\n",
      run.turns, run.facts, static_cast<double>(run.span.count()) / 1e6,
      run.stats.published_messages, run.stats.sent_messages, run.stats.received_messages,
      run.stats.delivered_messages);
  if (!run.difference.empty()) {
    fmt::print("  DIFFERS: {}\n", run.difference);
    if (start.software != PEERMESH_VERSION)
      fmt::print("  recorded by release {}, repeated by {}\n", start.software, PEERMESH_VERSION);
  } else {
    fmt::print("  as recorded: the wishes of every turn, the state at {} marks\n", run.marks);
    if (!run.ended) {
      fmt::print("  the journal has no end{}: the process was killed\n",
                 run.torn ? " and breaks off within a turn" : "");
    }
  }
  fmt::print("digest {:016x}\n", run.digest);
  return run.difference.empty();
}

int ReplayAll(Options& options) {
  signal(SIGABRT, OnAbort);
  options.replay.print = [](const std::string& line) { fmt::print("{}\n", line); };
  options.replay.before_turn = [](std::uint64_t turn) {
    std::snprintf(last_turn, sizeof(last_turn), "meshsim: in turn %" PRIu64 "\n", turn);
  };
  bool same = true;
  for (const std::string& file : options.files) {
    const auto run = Replay(file, options.replay);
    if (!run.ok()) {
      fmt::print(stderr, "meshsim: {}\n", std::string(run.status().message()));
      return kBadInput;
    }
    same &= Print(file, *run);
  }
  return same ? 0 : kFailed;
}

}  // namespace

Command AddReplay(CLI::App& meshsim) {
  const auto options = std::make_shared<Options>();
  CLI::App* replay = meshsim.add_subcommand(
      "replay", "Repeat what `peermeshd --journal FILE` recorded, and compare.");
  replay->add_option("file", options->files, "Journals")->required();
  replay
      ->add_option_function<std::string>(
          "--trace",
          [options](const std::string& text) {
            const Span span = *ParseSpan(text);
            options->replay.trace = {span.from, span.to};
          },
          "Print every turn of this time since the start: 10s..12s")
      ->check(
          [](const std::string& text) { return std::string(ParseSpan(text).status().message()); });
  return {replay, [options] { return ReplayAll(*options); }};
}

}  // namespace peermesh::sim
