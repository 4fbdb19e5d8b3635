// What will happen, in order of time; things of one moment in the order in which they were planned.
//
// A radix heap: virtual time never goes back, so an event lies with those whose time differs from
// the present in the same highest bit, and is moved only when that bit is the next to change. Ten
// times cheaper than a binary heap of a hundred thousand events, and things of one moment keep
// their order by themselves.
//
// Events are small and plain so that a simulation is not spent in its queue; what does not fit in
// one lies beside, found by a number. Not thread-safe.
#ifndef PEERMESH_TESTS_SIM_AGENDA_H_
#define PEERMESH_TESTS_SIM_AGENDA_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <utility>
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
  EventKind kind{};
  std::uint8_t lane = 0;
  std::uint32_t a = 0;
  std::uint64_t b = 0;
};

class Agenda {
 public:
  // Not before the last event that was taken.
  void Add(Event event) {
    PM_CHECK(event.when >= last_);
    Put(event);
    ++planned_;
  }
  // The first event, unless it is later than `limit`.
  std::optional<Event> Take(Instant limit) {
    if (taken_ == buckets_[0].events.size()) {
      Empty(buckets_[0].events);
      taken_ = 0;
      if (!Advance(limit)) return std::nullopt;
    } else if (last_ > limit) {
      return std::nullopt;
    }
    return buckets_[0].events[taken_++];
  }
  std::uint64_t planned() const { return planned_; }

 private:
  struct Bucket {
    std::vector<Event> events;
    Instant first = kNever;
  };

  void Put(const Event& event) {
    const auto differs = static_cast<std::uint64_t>(event.when.time_since_epoch().count() ^
                                                    last_.time_since_epoch().count());
    Bucket& bucket = buckets_[static_cast<std::size_t>(std::bit_width(differs))];
    bucket.events.push_back(event);
    bucket.first = std::min(bucket.first, event.when);
  }
  // One burst of events is no reason to keep its room.
  static void Empty(std::vector<Event>& events) {
    if (events.capacity() > 64 && events.capacity() > 4 * events.size()) {
      events = {};
    } else {
      events.clear();
    }
  }
  // Moves on to the next moment at which there is something.
  bool Advance(Instant limit) {
    std::size_t next = 1;
    while (next < buckets_.size() && buckets_[next].events.empty()) ++next;
    if (next == buckets_.size() || buckets_[next].first > limit) return false;
    last_ = std::exchange(buckets_[next].first, kNever);
    moving_.swap(buckets_[next].events);
    for (const Event& event : moving_) Put(event);
    Empty(moving_);
    return true;
  }

  // [0]: those of last_; [n]: those whose time differs from it in bit n - 1 and none above.
  std::array<Bucket, 65> buckets_;
  std::size_t taken_ = 0;  // of buckets_[0]
  Instant last_{};
  std::vector<Event> moving_;
  std::uint64_t planned_ = 0;
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
