// The applications of a run: with each process of a host come its readers and, while there is load,
// its writer.
//
// Not thread-safe; one run.
#ifndef PEERMESH_TESTS_SIM_CROWD_H_
#define PEERMESH_TESTS_SIM_CROWD_H_

#include <vector>

#include "mesh/base/rng.h"
#include "tests/sim/parameters.h"
#include "tests/sim/script.h"
#include "tests/sim/world.h"

namespace peermesh::sim {

class Crowd {
 public:
  // All outlive it.
  Crowd(World& world, Parameters& parameters, Rng& rng)
      : world_(world), parameters_(parameters), rng_(rng) {}

  // From now on, instead of what was; on the hosts that run and those that start.
  void Begin(const Load& load);
  void Begin(const Readers& readers);
  void EndLoad();
  void Arrive(HostIndex host);  // it started
  void OpenReader(HostIndex host);
  // Nobody is slow any more.
  void ReadOn();

 private:
  void OpenReaders(HostIndex host);
  void OpenWriter(HostIndex host);

  World& world_;
  Parameters& parameters_;
  Rng& rng_;
  // The load, if there is one.
  bool loaded_ = false;
  Count size_{100, 100};  // of messages; each writer has one of its own
  std::uint64_t subjects_ = 8;
  Duration pause_{};  // of each writer, between two messages
  std::vector<AppIndex> writers_;
  // The readers.
  Readers readers_{.each = {0, 0}};
  std::uint64_t each_ = 0, everything_ = 0, slow_ = 0, pace_ = 0;
};

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_CROWD_H_
