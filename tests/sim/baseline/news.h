// What a member has to say about others, until it has said it often enough.
//
// What was said least goes first, and of those the newest. An update replaces an older one about
// the same member, so the news are never more than there are members. A consequence that matters
// here: a member which suspects another, is paused before it can say so and finds the time run out
// when it runs again, says "dead" to members that never heard of a suspicion.
#ifndef PEERMESH_TESTS_SIM_BASELINE_NEWS_H_
#define PEERMESH_TESTS_SIM_BASELINE_NEWS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace peermesh::sim::baseline {

enum class Belief : std::uint8_t { kAlive, kSuspect, kDead };

struct Update {
  std::uint32_t subject = 0;
  std::uint32_t incarnation = 0;
  Belief belief = Belief::kAlive;
  bool operator==(const Update&) const = default;
};

class News {
 public:
  explicit News(std::uint32_t limit) : limit_(limit) {}

  void Add(const Update& update);
  // At most `room` of them, each of which counts as sent once more.
  std::vector<Update> Take(std::size_t room);
  bool empty() const { return items_.empty(); }

 private:
  struct Item {
    Update update;
    std::uint32_t sent = 0;
    std::uint64_t number = 0;
  };

  std::uint32_t limit_;
  std::uint64_t next_ = 0;
  std::vector<Item> items_;  // one a subject; in no order
};

}  // namespace peermesh::sim::baseline

#endif  // PEERMESH_TESTS_SIM_BASELINE_NEWS_H_
