// Draws the comparison as one SVG for a page: small multiples of horizontal bars, one panel a
// figure.
//
// Plain SVG with a style sheet of its own, readable on light and dark pages at 720 pixels; the
// palette is that of the plots of runs (tests/sim/plot.cc).
#ifndef PEERMESH_TESTS_SIM_COMPARE_CHART_H_
#define PEERMESH_TESTS_SIM_COMPARE_CHART_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/compare/measure.h"

namespace peermesh::sim::compare {

struct Row {
  Way way = Way::kOurs;
  std::size_t peers = 0;
  Figures figures;
};

// Of the rows with that many peers.
std::string Chart(const std::vector<Row>& rows, std::size_t peers, std::uint64_t seeds);

}  // namespace peermesh::sim::compare

#endif  // PEERMESH_TESTS_SIM_COMPARE_CHART_H_
