#include "tests/sim/experiment/verdicts.h"

namespace peermesh::sim::experiment {

void Verdicts::Listen() {
  listens_ = true;
  all_.clear();
  dead_.clear();
  for (HostIndex host = hosts_.size(); host < world_.hosts(); ++host) {
    hosts_[world_.id(host)] = host;
  }
}

void Verdicts::Changed(HostIndex at, const node::PeerChanged& change) {
  if (!listens_) return;
  const bool dead = change.peer.state == membership::State::kDead && !change.removed;
  if (!dead && dead_.empty()) return;
  const auto about = hosts_.find(change.peer.id);
  if (about == hosts_.end()) return;
  const std::pair key(at, about->second);
  if (dead ? dead_.insert(key).second : !change.removed && dead_.erase(key) > 0) {
    all_.push_back({world_.now(), at, about->second, change.peer.incarnation, dead});
  }
}

}  // namespace peermesh::sim::experiment
