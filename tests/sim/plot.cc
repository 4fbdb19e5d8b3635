#include "tests/sim/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

namespace peermesh::sim {
namespace {

constexpr double kLeft = 96, kWidth = 1000, kPage = 1130;  // of the panels; of the page
constexpr double kTitle = 74, kRow = 18, kPanel = 150, kBetween = 62;

struct Paint {
  const char *name, *light, *dark;
};
constexpr Paint kPaints[] = {
    {"page", "#ffffff", "#14181d"},   {"ink", "#1f2933", "#e6eaee"},
    {"soft", "#66727f", "#9aa6b2"},   {"grid", "#e4e8ec", "#2a3138"},
    {"blue", "#2f6fb3", "#6aa9e9"},   {"green", "#2e8b67", "#5cc29b"},
    {"red", "#c8402f", "#ef7564"},    {"amber", "#d08a1d", "#e7b04f"},
    {"violet", "#7a5bb0", "#ae93e0"}, {"grey", "#98a2ad", "#6b7682"},
};

// Classes f-NAME and s-NAME fill and stroke; no variables, which few programs but browsers know.
std::string Style() {
  std::string light, dark;
  for (const Paint& paint : kPaints) {
    constexpr const char* kRules = ".f-{0}{{fill:{1}}}.s-{0}{{stroke:{1}}}";
    light += fmt::format(fmt::runtime(kRules), paint.name, paint.light);
    dark += fmt::format(fmt::runtime(kRules), paint.name, paint.dark);
  }
  return "text{font:12px system-ui,'Segoe UI','DejaVu Sans',sans-serif}"
         "text.title{font-size:17px;font-weight:600}text.name{font-weight:600}"
         ".line{fill:none;stroke-width:1.8;stroke-linejoin:round}" +
         light + "@media(prefers-color-scheme:dark){" + dark + "}";
}

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

std::string Escape(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    safe += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
  }
  return safe;
}

double Seconds(Duration time) { return static_cast<double>(time.count()) / 1e6; }

// 1, 2 or 5 times a power of ten, so that about `wanted` of them make up `range`.
double StepOf(double range, double wanted) {
  const double raw = std::max(range, 1e-9) / wanted;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw) return factor * power;
  }
  return 10 * power;
}

class Drawing {
 public:
  double top = kTitle;

  void Add(const std::string& element) { body_ += element + "\n"; }
  void Text(double x, double y, const std::string& text, const char* anchor = "start",
            const char* style = "f-soft") {
    Add(fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>)", x, y,
                    anchor, style, Escape(text)));
  }
  void Box(double x, double y, double width, double height, const char* colour, double opacity) {
    Add(fmt::format(R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2" )"
                    R"(class="f-{}" opacity="{}"/>)",
                    x, y, width, height, colour, opacity));
  }
  void Grid(double x1, double y1, double x2, double y2) {
    Add(fmt::format(R"(<line class="s-grid" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>)", x1,
                    y1, x2, y2));
  }
  // A panel of this height: `most` and unit of its vertical axis.
  void Panel(const std::string& name, double height, double most, const std::string& unit) {
    Text(kLeft, top - 10, name, "start", "name f-ink");
    const double step = StepOf(most, 4);
    for (double value = 0; value <= most * 1.0001; value += step) {
      const double y = top + height - height * value / most;
      Grid(kLeft, y, kLeft + kWidth, y);
      Text(kLeft - 8, y + 4, fmt::format("{:g}{}", value, unit), "end");
    }
  }
  void Axis(double height, double most, const std::string& name) {
    const double step = StepOf(most, 10);
    for (double value = 0; value <= most * 1.0001; value += step) {
      const double x = kLeft + kWidth * value / most;
      Grid(x, top, x, top + height);
      Text(x, top + height + 17, fmt::format("{:g}", value), "middle");
    }
    Text(kLeft + kWidth, top + height + 33, name, "end");
  }
  // Steps through (x, y) of 0 to 1, filled below if wanted.
  void Curve(const std::vector<std::pair<double, double>>& points, double height,
             const char* colour, bool filled) {
    std::string path;
    for (const auto& [x, y] : points) {
      const double px = kLeft + kWidth * x, py = top + height * (1 - y);
      path += path.empty() ? fmt::format("M{:.1f} {:.1f}", px, py)
                           : fmt::format("H{:.1f}V{:.1f}", px, py);
    }
    if (filled && !points.empty()) {
      Add(fmt::format(R"(<path d="{}V{:.1f}H{:.1f}Z" class="f-{}" opacity=".28"/>)", path,
                      top + height, kLeft + kWidth * points.front().first, colour));
    }
    Add(fmt::format(R"x(<path d="{}" class="line s-{}"/>)x", path, colour));
  }
  void Legend(const std::vector<std::pair<std::string, const char*>>& entries) {
    double x = kLeft + kWidth;
    for (auto it = entries.rbegin(); it != entries.rend(); ++it) {
      Text(x, top - 10, it->first, "end");
      x -= 6.4 * static_cast<double>(it->first.size()) + 18;
      Box(x, top - 19, 11, 11, it->second, 1);
      x -= 16;
    }
  }
  std::string Finish() const {
    return fmt::format(
        R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0:.0f} {1:.0f}" width="{0:.0f}" height="{1:.0f}">)"
        "\n<style>{2}</style>\n<rect width=\"100%\" height=\"100%\" "
        "class=\"f-page\"/>\n{3}</svg>\n",
        kPage, top, Style(), body_);
  }

 private:
  std::string body_;
};

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
