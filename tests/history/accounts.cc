// What was owed to whom, and what became of it: the second half of a checker.
#include <fmt/format.h>

#include <algorithm>

#include "mesh/base/check.h"
#include "tests/history/checker_impl.h"

namespace peermesh::history {

Report Checker::Impl::Finish() {
  for (const Message& message : messages_) {
    if (message.state != State::kPending && message.state != State::kUnknown) continue;
    if (message.state == State::kPending) ++report_.unknown;
    const auto session = sessions_.find(message.actor);
    if (session != sessions_.end()) {
      ++processes_[session->second.process].unanswered;
    } else {
      ++report_.strays;
    }
  }
  report_.messages = messages_.size();
  for (const Process& process : processes_) {
    report_.processes.push_back({process.peer, process.epoch, process.accepted_count,
                                 process.unanswered, process.delivered, process.books.size()});
  }
  report_.faults = faults_.size();
  Settle();
  CheckNumbersAreUnique();
  CheckGapsEndAtNumbers();
  CheckBooks();
  Doubt();
  std::stable_sort(report_.first.begin(), report_.first.end(),
                   [](const Violation& a, const Violation& b) { return a.time_ns < b.time_ns; });
  std::uint64_t violations = 0;
  for (const std::uint64_t count : report_.violations) violations += count;
  report_.verdict = violations > 0           ? Verdict::kViolated
                    : report_.doubts.empty() ? Verdict::kHolds
                                             : Verdict::kInconclusive;
  return std::move(report_);
}

// Why a history without violations proves nothing.
void Checker::Impl::Doubt() {
  if (quiet_ == kNotYet) {
    report_.doubts.push_back("The run did not come to its end: there is no record of quiet.");
  }
  if (report_.total.accepted == 0) report_.doubts.push_back("Nothing was owed to anybody.");
  for (const auto& [name, fault] : faults_) {
    if (!fault.bit) report_.doubts.push_back(fmt::format("A fault did not bite: {}.", Name(name)));
  }
}

void Checker::Impl::Settle() {
  std::vector<std::uint32_t> actors;
  for (const auto& [actor, session] : sessions_) actors.push_back(actor);
  std::sort(actors.begin(), actors.end());  // the same report every time
  for (const std::uint32_t actor : actors) {
    Session& session = sessions_.at(actor);
    for (auto& [key, stream] : session.streams) {
      std::sort(stream.gaps.begin(), stream.gaps.end(),
                [](const Range& a, const Range& b) { return a.first < b.first; });
    }
    for (auto& [id, subscription] : session.subscriptions) {
      SettleSubscription(actor, session, id, subscription);
    }
  }
  for (const auto& [peers, account] : report_.accounts) report_.total += account;
}

void Checker::Impl::SettleSubscription(std::uint32_t actor, Session& session, std::uint32_t id,
                                       Subscription& subscription) {
  if (subscription.confirmed == kNotYet) return;
  subscription.ended =
      std::min({subscription.ended, session.closed, processes_[session.process].ended});
  for (auto& [key, seen] : subscription.delivered) std::sort(seen.begin(), seen.end());
  for (ProcessIndex origin = 0; origin < processes_.size(); ++origin) {
    for (const auto& [subject, accepted] : processes_[origin].accepted) {
      if (!Matches(subscription.pattern, subject)) continue;
      SettleProcess(actor, session, id, subscription, origin, accepted);
    }
  }
}

// Since when the process is bound to tell this subscription of everything.
std::int64_t Checker::Impl::LinkedSince(const Session& session, const Subscription& subscription,
                                        ProcessIndex origin) const {
  if (origin == session.process) return INT64_MIN;
  const std::uint64_t pair = std::uint64_t{origin} << 32 | session.process;
  const bool both_live = processes_[origin].ended > quiet_ && subscription.ended > quiet_;
  if (!told_.empty()) {
    const auto told = told_.find({pair, subscription.pattern});
    if (told != told_.end() && told->second != kNotYet) return told->second;
    return both_live ? INT64_MIN : kNotYet;
  }
  const auto linked = linked_.find(pair);
  const std::int64_t since = linked == linked_.end() ? kNotYet : linked->second;
  if (!subscription.peers_missing) return since == kNotYet && both_live ? INT64_MIN : since;
  const auto heard = subscription.first_heard.find(origin);
  return heard == subscription.first_heard.end() ? kNotYet : std::max(since, heard->second);
}

void Checker::Impl::SettleProcess(std::uint32_t actor, Session& session, std::uint32_t id,
                                  Subscription& subscription, ProcessIndex origin,
                                  const std::vector<MessageIndex>& accepted) {
  const Process& process = processes_[origin];
  Account& account = report_.accounts[{process.peer, session.peer}];
  const std::int64_t linked = LinkedSince(session, subscription, origin);
  // Whoever was invoked after the confirmation was accepted after it.
  auto at = std::lower_bound(
      accepted.begin(), accepted.end(), subscription.confirmed,
      [&](MessageIndex index, std::int64_t time) { return messages_[index].accepted < time; });
  StreamKey key = 0;
  const Stream* stream = nullptr;
  const std::vector<std::uint64_t>* seen = nullptr;
  for (; at != accepted.end() && messages_[*at].accepted < subscription.ended; ++at) {
    const Message& message = messages_[*at];
    if (message.invoked <= subscription.confirmed) continue;
    if (message.target != 0 && message.target != session.peer + 1u) continue;
    ++account.accepted;
    if (stream == nullptr || key != KeyOf(origin, message.channel)) {
      static const Stream kNothing;
      static const std::vector<std::uint64_t> kNoNumbers;
      key = KeyOf(origin, message.channel);
      const auto found = session.streams.find(key);
      stream = found == session.streams.end() ? &kNothing : &found->second;
      const auto numbers = subscription.delivered.find(key);
      seen = numbers == subscription.delivered.end() ? &kNoNumbers : &numbers->second;
    }
    const std::uint64_t number = message.sequence;
    if (std::binary_search(seen->begin(), seen->end(), number)) {
      ++account.delivered;
      continue;
    }
    const auto behind =
        std::upper_bound(stream->gaps.begin(), stream->gaps.end(), number,
                         [](std::uint64_t n, const Range& gap) { return n < gap.first; });
    const std::uint64_t unreached = std::uint64_t{*at} << 16 | session.peer;
    if (behind != stream->gaps.begin() && number <= std::prev(behind)->last) {
      ++account.gaps;
    } else if (unreached_.contains(unreached)) {
      ++account.unreached;
    } else if (process.killed && number > stream->last) {
      ++account.killed;
    } else if (subscription.ended < quiet_ && (number > stream->last || subscription.cancelled)) {
      ++account.ended;
    } else if (message.invoked < linked) {
      ++account.unlinked;
      const std::int64_t young = std::max(process.began, processes_[session.process].began);
      report_.unlinked_longest_ns = std::max(report_.unlinked_longest_ns, message.invoked - young);
    } else {
      ++account.unexplained;
      Missing(actor, session, id, subscription, message);
    }
  }
}

void Checker::Impl::Missing(std::uint32_t actor, const Session& session, std::uint32_t id,
                            const Subscription& subscription, const Message& message) {
  const Process& origin = processes_[message.process];
  Keep({Invariant::kOwed,
        fmt::format("number {} of channel {} of {} ({}) never reached subscription {} ({}) of "
                    "session {} at {}",
                    message.sequence, message.channel, PeerName(origin.peer), Name(message.subject),
                    id, Name(subscription.pattern), actor, PeerName(session.peer)),
        message.invoked, message.id, actor, origin.peer, origin.epoch, message.channel,
        message.sequence, message.sequence});
}

void Checker::Impl::CheckNumbersAreUnique() {
  struct Number {
    std::uint64_t sequence;
    MessageIndex index;
  };
  for (const Process& process : processes_) {
    std::array<std::vector<Number>, kChannels> numbers;
    for (const auto& [subject, accepted] : process.accepted) {
      for (const MessageIndex index : accepted) {
        const Message& message = messages_[index];
        numbers[message.channel].push_back({message.sequence, index});
      }
    }
    for (auto& channel : numbers) {
      std::sort(channel.begin(), channel.end(), [](const Number& a, const Number& b) {
        return a.sequence != b.sequence ? a.sequence < b.sequence : a.index < b.index;
      });
      for (std::size_t i = 1; i < channel.size(); ++i) {
        if (channel[i].sequence != channel[i - 1].sequence) continue;
        const Message& message = messages_[channel[i].index];
        Keep({Invariant::kNumber,
              fmt::format("message {} was accepted under the number of message {}", message.id,
                          messages_[channel[i - 1].index].id),
              message.accepted, message.id, message.actor, process.peer, process.epoch,
              message.channel, message.sequence, message.sequence});
      }
    }
  }
}

// Messages whose fate is not known may have taken numbers, too. Who published nothing here may have
// had publishers elsewhere.
void Checker::Impl::CheckGapsEndAtNumbers() {
  for (const auto& [actor, session] : sessions_) {
    for (const auto& [key, stream] : session.streams) {
      const Process& origin = processes_[key >> 8];
      const auto channel = static_cast<std::uint32_t>(key & 0xff);
      if (origin.accepted.empty()) continue;
      for (const Range& gap : stream.gaps) {
        if (gap.last <= origin.highest[channel] + origin.unanswered) continue;
        Keep({Invariant::kNumber,
              fmt::format("a gap of channel {} of {} ends at {}, of which {} were given out",
                          channel, PeerName(origin.peer), gap.last, origin.highest[channel]),
              last_ns_, 0, actor, origin.peer, origin.epoch, channel, gap.first, gap.last});
      }
    }
  }
}

}  // namespace peermesh::history
