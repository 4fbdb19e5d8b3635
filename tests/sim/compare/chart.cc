#include "tests/sim/compare/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace peermesh::sim::compare {
namespace {

constexpr double kPage = 720, kColumn = 352, kMargin = 8;
constexpr double kTop = 74, kPanelHeight = 158, kRow = 20, kHead = 26;
constexpr double kNames = 118, kBars = 122;  // of a panel: room for names, for bars

struct Paint {
  const char *name, *light, *dark;
};
constexpr Paint kPaints[] = {{"page", "#ffffff", "#14181d"}, {"ink", "#1f2933", "#e6eaee"},
                             {"soft", "#66727f", "#9aa6b2"}, {"grid", "#e4e8ec", "#2a3138"},
                             {"blue", "#2f6fb3", "#6aa9e9"}, {"grey", "#b3bcc6", "#56616d"}};

std::string Style() {
  std::string light, dark;
  for (const Paint& paint : kPaints) {
    constexpr const char* kRules = ".f-{0}{{fill:{1}}}.s-{0}{{stroke:{1}}}";
    light += fmt::format(fmt::runtime(kRules), paint.name, paint.light);
    dark += fmt::format(fmt::runtime(kRules), paint.name, paint.dark);
  }
  return "text{font:12px system-ui,'Segoe UI','DejaVu Sans',sans-serif}"
         "text.title{font-size:17px;font-weight:600}text.name{font-weight:600}"
         "text.small{font-size:11px}" +
         light + "@media(prefers-color-scheme:dark){" + dark + "}";
}

class Drawing {
 public:
  void Text(double x, double y, const std::string& text, const char* anchor, const char* style) {
    body_ +=
        fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" class=\"{}\">{}</text>\n",
                    x, y, anchor, style, text);
  }
  void Box(double x, double y, double width, double height, const char* colour) {
    body_ += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"2\" "
        "class=\"f-{}\"/>\n",
        x, y, width, height, colour);
  }
  void Line(double x, double y1, double y2, const char* colour, double width) {
    body_ += fmt::format(
        "<line x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{0:.1f}\" y2=\"{2:.1f}\" class=\"s-{3}\" "
        "stroke-width=\"{4}\"/>\n",
        x, y1, y2, colour, width);
  }
  std::string Finish(double height) const {
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
        "width=\"{0:.0f}\" height=\"{1:.0f}\">\n<style>{2}</style>\n"
        "<rect width=\"100%\" height=\"100%\" class=\"f-page\"/>\n{3}</svg>\n",
        kPage, height, Style(), body_);
  }

 private:
  std::string body_;
};

// "1,234"; below ten with one decimal, unless it is whole.
std::string Number(double value) {
  if (value < 9.95 && std::abs(value - std::round(value)) > 0.05) {
    return fmt::format("{:.1f}", value);
  }
  const auto whole = static_cast<std::uint64_t>(std::llround(value));
  return whole < 1000 ? fmt::format("{}", whole)
                      : fmt::format("{},{:03}", whole / 1000, whole % 1000);
}

// Nearly all is not all.
std::string Percent(double share) {
  const double value = 100 * share;
  return value > 99 && value < 99.95 ? fmt::format("{:.1f}", value) : Number(value);
}

struct Panel {
  const char *name, *note;
  double Figures::*bar;
  double Figures::*tick;  // or nullptr
  enum { kPercent, kLogarithm } scale;
  const char* unit;
  bool tick_named = false;  // with a number of its own
};

constexpr Panel kPanels[] = {
    {"Links of a peer", "mean; line: the most of one peer", &Figures::links_mean,
     &Figures::links_max, Panel::kLogarithm, "", true},
    {"Idle traffic a peer sends", "mean; line: the most of one peer", &Figures::idle_mean,
     &Figures::idle_max, Panel::kLogarithm, " B/s", true},
    {"A broadcast reaches the last peer", "line: half of them have it", &Figures::last_ms,
     &Figures::median_ms, Panel::kLogarithm, " ms"},
    {"Half of the peers are gone", "largest part of those left, nothing repaired yet",
     &Figures::survive_random, nullptr, Panel::kPercent, " %"},
    {"The 5 % best connected are gone", "largest part of those left, nothing repaired yet",
     &Figures::survive_best, nullptr, Panel::kPercent, " %"},
};

// Where values lie on the width of the bars.
class Scale {
 public:
  Scale(const Panel& panel, const std::vector<Row>& rows)
      : logarithmic_(panel.scale == Panel::kLogarithm) {
    if (!logarithmic_) return;
    double least = 1e300, most = 0;
    for (const Row& row : rows) {
      for (double Figures::*figure : {panel.bar, panel.tick}) {
        if (figure == nullptr) continue;
        least = std::min(least, std::max(row.figures.*figure, 1.0));
        most = std::max(most, row.figures.*figure);
      }
    }
    low_ = std::floor(std::log10(least) - 1e-9);
    high_ = std::max(std::ceil(std::log10(most)), low_ + 1);
  }
  double At(double value) const {
    if (!logarithmic_) return kBars * value;
    const double place = (std::log10(std::max(value, 1e-9)) - low_) / (high_ - low_);
    return kBars * std::clamp(place, 0.0, 1.0);
  }
  // Values with a line through the panel.
  std::vector<double> Marks() const {
    if (!logarithmic_) return {0, 0.25, 0.5, 0.75, 1};
    std::vector<double> marks;
    for (double power = low_; power <= high_; ++power) marks.push_back(std::pow(10, power));
    return marks;
  }

 private:
  bool logarithmic_;
  double low_ = 0, high_ = 1;
};

void Draw(Drawing& draw, const Panel& panel, const std::vector<Row>& rows, double x, double y) {
  const Scale scale(panel, rows);
  const double begin = x + kNames, top = y + kHead;
  const double bottom = top + kRow * static_cast<double>(rows.size());
  const bool percent = panel.scale == Panel::kPercent;
  draw.Text(x, y, panel.name, "start", "name f-ink");
  draw.Text(x, y + 15, fmt::format("{}{}", panel.note, percent ? "" : "; powers of ten"), "start",
            "small f-soft");
  for (const double mark : scale.Marks()) {
    draw.Line(begin + scale.At(mark), top, bottom, "grid", 1);
  }
  double middle = top + kRow / 2;
  for (const Row& row : rows) {
    const double value = row.figures.*panel.bar;
    const bool ours = row.way == Way::kOurs;
    const double width = std::max(scale.At(value), 1.5);
    draw.Text(begin - 8, middle + 4, NameOf(row.way), "end", ours ? "name f-ink" : "f-ink");
    draw.Box(begin, middle - 6, width, 12, ours ? "blue" : "grey");
    double end = width;
    if (panel.tick != nullptr) {
      const double tick = scale.At(row.figures.*panel.tick);
      draw.Line(begin + tick, middle - 8, middle + 8, "ink", 2);
      end = std::max(end, tick);
    }
    std::string label = percent ? Percent(value) : Number(value);
    if (panel.tick_named && Number(row.figures.*panel.tick) != label) {
      label = fmt::format("{}, most {}", label, Number(row.figures.*panel.tick));
    }
    draw.Text(begin + end + 6, middle + 4, label + panel.unit, "start",
              ours ? "name f-ink" : "f-soft");
    middle += kRow;
  }
}

}  // namespace

std::string Chart(const std::vector<Row>& all, std::size_t peers, std::uint64_t seeds) {
  std::vector<Row> rows;
  for (const Row& row : all) {
    if (row.peers == peers) rows.push_back(row);
  }
  Drawing draw;
  draw.Text(kMargin, 26,
            fmt::format("Five ways to connect {} peers", Number(static_cast<double>(peers))),
            "start", "title f-ink");
  draw.Text(
      kMargin, 45,
      fmt::format("Graphs in a simulation, mean of {} seeds; four regions: 5 ms inside, 40 ms "
                  "between, 0 to 5 ms more a link",
                  seeds),
      "start", "f-soft");
  double x = kMargin, y = kTop;
  std::size_t cell = 0;
  const auto next = [&] {
    ++cell;
    x = kMargin + (kColumn + kMargin) * static_cast<double>(cell % 2);
    y = kTop + kPanelHeight * static_cast<double>(cell / 2);
  };
  for (const Panel& panel : kPanels) {
    Draw(draw, panel, rows, x, y);
    next();
  }
  draw.Text(x, y, "The five", "start", "name f-ink");
  double line = y + kHead + kRow / 2 + 4;
  for (const Row& row : rows) {
    const bool ours = row.way == Way::kOurs;
    draw.Text(x + kNames - 8, line, NameOf(row.way), "end", ours ? "name f-ink" : "f-ink");
    draw.Text(x + kNames, line, MeaningOf(row.way), "start", "f-soft");
    line += kRow;
  }
  return draw.Finish(kTop + 3 * kPanelHeight - 14);
}

}  // namespace peermesh::sim::compare
