#include "tests/sim/experiment/verdict.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace peermesh::sim::experiment {
namespace {

constexpr double kSlack = 1e-9;  // of sums of rounded numbers

const char* Word(Of of) { return of == Of::kEach ? "each" : of == Of::kMean ? "mean" : "total"; }

// An end that is infinite is none, also of a multiple of 0.
bool Within(const Bound& bound, double value, double factor) {
  const bool enough = std::isinf(bound.least) || value >= bound.least * factor - kSlack;
  const bool not_too_much = std::isinf(bound.most) || value <= bound.most * factor + kSlack;
  return enough && not_too_much;
}

std::vector<double> ValuesOf(const std::vector<const Outcome*>& runs, std::string_view figure) {
  std::vector<double> values;
  for (const Outcome* run : runs) {
    if (const auto value = run->figures.Find(figure)) values.push_back(*value);
  }
  return values;
}

// The runs of each case that was run, in order of the file.
struct Ran {
  const Plan* plan;
  std::vector<const Outcome*> runs;
};

std::vector<Ran> ByPlan(const Experiment& experiment, const std::vector<Outcome>& outcomes) {
  std::vector<Ran> all;
  for (const Plan& plan : experiment.plans) {
    Ran ran{&plan, {}};
    for (const Outcome& outcome : outcomes) {
      if (outcome.plan == plan.name) ran.runs.push_back(&outcome);
    }
    if (!ran.runs.empty()) all.push_back(std::move(ran));
  }
  return all;
}

Row JudgeOne(const Ran& ran, const Bound& bound) {
  const std::vector<double> values = ValuesOf(ran.runs, bound.figure);
  Row row{ran.plan->name, bound.figure, SpreadOf(values),
          std::string(Word(bound.of)) + " " + bound.text, false};
  const std::vector<double> factors = ValuesOf(ran.runs, bound.times);
  if (values.size() != ran.runs.size()) return row;  // it was not measured in each of them
  if (!bound.times.empty() && factors.size() != ran.runs.size()) return row;
  if (bound.of == Of::kMean) {
    row.holds = Within(bound, row.spread.mean, bound.times.empty() ? 1 : SpreadOf(factors).mean);
    return row;
  }
  row.holds = true;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!Within(bound, values[i], bound.times.empty() ? 1 : factors[i])) row.holds = false;
  }
  return row;
}

Row JudgeTotal(const std::vector<Ran>& all, const Bound& bound) {
  double sum = 0, factor = bound.times.empty() ? 1 : 0;
  std::vector<double> means;
  for (const Ran& ran : all) {
    if (!IsOf(ran.plan->name, bound.at)) continue;
    const std::vector<double> values = ValuesOf(ran.runs, bound.figure);
    if (!values.empty()) means.push_back(SpreadOf(values).mean);
    if (!bound.times.empty()) factor += SpreadOf(ValuesOf(ran.runs, bound.times)).mean;
  }
  for (const double mean : means) sum += mean;
  Row row{"total", bound.figure, SpreadOf(means), std::string("total ") + bound.text, false};
  row.spread.mean = sum;
  row.holds = !means.empty() && Within(bound, sum, factor);
  return row;
}

}  // namespace

std::vector<Row> Judge(const Experiment& experiment, const std::vector<Outcome>& outcomes) {
  std::vector<Row> rows;
  const std::vector<Ran> all = ByPlan(experiment, outcomes);
  for (const Ran& ran : all) {
    std::set<const Bound*> used;
    const auto add = [&](const std::string& figure) {
      bool bounded = false;
      for (const Bound& bound : experiment.bounds) {
        if (bound.of == Of::kTotal || bound.figure != figure || used.contains(&bound)) continue;
        if (!IsOf(ran.plan->name, bound.at)) continue;
        rows.push_back(JudgeOne(ran, bound));
        used.insert(&bound);
        bounded = true;
      }
      if (!bounded) {
        rows.push_back({ran.plan->name, figure, SpreadOf(ValuesOf(ran.runs, figure)), "", {}});
      }
    };
    for (const auto& [figure, value] : ran.runs.front()->figures.all()) add(figure);
    for (const Bound& bound : experiment.bounds) {
      const bool here = bound.of != Of::kTotal && IsOf(ran.plan->name, bound.at);
      if (here && !used.contains(&bound)) add(bound.figure);
    }
  }
  for (const Bound& bound : experiment.bounds) {
    const auto here = [&](const Ran& ran) { return IsOf(ran.plan->name, bound.at); };
    if (bound.of == Of::kTotal && std::any_of(all.begin(), all.end(), here)) {
      rows.push_back(JudgeTotal(all, bound));
    }
  }
  return rows;
}

bool AllHold(const std::vector<Row>& rows) {
  return std::none_of(rows.begin(), rows.end(),
                      [](const Row& row) { return row.holds && !*row.holds; });
}

}  // namespace peermesh::sim::experiment
