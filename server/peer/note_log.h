// What the node noted, as lines of the log.
#ifndef PEERMESH_SERVER_PEER_NOTE_LOG_H_
#define PEERMESH_SERVER_PEER_NOTE_LOG_H_

#include <functional>
#include <string>

#include "mesh/base/id.h"
#include "mesh/node/effect.h"

namespace peermesh {

// `name_of` knows peers by name. Thread-safe.
void LogNote(const node::Note& note, const std::function<std::string(const PeerId&)>& name_of);

}  // namespace peermesh

#endif  // PEERMESH_SERVER_PEER_NOTE_LOG_H_
