// The sizes by which traffic is judged are those of the encoder, about.
#include "tests/sim/traffic.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "server/wire/control.h"
#include "server/wire/data.h"

namespace peermesh::sim {
namespace {

PeerId PeerOf(int number) {
  PeerId id;
  id.bytes.fill(static_cast<std::uint8_t>(number));
  return id;
}

// A number as it is after hours: of three or four bytes.
constexpr std::uint64_t kNumber = 300'000;
constexpr std::uint64_t kEpoch = 1'700'000'000'000;  // unix milliseconds
constexpr std::uint64_t kHash = 0xfedc'ba98'7654'3210;

node::Heartbeat Beat() {
  return {kNumber, kNumber, std::chrono::milliseconds(900), 20, kHash, false, kHash, {}};
}

broadcast::Range RangeOf(int origin) {
  return {{PeerOf(origin), kEpoch, 17}, kNumber, kNumber + 1, 7};
}

// Neither a tenth shorter than it is, nor a quarter longer; a few bytes are nothing.
void ExpectAbout(std::uint64_t rough, std::uint64_t exact) {
  EXPECT_GE(rough + 4, exact - exact / 10);
  EXPECT_LE(rough, exact + exact / 4 + 12);
}

void ExpectAbout(const node::ControlFrame& frame) {
  SCOPED_TRACE(frame.index());
  ExpectAbout(std::visit(RoughSize{}, frame), wire::EncodeControl(frame).size());
}

TEST(TrafficTest, FramesOfAQuietMeshAreAboutAsLongAsTheEncoderMakesThem) {
  ExpectAbout(Beat());
  ExpectAbout(node::LinkReady{});
  ExpectAbout(node::InterestAck{20});
  ExpectAbout(node::Goodbye{node::GoodbyeReason::kSurplus});
  ExpectAbout(node::TableHashes{std::vector<std::uint64_t>(node::kTableParts, kHash)});
  ExpectAbout(node::TableRows{{1, 2}, {{PeerOf(1), kEpoch}, {PeerOf(2), kEpoch}}});
  ExpectAbout(overlay::Message(overlay::Neighbor{overlay::Urgency::kHigh}));
  ExpectAbout(overlay::Message(overlay::NeighborReply{true, {PeerOf(1), PeerOf(2)}}));
  ExpectAbout(overlay::Message(overlay::Disconnect{{PeerOf(1)}}));
  ExpectAbout(overlay::Message(overlay::Shuffle{kHash, 5, {PeerOf(1), PeerOf(2)}}));
  ExpectAbout(overlay::Message(overlay::ShuffleReply{kHash, {PeerOf(1), PeerOf(2)}}));
}

TEST(TrafficTest, AnnouncementsAreAboutAsLongAloneAndInAHeartbeat) {
  node::Heartbeat beat = Beat();
  beat.have = {{RangeOf(1), RangeOf(2)}, std::chrono::milliseconds(700)};
  ExpectAbout(beat);
  ExpectAbout(broadcast::Message(beat.have));
  const std::uint64_t more = wire::EncodeControl(beat).size() - wire::EncodeControl(Beat()).size();
  ExpectAbout(RoughSize::Announced(beat), more);
  EXPECT_EQ(RoughSize::Announced(Beat()), 0u);
}

TEST(TrafficTest, MarksAreAboutAsLong) {
  node::DataFrame unused, used;
  for (std::uint32_t channel = 0; channel < kChannels; ++channel) {
    flow::Run mark;
    mark.channel = channel;
    mark.mark = true;
    mark.first = mark.next = 1;
    unused.runs.push_back(mark);
    mark.first = kNumber;
    mark.next = kNumber + 1000;
    used.runs.push_back(mark);
  }
  ExpectAbout(RoughSize{}(unused), wire::EncodeData(unused).Flat().size());
  ExpectAbout(RoughSize{}(used), wire::EncodeData(used).Flat().size());
}

}  // namespace
}  // namespace peermesh::sim
