// Faults that are compiled into peermeshd_faults and its neighbours, and into nothing that people
// run: a resource of a kind that is named is forgotten, released twice, closed behind its owner's
// back, or not touched. Each of them once, at the real place, the next time the program itself
// comes by (faults.cc).
//
// Armed by the environment for what happens during a start,
// PEERMESH_FAULT=KIND,twice:KIND,close:KIND,unused:KIND, and by FaultService (fault_service.cc)
// after it. Thread-safe.
#ifndef PEERMESH_TESTS_INTEGRATION_FAULTS_H_
#define PEERMESH_TESTS_INTEGRATION_FAULTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "metrics/ledger/ledger.h"

namespace peermesh::faults {

enum class Fault : std::uint8_t {
  kForget,        // not released; of a descriptor that means that it stays open, too
  kTwice,         // released twice
  kForeignClose,  // a descriptor is closed behind its owner's back
  kUnused,  // touches are ignored, from then on and of all kinds: a touch does not tell its kind
};

struct Armed {
  Fault fault{};
  std::string kind;
  std::optional<ledger::Time> struck;  // when it went wrong
};

void Arm(Fault fault, std::string kind);
// In the order in which they were armed, those of the environment first.
std::vector<Armed> All();

}  // namespace peermesh::faults

#endif  // PEERMESH_TESTS_INTEGRATION_FAULTS_H_
