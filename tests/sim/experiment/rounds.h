// Looks on while messages are broadcast: who had each of them when, over how many links, and how
// many copies travelled.
//
// A witness of one run; it changes nothing. Not thread-safe.
#ifndef PEERMESH_TESTS_SIM_EXPERIMENT_ROUNDS_H_
#define PEERMESH_TESTS_SIM_EXPERIMENT_ROUNDS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/experiment/figures.h"
#include "tests/sim/experiment/plan.h"
#include "tests/sim/world.h"

namespace peermesh::sim::experiment {

struct Round {
  Instant published{};
  HostIndex origin = 0;
  std::vector<Instant> delivered;   // by host; kNever: not
  std::vector<std::uint32_t> hops;  // by host: links that its first copy came over; 0: none came
  std::uint64_t copies = 0;         // that reached a peer
};

class Rounds final : public Witness {
 public:
  // `world` outlives it.
  explicit Rounds(World& world) : world_(world) {}

  // One round: an application publishes one message.
  void Publish(AppIndex app, const std::string& subject, std::uint64_t bytes);
  const std::vector<Round>& all() const { return rounds_; }
  // Copies that each host sent, of all rounds so far.
  std::uint64_t SentBy(HostIndex host) const;
  // On the wires, with framing: of all frames with any of these messages.
  const Traffic::Count& received() const { return received_; }
  void Clear();

  void Publishes(AppIndex app, const Accepted& message, const std::string& target) override;
  void Receives(AppIndex app, const flow::Delivery& delivery) override;
  void Landed(HostIndex from, HostIndex to, const node::DataFrame& frame) override;

 private:
  Round* Find(const Batch& batch, const peermesh::Row& row);

  World& world_;
  std::vector<Round> rounds_;
  std::map<std::uint64_t, std::size_t> by_id_;  // of messages
  bool publishing_ = false;
  Traffic::Count received_;
  std::vector<std::uint64_t> sent_;  // by host
};

// Figures of these rounds, for who is in `owed`: [host]. Rounds are numbered from 1.
//   delivered[k], eventually[k]  share that had it within the bound, and by now
//   delivered, missed, late      mean of the shares; how many never had one, or not in time
//   redundancy, redundancy_max   copies for each of those that had it but one, less 1 (RMR)
//   hops_last, hops_last_max     links to the last one (LDH): mean of rounds, most
//   last_mean, last_max          seconds until the last one had it
// `failed`: when peers failed, if they did; the curve of repair begins there.
void Describe(const std::vector<Round>& rounds, const std::vector<bool>& owed,
              const Broadcast& broadcast, std::optional<Instant> failed, Figures& figures,
              Curves& curves);

}  // namespace peermesh::sim::experiment

#endif  // PEERMESH_TESTS_SIM_EXPERIMENT_ROUNDS_H_
