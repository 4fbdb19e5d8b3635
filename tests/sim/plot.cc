#include "tests/sim/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "tests/sim/drawing.h"

namespace peermesh::sim {
namespace {

constexpr double kLeft = Drawing::kLeft, kWidth = Drawing::kWidth;
constexpr double kTitle = Drawing::kTitle, kRow = Drawing::kRow;
constexpr double kPanel = Drawing::kPanel, kBetween = Drawing::kBetween;

struct Colour {
  const char* kind;
  const char* colour;
};
constexpr Colour kKinds[] = {{"kill", "red"},         {"off", "red"},        {"restart", "red"},
                             {"pause", "amber"},      {"break", "blue"},     {"renew", "green"},
                             {"partition", "violet"}, {"one-way", "violet"}, {"drain", "grey"}};

const char* ColourOf(const std::string& kind) {
  for (const Colour& known : kKinds) {
    if (kind == known.kind) return known.colour;
  }
  return "grey";
}

double Seconds(Duration time) { return static_cast<double>(time.count()) / 1e6; }

void DrawFaults(Drawing& draw, const Timeline& timeline, double seconds) {
  const double height = kRow * static_cast<double>(timeline.hosts());
  draw.Text(kLeft, draw.top - 10, "Faults", "start", "name f-ink");
  draw.Legend({{"down", "red"},
               {"paused", "amber"},
               {"partitioned", "violet"},
               {"connections reset", "blue"},
               {"certificate renewed", "green"}});
  for (std::size_t host = 0; host < timeline.hosts(); ++host) {
    const double y = draw.top + kRow * static_cast<double>(host);
    draw.Text(kLeft - 8, y + 13, "h" + std::to_string(host), "end");
    draw.Grid(kLeft, y + kRow, kLeft + kWidth, y + kRow);
  }
  draw.Axis(height, seconds, "");
  for (const Timeline::Band& band : timeline.bands()) {
    const double x = kLeft + kWidth * Seconds(band.begin) / seconds;
    const double end =
        kLeft + kWidth *
                    Seconds(band.end.value_or(Duration(static_cast<std::int64_t>(seconds * 1e6)))) /
                    seconds;
    const bool wide = band.fault.kind == "partition" || band.fault.kind == "one-way";
    for (const HostIndex host : band.fault.hosts) {
      const double y = draw.top + kRow * static_cast<double>(host);
      draw.Box(x, y + (wide ? 1 : 4), std::max(end - x, 2.5), wide ? kRow - 2 : kRow - 8,
               ColourOf(band.fault.kind), wide ? 0.35 : 0.95);
    }
  }
  draw.top += height + kBetween;
}

using Value = std::function<double(const Timeline::Sample&)>;

void DrawLine(Drawing& draw, const Timeline& timeline, double seconds, double most,
              const char* colour, bool filled, const Value& value) {
  std::vector<std::pair<double, double>> points;
  for (const Timeline::Sample& sample : timeline.samples()) {
    if (Seconds(sample.when) > seconds) break;
    points.emplace_back(Seconds(sample.when) / seconds, value(sample) / most);
  }
  draw.Curve(points, kPanel, colour, filled);
}

void DrawTimeline(Drawing& draw, const Timeline& timeline, double seconds) {
  DrawFaults(draw, timeline, seconds);
  const double hosts = static_cast<double>(timeline.hosts());
  const double pairs = std::max(hosts * (hosts - 1), 1.0);
  draw.Panel("The mesh, of a whole one", kPanel, 100, " %");
  draw.Axis(kPanel, seconds, "");
  draw.Legend(
      {{"processes that run", "grey"}, {"peers believed alive", "amber"}, {"linked", "blue"}});
  DrawLine(draw, timeline, seconds, hosts, "grey", true,
           [](const auto& s) { return static_cast<double>(s.running); });
  DrawLine(draw, timeline, seconds, pairs, "amber", false,
           [](const auto& s) { return static_cast<double>(s.seen); });
  DrawLine(draw, timeline, seconds, pairs, "blue", false,
           [](const auto& s) { return static_cast<double>(s.linked); });
  draw.top += kPanel + kBetween;
  // A few seconds of catching up must not flatten the rest: what is above the scale is cut.
  std::vector<double> values;
  for (const Timeline::Sample& sample : timeline.samples()) {
    values.push_back(static_cast<double>(std::max(sample.owed, sample.delivered + sample.lost)));
  }
  std::sort(values.begin(), values.end());
  const double high = values[values.size() * 99 / 100] * 1.15;
  const double step = StepOf(std::max(high, 4.0), 4);
  const double most = std::ceil(std::max(high, 4.0) / step) * step;
  const auto cut = [most](std::uint64_t count) {
    return std::min(static_cast<double>(count), most);
  };
  draw.Panel("Messages in 100 ms", kPanel, most, "");
  draw.Axis(kPanel, seconds, "virtual time, s");
  draw.Legend({{"owed to subscribers", "grey"},
               {"delivered", "green"},
               {"numbers announced as lost", "red"}});
  DrawLine(draw, timeline, seconds, most, "green", true,
           [&](const auto& s) { return cut(s.delivered); });
  DrawLine(draw, timeline, seconds, most, "grey", false,
           [&](const auto& s) { return cut(s.owed); });
  DrawLine(draw, timeline, seconds, most, "red", true, [&](const auto& s) { return cut(s.lost); });
  draw.top += kPanel + kBetween;
}

// How many runs had it after how long: one curve for each figure of the script.
void DrawHealing(Drawing& draw, const std::vector<Outcome>& outcomes) {
  std::map<std::string, std::vector<double>> figures;
  double longest = 0.1;
  for (const Outcome& outcome : outcomes) {
    for (const Figure& figure : outcome.figures) {
      figures[figure.name].push_back(Seconds(figure.took));
      longest = std::max(longest, Seconds(figure.took));
    }
  }
  const double step = StepOf(longest, 10);
  const double most = std::ceil(longest / step) * step;
  draw.Panel(fmt::format("Healed within, of {} seeds", outcomes.size()), kPanel, 100, " %");
  draw.Axis(kPanel, most, "virtual time from the last fault, s");
  constexpr const char* kColours[] = {"blue", "green", "amber", "violet", "red"};
  std::vector<std::pair<std::string, const char*>> legend;
  for (auto& [name, times] : figures) {
    std::sort(times.begin(), times.end());
    std::vector<std::pair<double, double>> points{{0, 0}};
    for (std::size_t i = 0; i < times.size(); ++i) {
      points.emplace_back(times[i] / most,
                          static_cast<double>(i + 1) / static_cast<double>(times.size()));
    }
    points.emplace_back(1, 1);
    const char* colour = kColours[legend.size() % std::size(kColours)];
    draw.Curve(points, kPanel, colour, false);
    legend.emplace_back(fmt::format("{}: half {:.2f} s, 99 % {:.2f} s", name,
                                    times[times.size() / 2], times[times.size() * 99 / 100]),
                        colour);
  }
  draw.Legend(legend);
  draw.top += kPanel + kBetween;
}

}  // namespace

std::string Plot(const Script& script, const std::vector<Outcome>& outcomes,
                 const Timeline& timeline) {
  Drawing draw;
  const Outcome& first = outcomes.front();
  draw.Text(kLeft, 28, script.title, "start", "title f-ink");
  draw.Text(
      kLeft, 48,
      fmt::format("{}, seed {}: owed {}, delivered {}, announced as lost {}, missing {}",
                  script.name.substr(script.name.rfind('/') + 1), first.seed, first.tally.accepted,
                  first.tally.delivered, first.tally.gapped, first.tally.missing));
  draw.top = kTitle + 24;
  // Long after the end of all faults there is nothing to see.
  double seconds = 1;
  for (const Timeline::Band& band : timeline.bands()) {
    seconds = std::max(seconds, Seconds(band.end.value_or(band.begin)) + 6);
  }
  seconds = std::min(std::ceil(seconds), std::max(1.0, Seconds(first.virtual_time)));
  DrawTimeline(draw, timeline, seconds);
  if (outcomes.size() > 1) DrawHealing(draw, outcomes);
  return draw.Finish();
}

}  // namespace peermesh::sim
