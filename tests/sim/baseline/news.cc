#include "tests/sim/baseline/news.h"

#include <algorithm>

namespace peermesh::sim::baseline {

void News::Add(const Update& update) {
  std::erase_if(items_, [&](const Item& item) { return item.update.subject == update.subject; });
  items_.push_back({update, 0, next_++});
}

std::vector<Update> News::Take(std::size_t room) {
  const std::size_t count = std::min(room, items_.size());
  const auto end = items_.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(items_.begin(), end, items_.end(), [](const Item& a, const Item& b) {
    return a.sent != b.sent ? a.sent < b.sent : a.number > b.number;
  });
  std::vector<Update> taken;
  taken.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    taken.push_back(items_[i].update);
    ++items_[i].sent;
  }
  std::erase_if(items_, [this](const Item& item) { return item.sent >= limit_; });
  return taken;
}

}  // namespace peermesh::sim::baseline
