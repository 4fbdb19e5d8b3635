// What will happen, in order of time; things of one moment in the order in which they were planned.
//
// Events are small and plain so that a simulation is not spent in its queue; what does not fit in
// one lies beside, found by a number. Not thread-safe.
#ifndef PEERMESH_TESTS_SIM_AGENDA_H_
#define PEERMESH_TESTS_SIM_AGENDA_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "mesh/base/check.h"
#include "mesh/base/time.h"

namespace peermesh::sim {

enum class EventKind : std::uint8_t {
  kWake,   // a: host, b: its process
  kInput,  // a: host, b: index into the inputs that wait
  kDial,   // a: host, b: index into the dials under way
  kUp,     // a: end, b: wire
  kLand,   // a: sending end, lane: lane, b: wire
  kRead,   // b: application that has read what it was given
  kFeed,   // b: index into the feeds
  kCall,   // b: index into the calls
};

struct Event {
  Instant when;
  std::uint64_t order = 0;
  EventKind kind{};
  std::uint8_t lane = 0;
  std::uint32_t a = 0;
  std::uint64_t b = 0;
};

class Agenda {
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
  std::uint64_t planned() const { return next_; }

 private:
  struct Later {
    bool operator()(const Event& x, const Event& y) const {
      return x.when != y.when ? x.when > y.when : x.order > y.order;
    }
  };
  std::vector<Event> heap_;
  std::uint64_t next_ = 0;
};

// Values that wait for their event, at places that are used again.
template <typename T>
class Waiting {
 public:
  std::uint64_t Put(T value) {
    if (free_.empty()) {
      places_.push_back(std::move(value));
      return places_.size() - 1;
    }
    const std::uint64_t place = free_.back();
    free_.pop_back();
    places_[place] = std::move(value);
    return place;
  }
  T Take(std::uint64_t place) {
    T value = std::move(places_.at(place));
    places_[place] = T{};
    free_.push_back(place);
    return value;
  }

 private:
  std::vector<T> places_;
  std::vector<std::uint64_t> free_;
};

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_AGENDA_H_
