#include "tests/sim/timeline.h"

#include <utility>

namespace peermesh::sim {

void Timeline::Watch(World& world) {
  world_ = &world;
  begin_ = world.now();
  world.witnesses.push_back(this);
  Look();
}

void Timeline::Look() {
  Sample sample = std::exchange(next_, {});
  sample.when = Now();
  hosts_ = std::max(hosts_, world_->hosts());
  for (HostIndex a = 0; a < world_->hosts(); ++a) {
    if (!world_->running(a) || world_->paused(a)) continue;
    ++sample.running;
    for (const membership::PeerView& row : world_->node(a).Peers()) {
      if (row.id == world_->id(a)) continue;
      sample.linked += row.connection == membership::Connection::kConnected ? 1 : 0;
      sample.seen += row.state == membership::State::kAlive ? 1 : 0;
    }
  }
  samples_.push_back(sample);
  world_->At(world_->now() + kSampleEvery, [this] { Look(); });
}

void Timeline::Took(AppIndex app, const Accepted& message, const node::Answer&) {
  next_.owed += world_->CountOwed(world_->ProcessOf(world_->app(app).host), message);
}

void Timeline::Receives(AppIndex, const flow::Delivery& delivery) {
  next_.delivered += delivery.items.size();
  if (delivery.is_gap()) next_.lost += delivery.gap_to - delivery.gap_from + 1;
}

void Timeline::FaultOn(std::size_t, const Fault& fault) { bands_.push_back({fault, Now(), {}}); }
void Timeline::FaultOff(std::size_t number, const Fault&) { bands_.at(number).end = Now(); }
void Timeline::Quiet() { quiet_ = Now(); }

}  // namespace peermesh::sim
