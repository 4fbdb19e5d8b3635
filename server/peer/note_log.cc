#include "server/peer/note_log.h"

#include "mesh/base/loss.h"
#include "mesh/membership/members.h"
#include "server/config/logging.h"

namespace peermesh {
namespace {

const char* NameOf(node::NoteKind kind) {
  switch (kind) {
    case node::NoteKind::kPeerAlive: return "peer alive";
    case node::NoteKind::kPeerSuspect: return "peer suspect";
    case node::NoteKind::kPeerDead: return "peer dead";
    case node::NoteKind::kPeerLeft: return "peer left";
    case node::NoteKind::kPeerUnreachable: return "peer unreachable";
    case node::NoteKind::kLinkReplaced: return "link replaced";
    case node::NoteKind::kDuplicateLinkClosed: return "duplicate link closed";
    case node::NoteKind::kDialFailed: return "dial failed";
    case node::NoteKind::kSessionSlow: return "session slow";
    case node::NoteKind::kLinkSlow: return "link slow";
    case node::NoteKind::kMessagesLost: return "messages lost";
    case node::NoteKind::kInterestResync: return "interest resync";
    case node::NoteKind::kPeerMisbehaved: return "peer misbehaved";
  }
  return "note";
}

}  // namespace

void LogNote(const node::Note& note, const std::function<std::string(const PeerId&)>& name_of) {
  const bool bad =
      note.kind == node::NoteKind::kPeerDead || note.kind == node::NoteKind::kPeerMisbehaved ||
      note.kind == node::NoteKind::kSessionSlow || note.kind == node::NoteKind::kLinkSlow ||
      note.kind == node::NoteKind::kMessagesLost || note.kind == node::NoteKind::kPeerUnreachable;
  const bool chatter = note.kind == node::NoteKind::kDialFailed;
  const auto level = bad       ? config::Level::kWarning
                     : chatter ? config::Level::kDebug
                               : config::Level::kInfo;
  std::string reason;
  switch (note.kind) {
    case node::NoteKind::kPeerAlive:
    case node::NoteKind::kPeerSuspect:
    case node::NoteKind::kPeerDead:
    case node::NoteKind::kPeerLeft:
    case node::NoteKind::kPeerUnreachable:
      reason = membership::ToString(static_cast<membership::StateReason>(note.reason));
      break;
    case node::NoteKind::kSessionSlow:
    case node::NoteKind::kLinkSlow:
    case node::NoteKind::kMessagesLost:
      reason = ToString(static_cast<LossReason>(note.reason));
      break;
    default:
      if (note.reason != 0) reason = std::to_string(note.reason);
  }
  if (note.session) {
    config::Log("mesh", level, NameOf(note.kind),
                {{"session", note.session.value}, {"reason", reason}, {"messages", note.count}});
  } else if (note.count != 0) {
    config::Log("mesh", level, NameOf(note.kind),
                {{"peer", name_of(note.peer)},
                 {"id", note.peer.ToShortText()},
                 {"reason", reason},
                 {"messages", note.count}});
  } else if (note.peer != PeerId{}) {
    config::Log(
        "mesh", level, NameOf(note.kind),
        {{"peer", name_of(note.peer)}, {"id", note.peer.ToShortText()}, {"reason", reason}});
  } else {
    config::Log("mesh", level, NameOf(note.kind), {{"reason", reason}});
  }
}

}  // namespace peermesh
