#include "tests/sim/wire_codec.h"

#include "mesh/base/check.h"
#include "server/wire/control.h"
#include "server/wire/data.h"

namespace peermesh::sim {

node::ControlFrame WireCodec::Pass(const node::ControlFrame& frame) {
  if (std::holds_alternative<node::PeerRecords>(frame) ||
      std::holds_alternative<node::Statements>(frame)) {
    return frame;
  }
  const std::string bytes = wire::EncodeControl(frame);
  PM_CHECK(bytes.size() <= kMaxControlFrameBytes);
  auto received = wire::DecodeControl(bytes);
  PM_CHECK(received.ok());
  auto* decoded = std::get_if<node::ControlFrame>(&*received);
  PM_CHECK(decoded != nullptr && decoded->index() == frame.index());
  return std::move(*decoded);
}

node::DataFrame WireCodec::Pass(const node::DataFrame& frame) {
  auto bytes = std::make_shared<const std::string>(wire::EncodeData(frame).Flat());
  PM_CHECK(bytes->size() <= kMaxDataFrameBytes);
  auto received = wire::DecodeData(std::move(bytes));
  PM_CHECK(received.ok() && !received->hello);
  return std::move(received->frame);
}

}  // namespace peermesh::sim
