#include "tests/sim/experiment/figures.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace peermesh::sim::experiment {

void Figures::Set(std::string name, double value) {
  const auto [place, is_new] = places_.emplace(name, all_.size());
  if (is_new) {
    all_.emplace_back(std::move(name), value);
  } else {
    all_[place->second].second = value;
  }
}

std::optional<double> Figures::Find(std::string_view name) const {
  const auto place = places_.find(name);
  return place == places_.end() ? std::nullopt : std::optional(all_[place->second].second);
}

Spread SpreadOf(const std::vector<double>& values) {
  if (values.empty()) return {};
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return {values.size(), sum / static_cast<double>(values.size()), *least, *most};
}

double Quantile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double rank = std::ceil(share * static_cast<double>(values.size()));
  return values[std::min(values.size(), std::max<std::size_t>(1, static_cast<std::size_t>(rank))) -
                1];
}

void SetTimes(Figures& figures, const std::string& name, std::vector<double> seconds) {
  const Spread spread = SpreadOf(seconds);
  figures.Set(name + "_p50", Quantile(seconds, 0.5));
  figures.Set(name + "_p99", Quantile(seconds, 0.99));
  figures.Set(name + "_mean", spread.mean);
  figures.Set(name + "_max", spread.most);
}

}  // namespace peermesh::sim::experiment
