#include "tests/sim/experiment/account.h"

#include <algorithm>

namespace peermesh::sim::experiment {

void Account::Started(HostIndex host) { started_[world_.id(host)] = world_.now(); }

void Account::Subscribed(AppIndex app, const node::Subscribed&) {
  subscribed_.emplace(app, world_.now());
}

void Account::Took(AppIndex app, const Accepted& message, const node::Answer&) {
  const auto [peer, epoch] = world_.ProcessOf(world_.app(app).host);
  auto& times = accepted_[{peer, epoch, message.channel}];
  times.resize(std::max<std::size_t>(times.size(), message.number), kNever);
  times[message.number - 1] = message.when;
}

void Account::Take(Got& got, std::uint64_t number) {
  if (got.first == 0) got.first = got.next = number;
  if (number < got.next) {
    const bool announced = std::any_of(got.gaps.begin(), got.gaps.end(), [&](const auto& gap) {
      return gap.first <= number && number <= gap.second;
    });
    ++(announced ? got.belated : got.repeated);
    return;
  }
  got.holes += number - got.next;
  ++got.delivered;
  got.next = number + 1;
}

void Account::TakeGap(Got& got, std::uint64_t from, std::uint64_t to) {
  if (got.first == 0) got.first = got.next = from;
  got.gaps.emplace_back(from, to);
  if (to < got.next) return;
  if (from > got.next) got.holes += from - got.next;
  got.announced += to - std::max(from, got.next) + 1;
  got.next = to + 1;
}

void Account::Receives(AppIndex app, const flow::Delivery& delivery) {
  Got& got = got_[{app, {delivery.origin, delivery.epoch, delivery.channel}}];
  if (delivery.is_gap()) return TakeGap(got, delivery.gap_from, delivery.gap_to);
  for (const flow::Item& item : delivery.items) Take(got, item.sequence);
}

void Account::Describe(Figures& figures) const {
  std::uint64_t accepted = 0, delivered = 0, announced = 0, missing = 0, repeated = 0;
  std::uint64_t belated = 0;
  for (const auto& [stream, times] : accepted_) accepted += times.size();
  for (const auto& [key, got] : got_) {
    delivered += got.delivered;
    announced += got.announced;
    repeated += got.repeated;
    belated += got.belated;
    missing += got.holes;
  }
  for (const auto& [app, subscribed] : subscribed_) {
    if (world_.app(app).ended) continue;
    for (const auto& [stream, times] : accepted_) {
      // Times of one stream never go backwards.
      const Instant met = std::max(subscribed, started_.at(std::get<PeerId>(stream))) + kMeeting;
      const auto from = std::lower_bound(times.begin(), times.end(), met);
      const auto place = got_.find({app, stream});
      const auto first_owed = static_cast<std::uint64_t>(from - times.begin()) + 1;
      const std::uint64_t end = times.size() + 1;
      if (place == got_.end()) {
        missing += end - first_owed;
        continue;
      }
      const Got& got = place->second;
      if (got.first > first_owed) missing += std::min(got.first, end) - first_owed;
      if (got.next < end) missing += end - got.next;
    }
  }
  figures.Set("accepted", static_cast<double>(accepted));
  figures.Set("came", static_cast<double>(delivered));
  figures.Set("announced", static_cast<double>(announced));
  figures.Set("missing", static_cast<double>(missing));
  figures.Set("repeated", static_cast<double>(repeated));
  figures.Set("belated", static_cast<double>(belated));
}

}  // namespace peermesh::sim::experiment
