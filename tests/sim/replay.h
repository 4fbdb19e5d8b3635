// Repeats a run that a daemon recorded (`peermeshd --journal FILE`) and compares it with the
// record.
#ifndef PEERMESH_TESTS_SIM_REPLAY_H_
#define PEERMESH_TESTS_SIM_REPLAY_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "mesh/base/time.h"
#include "mesh/node/node.h"
#include "server/journal/journal.h"

namespace peermesh::sim {

struct ReplayOptions {
  // Turns of this time since the start are described, line by line.
  std::optional<std::pair<Duration, Duration>> trace;
  std::function<void(const std::string& line)> print;
  // Before every turn: its number. Whoever survives a broken invariant knows where it broke.
  std::function<void(std::uint64_t turn)> before_turn;
};

struct Replayed {
  journal::Start start;
  std::uint64_t turns = 0, facts = 0, marks = 0;
  Duration span{};
  node::Stats stats;
  std::uint64_t digest = 0;
  bool ended = false;  // with a last mark
  bool torn = false;   // within an entry
  // Empty: the same wishes after every turn, and the same state at every mark.
  std::string difference;
};

// Stops at the first difference. An error: there is no such journal, or it is damaged.
absl::StatusOr<Replayed> Replay(const std::string& path, const ReplayOptions& options);

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_REPLAY_H_
