// What a run looked like: its faults from beginning to end, and ten times a second what runs, what
// is linked and what became of messages. `plot.h` draws it.
//
// A witness of one run. Looking does not change the run.
#ifndef PEERMESH_TESTS_SIM_TIMELINE_H_
#define PEERMESH_TESTS_SIM_TIMELINE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/world.h"

namespace peermesh::sim {

inline constexpr Duration kSampleEvery = std::chrono::milliseconds(100);

class Timeline final : public Witness {
 public:
  struct Sample {
    Duration when{};
    std::size_t running = 0;  // processes that are not paused
    std::size_t linked = 0;   // ordered pairs of processes: the first has a link to the second
    std::size_t seen = 0;     // ordered pairs of processes: the first believes the second alive
    // Since the last sample. `owed`: deliveries that were promised when messages were taken.
    std::uint64_t owed = 0, delivered = 0, lost = 0;
  };
  struct Band {
    Fault fault;
    Duration begin{};
    std::optional<Duration> end;  // none: it lasted to the end of the run
  };

  // Samples from now on. `world` outlives it.
  void Watch(World& world);

  const std::vector<Sample>& samples() const { return samples_; }
  const std::vector<Band>& bands() const { return bands_; }
  std::size_t hosts() const { return hosts_; }
  std::optional<Duration> quiet() const { return quiet_; }

  void Took(AppIndex app, const Accepted& message, const node::Answer& answer) override;
  void Receives(AppIndex app, const flow::Delivery& delivery) override;
  void FaultOn(std::size_t number, const Fault& fault) override;
  void FaultOff(std::size_t number, const Fault& fault) override;
  void Quiet() override;

 private:
  void Look();
  Duration Now() const { return world_->now() - begin_; }

  World* world_ = nullptr;
  Instant begin_{};
  Sample next_;
  std::vector<Sample> samples_;
  std::vector<Band> bands_;  // by number
  std::size_t hosts_ = 0;
  std::optional<Duration> quiet_;
};

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_TIMELINE_H_
