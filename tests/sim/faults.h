// The pieces of bad luck of a run, from their beginning to their end, told to the world's
// witnesses.
#ifndef PEERMESH_TESTS_SIM_FAULTS_H_
#define PEERMESH_TESTS_SIM_FAULTS_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/world.h"

namespace peermesh::sim {

class Faults {
 public:
  // `world` outlives it.
  explicit Faults(World& world) : world_(world) {}

  void Once(const std::string& kind, std::vector<HostIndex> hosts) {
    const std::size_t number = Begin(kind, std::move(hosts));
    End(number);
  }
  // Until Over of the same word, of all or of one host.
  void Lasting(const std::string& kind, std::vector<HostIndex> hosts) {
    const std::size_t number = Begin(kind, std::move(hosts));
    lasting_.emplace(kind, number);
  }
  void Over(const std::string& kind) {
    const auto [first, last] = lasting_.equal_range(kind);
    for (auto it = first; it != last; it = lasting_.erase(it)) End(it->second);
  }
  void Over(const std::string& kind, HostIndex host) {
    const auto [first, last] = lasting_.equal_range(kind);
    for (auto it = first; it != last;) {
      if (all_[it->second].hosts == std::vector{host}) {
        End(it->second);
        it = lasting_.erase(it);
      } else {
        ++it;
      }
    }
  }
  std::size_t count() const { return all_.size(); }

 private:
  std::size_t Begin(const std::string& kind, std::vector<HostIndex> hosts) {
    all_.push_back({kind, std::move(hosts)});
    for (Witness* witness : world_.witnesses) witness->FaultOn(all_.size() - 1, all_.back());
    return all_.size() - 1;
  }
  void End(std::size_t number) {
    for (Witness* witness : world_.witnesses) witness->FaultOff(number, all_[number]);
  }

  World& world_;
  std::vector<Fault> all_;
  std::multimap<std::string, std::size_t> lasting_;
};

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_FAULTS_H_
