#include "metrics/ledger/verdict.h"

namespace peermesh::ledger {

const char* ToString(Rule rule) {
  switch (rule) {
    case Rule::kOrphan: return "orphan";
    case Rule::kViolation: return "violation";
    case Rule::kImbalance: return "imbalance";
    case Rule::kExitResidue: return "exit_residue";
    case Rule::kIdle: return "idle";
    case Rule::kOverdue: return "overdue";
    case Rule::kKernelExcess: return "kernel_excess";
    case Rule::kRpcSkew: return "rpc_skew";
    case Rule::kCohort: return "cohort";
    case Rule::kLittlesLaw: return "littles_law";
  }
  return "unknown";
}

const char* ToString(Tier tier) {
  switch (tier) {
    case Tier::kProof: return "proof";
    case Tier::kStrong: return "strong";
    case Tier::kWeak: return "weak";
  }
  return "unknown";
}

const char* ToString(State state) {
  switch (state) {
    case State::kSuspected: return "suspected";
    case State::kConfirmed: return "confirmed";
    case State::kCleared: return "cleared";
  }
  return "unknown";
}

Tier TierOf(Rule rule) {
  switch (rule) {
    case Rule::kOrphan:
    case Rule::kViolation:
    case Rule::kImbalance:
    case Rule::kExitResidue: return Tier::kProof;
    case Rule::kIdle:
    case Rule::kOverdue:
    case Rule::kKernelExcess:
    case Rule::kRpcSkew: return Tier::kStrong;
    case Rule::kCohort:
    case Rule::kLittlesLaw: return Tier::kWeak;
  }
  return Tier::kWeak;
}

}  // namespace peermesh::ledger
