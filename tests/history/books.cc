// What the metrics of processes said, held against what applications saw: see checker.h.
#include <fmt/format.h>

#include <algorithm>

#include "mesh/base/loss.h"
#include "mesh/node/effect.h"
#include "tests/history/checker_impl.h"

namespace peermesh::history {
namespace {

constexpr const char* kNames[] = {"",
                                  "messages published",
                                  "messages delivered",
                                  "publishes refused for their rate",
                                  "publishes refused",
                                  "numbers announced as lost"};

}  // namespace

// What the peer refused; what never left the application is nobody's but its own.
void Checker::Impl::CountRefusal(const Record& record, const Message& message) {
  const auto session = sessions_.find(message.actor);
  const auto reason = static_cast<node::Refusal>(record.reason);
  if (session == sessions_.end() || reason == node::Refusal::kUnknownSession) return;
  Process& process = processes_[session->second.process];
  ++(reason == node::Refusal::kRateLimited ? process.refused_rate : process.refused_other);
}

// What was seen before the counter was asked for is in it. What it must not exceed is known in the
// end.
void Checker::Impl::OnBooks(const Record& record) {
  const auto book = static_cast<Book>(record.reason);
  if (book < Book::kPublished || book > Book::kAnnounced || record.channel >= kLossReasonCount) {
    return Complain(Invariant::kHistory, record, fmt::format("counter {}", record.reason));
  }
  Process& process = processes_[ProcessOf(record.peer, record.epoch)];
  process.books.push_back(record);
  const auto requests = [](std::uint64_t messages) {
    return (messages + kMaxBatchMessages - 1) / kMaxBatchMessages;
  };
  std::uint64_t least = 0;
  switch (book) {
    case Book::kPublished: least = process.accepted_count; break;
    case Book::kDelivered: least = process.delivered; break;
    case Book::kRefusedRate: least = requests(process.refused_rate); break;
    case Book::kRefusedOther: least = requests(process.refused_other); break;
    case Book::kAnnounced: break;
  }
  if (record.sequence >= least) return;
  Record about = record;
  about.origin = record.peer;
  Complain(Invariant::kBooks, about,
           fmt::format("{} says {}: {}, and its applications had seen {}", PeerName(record.peer),
                       kNames[record.reason], record.sequence, least));
}

void Checker::Impl::CheckBooks() {
  for (ProcessIndex index = 0; index < processes_.size(); ++index) {
    for (const Record& counter : processes_[index].books) {
      if (static_cast<Book>(counter.reason) == Book::kAnnounced) {
        CheckAnnounced(index, counter);
      } else {
        CheckCounter(processes_[index], counter);
      }
    }
  }
}

void Checker::Impl::CheckCounter(const Process& process, const Record& counter) {
  // Of sessions that left no record, nobody knows where they were.
  const std::uint64_t unanswered = process.unanswered + report_.strays;
  std::uint64_t most = UINT64_MAX;
  switch (static_cast<Book>(counter.reason)) {
    case Book::kPublished: most = process.accepted_count + unanswered; break;
    case Book::kRefusedRate: most = process.refused_rate + unanswered; break;
    case Book::kRefusedOther: most = process.refused_other + unanswered; break;
    case Book::kDelivered:
      if (!process.killed && report_.strays == 0) most = process.delivered;
      break;
    case Book::kAnnounced: break;
  }
  if (counter.sequence <= most) return;
  Record about = counter;
  about.origin = counter.peer;
  Complain(Invariant::kBooks, about,
           fmt::format("{} said {}: {}, and its applications saw {} in the end",
                       PeerName(counter.peer), kNames[counter.reason], counter.sequence, most));
}

void Checker::Impl::CheckAnnounced(ProcessIndex index, const Record& counter) {
  if (counter.time_ns < quiet_) return;  // not everybody has been told yet
  // Each session is told of the same hole; what one that is slow misses is its own.
  std::map<StreamKey, std::vector<Range>> told;
  std::uint64_t widths = 0;
  bool all_stayed = report_.strays == 0;
  for (const auto& [actor, session] : sessions_) {
    if (session.process != index) continue;
    all_stayed &= session.closed > quiet_;
    for (const auto& [key, stream] : session.streams) {
      for (const Range& gap : stream.gaps) {
        if (gap.reason != counter.channel) continue;
        told[key].push_back(gap);
        widths += gap.last - gap.first + 1;
      }
    }
  }
  std::uint64_t numbers = 0;
  for (auto& [key, gaps] : told) {
    std::sort(gaps.begin(), gaps.end(),
              [](const Range& a, const Range& b) { return a.first < b.first; });
    std::uint64_t end = 0;
    for (const Range& gap : gaps) {
      if (gap.last <= end) continue;
      numbers += gap.last - std::max(end, gap.first - 1);
      end = gap.last;
    }
  }
  const auto reason = static_cast<LossReason>(counter.channel);
  const bool slow = reason == LossReason::kSlowSubscriber;
  if (slow ? !all_stayed || counter.sequence <= widths : counter.sequence >= numbers) return;
  Record about = counter;
  about.origin = counter.peer;
  Complain(Invariant::kBooks, about,
           fmt::format("{} says {} ({}): {}, and its applications were told of {}",
                       PeerName(counter.peer), kNames[counter.reason], peermesh::ToString(reason),
                       counter.sequence, slow ? widths : numbers));
}

}  // namespace peermesh::history
