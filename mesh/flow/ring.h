// A queue: first in, first out, on one growing array.
//
// Why not std::deque: it holds 600 bytes before anything is in it, and a peer has four queues for
// every link. An empty ring that was never used holds nothing; one that was keeps kKept bytes, or
// one place, so that a queue that goes from empty to one and back allocates nothing. A ring that
// was long gives its array back by halves while it gets shorter.
//
// Amortised, a push and a pop move at most three elements more. T moves without throwing and may be
// of any size. No bound of its own: the owner has one (limits.h).
//
// Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_FLOW_RING_H_
#define PEERMESH_MESH_FLOW_RING_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>

#include "mesh/base/check.h"

namespace peermesh::flow {

template <class T>
class Ring {
  static_assert(std::is_nothrow_move_constructible_v<T>);

  template <class Owner, class Value>
  class Walk {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = Value*;
    using reference = Value&;
    Walk() = default;
    Walk(Owner* ring, std::size_t at) : ring_(ring), at_(at) {}
    reference operator*() const { return (*ring_)[at_]; }
    pointer operator->() const { return &(*ring_)[at_]; }
    Walk& operator++() {
      ++at_;
      return *this;
    }
    Walk operator++(int) { return Walk(ring_, at_++); }
    friend bool operator==(const Walk&, const Walk&) = default;

   private:
    Owner* ring_ = nullptr;
    std::size_t at_ = 0;
  };

 public:
  using value_type = T;
  using iterator = Walk<Ring, T>;
  using const_iterator = Walk<const Ring, const T>;

  // What an array may take without being given back: guess, two cache lines.
  static constexpr std::size_t kKept = 128;

  Ring() = default;
  Ring(Ring&& other) noexcept { Swap(other); }
  Ring& operator=(Ring&& other) noexcept {
    Ring taken(std::move(other));
    Swap(taken);
    return *this;
  }
  ~Ring() {
    clear();
    Release();
  }

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }

  T& operator[](std::size_t at) { return *Place(at); }
  const T& operator[](std::size_t at) const { return *Place(at); }
  T& front() { return *Place(0); }
  const T& front() const { return *Place(0); }
  T& back() { return *Place(size_ - 1); }
  const T& back() const { return *Place(size_ - 1); }

  template <class... From>
  T& emplace_back(From&&... from) {
    if (size_ == capacity_) {
      T made(std::forward<From>(from)...);  // before the array moves: it may be an element of ours
      Resize(Larger());
      return *std::construct_at(Raw(size_++), std::move(made));
    }
    return *std::construct_at(Raw(size_++), std::forward<From>(from)...);
  }
  void push_back(T value) { emplace_back(std::move(value)); }
  void push_front(T value) {
    if (size_ == capacity_) Resize(Larger());
    first_ = (first_ + capacity_ - 1) & (capacity_ - 1);
    ++size_;
    std::construct_at(Raw(0), std::move(value));
  }
  void pop_front() {
    std::destroy_at(Place(0));
    first_ = (first_ + 1) & (capacity_ - 1);
    --size_;
    if (capacity_ > kSmall && size_ <= capacity_ / 4) Resize(capacity_ / 2);
  }
  void clear() {
    for (std::size_t at = 0; at < size_; ++at) std::destroy_at(Raw(at));
    size_ = first_ = 0;
    if (capacity_ > kSmall) Release();
  }

  // Removes those that `gone` says so of; the others keep their order. How many went.
  template <class Gone>
  friend std::size_t erase_if(Ring& ring, Gone gone) {
    std::size_t kept = 0;
    for (std::size_t at = 0; at < ring.size_; ++at) {
      if (gone(std::as_const(ring[at]))) continue;
      if (kept != at) ring[kept] = std::move(ring[at]);
      ++kept;
    }
    const std::size_t erased = ring.size_ - kept;
    for (std::size_t at = kept; at < ring.size_; ++at) std::destroy_at(ring.Raw(at));
    ring.size_ = static_cast<std::uint32_t>(kept);
    while (ring.capacity_ > kSmall && ring.size_ <= ring.capacity_ / 4) {
      ring.Resize(ring.capacity_ / 2);
    }
    return erased;
  }

  iterator begin() { return {this, 0}; }
  iterator end() { return {this, size_}; }
  const_iterator begin() const { return {this, 0}; }
  const_iterator end() const { return {this, size_}; }

 private:
  static constexpr std::size_t kMost = std::size_t{1} << 31;
  static constexpr std::size_t kSmall = std::bit_floor(std::max<std::size_t>(1, kKept / sizeof(T)));

  T* Raw(std::size_t at) const { return array_ + ((first_ + at) & (capacity_ - 1)); }
  T* Place(std::size_t at) const {
    PM_CHECK(at < size_);
    return Raw(at);
  }
  std::size_t Larger() const { return std::max<std::size_t>(1, std::size_t{2} * capacity_); }
  void Resize(std::size_t capacity) {
    PM_CHECK(std::has_single_bit(capacity) && capacity >= size_ && capacity <= kMost);
    T* const fresh = std::allocator<T>().allocate(capacity);
    for (std::size_t at = 0; at < size_; ++at) {
      std::construct_at(fresh + at, std::move(*Raw(at)));
      std::destroy_at(Raw(at));
    }
    Release();
    array_ = fresh;
    capacity_ = static_cast<std::uint32_t>(capacity);
  }
  void Release() {
    if (array_ != nullptr) std::allocator<T>().deallocate(array_, capacity_);
    array_ = nullptr;
    capacity_ = first_ = 0;
  }
  void Swap(Ring& other) noexcept {
    std::swap(array_, other.array_);
    std::swap(capacity_, other.capacity_);
    std::swap(first_, other.first_);
    std::swap(size_, other.size_);
  }

  T* array_ = nullptr;
  // 32 bits, because a link has three rings and most are empty.
  std::uint32_t capacity_ = 0;  // 0 or a power of two
  std::uint32_t first_ = 0;     // place of the oldest
  std::uint32_t size_ = 0;
};

}  // namespace peermesh::flow

#endif  // PEERMESH_MESH_FLOW_RING_H_
