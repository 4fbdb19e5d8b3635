// How an array grows that is kept for long, and how it is given back.
//
// A peer keeps dozens of small arrays, and a simulator ten thousand peers: what std::vector holds
// in reserve would be a third of them all. So these grow by an eighth, not to twice their size. A
// newcomer then costs about eight moves instead of one or two: for arrays that change seldom, not
// for those of every message.
#ifndef PEERMESH_MESH_BASE_GROWTH_H_
#define PEERMESH_MESH_BASE_GROWTH_H_

#include <cstddef>
#include <vector>

namespace peermesh {

// Room for one more at least. Ends the life of iterators.
template <class T>
void MakeRoomForOne(std::vector<T>& array) {
  const std::size_t size = array.size();
  if (size == array.capacity()) array.reserve(size + size / 8 + 1);
}

// Empties it and gives its memory back. `array = {}` keeps it: that assigns an empty list.
template <class T>
void GiveBack(std::vector<T>& array) {
  array = std::vector<T>();
}

}  // namespace peermesh

#endif  // PEERMESH_MESH_BASE_GROWTH_H_
