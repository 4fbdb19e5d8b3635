#include "mesh/membership/roll.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "mesh/base/check.h"

namespace peermesh::membership {
namespace {

template <class Records>
auto Place(Records& chunk, const PeerId& peer) {
  return std::lower_bound(
      chunk.begin(), chunk.end(), peer,
      [](const RecordRef& record, const PeerId& id) { return record->id < id; });
}

}  // namespace

std::size_t Roll::ChunkOf(const PeerId& peer) const {
  PM_CHECK(!chunks_.empty());
  const auto behind =
      std::upper_bound(chunks_.begin(), chunks_.end(), peer,
                       [](const PeerId& id, const Chunk& chunk) { return id < chunk.front()->id; });
  return behind == chunks_.begin()
             ? 0
             : static_cast<std::size_t>(std::distance(chunks_.begin(), behind)) - 1;
}

RecordRef Roll::Find(const PeerId& peer) const {
  if (chunks_.empty()) return {};
  const Chunk& chunk = chunks_[ChunkOf(peer)];
  const auto at = Place(chunk, peer);
  return at != chunk.end() && (*at)->id == peer ? *at : RecordRef();
}

void Roll::Put(RecordRef record) {
  if (chunks_.empty()) {
    chunks_.push_back({std::move(record)});
    size_ = 1;
    return;
  }
  std::size_t index = ChunkOf(record->id);
  const auto known = Place(chunks_[index], record->id);
  if (known != chunks_[index].end() && (*known)->id == record->id) {
    *known = std::move(record);
    return;
  }
  if (chunks_[index].size() == kMaxChunk) {
    const auto half = chunks_[index].begin() + kMaxChunk / 2;
    Chunk upper(std::make_move_iterator(half), std::make_move_iterator(chunks_[index].end()));
    chunks_[index].erase(half, chunks_[index].end());
    chunks_.insert(chunks_.begin() + static_cast<std::ptrdiff_t>(index) + 1, std::move(upper));
    index = ChunkOf(record->id);
  }
  Chunk& chunk = chunks_[index];
  const auto at = Place(chunk, record->id);
  chunk.insert(at, std::move(record));
  ++size_;
}

void Roll::Erase(const PeerId& peer) {
  if (chunks_.empty()) return;
  const std::size_t index = ChunkOf(peer);
  Chunk& chunk = chunks_[index];
  const auto at = Place(chunk, peer);
  if (at == chunk.end() || (*at)->id != peer) return;
  chunk.erase(at);
  --size_;
  if (chunk.empty()) chunks_.erase(chunks_.begin() + static_cast<std::ptrdiff_t>(index));
}

void Roll::CheckInvariants() const {
  std::size_t size = 0;
  const RecordRef* last = nullptr;
  for (const Chunk& chunk : chunks_) {
    PM_CHECK(!chunk.empty() && chunk.size() <= kMaxChunk);
    size += chunk.size();
    for (const RecordRef& record : chunk) {
      PM_CHECK(last == nullptr || (*last)->id < record->id);
      last = &record;
    }
  }
  PM_CHECK(size == size_);
}

}  // namespace peermesh::membership
