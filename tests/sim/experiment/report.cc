#include "tests/sim/experiment/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "mesh/base/digest.h"

namespace peermesh::sim::experiment {
namespace {

std::string Number(double value) {
  if (value == static_cast<double>(static_cast<std::int64_t>(value))) {
    return fmt::format("{:.0f}", value);
  }
  return fmt::format("{:.5g}", value);
}

bool IsOfOneRound(const std::string& figure) { return figure.ends_with("]"); }

}  // namespace

std::string RunLine(const Outcome& outcome) {
  std::string line =
      fmt::format("seed {}{}{}:", outcome.seed, outcome.plan.empty() ? "" : " ", outcome.plan);
  for (const auto& [name, value] : outcome.figures.all()) {
    if (!IsOfOneRound(name)) line += fmt::format(" {} {},", name, Number(value));
  }
  return line + fmt::format(" {:.0f} s in {:.1f} s, digest {:016x}", outcome.virtual_seconds,
                            outcome.cpu_seconds, outcome.digest);
}

std::string Table(const std::vector<Row>& rows) {
  std::size_t plan_width = 4, name_width = 6;
  std::vector<const Row*> shown;
  for (const Row& row : rows) {
    if (row.required.empty() && IsOfOneRound(row.figure)) continue;
    shown.push_back(&row);
    plan_width = std::max(plan_width, row.plan.size());
    name_width = std::max(name_width, row.figure.size());
  }
  std::string table =
      fmt::format("  {:<{}}  {:<{}}  {:>10}  {:>10}  {:>10}  {:<4}  {}\n", "case", plan_width,
                  "figure", name_width, "mean", "least", "most", "ok", "required");
  for (const Row* row : shown) {
    const auto value = [&](double v) { return row->spread.count == 0 ? "-" : Number(v); };
    table += fmt::format("  {:<{}}  {:<{}}  {:>10}  {:>10}  {:>10}", row->plan, plan_width,
                         row->figure, name_width, value(row->spread.mean), value(row->spread.least),
                         value(row->spread.most));
    if (row->holds) table += fmt::format("  {:<4}  {}", *row->holds ? "yes" : "NO", row->required);
    table += "\n";
  }
  return table;
}

std::uint64_t DigestOf(const std::vector<Outcome>& outcomes) {
  if (outcomes.size() == 1) return outcomes.front().digest;
  Digest digest;
  for (const Outcome& outcome : outcomes) digest.Add(outcome.digest);
  return digest.value();
}

nlohmann::ordered_json ToJson(const Experiment& experiment, const std::vector<Outcome>& outcomes,
                              const std::vector<Row>& rows) {
  nlohmann::ordered_json json{{"experiment", experiment.name},
                              {"title", experiment.title},
                              {"ok", AllHold(rows)},
                              {"digest", fmt::format("{:016x}", DigestOf(outcomes))}};
  for (const Row& row : rows) {
    nlohmann::ordered_json entry{{"case", row.plan},          {"figure", row.figure},
                                 {"runs", row.spread.count},  {"mean", row.spread.mean},
                                 {"least", row.spread.least}, {"most", row.spread.most}};
    if (row.holds) {
      entry["required"] = row.required;
      entry["ok"] = *row.holds;
    }
    json["figures"].push_back(std::move(entry));
  }
  for (const Outcome& outcome : outcomes) {
    nlohmann::ordered_json run{{"case", outcome.plan},
                               {"seed", outcome.seed},
                               {"digest", fmt::format("{:016x}", outcome.digest)},
                               {"turns", outcome.turns},
                               {"virtual_seconds", outcome.virtual_seconds},
                               {"peer_seconds", outcome.peer_seconds},
                               {"cpu_seconds", outcome.cpu_seconds}};
    auto& figures = run["figures"] = nlohmann::ordered_json::object();
    for (const auto& [name, value] : outcome.figures.all()) figures[name] = value;
    run["curves"] = {{"reach", outcome.curves.reach}, {"rounds", outcome.curves.rounds}};
    for (const auto& [degree, count] : outcome.curves.degrees) {
      run["curves"]["degrees"].push_back({degree, count});
    }
    if (!outcome.failures.empty()) run["failures"] = outcome.failures;
    json["runs"].push_back(std::move(run));
  }
  return json;
}

}  // namespace peermesh::sim::experiment
