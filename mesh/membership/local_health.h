// How well this process keeps up with its own clockwork (Lifeguard's local health multiplier).
//
// A process that is starved of CPU takes others for dead, because it reads late what they sent in
// time. It can know: its own deadlines are met late, it misses many at once, others suspect it. So
// a score of 0 to 8 counts such signs, and the timers that end in somebody's death are score + 1
// times as long (Dadgar, Phillips and Currey 2018, section III: S = 8; the lag of the own loop is
// ours, research note 2(d)).
//
// Up at once, down slowly: a sign of trouble adds one, and eight successes without one between them
// take one away. The paper takes one for every success, but it probes one peer in a period; here
// all neighbours, about eight, are heard in every period, and a single round of heartbeats that had
// queued up during a pause would clear the score at the very moment when it is needed.
//
// An attacker who lets itself be lost, or accuses us, raises the score by one each time: we notice
// deaths up to nine times later, never wrongly. Two ints. Not thread-safe; owned by the node's
// turn.
#ifndef PEERMESH_MESH_MEMBERSHIP_LOCAL_HEALTH_H_
#define PEERMESH_MESH_MEMBERSHIP_LOCAL_HEALTH_H_

#include "mesh/base/time.h"

namespace peermesh::membership {

inline constexpr int kMaxHealthScore = 8;    // Lifeguard's S
inline constexpr int kSuccessesPerStep = 8;  // guess: one period's worth, see above
inline constexpr Duration kLagTolerated = std::chrono::milliseconds(250);  // research note 2(d)

class LocalHealth {
 public:
  void Missed();              // an observation failed: a peer went silent
  void Succeeded();           // a peer was heard in time
  void Refuted();             // others thought us dead
  void Lagged(Duration lag);  // a deadline of ours was met so late
  // 1 (healthy) to 9.
  int multiplier() const { return score_ + 1; }

 private:
  void Worsen();

  int score_ = 0;
  int successes_ = 0;  // since the last step or sign of trouble
};

}  // namespace peermesh::membership

#endif  // PEERMESH_MESH_MEMBERSHIP_LOCAL_HEALTH_H_
