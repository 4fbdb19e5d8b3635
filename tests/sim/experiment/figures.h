// What a run of an experiment found: figures by name, curves for plots, and what went wrong.
// Plain data; floating point reports and decides nothing in a run.
#ifndef PEERMESH_TESTS_SIM_EXPERIMENT_FIGURES_H_
#define PEERMESH_TESTS_SIM_EXPERIMENT_FIGURES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mesh/base/time.h"

namespace peermesh::sim::experiment {

inline double Seconds(Duration time) { return static_cast<double>(time.count()) / 1e6; }

// In the order in which they were found, each once.
class Figures {
 public:
  void Set(std::string name, double value);
  std::optional<double> Find(std::string_view name) const;
  const std::vector<std::pair<std::string, double>>& all() const { return all_; }

 private:
  std::vector<std::pair<std::string, double>> all_;
  std::map<std::string, std::size_t, std::less<>> places_;
};

// Lines through points, for the plots.
struct Curves {
  // Seconds since a message was published, and the share of peers that had it: mean of all rounds
  // that count.
  std::vector<std::pair<double, double>> reach;
  std::map<std::size_t, std::size_t> degrees;     // how many peers have so many neighbours
  std::vector<std::pair<double, double>> rounds;  // seconds since the failure, share delivered
};

struct Outcome {
  std::string plan;  // the case; empty without cases
  std::uint64_t seed = 0;
  Figures figures;
  Curves curves;
  std::vector<std::string> failures;  // the first kMostFailures
  std::uint64_t failure_count = 0;
  std::uint64_t digest = 0, turns = 0;
  double virtual_seconds = 0, peer_seconds = 0, cpu_seconds = 0;
};
inline constexpr std::size_t kMostFailures = 10;

// Of a list of values; zeros if it is empty.
struct Spread {
  std::size_t count = 0;
  double mean = 0, least = 0, most = 0;
};
Spread SpreadOf(const std::vector<double>& values);
// The smallest value that `share` of them do not exceed; 0 if there are none. Sorts them.
double Quantile(std::vector<double>& values, double share);
// `<as><name>_p50` and so on: p50, p99, mean, max.
void SetTimes(Figures& figures, const std::string& name, std::vector<double> seconds);

}  // namespace peermesh::sim::experiment

#endif  // PEERMESH_TESTS_SIM_EXPERIMENT_FIGURES_H_
