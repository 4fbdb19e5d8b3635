#include "tests/sim/drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace peermesh::sim {
namespace {

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

std::string Escape(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    safe += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
  }
  return safe;
}

}  // namespace

double StepOf(double range, double wanted) {
  const double raw = std::max(range, 1e-9) / wanted;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw) return factor * power;
  }
  return 10 * power;
}

void Drawing::Text(double x, double y, const std::string& text, const char* anchor,
                   const char* style) {
  Add(fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>)", x, y,
                  anchor, style, Escape(text)));
}

void Drawing::Box(double x, double y, double width, double height, const char* colour,
                  double opacity) {
  Add(fmt::format(R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2" )"
                  R"(class="f-{}" opacity="{}"/>)",
                  x, y, width, height, colour, opacity));
}

void Drawing::Grid(double x1, double y1, double x2, double y2) {
  Add(fmt::format(R"(<line class="s-grid" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>)", x1,
                  y1, x2, y2));
}

void Drawing::Panel(const std::string& name, double height, double most, const std::string& unit) {
  Text(kLeft, top - 10, name, "start", "name f-ink");
  const double step = StepOf(most, 4);
  for (double value = 0; value <= most * 1.0001; value += step) {
    const double y = top + height - height * value / most;
    Grid(kLeft, y, kLeft + kWidth, y);
    Text(kLeft - 8, y + 4, fmt::format("{:g}{}", value, unit), "end");
  }
}

void Drawing::Axis(double height, double most, const std::string& name) {
  const double step = StepOf(most, 10);
  for (double value = 0; value <= most * 1.0001; value += step) {
    const double x = kLeft + kWidth * value / most;
    Grid(x, top, x, top + height);
    Text(x, top + height + 17, fmt::format("{:g}", value), "middle");
  }
  Text(kLeft + kWidth, top + height + 33, name, "end");
}

void Drawing::Curve(const std::vector<std::pair<double, double>>& points, double height,
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

void Drawing::Legend(const std::vector<std::pair<std::string, const char*>>& entries) {
  double x = kLeft + kWidth;
  for (auto it = entries.rbegin(); it != entries.rend(); ++it) {
    Text(x, top - 10, it->first, "end");
    x -= 6.4 * static_cast<double>(it->first.size()) + 18;
    Box(x, top - 19, 11, 11, it->second, 1);
    x -= 16;
  }
}

std::string Drawing::Finish() const {
  return fmt::format(
      R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0:.0f} {1:.0f}" width="{0:.0f}" height="{1:.0f}">)"
      "\n<style>{2}</style>\n<rect width=\"100%\" height=\"100%\" "
      "class=\"f-page\"/>\n{3}</svg>\n",
      kPage, top, Style(), body_);
}

}  // namespace peermesh::sim
