// peermesh sub: prints what arrives.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/output.h"
#include "client/cli/units.h"
#include "mesh/base/limits.h"

namespace peermesh::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr Duration kForever = std::chrono::hours(24 * 365);

struct SubOptions {
  std::vector<std::string> subjects;
  std::uint64_t count = 0;  // 0: no end
  bool raw = false;
  bool allow_gaps = false;
  OnOverflow on_overflow = OnOverflow::kGap;
  Duration block_timeout{};
  Duration timeout{};  // 0: none
};

std::string TextOf(const client::Received& received, bool colour) {
  return fmt::format(
      "{} {} {}\n", Paint(Escape(received.message.subject), Style::kGood, colour),
      Paint(fmt::format("[{} #{}]", Escape(received.origin->name), received.sequence), Style::kDim,
            colour),
      Escape(received.message.payload));
}

std::string Base64(const std::string& bytes) { return absl::Base64Escape(bytes); }

// Field names and forms of protobuf JSON; one object a line.
std::string JsonOf(const std::string& schema, const client::Received& received) {
  const auto& message = received.message;
  nlohmann::ordered_json json = {
      {"schema", schema},
      {"subject", message.subject},
      {"payload", Base64(message.payload)},
      {"origin", received.origin->id.ToText()},
      {"originName", received.origin->name},
      {"epoch", std::to_string(received.origin->epoch)},
      {"channel", received.channel},
      {"sequence", std::to_string(received.sequence)},
      {"publishTime", google::protobuf::util::TimeUtil::ToString(
                          google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(
                              received.published.time_since_epoch().count()))}};
  if (!message.reply_to.empty()) json["replyTo"] = message.reply_to;
  if (!message.content_type.empty()) json["contentType"] = message.content_type;
  for (const auto& header : message.headers) {
    json["headers"].push_back({{"key", header.key}, {"value", header.value}});
  }
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string JsonOf(const std::string& schema, const client::Gap& gap) {
  const nlohmann::ordered_json json = {{"schema", schema},
                                       {"gap",
                                        {{"origin", gap.origin.ToText()},
                                         {"epoch", std::to_string(gap.epoch)},
                                         {"channel", gap.channel},
                                         {"from", std::to_string(gap.from)},
                                         {"to", std::to_string(gap.to)},
                                         {"reason", ToString(gap.reason)}}}};
  return json.dump() + "\n";
}

OnOverflow ParseOverflow(const std::string& text) {
  if (text == "gap") return OnOverflow::kGap;
  if (text == "block") return OnOverflow::kBlock;
  if (text == "close") return OnOverflow::kClose;
  // lint:allow(throw): how CLI11 is told of a bad value
  throw CLI::ValidationError("--on-overflow", "neither gap, block nor close: " + text);
}

class Printer {
 public:
  Printer(const SubOptions& options, const Context& context)
      : options_(options),
        json_(context.json),
        schema_(context.schema),
        colour_(WantsColour(stdout)) {}

  absl::Status operator()(const client::Received& received) {
    ++count_;
    if (!options_.raw)
      return WriteOut(json_ ? JsonOf(schema_, received) : TextOf(received, colour_));
    if (auto status = WriteOut(received.message.payload); !status.ok()) return status;
    return WriteOut("\n");
  }

  absl::Status operator()(const client::Gap& gap) {
    lost_ += gap.to - gap.from + 1;
    if (json_) return WriteOut(JsonOf(schema_, gap));
    Note(fmt::format("Lost: up to {} messages of {} ({}).", gap.to - gap.from + 1,
                     gap.origin.ToShortText(), ToString(gap.reason)));
    return absl::OkStatus();
  }

  absl::Status operator()(const client::Connected& connected) {
    if (connected.again) Note(fmt::format("Connected to {} again.", connected.peer_name));
    return absl::OkStatus();
  }

  absl::Status operator()(const client::Subscribed& subscribed) {
    Note("Subscribed.");
    for (const auto& peer : subscribed.unconfirmed_peers) {
      Note(
          fmt::format("{} has not confirmed: what it publishes in the first moments may be missed.",
                      peer.substr(0, 8)));
    }
    return absl::OkStatus();
  }

  absl::Status operator()(const client::GoingAway& going) {
    Note(fmt::format("The peer is going away ({}).", going.reason));
    return absl::OkStatus();
  }

  // Whoever wants every byte must not wait for a peer that cannot give them any more.
  absl::Status operator()(const client::Disconnected& disconnected) {
    if (options_.raw && !options_.allow_gaps) {
      return client::MakeError(
          absl::StatusCode::kUnavailable, "CONNECTION_LOST",
          fmt::format(
              "The connection to the peer ended ({}). Start again when it is back, or use "
              "--allow-gaps.",
              disconnected.why.ok() ? "in good order" : std::string(disconnected.why.message())));
    }
    Note("Connection lost; trying again.");
    return absl::OkStatus();
  }

  bool Complete() const { return options_.count != 0 && count_ >= options_.count; }

  // How a subscription that ended in good order ends.
  absl::Status Result() const {
    if (!options_.raw || options_.allow_gaps || lost_ == 0) return absl::OkStatus();
    return client::MakeError(
        absl::StatusCode::kDataLoss, "GAP",
        fmt::format("Up to {} messages were lost. Read faster, or use --on-overflow block; "
                    "--allow-gaps accepts losses.",
                    lost_));
  }

 private:
  const SubOptions& options_;
  const bool json_;
  const std::string& schema_;
  const bool colour_;
  std::uint64_t count_ = 0;
  std::uint64_t lost_ = 0;
};

absl::Status Receive(client::Session& session, const SubOptions& options, Printer& print) {
  const auto deadline =
      SteadyClock::now() + (options.timeout > Duration::zero() ? options.timeout : kForever);
  bool flushed = true;
  while (!print.Complete()) {
    // Written out when nothing more is waiting, so that a burst costs one system call and a lone
    // message no delay.
    auto event = session.Next(Duration::zero());
    if (event.ok() && !*event) {
      if (!flushed) {
        if (auto status = FlushOut(); !status.ok()) return status;
      }
      flushed = true;
      const auto left = std::chrono::duration_cast<Duration>(deadline - SteadyClock::now());
      if (left <= Duration::zero()) {
        if (options.count == 0) return absl::OkStatus();
        return absl::DeadlineExceededError("Fewer messages arrived in time than --count asks for.");
      }
      event = session.Next(std::min(left, kOutputCheck));
      if (event.ok() && !*event && OutputGone()) return Interrupted(SIGPIPE);
    }
    if (!event.ok()) return event.status();
    if (!*event) continue;
    flushed = false;
    if (auto status = std::visit(print, **event); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Sub(Context& context, const SubOptions& options) {
  for (const std::string& subject : options.subjects) {
    if (auto status = client::CheckPattern(subject); !status.ok()) return status;
  }
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  client::SessionOptions session_options;
  session_options.subjects = options.subjects;
  session_options.on_overflow = options.on_overflow;
  session_options.block_timeout = options.block_timeout;
  const auto session = (*client)->OpenSession(std::move(session_options));
  if (!session.ok()) return session.status();
  context.interrupts->SetAction([&session] { (*session)->Cancel(); });
  Printer printer(options, context);
  absl::Status status = Receive(**session, options, printer);
  context.interrupts->SetAction({});
  if (auto flushed = FlushOut(); status.ok() && !flushed.ok()) status = flushed;
  const int signal = context.interrupts->signal();
  if (status.ok() || signal != 0) {
    if (auto result = printer.Result(); !result.ok()) return result;
  }
  if (signal == 0) return status;
  // What was to go on for ever ended in good order; but not at ^C, which ends the caller, too.
  const bool incomplete = options.count != 0 && !printer.Complete();
  return incomplete || signal == SIGINT ? Interrupted(signal) : absl::OkStatus();
}

}  // namespace

void AddSub(CLI::App& app, Context& context) {
  auto options = std::make_shared<SubOptions>();
  auto* command = app.add_subcommand("sub", "Print what arrives");
  command->footer(
      "\"Subscribed.\" on stderr says that from now on nothing is missed. With --json the payload "
      "is base64.\n\n"
      "^C ends it with exit code 130. SIGTERM and SIGHUP end it with 0, or with 143 and 129 if "
      "--count is not reached.");
  command
      ->add_option(
          "SUBJECT", options->subjects,
          "What to receive: * stands for one word, a final > for the rest, as in 'orders.>'")
      ->required();
  AddNumber(*command, "--count", options->count, kMostMessages, "Stop after N messages");
  command->add_flag("--raw", options->raw,
                    "Print payloads alone, each with a newline. A loss then makes the exit code 1");
  command->add_flag("--allow-gaps", options->allow_gaps,
                    "With --raw: carry on after losses and reconnects");
  command
      ->add_option_function<std::string>(
          "--on-overflow",
          [options](const std::string& text) { options->on_overflow = ParseOverflow(text); },
          "When this is too slow: gap drops the oldest and says so (default), block holds "
          "publishers back, "
          "close ends it")
      ->type_name("gap|block|close");
  AddDuration(*command, "--block-timeout", options->block_timeout,
              "With block: how long one message may hold publishers back (default 5s, at most 60s)",
              kMaxBlockTimeout);
  AddDuration(*command, "--timeout", options->timeout,
              "Stop after this time; exit code 6 if --count is not reached");
  command->callback([options, &context] {
    context.command = [options](Context& c) -> absl::Status {
      if (options->raw && c.json)
        return UsageError("Both --raw and --json are given. Give one of them.");
      return Sub(c, *options);
    };
  });
}

}  // namespace peermesh::cli
