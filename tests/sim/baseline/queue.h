// What will happen to the members of classic SWIM, in order of time; things of one moment in the
// order in which they were planned. Events are small; what belongs to one lies in a Pool.
#ifndef PEERMESH_TESTS_SIM_BASELINE_QUEUE_H_
#define PEERMESH_TESTS_SIM_BASELINE_QUEUE_H_

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "mesh/base/check.h"
#include "mesh/base/time.h"

namespace peermesh::sim::baseline {

enum class EventKind : std::uint8_t {
  kPeriod,    // of a member; comes again
  kGossip,    // of a member
  kTimer,     // of a member; place: in the pool of timers
  kDatagram,  // for a member; place: in the pool of datagrams
  kRead,      // a member has worked off the first datagram of its inbox
  kPause,
  kResume,
  kCrash,
};

struct Event {
  Instant when{};
  std::uint64_t order = 0;
  EventKind kind{};
  std::uint32_t member = 0;
  std::uint64_t place = 0;
};

class Queue {
 public:
  void Add(Event event) {
    event.order = next_++;
    heap_.push_back(event);
    std::push_heap(heap_.begin(), heap_.end(), Later{});
  }
  bool empty() const { return heap_.empty(); }
  Instant next() const { return heap_.front().when; }
  Event Take() {
    PM_CHECK(!heap_.empty());
    std::pop_heap(heap_.begin(), heap_.end(), Later{});
    const Event event = heap_.back();
    heap_.pop_back();
    return event;
  }

 private:
  struct Later {
    bool operator()(const Event& x, const Event& y) const {
      return x.when != y.when ? x.when > y.when : x.order > y.order;
    }
  };
  std::vector<Event> heap_;
  std::uint64_t next_ = 0;
};

// Values at numbered places; a place is used again once its value was taken.
template <typename T>
class Pool {
 public:
  std::uint64_t Put(T value) {
    if (free_.empty()) {
      values_.push_back(std::move(value));
      return values_.size() - 1;
    }
    const std::uint64_t place = free_.back();
    free_.pop_back();
    values_[place] = std::move(value);
    return place;
  }
  T Take(std::uint64_t place) {
    T value = std::move(values_.at(place));
    free_.push_back(place);
    return value;
  }

 private:
  std::vector<T> values_;
  std::vector<std::uint64_t> free_;
};

}  // namespace peermesh::sim::baseline

#endif  // PEERMESH_TESTS_SIM_BASELINE_QUEUE_H_
