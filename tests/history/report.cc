#include "tests/history/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "mesh/base/loss.h"

namespace peermesh::history {
namespace {

// Numbers around the one in question that are shown, too.
constexpr std::uint64_t kNeighbours = 2;
// A violation may concern a long gap; nobody reads more.
constexpr std::size_t kMaxLines = 60;

std::string NameOf(const std::vector<std::string>& names, std::uint64_t line) {
  return line < names.size() ? names[line] : fmt::format("name {}", line);
}

std::string PeerOf(const Report& report, const std::vector<std::string>& names,
                   std::uint16_t peer) {
  const auto it = report.peers.find(peer);
  return it == report.peers.end() ? NameOf(names, peer).substr(0, 12) : it->second;
}

// Whether the record belongs to the story of the violation.
bool Concerns(const Record& record, const Violation& violation) {
  if (violation.message != 0 && record.message == violation.message) return true;
  const std::uint64_t first = violation.first - std::min(violation.first, kNeighbours);
  const std::uint64_t last = violation.last + kNeighbours;
  switch (record.event) {
    case Event::kStarted:
    case Event::kEnded: return record.peer == violation.origin && record.epoch == violation.epoch;
    case Event::kLinked: return record.origin == violation.origin;
    case Event::kOpened:
    case Event::kClosed:
    case Event::kSubscribe:
    case Event::kSubscribed:
    case Event::kUnsubscribe: return violation.actor != 0 && record.actor == violation.actor;
    case Event::kAccepted:
      return record.peer == violation.origin && record.epoch == violation.epoch &&
             record.channel == violation.channel && first <= record.sequence &&
             record.sequence <= last;
    case Event::kDeliver:
    case Event::kGap: {
      const std::uint64_t end = record.event == Event::kGap ? record.until : record.sequence;
      return record.actor == violation.actor && record.origin == violation.origin &&
             record.epoch == violation.epoch && record.channel == violation.channel &&
             first <= end && record.sequence <= last;
    }
    case Event::kFaultOn:
    case Event::kFaultOff:
      return std::abs(record.time_ns - violation.time_ns) < std::int64_t{10'000'000'000};
    case Event::kQuiet: return true;
    case Event::kBooks: return record.peer == violation.origin && record.epoch == violation.epoch;
    default: return false;
  }
}

nlohmann::json ToJson(const Account& account) {
  return {{"accepted", account.accepted}, {"delivered", account.delivered},
          {"gaps", account.gaps},         {"unreached", account.unreached},
          {"killed", account.killed},     {"ended", account.ended},
          {"unlinked", account.unlinked}, {"unexplained", account.unexplained}};
}

std::string Row(std::string_view publisher, std::string_view subscriber, const Account& account) {
  return fmt::format("{:12} {:12} {:>10} {:>10} {:>9} {:>9} {:>8} {:>8} {:>8} {:>11}\n", publisher,
                     subscriber, account.accepted, account.delivered, account.gaps,
                     account.unreached, account.killed, account.ended, account.unlinked,
                     account.unexplained);
}

std::string NumberOf(const Record& record, const std::vector<std::string>& names) {
  return fmt::format("{:.12} epoch {} channel {} number {}", NameOf(names, record.origin),
                     record.epoch, record.channel, record.sequence);
}

}  // namespace

const char* ToString(Verdict verdict) {
  switch (verdict) {
    case Verdict::kHolds: return "holds";
    case Verdict::kViolated: return "violated";
    case Verdict::kInconclusive: return "inconclusive";
  }
  return "";
}

std::string ToText(const Report& report, const std::vector<std::string>& names) {
  std::string text = fmt::format("{:12} {:12} {:>10} {:>10} {:>9} {:>9} {:>8} {:>8} {:>8} {:>11}\n",
                                 "publisher", "subscriber", "accepted", "delivered", "gaps",
                                 "unreached", "killed", "ended", "unlinked", "unexplained");
  for (const auto& [peers, account] : report.accounts) {
    text += Row(PeerOf(report, names, peers.first), PeerOf(report, names, peers.second), account);
  }
  text += Row("all", "all", report.total) + "\n";
  text += fmt::format(
      "{} records, {} messages: {} accepted, {} refused, {} unknown; {} deliveries, {} gaps of {} "
      "numbers\n{} processes ({} killed), {} sessions, {} subscriptions, {} faults\n\n",
      report.records, report.messages, report.accepted, report.refused, report.unknown,
      report.deliveries, report.gaps, report.gap_numbers, report.processes.size(), report.kills,
      report.sessions, report.subscriptions, report.faults);
  if (report.total.unlinked > 0) {
    text += fmt::format("unlinked for at most {:.3f} s after a process began\n\n",
                        static_cast<double>(report.unlinked_longest_ns) / 1e9);
  }
  for (std::size_t i = 0; i < kInvariants; ++i) {
    const auto invariant = static_cast<Invariant>(i);
    text +=
        fmt::format("{:9} {:10} {}\n",
                    report.violations[i] == 0 ? "holds" : fmt::format("{} x", report.violations[i]),
                    IdOf(invariant), SentenceOf(invariant));
  }
  text += fmt::format("{:9} {:10} {}\n", report.doubts.empty() ? "holds" : "doubt", "bit",
                      "Every fault bit, something was owed, and the run came to its end.");
  for (const std::string& doubt : report.doubts) text += fmt::format("INCONCLUSIVE: {}\n", doubt);
  return text + fmt::format("history {}: {} unexplained\n", ToString(report.verdict),
                            report.total.unexplained);
}

std::string ToJson(const Report& report, const std::vector<std::string>& names) {
  nlohmann::json json = {
      {"verdict", ToString(report.verdict)},
      {"records", report.records},
      {"messages", report.messages},
      {"accepted", report.accepted},
      {"refused", report.refused},
      {"unknown", report.unknown},
      {"deliveries", report.deliveries},
      {"gaps", report.gaps},
      {"gapNumbers", report.gap_numbers},
      {"kills", report.kills},
      {"sessions", report.sessions},
      {"subscriptions", report.subscriptions},
      {"faults", report.faults},
      {"strays", report.strays},
      {"unlinkedLongestSeconds", static_cast<double>(report.unlinked_longest_ns) / 1e9},
      {"total", ToJson(report.total)},
      {"doubts", report.doubts}};
  json["accounts"] = nlohmann::json::array();
  for (const auto& [peers, account] : report.accounts) {
    nlohmann::json row = ToJson(account);
    row["publisher"] = PeerOf(report, names, peers.first);
    row["subscriber"] = PeerOf(report, names, peers.second);
    json["accounts"].push_back(std::move(row));
  }
  json["processes"] = nlohmann::json::array();
  for (const ProcessCounts& process : report.processes) {
    json["processes"].push_back({{"peer", PeerOf(report, names, process.peer)},
                                 {"epoch", process.epoch},
                                 {"accepted", process.accepted},
                                 {"unanswered", process.unanswered},
                                 {"delivered", process.delivered},
                                 {"books", process.books}});
  }
  for (std::size_t i = 0; i < kInvariants; ++i) {
    json["violations"][IdOf(static_cast<Invariant>(i))] = report.violations[i];
  }
  json["first"] = nlohmann::json::array();
  for (const Violation& violation : report.first) {
    json["first"].push_back({{"invariant", IdOf(violation.invariant)},
                             {"what", violation.what},
                             {"message", violation.message},
                             {"session", violation.actor}});
  }
  return json.dump(2) + "\n";
}

std::string ToLine(const Record& record, const std::vector<std::string>& names,
                   std::int64_t start_ns) {
  const auto name = [&](std::uint64_t line) { return NameOf(names, line); };
  std::string line =
      fmt::format("{:12.6f} s  ", static_cast<double>(record.time_ns - start_ns) / 1e9);
  if (record.actor != 0) line += fmt::format("session {:<8} ", record.actor);
  const std::string who = fmt::format("{:.12}", name(record.peer));
  switch (record.event) {
    case Event::kStarted: return line + fmt::format("{} started, epoch {}", who, record.epoch);
    case Event::kEnded:
      return line + fmt::format("{} {}, epoch {}", who,
                                (record.flags & kKilled) != 0 ? "was killed" : "ended",
                                record.epoch);
    case Event::kLinked:
      return line + fmt::format("{:.12} epoch {} knows what {} wants", name(record.origin),
                                record.epoch, who);
    case Event::kOpened: return line + fmt::format("opened at {}, epoch {}", who, record.epoch);
    case Event::kClosed: return line + fmt::format("closed, reason {}", record.reason);
    case Event::kSubscribe:
      return line + fmt::format("subscribes {} as {}", name(record.name), record.sequence);
    case Event::kSubscribed:
      return line + fmt::format("{} is in force, {} peers missing", record.sequence, record.until);
    case Event::kUnsubscribe: return line + fmt::format("unsubscribes {}", record.sequence);
    case Event::kInvoke:
      return line +
             fmt::format("publishes message {} on {}{}, crc {:08x}", record.message,
                         name(record.name),
                         record.until == 0 ? "" : fmt::format(" to {:.12}", name(record.until - 1)),
                         record.crc);
    case Event::kAccepted:
      return line + fmt::format("message {} accepted by {} epoch {} as channel {} number {}",
                                record.message, who, record.epoch, record.channel, record.sequence);
    case Event::kUnreached:
      return line +
             fmt::format("message {} may not reach {:.12}", record.message, name(record.name));
    case Event::kRefused:
      return line + fmt::format("message {} refused, reason {}", record.message, record.reason);
    case Event::kUnknown: return line + fmt::format("message {} without an answer", record.message);
    case Event::kDeliver:
      return line + fmt::format("receives message {} on {} for subscription {}, crc {:08x}: {}",
                                record.message, name(record.name), record.until, record.crc,
                                NumberOf(record, names));
    case Event::kGap:
      return line + fmt::format("gap, {}: {} to {}",
                                peermesh::ToString(static_cast<LossReason>(record.reason)),
                                NumberOf(record, names), record.until);
    case Event::kFaultOn:
    case Event::kFaultOff:
      return line + fmt::format("{} {}{}",
                                record.event == Event::kFaultOn ? "fault:" : "fault over:",
                                name(record.name), (record.flags & kBit) != 0 ? " (it bit)" : "");
    case Event::kBooks:
      return line + fmt::format("metrics of {}, epoch {}, counter {}: {}", who, record.epoch,
                                record.reason, record.sequence);
    case Event::kQuiet: return line + "quiet";
  }
  return line + fmt::format("event {}", static_cast<int>(record.event));
}

std::string Explain(const Report& report, const Reader& reader, std::size_t most) {
  const std::size_t count = std::min(most, report.first.size());
  std::vector<std::vector<std::string>> lines(count);
  std::int64_t start_ns = INT64_MIN;
  reader.ForEach([&](const Record& record) {
    if (start_ns == INT64_MIN) start_ns = record.time_ns;
    for (std::size_t i = 0; i < count; ++i) {
      if (lines[i].size() < kMaxLines && Concerns(record, report.first[i])) {
        lines[i].push_back(ToLine(record, reader.names(), start_ns));
      }
    }
  });
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text +=
        fmt::format("\nVIOLATION {}: {}\n", IdOf(report.first[i].invariant), report.first[i].what);
    for (const std::string& line : lines[i]) text += "  " + line + "\n";
  }
  return text;
}

}  // namespace peermesh::history
