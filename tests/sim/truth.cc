#include "tests/sim/truth.h"

#include <algorithm>
#include <functional>
#include <set>

namespace peermesh::sim {

bool NaiveMatch(std::string_view pattern, std::string_view subject) {
  for (;;) {
    if (pattern == ">") return !subject.empty();
    if (pattern.empty() || subject.empty()) return pattern.empty() && subject.empty();
    const auto cut = [](std::string_view& rest) {
      const std::size_t dot = rest.find('.');
      const std::string_view token = rest.substr(0, dot);
      rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
      return token;
    };
    const std::string_view want = cut(pattern);
    const std::string_view have = cut(subject);
    if (want != "*" && want != have) return false;
  }
}

std::uint64_t ContentHash(std::string_view record) { return std::hash<std::string_view>{}(record); }

Tally& Tally::operator+=(const Tally& other) {
  accepted += other.accepted;
  delivered += other.delivered;
  gapped += other.gapped;
  if (missing == 0) first_missing = other.first_missing;
  missing += other.missing;
  return *this;
}

std::uint32_t Truth::Subject(std::string_view text) {
  if (const auto it = numbers_.find(text); it != numbers_.end()) return it->second;
  const auto number = static_cast<std::uint32_t>(subjects_.size());
  subjects_.push_back(&numbers_.emplace(std::string(text), number).first->first);
  return number;
}

bool Truth::Accept(const Process& origin, const Accepted& message) {
  Ledger& ledger = ledgers_[origin];
  std::vector<std::size_t>& places = ledger.by_number.at(message.channel);
  if (message.number != places.size() + 1) return false;
  places.push_back(ledger.order.size());
  ledger.order.push_back(message);
  return true;
}

void Truth::Knows(const Process& publisher, const Process& subscriber, std::string_view pattern) {
  known_.emplace(std::tuple(publisher, subscriber, std::string(pattern)),
                 ledgers_[publisher].order.size());
}

void Truth::Forgets(const Process& publisher, const Process& subscriber, std::string_view pattern) {
  known_.erase(std::tuple(publisher, subscriber, std::string(pattern)));
}

std::vector<std::string> Truth::KnownBy(const Process& publisher, const Process& subscriber) const {
  std::vector<std::string> patterns;
  for (auto it = known_.lower_bound(std::tuple(publisher, subscriber, std::string()));
       it != known_.end() && std::get<0>(it->first) == publisher &&
       std::get<1>(it->first) == subscriber;
       ++it) {
    patterns.push_back(std::get<2>(it->first));
  }
  return patterns;
}

void Truth::Subscribed(Received& received) const {
  for (const auto& [process, ledger] : ledgers_) {
    received.subscribed_at[process] = ledger.order.size();
  }
}

std::optional<std::string> Truth::Receive(Received& received,
                                          const std::map<std::uint32_t, std::string>& patterns,
                                          const flow::Delivery& delivery) const {
  Received::Stream& stream = received.streams[{delivery.origin, delivery.epoch, delivery.channel}];
  if (delivery.is_gap()) {
    if (delivery.gap_from <= stream.last) return "a gap that begins before its place";
    if (delivery.gap_to < delivery.gap_from) return "an empty gap";
    if (delivery.gap_reason == LossReason::kNone) return "a gap without a reason";
    stream.last = delivery.gap_to;
    stream.gaps.emplace_back(delivery.gap_from, delivery.gap_to);
    received.gapped[delivery.gap_reason] += delivery.gap_to - delivery.gap_from + 1;
    return std::nullopt;
  }
  const auto ledger = ledgers_.find({delivery.origin, delivery.epoch});
  if (ledger == ledgers_.end()) return "a message of a process that accepted none";
  const bool one_for_all = delivery.matched_counts.empty();
  if (!one_for_all && delivery.matched_counts.size() != delivery.items.size()) {
    return "as many counts of subscriptions as items, or none";
  }
  std::size_t at = 0;
  for (std::size_t i = 0; i < delivery.items.size(); ++i) {
    const flow::Item& item = delivery.items[i];
    if (item.sequence <= stream.last) return "out of order or twice";
    stream.last = item.sequence;
    stream.numbers.push_back(item.sequence);
    ++received.delivered;
    const std::size_t count = one_for_all ? 1 : delivery.matched_counts[i];
    if ((one_for_all ? 0 : at) + count > delivery.matched.size()) return "too few subscription ids";
    const std::uint32_t* ids = delivery.matched.data() + (one_for_all ? 0 : at);
    at += count;
    if (auto wrong = ReceiveItem(ledger->second, patterns, delivery, item, ids, count))
      return wrong;
  }
  return std::nullopt;
}

std::optional<std::string> Truth::ReceiveItem(const Ledger& ledger,
                                              const std::map<std::uint32_t, std::string>& patterns,
                                              const flow::Delivery& delivery,
                                              const flow::Item& item, const std::uint32_t* ids,
                                              std::size_t count) const {
  const auto& places = ledger.by_number.at(delivery.channel);
  if (item.sequence == 0 || item.sequence > places.size()) return "a number nobody gave out";
  const Accepted& accepted = ledger.order[places[item.sequence - 1]];
  if (ContentHash(delivery.batch->record(delivery.batch->rows[item.row])) != accepted.hash) {
    return "another content than was published";
  }
  if (count == 0 || std::set<std::uint32_t>(ids, ids + count).size() != count) {
    return "no subscription, or one twice";
  }
  for (std::size_t k = 0; k < count; ++k) {
    const auto pattern = patterns.find(ids[k]);
    if (pattern == patterns.end() || !NaiveMatch(pattern->second, subject(accepted.subject))) {
      return "a subscription that it does not match";
    }
  }
  return std::nullopt;
}

void Truth::Add(const Received& received, const std::map<std::uint32_t, std::string>& patterns,
                const Process& here, const Process& origin, const Ledger& ledger, bool running,
                Tally& tally) const {
  // From which place on messages of this subject are owed; by subject.
  std::vector<std::size_t> owed_from(subjects_.size(), ledger.order.size());
  for (const auto& [id, pattern] : patterns) {
    const auto known = known_.find({origin, here, pattern});
    if (origin != here && known == known_.end()) continue;
    const std::size_t from = origin == here ? 0 : known->second;
    for (std::uint32_t subject = 0; subject < subjects_.size(); ++subject) {
      if (NaiveMatch(pattern, *subjects_[subject])) {
        owed_from[subject] = std::min(owed_from[subject], from);
      }
    }
  }
  const auto begin = received.subscribed_at.find(origin);
  static const Received::Stream kNothing;
  std::array<const Received::Stream*, kChannels> streams;
  for (std::uint32_t channel = 0; channel < kChannels; ++channel) {
    const auto it = received.streams.find({origin.first, origin.second, channel});
    streams[channel] = it == received.streams.end() ? &kNothing : &it->second;
  }
  for (std::size_t i = begin == received.subscribed_at.end() ? 0 : begin->second;
       i < ledger.order.size(); ++i) {
    const Accepted& message = ledger.order[i];
    const Received::Stream& stream = *streams[message.channel];
    if (message.direct || i < owed_from[message.subject]) continue;
    if (!running && message.number > stream.last) continue;
    ++tally.accepted;
    const auto gap = std::lower_bound(
        stream.gaps.begin(), stream.gaps.end(), message.number,
        [](const auto& candidate, std::uint64_t number) { return candidate.second < number; });
    if (std::binary_search(stream.numbers.begin(), stream.numbers.end(), message.number)) {
      ++tally.delivered;
    } else if (gap != stream.gaps.end() && gap->first <= message.number) {
      ++tally.gapped;
    } else if (tally.missing++ == 0) {
      tally.first_missing =
          origin.first.ToShortText() + " epoch " + std::to_string(origin.second) + " channel " +
          std::to_string(message.channel) + " number " + std::to_string(message.number) + " of " +
          std::to_string(ledger.by_number[message.channel].size()) + ", last seen " +
          std::to_string(stream.last) + ", accepted at " +
          std::to_string((message.when.time_since_epoch() - std::chrono::hours(1)) /
                         std::chrono::milliseconds(1)) +
          " ms";
    }
  }
}

}  // namespace peermesh::sim
