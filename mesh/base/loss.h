// Why messages are lost: one list for frames, metrics and logs. Numbers are those of
// peermesh.v1.LossReason.
#ifndef PEERMESH_MESH_BASE_LOSS_H_
#define PEERMESH_MESH_BASE_LOSS_H_

#include <cstdint>

namespace peermesh {

enum class LossReason : std::uint8_t {
  kNone = 0,
  kSlowSubscriber = 1,
  kSlowLink = 2,
  kLinkLost = 3,
  kMissing = 4,
};
inline constexpr int kLossReasonCount = 5;

// Lower case, as in metric labels: "slow_subscriber".
constexpr const char* ToString(LossReason reason) {
  switch (reason) {
    case LossReason::kNone: return "none";
    case LossReason::kSlowSubscriber: return "slow_subscriber";
    case LossReason::kSlowLink: return "slow_link";
    case LossReason::kLinkLost: return "link_lost";
    case LossReason::kMissing: return "missing";
  }
  return "none";
}

// What to do when a subscriber reads too slowly. Numbers are those of peermesh.v1.OnOverflow.
enum class OnOverflow : std::uint8_t { kGap = 1, kBlock = 2, kClose = 3 };

}  // namespace peermesh

#endif  // PEERMESH_MESH_BASE_LOSS_H_
