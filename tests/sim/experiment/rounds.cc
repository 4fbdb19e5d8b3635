#include "tests/sim/experiment/rounds.h"

#include <algorithm>

#include "tests/sim/message.h"

namespace peermesh::sim::experiment {
namespace {

constexpr std::size_t kCurvePoints = 200;

double Share(std::size_t part, std::size_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// What became of one round.
struct Count {
  std::size_t owed = 0, delivered = 0, in_time = 0;
  std::uint32_t most_hops = 0;
  Duration last{};
  double redundancy = 0;
};

Count CountOf(const Round& round, const std::vector<bool>& owed, Duration within) {
  Count count;
  std::size_t reached = 0;
  for (HostIndex host = 0; host < owed.size(); ++host) {
    if (round.delivered[host] != kNever) ++reached;
    if (!owed[host] || host == round.origin) continue;
    ++count.owed;
    count.most_hops = std::max(count.most_hops, round.hops[host]);
    if (round.delivered[host] == kNever) continue;
    ++count.delivered;
    const Duration took = round.delivered[host] - round.published;
    if (took <= within) ++count.in_time;
    count.last = std::max(count.last, took);
  }
  if (reached > 1) count.redundancy = Share(round.copies, reached - 1) - 1;
  return count;
}

std::vector<std::pair<double, double>> ReachOf(const std::vector<Round>& rounds,
                                               std::size_t warm_up, const std::vector<bool>& owed) {
  std::vector<double> times;
  std::size_t all = 0;
  for (std::size_t i = warm_up; i < rounds.size(); ++i) {
    for (HostIndex host = 0; host < owed.size(); ++host) {
      if (!owed[host] || host == rounds[i].origin) continue;
      ++all;
      if (rounds[i].delivered[host] == kNever) continue;
      times.push_back(Seconds(rounds[i].delivered[host] - rounds[i].published));
    }
  }
  std::sort(times.begin(), times.end());
  std::vector<std::pair<double, double>> curve{{0, 0}};
  const std::size_t step = std::max<std::size_t>(1, times.size() / kCurvePoints);
  for (std::size_t i = step - 1; i < times.size(); i += step) {
    curve.emplace_back(times[i], Share(i + 1, all));
  }
  if (!times.empty()) curve.emplace_back(times.back(), Share(times.size(), all));
  return curve;
}

}  // namespace

void Rounds::Publish(AppIndex app, const std::string& subject, std::uint64_t bytes) {
  const std::vector<Instant> nobody(world_.hosts(), kNever);
  rounds_.push_back({world_.now(), world_.app(app).host, nobody,
                     std::vector<std::uint32_t>(world_.hosts(), 0), 0});
  publishing_ = true;
  world_.Publish(app, {subject}, bytes);
  publishing_ = false;
}

void Rounds::Clear() {
  rounds_.clear();
  by_id_.clear();
  received_ = {};
}

std::uint64_t Rounds::SentBy(HostIndex host) const { return host < sent_.size() ? sent_[host] : 0; }

void Rounds::Publishes(AppIndex, const Accepted& message, const std::string&) {
  if (publishing_) by_id_[message.id] = rounds_.size() - 1;
}

Round* Rounds::Find(const Batch& batch, const peermesh::Row& row) {
  if (by_id_.empty()) return nullptr;
  const auto place = by_id_.find(IdOf(batch, row));
  return place == by_id_.end() ? nullptr : &rounds_[place->second];
}

void Rounds::Receives(AppIndex app, const flow::Delivery& delivery) {
  if (delivery.is_gap()) return;
  const HostIndex host = world_.app(app).host;
  for (const flow::Item& item : delivery.items) {
    Round* round = Find(*delivery.batch, delivery.batch->rows[item.row]);
    if (round == nullptr || host >= round->delivered.size()) continue;
    round->delivered[host] = std::min(round->delivered[host], world_.now());
  }
}

void Rounds::Landed(HostIndex from, HostIndex to, const node::DataFrame& frame) {
  bool counts = false;
  for (const node::Relayed& relayed : frame.relayed) {
    const Batch& batch = *relayed.piece->batch;
    for (const std::uint32_t row : relayed.piece->rows) {
      Round* round = Find(batch, batch.rows[row]);
      if (round == nullptr || to >= round->hops.size()) continue;
      ++round->copies;
      if (round->hops[to] == 0) round->hops[to] = relayed.hops;
      if (sent_.size() <= from) sent_.resize(world_.hosts());
      ++sent_[from];
      counts = true;
    }
  }
  if (counts) received_.Add(kFraming + RoughSize{}(frame));
}

void Describe(const std::vector<Round>& rounds, const std::vector<bool>& owed,
              const Broadcast& broadcast, std::optional<Instant> failed, Figures& figures,
              Curves& curves) {
  const std::string as = broadcast.as.empty() ? "" : broadcast.as + ".";
  std::size_t missed = 0, late = 0;
  std::vector<double> delivered, redundancy, hops, last;
  std::vector<std::pair<std::string, double>> single;
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    const Count count = CountOf(rounds[i], owed, broadcast.within);
    const std::string number = "[" + std::to_string(i + 1) + "]";
    single.emplace_back(as + "delivered" + number, Share(count.in_time, count.owed));
    single.emplace_back(as + "eventually" + number, Share(count.delivered, count.owed));
    single.emplace_back(as + "redundancy" + number, count.redundancy);
    if (failed) {
      curves.rounds.emplace_back(Seconds(rounds[i].published - *failed),
                                 Share(count.in_time, count.owed));
    }
    if (i < broadcast.warm_up) continue;
    missed += count.owed - count.delivered;
    late += count.delivered - count.in_time;
    delivered.push_back(Share(count.in_time, count.owed));
    redundancy.push_back(count.redundancy);
    hops.push_back(count.most_hops);
    last.push_back(Seconds(count.last));
  }
  figures.Set(as + "delivered", SpreadOf(delivered).mean);
  figures.Set(as + "missed", static_cast<double>(missed));
  figures.Set(as + "late", static_cast<double>(late));
  figures.Set(as + "redundancy", SpreadOf(redundancy).mean);
  figures.Set(as + "redundancy_max", SpreadOf(redundancy).most);
  figures.Set(as + "hops_last", SpreadOf(hops).mean);
  figures.Set(as + "hops_last_max", SpreadOf(hops).most);
  figures.Set(as + "last_mean", SpreadOf(last).mean);
  figures.Set(as + "last_max", SpreadOf(last).most);
  for (auto& [name, value] : single) figures.Set(std::move(name), value);
  curves.reach = ReachOf(rounds, broadcast.warm_up, owed);
}

}  // namespace peermesh::sim::experiment
