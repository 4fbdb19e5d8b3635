// Sends every frame through bytes and back, as peers do.
//
// Peer records and statements are passed as they are: in production they come signed, and keys have
// no place in a simulation. Signatures of pieces are bytes, whatever is in them.
#ifndef PEERMESH_TESTS_SIM_WIRE_CODEC_H_
#define PEERMESH_TESTS_SIM_WIRE_CODEC_H_

#include "tests/sim/world.h"

namespace peermesh::sim {

class WireCodec final : public Codec {
 public:
  node::ControlFrame Pass(const node::ControlFrame& frame) override;
  node::DataFrame Pass(const node::DataFrame& frame) override;
};

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_WIRE_CODEC_H_
