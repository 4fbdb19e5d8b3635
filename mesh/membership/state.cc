#include "mesh/membership/state.h"

namespace peermesh::membership {

const char* ToString(StateReason reason) {
  switch (reason) {
    case StateReason::kNone: return "";
    case StateReason::kLinkUp: return "LINK_UP";
    case StateReason::kHeardOf: return "HEARD_OF";
    case StateReason::kRemembered: return "REMEMBERED";
    case StateReason::kLinkClosed: return "LINK_CLOSED";
    case StateReason::kLinkBroken: return "LINK_BROKEN";
    case StateReason::kHeartbeatTimeout: return "HEARTBEAT_TIMEOUT";
    case StateReason::kConnectionRefused: return "CONNECTION_REFUSED";
    case StateReason::kDialTimeout: return "DIAL_TIMEOUT";
    case StateReason::kDialUnreachable: return "DIAL_UNREACHABLE";
    case StateReason::kDialRejected: return "DIAL_REJECTED";
    case StateReason::kGoodbye: return "GOODBYE";
    case StateReason::kStalled: return "STALLED";
    case StateReason::kProtocolError: return "PROTOCOL_ERROR";
  }
  return "";
}

}  // namespace peermesh::membership
