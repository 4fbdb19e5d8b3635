// Panels with axes, curves and a legend, one below the other, as one SVG.
//
// Plain SVG with a style sheet of its own: readable on light and dark pages, no scripts, no fonts
// to fetch. Colours have names: blue, green, red, amber, violet, grey; ink, soft, grid, page.
#ifndef PEERMESH_TESTS_SIM_DRAWING_H_
#define PEERMESH_TESTS_SIM_DRAWING_H_

#include <string>
#include <utility>
#include <vector>

namespace peermesh::sim {

// 1, 2 or 5 times a power of ten, so that about `wanted` of them make up `range`.
double StepOf(double range, double wanted);

class Drawing {
 public:
  static constexpr double kLeft = 96, kWidth = 1000, kPage = 1130;  // of the panels; of the page
  static constexpr double kTitle = 74, kRow = 18, kPanel = 150, kBetween = 62;

  double top = kTitle;  // of the panel that is drawn

  void Add(const std::string& element) { body_ += element + "\n"; }
  void Text(double x, double y, const std::string& text, const char* anchor = "start",
            const char* style = "f-soft");
  void Box(double x, double y, double width, double height, const char* colour, double opacity);
  void Grid(double x1, double y1, double x2, double y2);
  // A panel of this height: `most` and unit of its vertical axis.
  void Panel(const std::string& name, double height, double most, const std::string& unit);
  void Axis(double height, double most, const std::string& name);
  // Steps through (x, y) of 0 to 1, filled below if wanted.
  void Curve(const std::vector<std::pair<double, double>>& points, double height,
             const char* colour, bool filled);
  void Legend(const std::vector<std::pair<std::string, const char*>>& entries);
  std::string Finish() const;

 private:
  std::string body_;
};

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_DRAWING_H_
