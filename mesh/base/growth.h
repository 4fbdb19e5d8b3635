// How an array grows that is kept for long, how it is given back, and what it takes meanwhile.
//
// A peer keeps dozens of small arrays, and a simulator ten thousand peers: what std::vector holds
// in reserve would be a third of them all. So these grow by an eighth, not to twice their size. A
// newcomer then costs about eight moves instead of one or two: for arrays that change seldom, not
// for those of every message.
#ifndef PEERMESH_MESH_BASE_GROWTH_H_
#define PEERMESH_MESH_BASE_GROWTH_H_

#include <cstddef>
#include <string>
#include <vector>

namespace peermesh {

// Room for one more at least. Ends the life of iterators.
template <class T>
void MakeRoomForOne(std::vector<T>& array) {
  const std::size_t size = array.size();
  if (size == array.capacity()) array.reserve(size + size / 8 + 1);
}

// What so many bytes take of the heap: glibc adds 8 and rounds up to 16.
constexpr std::size_t HeapBytes(std::size_t size) {
  return size == 0 ? 0 : (size + 8 + 15) / 16 * 16;
}
template <class T>
std::size_t HeapBytes(const std::vector<T>& array) {
  return HeapBytes(array.capacity() * sizeof(T));
}
inline std::size_t HeapBytes(const std::string& text) {
  const bool within = text.capacity() <= std::string().capacity();
  return within ? 0 : HeapBytes(text.capacity() + 1);
}
// A node of a map or a set beside what it holds.
inline constexpr std::size_t kTreeNodeBytes = 32;

// Gives back what it has too much of: more than a quarter beyond what it holds.
template <class T>
void ReturnRoom(std::vector<T>& array) {
  if (array.capacity() > array.size() + array.size() / 4 + 2) array.shrink_to_fit();
}

// Empties it and gives its memory back. `array = {}` keeps it: that assigns an empty list.
template <class T>
void GiveBack(std::vector<T>& array) {
  array = std::vector<T>();
}

}  // namespace peermesh

#endif  // PEERMESH_MESH_BASE_GROWTH_H_
