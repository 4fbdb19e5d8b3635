// Control frames between peers: what is let through is within bounds and comes back the same.
#include "server/wire/control.h"

#include "mesh/base/check.h"
#include "mesh/identity/identity.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/naive.h"

namespace peermesh::fuzz {
namespace {

void CheckInterest(const std::vector<node::Interest>& entries) {
  for (const node::Interest& entry : entries) {
    PM_CHECK(IsNaivePattern(entry.pattern));
    PM_CHECK(std::chrono::milliseconds(entry.block_ms) <= kMaxBlockTimeout);
  }
}

void Check(const node::Heartbeat& heartbeat) {
  PM_CHECK(heartbeat.echo_delay >= Duration::zero());
  PM_CHECK(heartbeat.echo_delay <= std::chrono::hours(1));
}
void Check(const node::InterestSnapshot& snapshot) { CheckInterest(snapshot.entries); }
void Check(const node::InterestDelta& delta) {
  CheckInterest(delta.add);
  for (const std::string& pattern : delta.remove) PM_CHECK(IsNaivePattern(pattern));
}
void Check(const node::Goodbye& goodbye) {
  PM_CHECK(goodbye.reason >= node::GoodbyeReason::kLeaving);
  PM_CHECK(goodbye.reason <= node::GoodbyeReason::kMisbehaved);
}
// Records come as EncodedRecords.
void Check(const node::PeerRecords&) { PM_CHECK(!"records that nobody has verified"); }
template <class Other>
void Check(const Other&) {}

void Received(const node::ControlFrame& frame) {
  std::visit([](const auto& kind) { Check(kind); }, frame);
  const std::string bytes = wire::EncodeControl(frame);
  const auto again = wire::DecodeControl(bytes);
  PM_CHECK(again.ok());
  const auto* decoded = std::get_if<node::ControlFrame>(&*again);
  PM_CHECK(decoded != nullptr && decoded->index() == frame.index());
  PM_CHECK(wire::EncodeControl(*decoded) == bytes);
}

void Received(const wire::Hello& hello) {
  PM_CHECK(hello.mesh_id.empty() || identity::IsMeshId(hello.mesh_id));
  PM_CHECK(hello.software.size() <= wire::kMaxSoftwareBytes);
  PM_CHECK(hello.version_min <= hello.version_max);
  PM_CHECK(hello.link_token.empty() || hello.link_token.size() == wire::kLinkTokenBytes);
  const auto again = wire::DecodeControl(wire::EncodeHello(hello));
  PM_CHECK(again.ok() && std::get<wire::Hello>(*again) == hello);
}

void Received(const wire::EncodedRecords& records) {
  PM_CHECK(records.records.size() <= wire::kMaxRecordsPerFrame);
  node::PeerRecords frame;
  std::size_t bytes = 0;
  for (const std::string& encoded : records.records) {
    bytes += encoded.size();
    frame.records.emplace_back().encoded = encoded;
  }
  if (bytes > kMaxControlFrameBytes / 2) return;
  const auto again = wire::DecodeControl(wire::EncodeControl(frame));
  PM_CHECK(again.ok());
  PM_CHECK(std::get<wire::EncodedRecords>(*again).records == records.records);
}

void Received(const wire::UnknownKind&) {}

}  // namespace

void Try(std::string_view input) {
  const auto received = wire::DecodeControl(input);
  if (!received.ok()) {
    PM_CHECK(received.error().rule != wire::Rule::kNone);
    PM_CHECK(*wire::Describe(received.error().rule).what != '\0');
    return;
  }
  PM_CHECK(input.size() <= kMaxControlFrameBytes);
  std::visit([](const auto& kind) { Received(kind); }, *received);
}

}  // namespace peermesh::fuzz
