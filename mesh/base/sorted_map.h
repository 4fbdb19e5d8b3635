// A map in one array, in order of keys.
//
// Why not std::map: a node of it costs 48 bytes beside what it holds, which for what is kept of
// every peer of a mesh is as much again. Why not FlatMap: there each value has a place of its own,
// for large values and references that last. Here a value moves when others come and go.
//
// A newcomer moves what is behind it: of the largest table, 100 KB in a few microseconds, and peers
// are few times as rare. No bound of its own: the owner has one. Not thread-safe.
#ifndef PEERMESH_MESH_BASE_SORTED_MAP_H_
#define PEERMESH_MESH_BASE_SORTED_MAP_H_

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "mesh/base/check.h"
#include "mesh/base/growth.h"

namespace peermesh {

template <class Key, class Value>
class SortedMap {
 public:
  using value_type = std::pair<Key, Value>;

 private:
  using Entries = std::vector<value_type>;

 public:
  // The key is not to be changed. A change of the map ends the life of iterators and references.
  using iterator = typename Entries::iterator;
  using const_iterator = typename Entries::const_iterator;

  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }
  iterator begin() { return entries_.begin(); }
  iterator end() { return entries_.end(); }
  const_iterator begin() const { return entries_.begin(); }
  const_iterator end() const { return entries_.end(); }

  std::size_t heap_bytes() const { return HeapBytes(entries_); }

  iterator find(const Key& key) { return Find(entries_, key); }
  const_iterator find(const Key& key) const { return Find(entries_, key); }
  bool contains(const Key& key) const { return find(key) != end(); }
  // It is there.
  Value& at(const Key& key) {
    const iterator found = find(key);
    PM_CHECK(found != end());
    return found->second;
  }
  // A new one if there was none.
  Value& operator[](const Key& key) {
    auto at = Place(entries_, key);
    if (at == entries_.end() || at->first != key) {
      const auto index = at - entries_.begin();
      MakeRoomForOne(entries_);
      at = entries_.insert(entries_.begin() + index, value_type(key, Value()));
    }
    return at->second;
  }

  std::size_t erase(const Key& key) {
    const auto at = find(key);
    if (at == end()) return 0;
    entries_.erase(at);
    ReturnRoom(entries_);
    return 1;
  }
  // All entries of which this is true.
  template <class Predicate>
  void EraseIf(Predicate predicate) {
    std::erase_if(entries_, predicate);
    ReturnRoom(entries_);
  }

 private:
  template <class Some>
  static auto Place(Some& entries, const Key& key) {
    return std::lower_bound(entries.begin(), entries.end(), key,
                            [](const value_type& entry, const Key& k) { return entry.first < k; });
  }
  template <class Some>
  static auto Find(Some& entries, const Key& key) {
    const auto at = Place(entries, key);
    return at != entries.end() && at->first == key ? at : entries.end();
  }

  Entries entries_;
};

}  // namespace peermesh

#endif  // PEERMESH_MESH_BASE_SORTED_MAP_H_
