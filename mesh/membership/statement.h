// What an observer says of a peer it has, or had, a link to; signed, and passed on by everybody.
//
// A statement is no verdict: it is one voice. quorum.h counts them.
#ifndef PEERMESH_MESH_MEMBERSHIP_STATEMENT_H_
#define PEERMESH_MESH_MEMBERSHIP_STATEMENT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "mesh/base/id.h"
#include "mesh/membership/members.h"

namespace peermesh::membership {

enum class Claim : std::uint8_t {
  kGone = 1,  // the observer lost it, or hears nothing from it
  kBack = 2,  // the observer has it again: takes its kGone back
  kLeft = 3,  // the subject's own word: it leaves. Of anybody else it means nothing
};

// Immutable once shared. The driver has verified the signature of one that came from elsewhere.
struct Statement {
  PeerId observer;
  PeerId subject;
  std::uint64_t incarnation = 0;  // of the subject: a larger one makes the statement void
  std::uint64_t number = 0;  // the observer's count, larger than in any earlier run: its latest
                             // word on a subject counts
  Claim claim = Claim::kGone;
  StateReason reason = StateReason::kNone;
  std::string encoded;  // a serialised SignedStatement; forwarded as it came
  // Whoever passed it on had known it for long: the subject may have died of it, but not now. Not
  // signed: how often it died depends on that, and whether it doubts itself, nothing else.
  bool past = false;
};
using StatementRef = std::shared_ptr<const Statement>;

}  // namespace peermesh::membership

#endif  // PEERMESH_MESH_MEMBERSHIP_STATEMENT_H_
