// A map of few values: keys side by side in one array, in order, each value in a place of its own.
//
// Why not std::map: its nodes lie anywhere, and each is found through the one before. A walk over
// eight links or a search among them then waits for memory at every step, in every turn; here keys
// share a cache line or two, and the values of a walk are fetched at the same time. As with
// std::map, values stay where they are while others come and go, and a walk is in order of keys.
// Not so: an insertion or a removal moves what is behind it (8 bytes a value and the key), and
// ends the life of iterators.
//
// No bound of its own: the owner has one. Not thread-safe.
#ifndef PEERMESH_MESH_BASE_FLAT_MAP_H_
#define PEERMESH_MESH_BASE_FLAT_MAP_H_

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "mesh/base/check.h"
#include "mesh/base/growth.h"

namespace peermesh {

template <class Key, class Value>
class FlatMap {
  struct Place {
    Key key;
    std::unique_ptr<Value> value;
  };
  using Places = std::vector<Place>;

  // What it shows is made on the way: `for (auto [key, value] : map)`.
  template <class Base, class Shown>
  class Walk {
    using Pair = std::pair<const Key&, Shown&>;
    struct Arrow {
      Pair pair;
      Pair* operator->() { return &pair; }
    };

   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = Pair;
    using difference_type = std::ptrdiff_t;
    using pointer = Arrow;
    using reference = Pair;
    Walk() = default;
    explicit Walk(Base at) : at_(at) {}
    operator Walk<typename Places::const_iterator, const Value>() const {  // NOLINT: as in std
      return Walk<typename Places::const_iterator, const Value>(at_);
    }
    Pair operator*() const { return {at_->key, *at_->value}; }
    Arrow operator->() const { return {**this}; }
    Walk& operator++() {
      ++at_;
      return *this;
    }
    Walk operator++(int) { return Walk(at_++); }
    friend bool operator==(const Walk&, const Walk&) = default;

   private:
    friend class FlatMap;
    Base at_{};
  };

 public:
  using iterator = Walk<typename Places::iterator, Value>;
  using const_iterator = Walk<typename Places::const_iterator, const Value>;
  using value_type = typename const_iterator::value_type;

  bool empty() const { return places_.empty(); }
  std::size_t size() const { return places_.size(); }
  iterator begin() { return iterator(places_.begin()); }
  iterator end() { return iterator(places_.end()); }
  const_iterator begin() const { return const_iterator(places_.begin()); }
  const_iterator end() const { return const_iterator(places_.end()); }

  iterator find(const Key& key) {
    const auto at = Find(places_, key);
    return iterator(at != places_.end() && at->key == key ? at : places_.end());
  }
  const_iterator find(const Key& key) const {
    const auto at = Find(places_, key);
    return const_iterator(at != places_.end() && at->key == key ? at : places_.end());
  }
  bool contains(const Key& key) const { return find(key) != end(); }
  // It is there.
  Value& at(const Key& key) {
    const iterator found = find(key);
    PM_CHECK(found != end());
    return found->second;
  }
  const Value& at(const Key& key) const { return const_cast<FlatMap&>(*this).at(key); }
  // A new one if there was none.
  Value& operator[](const Key& key) {
    auto at = Find(places_, key);
    if (at == places_.end() || at->key != key) {
      auto made = std::make_unique<Value>();
      const auto index = at - places_.begin();
      MakeRoomForOne(places_);
      at = places_.insert(places_.begin() + index, Place{key, std::move(made)});
    }
    return *at->value;
  }

  void erase(const_iterator at) {
    PM_CHECK(at != end());
    places_.erase(at.at_);
    ReturnRoom(places_);
  }
  std::size_t erase(const Key& key) {
    const const_iterator found = std::as_const(*this).find(key);
    if (found == std::as_const(*this).end()) return 0;
    erase(found);
    return 1;
  }

 private:
  template <class Some>
  static auto Find(Some& places, const Key& key) {
    return std::lower_bound(places.begin(), places.end(), key,
                            [](const Place& place, const Key& k) { return place.key < k; });
  }

  Places places_;
};

}  // namespace peermesh

#endif  // PEERMESH_MESH_BASE_FLAT_MAP_H_
