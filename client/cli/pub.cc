// peermesh pub and send: one message, or as many as there are lines.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>

#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/lines.h"
#include "client/cli/output.h"
#include "client/cli/units.h"
#include "mesh/base/limits.h"
#include "peermesh/v1/messaging.pb.h"

namespace peermesh::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr Duration kFlushTimeout =
    std::chrono::seconds(60);                    // a blocked subscriber may hold us that long
constexpr std::size_t kSlice = 256;              // messages handed to the session at once
constexpr std::uint64_t kSlicesPerSecond = 100;  // with --rate: how smooth it is

struct PubOptions {
  std::string subject;
  std::string text;
  bool text_given = false;
  std::string target;
  bool lines = false;
  std::string file;
  std::uint64_t count = 1;
  bool count_given = false;
  std::uint64_t rate = 0;  // 0: as fast as it goes
};

// What the answers add up to. Written by the session's thread, read by ours after Flush.
struct Totals {
  std::atomic<std::uint64_t> accepted = 0;
  std::atomic<std::uint64_t> refused = 0;
  std::atomic<std::uint32_t> most_interested = 0;
  std::atomic<bool> unreachable = false;
};

void Count(const client::Published& answer, Totals& totals) {
  if (!answer.receipt.ok()) {
    totals.refused += answer.messages;
    return;
  }
  totals.accepted += answer.messages;
  totals.most_interested =
      std::max(totals.most_interested.load(), answer.receipt->interested_peers);
  if (!answer.receipt->unreachable_peers.empty()) totals.unreachable = true;
}

// Hands messages to a session, at the rate wanted.
class Publisher {
 public:
  Publisher(client::Session& session, const Totals& totals, const PubOptions& options)
      : session_(session), totals_(totals), options_(options) {}

  // Stops at the first refusal: what follows would be out of order.
  absl::Status Publish(std::vector<std::string> payloads) {
    const std::size_t slice =
        options_.rate == 0 ? kSlice
                           : std::clamp<std::uint64_t>(options_.rate / kSlicesPerSecond, 1, kSlice);
    for (std::size_t first = 0; first < payloads.size(); first += slice) {
      if (totals_.refused != 0) return absl::OkStatus();
      std::vector<client::Message> messages;
      for (std::size_t i = first; i < std::min(first + slice, payloads.size()); ++i) {
        bytes_ += payloads[i].size();
        messages.push_back({options_.subject, std::move(payloads[i]), {}, {}, {}});
      }
      Pace(messages.size());
      const auto queued = session_.Publish(std::move(messages), options_.target);
      if (!queued.ok()) return queued.status();
    }
    return absl::OkStatus();
  }

  std::uint64_t bytes() const { return bytes_; }
  double Seconds() const {
    return std::chrono::duration<double>(SteadyClock::now() - start_).count();
  }

 private:
  // A schedule, not a pause: a late slice is made up for.
  void Pace(std::size_t messages) {
    if (options_.rate != 0) {
      std::this_thread::sleep_until(
          start_ + std::chrono::microseconds(1'000'000 * published_ / options_.rate));
    }
    published_ += messages;
  }

  client::Session& session_;
  const Totals& totals_;
  const PubOptions& options_;
  const SteadyClock::time_point start_ = SteadyClock::now();
  std::uint64_t published_ = 0;
  std::uint64_t bytes_ = 0;
};

absl::StatusOr<int> OpenInput(const std::string& file) {
  if (file.empty() || file == "-") return STDIN_FILENO;
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd >= 0) return fd;
  return absl::NotFoundError(
      fmt::format("{} cannot be read: {}. Check the path.", file, std::strerror(errno)));
}

absl::Status PublishLines(int fd, Publisher& publisher, const Totals& totals) {
  LineSplitter splitter(kMaxMessageBytes);
  std::vector<std::string> lines;
  std::string bytes;
  while (totals.refused == 0) {
    const auto more = ReadSome(fd, bytes);
    if (!more.ok()) return more.status();
    if (*more) {
      if (auto status = splitter.Feed(bytes, lines); !status.ok()) return status;
    } else {
      splitter.End(lines);
    }
    if (auto status = publisher.Publish(std::exchange(lines, {})); !status.ok()) return status;
    if (!*more) break;
  }
  return absl::OkStatus();
}

absl::Status PublishCopies(const std::string& payload, std::uint64_t count, Publisher& publisher,
                           const Totals& totals) {
  for (std::uint64_t done = 0; done < count && totals.refused == 0;) {
    const std::uint64_t n = std::min<std::uint64_t>(kSlice, count - done);
    if (auto status = publisher.Publish(std::vector<std::string>(n, payload)); !status.ok())
      return status;
    done += n;
  }
  return absl::OkStatus();
}

void Report(const Context& context, const Totals& totals, const Publisher& publisher) {
  const double seconds = publisher.Seconds();
  const double rate = seconds > 0 ? static_cast<double>(totals.accepted) / seconds : 0;
  if (context.json) {
    fmt::print(
        "{{\"messages\":\"{}\",\"refused\":\"{}\",\"bytes\":\"{}\",\"seconds\":{:.6f},"
        "\"messagesPerSecond\":{:.1f},\"interestedPeers\":{}}}\n",
        totals.accepted, totals.refused, publisher.bytes(), seconds, rate, totals.most_interested);
    return;
  }
  Note(fmt::format("Published {} messages ({}) in {:.2f} s: {:.0f} messages/s.", totals.accepted,
                   FormatBytes(publisher.bytes()), seconds, rate));
  if (totals.refused != 0) Note(fmt::format("{} messages were refused.", totals.refused));
  if (totals.accepted != 0 && totals.most_interested == 0) Note("Nobody subscribes to it.");
  if (totals.unreachable) Note("Some peers could not be reached: see \"peermesh peers\".");
}

absl::Status PublishMany(Context& context, const PubOptions& options, const std::string& payload) {
  const auto input = options.lines ? OpenInput(options.file) : absl::StatusOr<int>(-1);
  if (!input.ok()) return input.status();
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  Totals totals;
  client::SessionOptions session_options;
  session_options.on_events = [](std::span<client::Event>) {};
  session_options.on_published = [&totals](const client::Published& answer) {
    Count(answer, totals);
  };
  auto session = (*client)->OpenSession(std::move(session_options));
  if (!session.ok()) return session.status();
  Publisher publisher(**session, totals, options);
  absl::Status status = options.lines ? PublishLines(*input, publisher, totals)
                                      : PublishCopies(payload, options.count, publisher, totals);
  const absl::Status closed = (*session)->Close(kFlushTimeout);
  Report(context, totals, publisher);
  return status.ok() ? closed : status;
}

absl::Status PublishOne(Context& context, const PubOptions& options, std::string payload) {
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  std::vector<client::Message> messages(1);
  messages[0].subject = options.subject;
  messages[0].payload = std::move(payload);
  const auto receipt = (*client)->Publish(std::move(messages), options.target);
  if (!receipt.ok()) return receipt.status();
  if (context.json) {
    v1::PublishResponse response;
    for (const auto& range : receipt->numbers) {
      auto& out = *response.add_numbers();
      out.set_channel(range.channel);
      out.set_first(range.first);
      out.set_last(range.last);
    }
    response.set_interested_peers(receipt->interested_peers);
    for (const auto& id : receipt->unreachable_peers) response.add_unreachable_peers(id);
    return WriteOut(ToJson(response, Json::kIndented));
  }
  if (receipt->interested_peers == 0) Note("Nobody subscribes to it.");
  if (!receipt->unreachable_peers.empty()) {
    Note(fmt::format("{} live peers could not be reached: see \"peermesh peers\".",
                     receipt->unreachable_peers.size()));
  }
  return absl::OkStatus();
}

absl::Status Pub(Context& context, const PubOptions& options) {
  if (options.lines) {
    if (options.text_given || options.count_given) {
      return UsageError(
          "--lines publishes the lines of a file or of standard input. Leave MSG and --count out.");
    }
    return PublishMany(context, options, {});
  }
  if (!options.file.empty() && options.text_given) {
    return UsageError("Both a message and --file are given. Give one of them.");
  }
  std::string payload = options.text;
  if (!options.text_given || options.text == "-") {
    if (!options.text_given && options.file.empty() && isatty(STDIN_FILENO) == 1) {
      return UsageError(
          "There is nothing to publish. Give a message, or - to read it from standard input.");
    }
    const auto input = OpenInput(options.file);
    if (!input.ok()) return input.status();
    auto read = ReadAll(*input, kMaxMessageBytes);
    if (!read.ok()) return read.status();
    payload = *std::move(read);
  }
  if (options.count_given || options.rate != 0) return PublishMany(context, options, payload);
  return PublishOne(context, options, std::move(payload));
}

}  // namespace

void AddPub(CLI::App& app, Context& context) {
  const auto finish = [&context](CLI::App* command, std::shared_ptr<PubOptions> options) {
    auto* message =
        command->add_option("MSG", options->text, "The message; - or nothing: standard input");
    command->callback([options, message, command, &context] {
      options->text_given = message->count() != 0;
      auto* count = command->get_option_no_throw("--count");
      options->count_given = count != nullptr && count->count() != 0;
      context.command = [options](Context& c) { return Pub(c, *options); };
    });
  };

  auto pub = std::make_shared<PubOptions>();
  auto* command = app.add_subcommand("pub", "Publish a message, or many");
  command->add_option("SUBJECT", pub->subject, "Where to, such as orders.new")->required();
  command->add_flag("--lines", pub->lines,
                    "Every line of standard input, or of --file, is a message");
  command->add_option("--file", pub->file, "Read this instead of standard input")
      ->type_name("FILE");
  command->add_option("--count", pub->count, "Publish the message N times")->type_name("N");
  command->add_option("--rate", pub->rate, "At most N messages a second")
      ->type_name("N")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}).description(""));
  command
      ->add_option("--target", pub->target,
                   "Only subscriptions on this peer: name, id, or unique prefix")
      ->type_name("PEER");
  finish(command, pub);

  auto send = std::make_shared<PubOptions>();
  send->subject = "direct";
  auto* direct = app.add_subcommand("send", "Send a message to the applications on one peer");
  direct->add_option("PEER", send->target, "Name, id, or unique prefix of the id")->required();
  direct->add_option("--subject", send->subject, "Subject (default direct)");
  finish(direct, send);
}

}  // namespace peermesh::cli
