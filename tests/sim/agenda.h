// What will happen, in order of time; things of one moment in the order in which they were planned.
//
// A radix heap: virtual time never goes back, so an event lies with those whose time differs from
// the present in the same highest bit, and is moved only when that bit is the next to change. Ten
// times cheaper than a binary heap of a hundred thousand events, and things of one moment keep
// their order by themselves.
//
// Buckets are chains of blocks, which go from one to the other: what lies in the agenda takes its
// room once, however a burst of events moved through the buckets.
//
// Events are small and plain so that a simulation is not spent in its queue; what does not fit in
// one lies beside, found by a number. Not thread-safe.
#ifndef PEERMESH_TESTS_SIM_AGENDA_H_
#define PEERMESH_TESTS_SIM_AGENDA_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
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
    Chain& now = buckets_[0].events;
    if (now.empty()) {
      if (!Advance(limit)) return std::nullopt;
    } else if (last_ > limit) {
      return std::nullopt;
    }
    return Pop(now);
  }
  std::uint64_t planned() const { return planned_; }

 private:
  struct Block {
    static constexpr std::size_t kEvents = 127;  // 3 KB
    std::array<Event, kEvents> events;
    std::unique_ptr<Block> next;
  };
  // The oldest event is in the first block at `taken`, the newest in the last one before `put`.
  struct Chain {
    std::unique_ptr<Block> first;
    Block* last = nullptr;
    std::size_t taken = 0, put = 0;
    bool empty() const { return first == nullptr; }
  };
  struct Bucket {
    Chain events;
    Instant first = kNever;
  };

  void Put(const Event& event) {
    const auto differs = static_cast<std::uint64_t>(event.when.time_since_epoch().count() ^
                                                    last_.time_since_epoch().count());
    Bucket& bucket = buckets_[static_cast<std::size_t>(std::bit_width(differs))];
    Chain& chain = bucket.events;
    if (chain.empty() || chain.put == Block::kEvents) {
      std::unique_ptr<Block>& place = chain.empty() ? chain.first : chain.last->next;
      place = spare_ != nullptr ? std::move(spare_) : std::make_unique<Block>();
      chain.last = place.get();
      chain.put = 0;
    }
    chain.last->events[chain.put++] = event;
    bucket.first = std::min(bucket.first, event.when);
  }
  Event Pop(Chain& chain) {
    const Event event = chain.first->events[chain.taken++];
    const bool all = chain.first.get() == chain.last && chain.taken == chain.put;
    if (all || chain.taken == Block::kEvents) {
      std::unique_ptr<Block> used = std::exchange(chain.first, std::move(chain.first->next));
      chain.taken = 0;
      if (spare_ == nullptr) spare_ = std::move(used);
    }
    return event;
  }
  // Moves on to the next moment at which there is something.
  bool Advance(Instant limit) {
    std::size_t next = 1;
    while (next < buckets_.size() && buckets_[next].events.empty()) ++next;
    if (next == buckets_.size() || buckets_[next].first > limit) return false;
    last_ = std::exchange(buckets_[next].first, kNever);
    Chain moving = std::move(buckets_[next].events);
    buckets_[next].events = {};
    while (!moving.empty()) Put(Pop(moving));
    return true;
  }

  // [0]: those of last_; [n]: those whose time differs from it in bit n - 1 and none above.
  std::array<Bucket, 65> buckets_;
  Instant last_{};
  std::unique_ptr<Block> spare_;
  std::uint64_t planned_ = 0;
};

// Values that wait for their event, at places that are used again.
template <typename T>
class Waiting {
 public:
  std::uint64_t Put(T value) {
    if (free_.empty()) {
      free_.push_back(places_.size());
      places_.emplace_back();
    }
    const std::uint64_t place = free_.back();
    free_.pop_back();
    places_[place] = std::make_unique<T>(std::move(value));
    return place;
  }
  T Take(std::uint64_t place) {
    const std::unique_ptr<T> value = std::move(places_.at(place));
    PM_CHECK(value != nullptr);
    free_.push_back(place);
    return std::move(*value);
  }

 private:
  std::vector<std::unique_ptr<T>> places_;
  std::vector<std::uint64_t> free_;
};

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_AGENDA_H_
