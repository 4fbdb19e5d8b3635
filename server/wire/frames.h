// Kinds of control frames of the overlay, of broadcasts and of the member table: protobuf to plain
// data and back. Internal to this folder: DecodeControl and EncodeControl are the way in.
//
// Each From takes a frame whose kind is one of its own, and returns the rule that it breaks. What
// is refused: ids that are none, lists longer than anybody needs, numbers that do not add up. What
// a later version may mean otherwise (hops, an urgency) is cut to what this one knows.
#ifndef PEERMESH_SERVER_WIRE_FRAMES_H_
#define PEERMESH_SERVER_WIRE_FRAMES_H_

#include <string>
#include <vector>

#include "mesh/base/id.h"
#include "mesh/node/frame.h"
#include "peermesh/link/v1/link.pb.h"
#include "server/wire/control.h"
#include "server/wire/rules.h"

namespace peermesh::wire {

Rule FromTable(const link::v1::ControlFrame& in, ReceivedControl& out);
Rule FromOverlay(const link::v1::ControlFrame& in, overlay::Message& out);
Rule FromBroadcast(const link::v1::ControlFrame& in, broadcast::Message& out);
Rule FromIHave(const link::v1::IHave& in, broadcast::IHave& out);
void ToIHave(const broadcast::IHave& in, link::v1::IHave& out);

void To(const node::PeerRecords& in, link::v1::ControlFrame& out);
void To(const node::PeerStates& in, link::v1::ControlFrame& out);
void To(const node::Statements& in, link::v1::ControlFrame& out);
void To(const node::TableHashes& in, link::v1::ControlFrame& out);
void To(const node::TableRows& in, link::v1::ControlFrame& out);
void To(const node::RecordsWanted& in, link::v1::ControlFrame& out);
void To(const overlay::Message& in, link::v1::ControlFrame& out);
void To(const broadcast::Message& in, link::v1::ControlFrame& out);

// Ids of 32 bytes each, at most `most`.
using EncodedIds = google::protobuf::RepeatedPtrField<std::string>;
Rule FromIds(const EncodedIds& in, std::size_t most, std::vector<PeerId>& out);
void ToIds(const std::vector<PeerId>& in, EncodedIds& out);

}  // namespace peermesh::wire

#endif  // PEERMESH_SERVER_WIRE_FRAMES_H_
