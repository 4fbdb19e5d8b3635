// Who looks on: everything that applications of a world do and see, and what happens to its hosts.
//
// A world tells its witnesses in order of time, what is asked for before it is sent and what came
// before it is judged. They look only: a run is the same with and without them.
#ifndef PEERMESH_TESTS_SIM_WITNESS_H_
#define PEERMESH_TESTS_SIM_WITNESS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mesh/node/effect.h"
#include "mesh/node/input.h"
#include "tests/sim/truth.h"

namespace peermesh::sim {

using HostIndex = std::size_t;
using AppIndex = std::size_t;

// A piece of bad luck. What is over at once (`break`) ends as it begins.
struct Fault {
  std::string kind;              // "kill", as in scripts
  std::vector<HostIndex> hosts;  // that it hits; of a partition, one side of it
};

enum class Goodbye : std::uint8_t { kSaid, kNone };

class Witness {
 public:
  virtual ~Witness() = default;

  virtual void Started(HostIndex) {}
  virtual void Ended(HostIndex, Goodbye) {}  // its node is still there, for the last time
  virtual void Knows(const Process& /*publisher*/, const Process& /*subscriber*/,
                     std::string_view /*pattern*/) {}
  virtual void Forgets(const Process& /*publisher*/, const Process& /*subscriber*/,
                       std::string_view /*pattern*/) {}

  // What it says of another peer.
  virtual void Changed(HostIndex /*at*/, const node::PeerChanged&) {}
  // Data arrived and is about to be handed over.
  virtual void Landed(HostIndex /*from*/, HostIndex /*to*/, const node::DataFrame&) {}

  virtual void Opened(AppIndex) {}
  virtual void Closed(AppIndex) {}
  virtual void Wants(AppIndex, const node::Subscription&) {}
  virtual void Subscribed(AppIndex, const node::Subscribed&) {}
  virtual void Unsubscribed(AppIndex, const std::vector<std::uint32_t>& /*ids*/) {}

  virtual void Publishes(AppIndex, const Accepted&, const std::string& /*target*/) {}
  virtual void Took(AppIndex, const Accepted&, const node::Answer&) {}
  virtual void Refused(AppIndex, const Accepted&, node::Refusal) {}
  virtual void Receives(AppIndex, const flow::Delivery&) {}

  // Numbered from 0.
  virtual void FaultOn(std::size_t, const Fault&) {}
  virtual void FaultOff(std::size_t, const Fault&) {}
  // No fault since, and all that was under way has had its time.
  virtual void Quiet() {}
};

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_WITNESS_H_
