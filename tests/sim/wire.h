// A wire of the world: two ends, each with a lane for control and one for data, and what flies.
//
// Plain data, changed by the world alone. Small, because a large mesh has tens of thousands.
#ifndef PEERMESH_TESTS_SIM_WIRE_H_
#define PEERMESH_TESTS_SIM_WIRE_H_

#include <cstdint>
#include <variant>
#include <vector>

#include "mesh/flow/ring.h"
#include "mesh/node/frame.h"
#include "mesh/node/input.h"
#include "tests/sim/witness.h"

namespace peermesh::sim {

// The end of a connection, on its way.
struct Fin {
  node::DownReason why;
};

struct Flight {
  Instant arrival;
  std::variant<node::ControlFrame, node::DataFrame, Fin> frame;
  std::uint64_t bytes = 0;  // of the window
  std::uint64_t size = 0;   // on the wire; see traffic.h
};

struct WireLane {
  flow::Ring<Flight> flying;
  Instant last_arrival{};
  std::uint32_t unread = 0;  // bytes sent and not consumed: a window, and a frame
  bool blocked = false;      // a SendDone waits for the window
  bool granted = false;      // the receiver may take one data frame
};

struct End {
  std::uint32_t host = 0;
  std::uint32_t process = 0;
  Instant up_since{};  // when it first tried to come up
  bool up = false, gone = false, silent = false;
  bool listed = false;  // its host has it among its wires
  WireLane lanes[2];    // outbound
};

struct Wire {
  End ends[2];  // the dialler first
  DialId dial;
  Duration distance{};  // it is this much slower than others, each way
  bool broken = false;  // nothing but the news of it passes any more
};

// Some hosts apart from all others.
struct Parting {
  std::vector<bool> apart;  // by host
  bool one_way = false;
};

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_WIRE_H_
