// peermesh pub and send: one message, or as many as there are lines.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <memory>

#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/lines.h"
#include "client/cli/output.h"
#include "client/cli/publisher.h"
#include "client/cli/units.h"
#include "mesh/base/limits.h"
#include "peermesh/v1/messaging.pb.h"

namespace peermesh::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::uint64_t kFastestRate = 1'000'000'000;

constexpr std::string_view kSignals =
    "^C, SIGTERM and SIGHUP end it; with --lines or --count it then says how far it got.\n"
    "A loss of the peer ends it, too: nothing is sent after a hole.\n\n";

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

// What is left of the largest message beside its subject.
std::size_t LongestPayload(const std::string& subject) {
  constexpr std::size_t kTagAndLength = 4;  // of a payload of up to 2 MiB
  const client::Message empty{subject, {}, {}, {}, {}};
  return kMaxMessageBytes - client::WireBytes(empty) - kTagAndLength;
}

absl::StatusOr<int> OpenInput(const std::string& file) {
  if (file.empty() || file == "-") return STDIN_FILENO;
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd >= 0) return fd;
  return absl::NotFoundError(
      fmt::format("{} cannot be read: {}. Check the path.", file, std::strerror(errno)));
}

// `given` counts the lines read.
absl::Status PublishLines(int fd, std::size_t longest, Publisher& publisher, std::uint64_t& given) {
  LineSplitter splitter(longest);
  std::vector<std::string> lines;
  std::string bytes;
  for (bool more = true; more;) {
    if (auto status = publisher.AwaitInput(fd); !status.ok()) return status;
    const auto read = ReadSome(fd, bytes);
    if (!read.ok()) return read.status();
    more = *read;
    lines.clear();
    absl::Status sound;
    if (more) {
      sound = splitter.Feed(bytes, lines);
    } else {
      splitter.End(lines);
    }
    given += lines.size();
    const auto line = [&lines](std::uint64_t i) -> const std::string& { return lines[i]; };
    if (auto status = publisher.Publish(lines.size(), line); !status.ok()) return status;
    if (!sound.ok()) return sound;
  }
  return absl::OkStatus();
}

// How far it got: `given` messages were there to publish.
void Report(const Context& context, const PubOptions& options, const Publisher::Counts& counts,
            std::uint64_t given, double seconds) {
  const double rate = seconds > 0 ? static_cast<double>(counts.accepted) / seconds : 0;
  const std::uint64_t missing = given - counts.accepted - counts.unknown;
  if (context.json) {
    fmt::print(
        "{{\"schema\":\"{}\",\"messages\":\"{}\",\"unknown\":\"{}\",\"notPublished\":\"{}\","
        "\"bytes\":\"{}\","
        "\"seconds\":{:.6f},\"messagesPerSecond\":{:.1f},\"interestedPeers\":{}}}\n",
        context.schema, counts.accepted, counts.unknown, missing, counts.bytes, seconds, rate,
        counts.most_interested);
    return;
  }
  Note(fmt::format("Published {} messages ({}) in {:.2f} s: {:.0f} messages/s.", counts.accepted,
                   FormatBytes(counts.bytes), seconds, rate));
  if (counts.unknown != 0) {
    Note(fmt::format("{} more were sent and not answered: they may or may not be published.",
                     counts.unknown));
  }
  if (missing != 0) Note(fmt::format("{} were not published.", missing));
  if (counts.unknown + missing != 0 && options.lines) {
    Note(fmt::format("The last line accepted is number {}.", counts.accepted));
  }
  if (counts.accepted != 0 && counts.most_interested == 0) Note("Nobody subscribes to it.");
  if (counts.unreachable) Note("Some peers could not be reached: see \"peermesh peers\".");
}

absl::Status PublishMany(Context& context, const PubOptions& options, const std::string& payload) {
  const auto input = options.lines ? OpenInput(options.file) : absl::StatusOr<int>(-1);
  if (!input.ok()) return input.status();
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  auto opened = Publisher::Open(**client, {options.subject, options.target, options.rate});
  if (!opened.ok()) return opened.status();
  Publisher& publisher = **opened;
  context.interrupts->SetAction([&] { publisher.Stop(Interrupted(context.interrupts->signal())); });
  const auto start = SteadyClock::now();
  std::uint64_t given = options.lines ? 0 : options.count;
  const absl::Status status =
      options.lines ? PublishLines(*input, LongestPayload(options.subject), publisher, given)
                    : publisher.Publish(given, [&payload](std::uint64_t) -> const std::string& {
                        return payload;
                      });
  const std::chrono::duration<double> seconds = SteadyClock::now() - start;
  context.interrupts->SetAction({});
  Report(context, options, publisher.counts(), given, seconds.count());
  if (status.ok()) publisher.Close();
  return status;
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
    return WriteOut(ToJson(context.schema, response, Json::kIndented));
  }
  if (receipt->interested_peers == 0) Note("Nobody subscribes to it.");
  if (!receipt->unreachable_peers.empty()) {
    Note(fmt::format("{} live peers could not be reached: see \"peermesh peers\".",
                     receipt->unreachable_peers.size()));
  }
  return absl::OkStatus();
}

absl::Status Pub(Context& context, const PubOptions& options) {
  // Before any input is waited for.
  if (auto status = client::Check({options.subject, {}, {}, {}, {}}); !status.ok()) return status;
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
    auto read = ReadAll(*input, LongestPayload(options.subject));
    if (!read.ok()) return read.status();
    payload = *std::move(read);
  }
  if (options.count_given || options.rate != 0) return PublishMany(context, options, payload);
  return PublishOne(context, options, std::move(payload));
}

}  // namespace

void AddPub(CLI::App& app, Context& context) {
  const auto finish = [&context](CLI::App* command, std::shared_ptr<PubOptions> options) {
    // -h is no help here: a message may well begin with it.
    command->set_help_flag("--help", "Print this and exit");
    auto* message = command->add_option(
        kMessage, options->text,
        "The message; - or nothing: standard input. Write -- before one that begins with -");
    command->callback([options, message, command, &context] {
      options->text_given = message->count() != 0;
      auto* count = command->get_option_no_throw("--count");
      options->count_given = count != nullptr && count->count() != 0;
      context.command = [options](Context& c) { return Pub(c, *options); };
    });
  };

  auto pub = std::make_shared<PubOptions>();
  auto* command = app.add_subcommand("pub", "Publish a message, or many");
  command->footer(std::string(kSignals));
  command->add_option("SUBJECT", pub->subject, "Where to, such as orders.new")->required();
  command->add_flag("--lines", pub->lines,
                    "Every line of standard input, or of --file, is a message");
  command->add_option("--file", pub->file, "Read this instead of standard input")
      ->type_name("FILE");
  AddNumber(*command, "--count", pub->count, kMostMessages, "Publish the message N times");
  AddNumber(*command, "--rate", pub->rate, kFastestRate, "At most N messages a second");
  command
      ->add_option("--target", pub->target,
                   "Only subscriptions on this peer: name, id, or a unique prefix of the id, at "
                   "least 4 long")
      ->type_name("PEER");
  finish(command, pub);

  auto send = std::make_shared<PubOptions>();
  send->subject = "direct";
  auto* direct = app.add_subcommand("send", "Send a message to the applications on one peer");
  direct
      ->add_option("PEER", send->target, "Name, id, or a unique prefix of the id, at least 4 long")
      ->required();
  direct->add_option("--subject", send->subject, "Subject (default direct)");
  finish(direct, send);
}

}  // namespace peermesh::cli
