#include "tests/sim/experiment/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "tests/sim/drawing.h"

namespace peermesh::sim::experiment {
namespace {

constexpr const char* kColours[] = {"blue", "green", "amber", "violet", "red", "grey"};

using Points = std::vector<std::pair<double, double>>;
struct Line {
  std::string name;
  Points points;
};

std::string NameOf(const Outcome& outcome) {
  return outcome.plan.empty() ? fmt::format("seed {}", outcome.seed) : outcome.plan;
}

// The end of an axis: a whole number of its steps.
double EndOf(double most) {
  const double step = StepOf(most, 10);
  return std::ceil(most / step - 1e-9) * step;
}

// Of values from 0; `unit` of the vertical axis.
void DrawLines(Drawing& draw, const std::string& name, const std::string& axis,
               const std::string& unit, double vertical, const std::vector<Line>& lines) {
  double most = 0, high = 0;
  for (const Line& line : lines) {
    for (const auto& [x, y] : line.points) {
      most = std::max(most, x);
      high = std::max(high, y);
    }
  }
  if (most <= 0 || high <= 0) return;
  most = EndOf(most);
  if (vertical <= 0) vertical = EndOf(high);
  draw.Panel(name, Drawing::kPanel, vertical, unit);
  draw.Axis(Drawing::kPanel, most, axis);
  std::vector<std::pair<std::string, const char*>> legend;
  for (const Line& line : lines) {
    const char* colour = kColours[legend.size() % std::size(kColours)];
    Points scaled;
    for (const auto& [x, y] : line.points) {
      scaled.emplace_back(std::clamp(x / most, 0.0, 1.0), std::min(y / vertical, 1.0));
    }
    draw.Curve(scaled, Drawing::kPanel, colour, lines.size() == 1);
    legend.emplace_back(line.name, colour);
  }
  if (lines.size() > 1) draw.Legend(legend);
  draw.top += Drawing::kPanel + Drawing::kBetween;
}

Points InPercent(Points points) {
  for (auto& [x, y] : points) y *= 100;
  return points;
}

// Percent of the peers that have so many neighbours; each bar half a neighbour to both sides.
Points Distribution(const std::map<std::size_t, std::size_t>& degrees) {
  double all = 0;
  for (const auto& [degree, count] : degrees) all += static_cast<double>(count);
  Points points{{0, 0}};
  for (std::size_t degree = 0; !degrees.empty() && degree <= degrees.rbegin()->first; ++degree) {
    const auto place = degrees.find(degree);
    const double share = place == degrees.end() ? 0 : static_cast<double>(place->second) / all;
    points.emplace_back(std::max(0.0, static_cast<double>(degree) - 0.5), 100 * share);
  }
  points.emplace_back(points.back().first + 1, 0);
  return points;
}

}  // namespace

std::string Chart(const Experiment& experiment, const std::vector<Outcome>& outcomes) {
  Drawing draw;
  draw.Text(Drawing::kLeft, 28, experiment.title, "start", "title f-ink");
  std::vector<Line> reach, rounds, degrees;
  for (const Outcome& outcome : outcomes) {
    if (outcome.seed != outcomes.front().seed) continue;
    const Curves& curves = outcome.curves;
    if (curves.reach.size() > 1) reach.push_back({NameOf(outcome), InPercent(curves.reach)});
    if (curves.rounds.size() > 1) rounds.push_back({NameOf(outcome), InPercent(curves.rounds)});
    if (!curves.degrees.empty()) degrees.push_back({NameOf(outcome), Distribution(curves.degrees)});
  }
  draw.Text(Drawing::kLeft, 48,
            fmt::format("{}, seed {}", experiment.name.substr(experiment.name.rfind('/') + 1),
                        outcomes.front().seed));
  draw.top = Drawing::kTitle + 24;
  DrawLines(draw, "Peers that have the message", "time since it was published, s", " %", 100,
            reach);
  DrawLines(draw, "Delivered in time, of each round", "time since the failure, s", " %", 100,
            rounds);
  DrawLines(draw, "Peers with so many neighbours", "neighbours", " %", 0, degrees);
  return draw.Finish();
}

}  // namespace peermesh::sim::experiment
