// Judges a run by its history alone, as it stands on the disk, with the checker that judges real
// peers: tests/history/checker.h.
#ifndef PEERMESH_TESTS_SIM_JUDGE_H_
#define PEERMESH_TESTS_SIM_JUDGE_H_

#include <string>
#include <vector>

namespace peermesh::sim {

// What is wrong with it, each beginning with "history: "; empty if it holds. A history that proves
// nothing is wrong, too.
std::vector<std::string> Judge(const std::string& directory);

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_JUDGE_H_
