// Listens to what peers decide about each other: who takes whom for dead, and when.
//
// A witness of one run; it changes nothing. Not thread-safe.
#ifndef PEERMESH_TESTS_SIM_EXPERIMENT_VERDICTS_H_
#define PEERMESH_TESTS_SIM_EXPERIMENT_VERDICTS_H_

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "tests/sim/world.h"

namespace peermesh::sim::experiment {

class Verdicts final : public Witness {
 public:
  struct Verdict {
    Instant when{};
    HostIndex at = 0, about = 0;
    std::uint64_t incarnation = 0;
    bool dead = false;  // or alive again
  };

  // `world` outlives it.
  explicit Verdicts(const World& world) : world_(world) {}

  // From now on, until Stop; forgets what was heard before.
  void Listen();
  void Stop() { listens_ = false; }
  const std::vector<Verdict>& all() const { return all_; }

  void Changed(HostIndex at, const node::PeerChanged& change) override;

 private:
  const World& world_;
  bool listens_ = false;
  std::map<PeerId, HostIndex> hosts_;
  std::vector<Verdict> all_;
  std::set<std::pair<HostIndex, HostIndex>> dead_;  // at whom, about whom
};

}  // namespace peermesh::sim::experiment

#endif  // PEERMESH_TESTS_SIM_EXPERIMENT_VERDICTS_H_
