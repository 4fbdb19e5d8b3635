// What the world of one run is like: drawn by the seed from the ranges of its script.
//
// In a stream of its own, so that a world is not changed by what happens in it. A range of more
// than three octaves (100us..20ms) is drawn by octave, so that small values are as likely as large
// ones; a smaller one is drawn evenly. What was drawn is kept as text: a report names it beside the
// seed.
#ifndef PEERMESH_TESTS_SIM_PARAMETERS_H_
#define PEERMESH_TESTS_SIM_PARAMETERS_H_

#include <string>
#include <utility>
#include <vector>

#include "tests/sim/script.h"
#include "tests/sim/world.h"

namespace peermesh::sim {

class Parameters {
 public:
  Parameters(const Script& script, Rng rng);

  std::uint64_t peers = 0, seeds = 0;
  Network network;
  Duration disk{};                  // the longest write to a disk
  Duration stall{}, stall_every{};  // a process stands still for up to `stall`; {}: never
  node::Limits limits;

  // More of them, when the script comes to them. Without a name it is not kept.
  std::uint64_t Draw(const char* name, const Count& count, const char* unit = "");
  Duration Draw(const char* name, const Span& span);

  // Name and value, in the order of drawing: those that a seed may change.
  using Drawn = std::vector<std::pair<std::string, std::string>>;
  const Drawn& drawn() const { return drawn_; }

 private:
  void Note(std::string name, std::string value);

  Rng rng_;
  Drawn drawn_;
};

std::string ToText(const Parameters::Drawn& drawn);  // "peers 4, latency 3.2 ms"

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_PARAMETERS_H_
