// Draws runs as one SVG: a time line of the first (what happened to hosts, what is linked, what
// became of messages), and, of several, how many had healed after how long.
//
// Plain SVG with a style sheet of its own: readable on light and dark pages, no scripts, no fonts
// to fetch.
#ifndef PEERMESH_TESTS_SIM_PLOT_H_
#define PEERMESH_TESTS_SIM_PLOT_H_

#include <string>
#include <vector>

#include "tests/sim/run.h"
#include "tests/sim/timeline.h"

namespace peermesh::sim {

// `timeline` is of the first outcome.
std::string Plot(const Script& script, const std::vector<Outcome>& outcomes,
                 const Timeline& timeline);

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_PLOT_H_
