// Frames by which neighbours find and leave each other.
#include <algorithm>
#include <variant>

#include "mesh/base/check.h"
#include "server/wire/frames.h"

namespace peermesh::wire {
namespace {

namespace pb = link::v1;
using overlay::kMostCandidates;

std::uint8_t Hops(std::uint32_t ttl) {
  return static_cast<std::uint8_t>(std::min<std::uint32_t>(ttl, overlay::kMostHops));
}

Rule From(const pb::ForwardJoin& in, overlay::Message& out) {
  const auto joiner = PeerId::FromBytes(in.joiner());
  if (!joiner) return Rule::kPeerId;
  out = overlay::ForwardJoin{*joiner, Hops(in.ttl())};
  return Rule::kNone;
}

Rule From(const pb::Neighbor& in, overlay::Message& out) {
  const bool known = in.urgency() >= pb::URGENCY_LOW && in.urgency() <= pb::URGENCY_SWAP;
  overlay::Neighbor question{
      known ? static_cast<overlay::Urgency>(in.urgency()) : overlay::Urgency::kLow, {}};
  const Rule rule = FromIds(in.neighbors(), kMostCandidates, question.neighbors);
  out = std::move(question);
  return rule;
}

Rule From(const pb::NeighborReply& in, overlay::Message& out) {
  overlay::NeighborReply reply;
  reply.accepted = in.accepted();
  const Rule rule = FromIds(in.candidates(), kMostCandidates, reply.candidates);
  out = std::move(reply);
  return rule;
}

Rule From(const pb::Disconnect& in, overlay::Message& out) {
  overlay::Disconnect disconnect;
  const Rule rule = FromIds(in.candidates(), kMostCandidates, disconnect.candidates);
  out = std::move(disconnect);
  return rule;
}

Rule From(const pb::Shuffle& in, overlay::Message& out) {
  overlay::Shuffle shuffle{in.walk(), Hops(in.ttl()), {}};
  const Rule rule = FromIds(in.sample(), kMostCandidates, shuffle.sample);
  out = std::move(shuffle);
  return rule;
}

Rule From(const pb::ShuffleReply& in, overlay::Message& out) {
  overlay::ShuffleReply reply{in.walk(), {}};
  const Rule rule = FromIds(in.sample(), kMostCandidates, reply.sample);
  out = std::move(reply);
  return rule;
}

struct Encoder {
  pb::ControlFrame& out;

  void operator()(const overlay::Join&) const { out.mutable_join(); }
  void operator()(const overlay::ForwardJoin& in) const {
    pb::ForwardJoin& join = *out.mutable_forward_join();
    join.set_joiner(in.joiner.ToBytes());
    join.set_ttl(in.ttl);
  }
  void operator()(const overlay::Neighbor& in) const {
    PM_CHECK(in.neighbors.size() <= kMostCandidates);
    pb::Neighbor& neighbor = *out.mutable_neighbor();
    neighbor.set_urgency(static_cast<pb::Urgency>(in.urgency));
    ToIds(in.neighbors, *neighbor.mutable_neighbors());
  }
  void operator()(const overlay::NeighborReply& in) const {
    PM_CHECK(in.candidates.size() <= kMostCandidates);
    pb::NeighborReply& reply = *out.mutable_neighbor_reply();
    reply.set_accepted(in.accepted);
    ToIds(in.candidates, *reply.mutable_candidates());
  }
  void operator()(const overlay::Disconnect& in) const {
    PM_CHECK(in.candidates.size() <= kMostCandidates);
    ToIds(in.candidates, *out.mutable_disconnect()->mutable_candidates());
  }
  void operator()(const overlay::Shuffle& in) const {
    PM_CHECK(in.sample.size() <= kMostCandidates);
    pb::Shuffle& shuffle = *out.mutable_shuffle();
    shuffle.set_walk(in.walk);
    shuffle.set_ttl(in.ttl);
    ToIds(in.sample, *shuffle.mutable_sample());
  }
  void operator()(const overlay::ShuffleReply& in) const {
    PM_CHECK(in.sample.size() <= kMostCandidates);
    pb::ShuffleReply& reply = *out.mutable_shuffle_reply();
    reply.set_walk(in.walk);
    ToIds(in.sample, *reply.mutable_sample());
  }
};

}  // namespace

Rule FromOverlay(const pb::ControlFrame& in, overlay::Message& out) {
  switch (in.kind_case()) {
    case pb::ControlFrame::kJoin: out = overlay::Join{}; return Rule::kNone;
    case pb::ControlFrame::kForwardJoin: return From(in.forward_join(), out);
    case pb::ControlFrame::kNeighbor: return From(in.neighbor(), out);
    case pb::ControlFrame::kNeighborReply: return From(in.neighbor_reply(), out);
    case pb::ControlFrame::kDisconnect: return From(in.disconnect(), out);
    case pb::ControlFrame::kShuffle: return From(in.shuffle(), out);
    case pb::ControlFrame::kShuffleReply: return From(in.shuffle_reply(), out);
    default: break;
  }
  PM_CHECK(!"a frame of the overlay");
  return Rule::kValue;
}

void To(const overlay::Message& in, pb::ControlFrame& out) { std::visit(Encoder{out}, in); }

}  // namespace peermesh::wire
