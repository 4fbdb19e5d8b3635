// Invents good histories: of three peers whose applications publish to each other, with gaps, an
// unreached peer, a refusal, an unknown outcome, a restart, direct messages and a fault, all by the
// rules.
//
// For the checker's own tests and for measuring it. The same size gives the same history.
#ifndef PEERMESH_TESTS_HISTORY_INVENTED_H_
#define PEERMESH_TESTS_HISTORY_INVENTED_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/history/record.h"

namespace peermesh::history {

// Who is who in an invented history.
struct Invented {
  static constexpr std::uint16_t kPeers = 3;
  static constexpr std::uint64_t kEpoch = 1000;
  static std::vector<std::string> Names();
};

// Gives the records in order; `rounds` of some 37 records each.
void Invent(std::uint64_t rounds, const std::function<void(const Record&)>& take);

}  // namespace peermesh::history

#endif  // PEERMESH_TESTS_HISTORY_INVENTED_H_
