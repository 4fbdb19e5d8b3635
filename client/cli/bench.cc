// peermesh bench: what this mesh carries, and how fast.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "client/cli/bench_load.h"
#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/output.h"
#include "client/cli/units.h"
#include "mesh/base/limits.h"

namespace peermesh::cli {
namespace {

constexpr Duration kLongestRun = std::chrono::hours(1);
constexpr std::size_t kRoundTrips = 5000;
constexpr Duration kRoundTripsTake = std::chrono::seconds(1);  // at most
constexpr std::uint64_t kFastestRate = 1'000'000'000;
// The subject and the framing have to fit, too.
constexpr std::uint64_t kLargestPayload = kMaxMessageBytes - 1024;

struct BenchOptions {
  std::string peer;  // empty: this one
  bool answer = false;
  std::uint64_t bytes = 128;
  Duration duration = std::chrono::seconds(5);
  std::uint64_t rate = 0;
};

// One line on a terminal that is written over; nothing elsewhere.
class ProgressBar {
 public:
  ProgressBar(Duration whole, bool shown) : whole_(whole), shown_(shown) {}
  ~ProgressBar() { Clear(); }

  void Show(Duration passed, std::uint64_t messages) {
    if (!shown_) return;
    constexpr std::int64_t kWidth = 30;
    const auto done =
        static_cast<std::size_t>(std::min(passed, whole_) * kWidth / std::max(whole_, passed));
    const double seconds = static_cast<double>(passed.count()) / 1e6;
    const double rate = seconds > 0 ? static_cast<double>(messages) / seconds : 0;
    fmt::print(stderr, "\r[{:<{}}] {:.1f} s, {:.0f} messages/s \033[K", std::string(done, '='),
               kWidth, seconds, rate);
    std::fflush(stderr);
    dirty_ = true;
  }
  void Clear() {
    if (std::exchange(dirty_, false)) fmt::print(stderr, "\r\033[K");
  }

 private:
  const Duration whole_;
  const bool shown_;
  bool dirty_ = false;
};

struct Findings {
  std::vector<Duration> round_trips;  // sorted, not empty
  BenchAsker::Carried carried;

  Duration Quantile(double share) const {
    return round_trips[static_cast<std::size_t>(share *
                                                static_cast<double>(round_trips.size() - 1))];
  }
  double seconds() const { return static_cast<double>(carried.took.count()) / 1e6; }
  double rate() const {
    return carried.took > Duration::zero() ? static_cast<double>(carried.received) / seconds() : 0;
  }
};

absl::Status Print(const Context& context, const BenchOptions& options, const Findings& found) {
  const double megabytes = found.rate() * static_cast<double>(options.bytes) / 1e6;
  if (context.json) {
    const auto seconds = [](Duration time) { return static_cast<double>(time.count()) / 1e6; };
    const nlohmann::ordered_json json = {{"schema", context.schema},
                                         {"peer", options.peer},
                                         {"bytes", options.bytes},
                                         {"roundTrips",
                                          {{"count", found.round_trips.size()},
                                           {"p50", seconds(found.Quantile(0.5))},
                                           {"p90", seconds(found.Quantile(0.9))},
                                           {"p99", seconds(found.Quantile(0.99))},
                                           {"most", seconds(found.round_trips.back())}}},
                                         {"messages", found.carried.received},
                                         {"lost", found.carried.missing},
                                         {"seconds", found.seconds()},
                                         {"messagesPerSecond", found.rate()},
                                         {"megabytesPerSecond", megabytes}};
    return WriteOut(json.dump(2) + "\n");
  }
  return WriteOut(fmt::format(
      "Round trip  p50 {}, p90 {}, p99 {}, most {} ({} of {}, one at a time)\n"
      "One way     {:.0f} messages/s, {:.1f} MB/s ({} of {} in {:.2f} s, {})\n",
      FormatDuration(found.Quantile(0.5)), FormatDuration(found.Quantile(0.9)),
      FormatDuration(found.Quantile(0.99)), FormatDuration(found.round_trips.back()),
      found.round_trips.size(), FormatBytes(options.bytes), found.rate(), megabytes,
      found.carried.received, FormatBytes(options.bytes), found.seconds(),
      found.carried.missing == 0 ? "none lost" : fmt::format("{} LOST", found.carried.missing)));
}

absl::Status Explained(const absl::Status& status, const BenchOptions& options) {
  if (client::ReasonOf(status) != "NO_SUBSCRIBERS") return status;
  return client::MakeError(
      status.code(), "NO_SUBSCRIBERS",
      fmt::format("Nobody answers on {}. Run \"peermesh bench --answer\" there first.",
                  options.peer));
}

absl::Status Measure(Context& context, const BenchOptions& options, BenchAsker& asker) {
  Findings found;
  auto round_trips = asker.RoundTrips(kRoundTrips, kRoundTripsTake);
  if (!round_trips.ok()) return round_trips.status();
  found.round_trips = *std::move(round_trips);
  ProgressBar bar(options.duration, !context.json && isatty(STDERR_FILENO) == 1);
  const auto carried =
      asker.Carry(options.duration,
                  [&bar](Duration passed, std::uint64_t messages) { bar.Show(passed, messages); });
  bar.Clear();
  if (!carried.ok()) return carried.status();
  found.carried = *carried;
  return Print(context, options, found);
}

absl::Status Ask(Context& context, const BenchOptions& options) {
  std::random_device entropy;
  BenchAsker::Options asking{kBenchSubject, options.peer, options.bytes, options.rate,
                             (std::uint64_t{entropy()} << 32) | entropy()};
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  // Through this peer alone, the other application is this program as well.
  std::unique_ptr<client::Client> other;
  std::unique_ptr<BenchAnswerer> answerer;
  if (options.peer.empty()) {
    asking.subject = fmt::format("{}.run-{:x}", kBenchSubject, asking.run);
    auto connected = context.Connect();
    if (!connected.ok()) return connected.status();
    other = *std::move(connected);
    auto opened = BenchAnswerer::Open(*other, asking.subject);
    if (!opened.ok()) return opened.status();
    answerer = *std::move(opened);
  }
  const auto asker = BenchAsker::Open(**client, std::move(asking));
  if (!asker.ok()) return asker.status();
  context.interrupts->SetAction([&asker] { (*asker)->Stop(); });
  const absl::Status status = Measure(context, options, **asker);
  context.interrupts->SetAction({});
  if (const int signal = context.interrupts->signal(); signal != 0) return Interrupted(signal);
  return Explained(status, options);
}

absl::Status Answer(Context& context) {
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  const auto answerer = BenchAnswerer::Open(**client, kBenchSubject);
  if (!answerer.ok()) return answerer.status();
  context.interrupts->SetAction([&answerer] { (*answerer)->Stop(); });
  Note("Answers \"peermesh bench PEER\" of other hosts until ^C.");
  const absl::Status status = (*answerer)->Wait();
  context.interrupts->SetAction({});
  if (const int signal = context.interrupts->signal(); signal != 0) return Interrupted(signal);
  return status;
}

}  // namespace

void AddBench(CLI::App& app, Context& context) {
  auto options = std::make_shared<BenchOptions>();
  auto* bench = app.add_subcommand("bench", "Measure how much the mesh carries, and how fast");
  bench->footer(
      "First round trips, one at a time; then one way as many messages as get through, counted "
      "where they arrive. Without PEER from this program through this peer and back to it.\n\n"
      "It loads the mesh as much as it can: others on it will notice. --rate bounds it.");
  bench->add_option(kPeer, options->peer,
                    "To an application on this peer, where \"peermesh bench --answer\" runs");
  bench->add_flag("--answer", options->answer, "Be that application, until ^C");
  AddNumber(*bench, "--size", options->bytes, kLargestPayload,
            "Bytes of a message's payload (default 128, at least 32)");
  AddDuration(*bench, "--duration", options->duration,
              "How long to publish (default 5s, at most 1h)", kLongestRun);
  AddNumber(*bench, "--rate", options->rate, kFastestRate, "At most N messages a second");
  bench->callback([options, &context] {
    context.command = [options](Context& c) -> absl::Status {
      if (options->answer && !options->peer.empty())
        return UsageError("--answer answers whoever asks. Leave PEER out.");
      if (options->bytes < kMinBenchPayload)
        return UsageError(fmt::format("--size is at least {}.", kMinBenchPayload));
      if (options->duration <= Duration::zero()) return UsageError("--duration is more than 0s.");
      return options->answer ? Answer(c) : Ask(c, *options);
    };
  });
}

}  // namespace peermesh::cli
