// Keeps account of a stream of messages that every application wants: each must come or be
// announced as lost.
//
// What is owed: every message that was accepted `kMeeting` or more after an application had
// subscribed, by a peer that had been there as long. And from the first one of a process that
// came, every number after it, whoever was there when: in order, each once, holes announced.
// Judges by numbers alone, so it knows nothing of links or trees. Not thread-safe.
#ifndef PEERMESH_TESTS_SIM_EXPERIMENT_ACCOUNT_H_
#define PEERMESH_TESTS_SIM_EXPERIMENT_ACCOUNT_H_

#include <cstdint>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/sim/experiment/figures.h"
#include "tests/sim/world.h"

namespace peermesh::sim::experiment {

// A new peer and all others hear of each other within it: a seed may be tried kRedialMax (10 s)
// later only, and the rest is a guess.
inline constexpr Duration kMeeting = std::chrono::seconds(15);
static_assert(kMeeting > kRedialMax);

class Account final : public Witness {
 public:
  // `world` outlives it.
  explicit Account(const World& world) : world_(world) {}

  // accepted; came (deliveries); announced (numbers in gaps); missing: neither; repeated: came
  // again; belated: came after it was announced as lost.
  void Describe(Figures& figures) const;

  void Started(HostIndex host) override;
  void Subscribed(AppIndex app, const node::Subscribed& subscribed) override;
  void Took(AppIndex app, const Accepted& message, const node::Answer& answer) override;
  void Receives(AppIndex app, const flow::Delivery& delivery) override;

 private:
  using Stream = std::tuple<PeerId, std::uint64_t, std::uint32_t>;  // origin, epoch, channel
  struct Got {
    std::uint64_t first = 0, next = 0;
    std::uint64_t delivered = 0, announced = 0, holes = 0, repeated = 0, belated = 0;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> gaps;  // both ends included
  };
  static void Take(Got& got, std::uint64_t number);
  static void TakeGap(Got& got, std::uint64_t from, std::uint64_t to);

  const World& world_;
  std::map<PeerId, Instant> started_;
  std::map<AppIndex, Instant> subscribed_;
  std::map<Stream, std::vector<Instant>> accepted_;  // when: [number - 1]
  std::map<std::pair<AppIndex, Stream>, Got> got_;
};

}  // namespace peermesh::sim::experiment

#endif  // PEERMESH_TESTS_SIM_EXPERIMENT_ACCOUNT_H_
