// A world on which an experiment takes place: peers that join and fail, applications on each, who
// looks on, and what the time costs.
//
// Deterministic: the same plan and seed give the same run. Not thread-safe.
#ifndef PEERMESH_TESTS_SIM_EXPERIMENT_STAGE_H_
#define PEERMESH_TESTS_SIM_EXPERIMENT_STAGE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mesh/base/rng.h"
#include "tests/sim/experiment/account.h"
#include "tests/sim/experiment/figures.h"
#include "tests/sim/experiment/graph.h"
#include "tests/sim/experiment/plan.h"
#include "tests/sim/experiment/rounds.h"
#include "tests/sim/experiment/verdicts.h"
#include "tests/sim/world.h"

namespace peermesh::sim::experiment {

class Stage {
 public:
  Stage(const Plan& plan, std::uint64_t seed);

  const Plan& plan;
  const std::uint64_t seed;
  World world;
  Rng rng;
  Rounds rounds;
  Verdicts verdicts;
  Account account;
  Outcome outcome;
  std::optional<Instant> failed_at;  // when peers last failed

  // --- Peers ---
  std::vector<HostIndex> Running() const;
  // One more peer, which knows the first `seeds` at its start, with an application if there are
  // messages in this experiment.
  void Add(std::uint64_t seeds);
  // Different ones of those that run.
  std::vector<HostIndex> Draw(std::size_t count);
  std::vector<HostIndex> Draw(const Victims& victims);
  void Take(HostIndex host, Manner manner);
  // Who is whose neighbour, of those that run: numbers are places in Running().
  Graph Neighbors() const;
  // Whether `at` takes `about` for alive or suspect.
  bool Believes(HostIndex at, HostIndex about) const;

  // --- Messages ---
  AppIndex app(HostIndex host) const { return apps_.at(host); }
  bool messages() const { return messages_; }
  void Offer(const Offered& load);

  // --- Time ---
  void Advance(Duration span);
  // Does this later, before the run ends.
  void LookAgain(Duration in, std::function<void()> look);
  // Until that is done.
  void Finish();
  // The neighbours and links of the first peer are looked at from now on.
  void WatchContact();
  double peer_seconds() const { return outcome.peer_seconds; }
  double cpu_seconds() const { return outcome.cpu_seconds; }

  // What all hosts have sent and received together.
  Traffic AllTraffic() const;

  // Bytes that were allocated since this stage was set up, by all threads.
  double BytesInUse() const;

 private:
  void OfferOne(std::uint64_t load);
  void LookAtContact(Instant until, Duration every);

  std::vector<AppIndex> apps_;  // by host
  Instant last_look_{};
  bool messages_ = false;
  Offered load_;
  std::uint64_t load_number_ = 0;  // so that an old load ends
  std::size_t neighbors_most_ = 0, links_most_ = 0;
  std::size_t bytes_before_ = 0;
};

}  // namespace peermesh::sim::experiment

#endif  // PEERMESH_TESTS_SIM_EXPERIMENT_STAGE_H_
