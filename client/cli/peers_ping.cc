// peermesh peers ping: how long another peer takes to answer this one.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "client/cli/ask.h"
#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/output.h"
#include "client/cli/peer_text.h"
#include "client/cli/units.h"
#include "peermesh/v1/peers.grpc.pb.h"

namespace peermesh::cli {
namespace {

constexpr std::uint64_t kPings = 4;
constexpr Duration kShortestInterval = std::chrono::milliseconds(10);  // 100 a second
constexpr Duration kLongestTimeout = std::chrono::seconds(5);  // a peer gives up by itself then

struct PingOptions {
  std::string peer;
  std::uint64_t count = kPings;
  Duration interval = std::chrono::seconds(1);
  Duration timeout = kLongestTimeout;
};

struct Counts {
  std::uint64_t asked = 0, answered = 0;
  Duration least = Duration::max(), most{}, sum{};
  absl::Status last_error;

  void Answered(Duration round_trip) {
    ++answered;
    least = std::min(least, round_trip);
    most = std::max(most, round_trip);
    sum += round_trip;
  }
  Duration mean() const { return sum / static_cast<Duration::rep>(answered); }
};

// A wait that ^C ends, and so the call under way.
class Patience {
 public:
  void Stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    if (call_ != nullptr) call_->TryCancel();
    changed_.notify_all();
  }
  // False when it was stopped.
  bool Wait(Duration duration) {
    std::unique_lock lock(mutex_);
    return !changed_.wait_for(lock, duration, [this] { return stopped_; });
  }
  // Between these two Stop cancels `call`.
  bool Begin(grpc::ClientContext& call) {
    const std::lock_guard lock(mutex_);
    call_ = &call;
    return !stopped_;
  }
  bool End() {
    const std::lock_guard lock(mutex_);
    call_ = nullptr;
    return !stopped_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  grpc::ClientContext* call_ = nullptr;
  bool stopped_ = false;
};

std::string Seconds(Duration duration) {
  return fmt::format("{}.{:06}s", duration.count() / 1'000'000, duration.count() % 1'000'000);
}

absl::Status PrintAnswer(const Context& context, std::uint64_t number,
                         const v1::PingPeerResponse& answer) {
  const Duration round_trip = FromProto(answer.round_trip_time());
  std::string text;
  if (context.json) {
    const nlohmann::ordered_json json = {{"schema", context.schema},
                                         {"number", number},
                                         {"peer", answer.peer().id()},
                                         {"name", answer.peer().name()},
                                         {"roundTripTime", Seconds(round_trip)}};
    text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  } else {
    text = fmt::format("{} ({}) answered {} in {}\n", Escape(answer.peer().name()),
                       answer.peer().id().substr(0, kShortId), number, FormatDuration(round_trip));
  }
  if (auto status = WriteOut(text); !status.ok()) return status;
  return FlushOut();
}

absl::Status PrintSummary(const Context& context, const Counts& counts) {
  if (context.json) {
    nlohmann::ordered_json summary = {{"asked", counts.asked}, {"answered", counts.answered}};
    if (counts.answered != 0) {
      summary["least"] = Seconds(counts.least);
      summary["mean"] = Seconds(counts.mean());
      summary["most"] = Seconds(counts.most);
    }
    const nlohmann::ordered_json json = {{"schema", context.schema}, {"summary", summary}};
    return WriteOut(json.dump() + "\n");
  }
  std::string text = fmt::format("{} asked, {} answered", counts.asked, counts.answered);
  if (counts.answered != 0) {
    text += fmt::format(": {} at least, {} on average, {} at most", FormatDuration(counts.least),
                        FormatDuration(counts.mean()), FormatDuration(counts.most));
  }
  Note(text + ".");
  return absl::OkStatus();
}

// Another question to the same name would be answered in the same way.
bool IsFinal(const absl::Status& status) {
  return !absl::IsDeadlineExceeded(status) && client::ReasonOf(status) != "PEER_UNREACHABLE" &&
         client::ReasonOf(status) != "RATE_LIMITED";
}

absl::Status Ping(Context& context, const PingOptions& options) {
  const auto channel = context.DialApp();
  if (!channel.ok()) return channel.status();
  const auto stub = v1::PeersService::NewStub(*channel);
  v1::PingPeerRequest request;
  request.set_peer(options.peer);
  Patience patience;
  context.interrupts->SetAction([&patience] { patience.Stop(); });
  Counts counts;
  for (std::uint64_t number = 1; number <= options.count; ++number) {
    if (number > 1 && !patience.Wait(options.interval)) break;
    grpc::ClientContext call;
    client::PrepareCall(call, "peermesh/" PEERMESH_VERSION, options.timeout);
    v1::PingPeerResponse answer;
    if (!patience.Begin(call)) break;
    const grpc::Status status = stub->PingPeer(&call, request, &answer);
    if (!patience.End()) break;
    ++counts.asked;
    if (status.ok()) {
      counts.Answered(FromProto(answer.round_trip_time()));
      if (auto printed = PrintAnswer(context, number, answer); !printed.ok()) return printed;
      continue;
    }
    counts.last_error = client::FromGrpc(status);
    if (absl::IsDeadlineExceeded(counts.last_error) &&
        client::ReasonOf(counts.last_error).empty()) {
      counts.last_error = client::MakeError(
          absl::StatusCode::kDeadlineExceeded, "NO_ANSWER",
          fmt::format(
              "{} did not answer in {}. \"peermesh peers show {}\" says what is known of it.",
              options.peer, FormatDuration(options.timeout), options.peer));
    }
    if (IsFinal(counts.last_error)) break;
    if (number < options.count) PrintError(counts.last_error);
  }
  context.interrupts->SetAction({});
  const bool final = IsFinal(counts.last_error) && !counts.last_error.ok();
  if (counts.answered != 0 || (!final && counts.asked > 1)) {
    if (auto printed = PrintSummary(context, counts); !printed.ok()) return printed;
  }
  if (const int signal = context.interrupts->signal(); signal != 0) return Interrupted(signal);
  return counts.answered != 0 ? absl::OkStatus() : counts.last_error;
}

}  // namespace

void AddPeersPing(CLI::App& peers, Context& context) {
  auto options = std::make_shared<PingOptions>();
  auto* ping = peers.add_subcommand("ping", "Measure how long another peer takes to answer");
  ping->footer(
      "A heartbeat that asks for one back at once: the path from this peer to that one, without "
      "what the command line takes to reach this one. Exit code 0 if it answered at all, 6 or 7 "
      "if it did not.");
  ping->add_option(kPeer, options->peer, "Name, id, or a unique prefix of the id, at least 4 long")
      ->required();
  AddNumber(*ping, "--count", options->count, kMostMessages, "How many times (default 4)");
  AddDuration(*ping, "--interval", options->interval,
              "Pause between two of them (default 1s, at least 10ms)");
  AddDuration(*ping, "--timeout", options->timeout,
              "How long to wait for each (default 5s, at most 5s)", kLongestTimeout);
  ping->callback([options, &context] {
    context.command = [options](Context& c) -> absl::Status {
      if (options->interval < kShortestInterval)
        return UsageError("--interval is at least 10ms: a peer takes 100 a second.");
      if (options->timeout <= Duration::zero()) return UsageError("--timeout is more than 0s.");
      return Ping(c, *options);
    };
  });
}

}  // namespace peermesh::cli
