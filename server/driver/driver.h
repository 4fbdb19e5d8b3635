// Drives the node: the only place that gives it time and randomness, and the one lock around it.
//
// The turn runs inline on whichever thread brings a fact: facts go to an inbox, and the thread that
// finds nobody at work drains it, for others too. There is no node thread; a hop to one costs more
// than a turn. Wishes are performed by the same thread right after the facts, in order. Performing
// never blocks and never calls back into a stream's handler, so a turn cannot wait for itself.
//
// Bounds: links and sessions owe a bounded number of facts each, and so bound the inbox.
// Thread-safe.
#ifndef PEERMESH_SERVER_DRIVER_DRIVER_H_
#define PEERMESH_SERVER_DRIVER_DRIVER_H_

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "mesh/node/node.h"
#include "server/journal/journal.h"
#include "server/link/queue.h"

namespace peermesh::driver {

// The time a node is told: microseconds of the steady clock.
Instant SteadyNow();
WallTime WallNow();
// The wall time at which the steady clock shows `instant`, by the present relation of the two.
WallTime ToWall(Instant instant);

// A seed from the operating system.
Rng::Seed OsSeed();

// Performs the wishes of a node. Called on the thread that runs the turn, one at a time, in order;
// must not block. May call Driver::Post.
class World {
 public:
  virtual ~World() = default;
  virtual void Perform(node::SendControl wish) = 0;
  virtual void Perform(node::SendData wish) = 0;
  virtual void Perform(node::ReadNext wish) = 0;
  virtual void Perform(node::Close wish) = 0;
  virtual void Perform(node::Dial wish) = 0;
  virtual void Perform(node::Deliver wish) = 0;
  virtual void Perform(node::Answer wish) = 0;
  virtual void Perform(node::Subscribed wish) = 0;
  virtual void Perform(node::CloseSession wish) = 0;
  virtual void Perform(node::SignRecord wish) = 0;
  virtual void Perform(node::Persist wish) = 0;
  virtual void Perform(node::Forget wish) = 0;
  virtual void Perform(node::PeerChanged wish) = 0;
  virtual void Perform(node::Note wish) = 0;
  virtual void Perform(node::Drained wish) = 0;
  virtual void Perform(node::Pinged wish) = 0;
  virtual void Perform(node::SignPiece wish) = 0;
  virtual void Perform(node::SignStatement wish) = 0;
};

class Driver {
 public:
  // `timers` is where wake-ups are kept. Its thread must have ended before the driver does: a timer
  // that fires while it is cancelled may still run. `journal` may be null.
  Driver(std::unique_ptr<node::Node> node, World& world, link::Queue& timers,
         std::unique_ptr<journal::Writer> journal);
  // Stop() must have been called.
  ~Driver();
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  // The first turn.
  void Start();
  // Hands over a fact; runs the turn unless somebody else does. Ignored after Stop.
  void Post(node::Input input);
  // Runs `look` within the turn: the only way to see the node. Not run after Stop.
  void Look(std::function<void(const node::Node&)> look);
  // As Look, and waits until it has run. False after Stop. Never from within a turn.
  bool LookNow(const std::function<void(const node::Node&)>& look);
  // No turn runs after its return. Not from within a turn.
  void Stop();

 private:
  struct WakeUp {};
  using Look_ = std::function<void(const node::Node&)>;
  using Entry = std::variant<node::Input, Look_, WakeUp>;
  void Enqueue(Entry entry);
  void Turn(std::vector<Entry>& entries);
  void Record(Instant now, bool wake, const std::vector<Entry>& entries);
  void Arm();

  // Constant after construction.
  const std::unique_ptr<node::Node> node_;
  World& world_;
  link::Queue& timers_;

  // State of the turn: whoever set `turning_` owns it.
  const std::unique_ptr<journal::Writer> journal_;
  node::Effects effects_;
  std::vector<Entry> batch_;
  Instant armed_ = kNever;
  link::Queue::TimerId timer_ = 0;

  std::mutex mutex_;
  std::condition_variable idle_;
  std::vector<Entry> inbox_;
  bool turning_ = false;
  bool stopped_ = false;
};

}  // namespace peermesh::driver

#endif  // PEERMESH_SERVER_DRIVER_DRIVER_H_
