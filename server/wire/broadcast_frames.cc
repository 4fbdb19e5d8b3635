// Frames by which broadcast trees grow and heal.
#include <algorithm>
#include <utility>
#include <variant>

#include "mesh/base/check.h"
#include "server/wire/data.h"
#include "server/wire/frames.h"

namespace peermesh::wire {
namespace {

namespace pb = link::v1;
using broadcast::Range;
using Ranges = google::protobuf::RepeatedPtrField<pb::Range>;

Rule FromRanges(const Ranges& in, std::vector<Range>& out) {
  if (in.size() > static_cast<int>(kMaxRangesPerFrame)) return Rule::kValue;
  out.reserve(static_cast<std::size_t>(in.size()));
  for (const pb::Range& entry : in) {
    Range range;
    if (!entry.origin().empty()) {
      const auto origin = PeerId::FromBytes(entry.origin());
      if (!origin) return Rule::kPeerId;
      range.stream.origin = *origin;
      range.stream.epoch = entry.epoch();
    } else {
      if (out.empty() || entry.epoch() != 0) return Rule::kPeerId;
      range.stream = out.back().stream;
    }
    range.stream.channel = entry.channel();
    if (range.stream.epoch == 0) return Rule::kValue;
    if (range.stream.channel >= kChannels) return Rule::kChannel;
    range.first = range.next = entry.first();
    if (range.first == 0 || !AdvanceNumber(range.next, entry.count())) return Rule::kSequence;
    range.hops = std::min(entry.hops(), kMaxHops);
    out.push_back(range);
  }
  return Rule::kNone;
}

void ToRanges(const std::vector<Range>& in, Ranges& out) {
  PM_CHECK(in.size() <= kMaxRangesPerFrame);
  const Range* before = nullptr;
  for (const Range& range : in) {
    PM_CHECK(range.first <= range.next);
    pb::Range& entry = *out.Add();
    if (before == nullptr || before->stream.origin != range.stream.origin ||
        before->stream.epoch != range.stream.epoch) {
      entry.set_origin(range.stream.origin.ToBytes());
      entry.set_epoch(range.stream.epoch);
    }
    entry.set_channel(range.stream.channel);
    entry.set_first(range.first);
    entry.set_count(range.next - range.first);
    entry.set_hops(range.hops);
    before = &range;
  }
}

struct Encoder {
  pb::ControlFrame& out;

  void operator()(const broadcast::IHave& in) const { ToIHave(in, *out.mutable_i_have()); }
  void operator()(const broadcast::Graft& in) const {
    ToRanges(in.ranges, *out.mutable_graft()->mutable_ranges());
  }
  void operator()(const broadcast::Prune& in) const {
    out.mutable_prune()->set_channels(in.channels);
  }
  void operator()(const broadcast::Positions& in) const {
    ToRanges(in.ranges, *out.mutable_positions()->mutable_ranges());
    out.mutable_positions()->set_last(in.last);
  }
};

template <class Kind>
Rule FromListed(const Ranges& in, broadcast::Message& out) {
  Kind kind;
  const Rule rule = FromRanges(in, kind.ranges);
  out = std::move(kind);
  return rule;
}

}  // namespace

Rule FromIHave(const pb::IHave& in, broadcast::IHave& out) {
  // A time is only subtracted; a bound keeps it far from overflow.
  constexpr auto kMost = static_cast<std::uint64_t>(broadcast::kMaxWaited.count());
  out.waited = Duration(static_cast<std::int64_t>(std::min<std::uint64_t>(in.waited_us(), kMost)));
  return FromRanges(in.ranges(), out.ranges);
}

void ToIHave(const broadcast::IHave& in, pb::IHave& out) {
  ToRanges(in.ranges, *out.mutable_ranges());
  out.set_waited_us(static_cast<std::uint64_t>(std::max<std::int64_t>(in.waited.count(), 0)));
}

Rule FromBroadcast(const pb::ControlFrame& in, broadcast::Message& out) {
  switch (in.kind_case()) {
    case pb::ControlFrame::kIHave: {
      broadcast::IHave have;
      const Rule rule = FromIHave(in.i_have(), have);
      out = std::move(have);
      return rule;
    }
    case pb::ControlFrame::kGraft: return FromListed<broadcast::Graft>(in.graft().ranges(), out);
    case pb::ControlFrame::kPrune:
      out = broadcast::Prune{in.prune().channels()};
      return Rule::kNone;
    case pb::ControlFrame::kPositions: {
      const Rule rule = FromListed<broadcast::Positions>(in.positions().ranges(), out);
      std::get<broadcast::Positions>(out).last = in.positions().last();
      return rule;
    }
    default: break;
  }
  PM_CHECK(!"a frame of broadcasts");
  return Rule::kValue;
}

void To(const broadcast::Message& in, pb::ControlFrame& out) { std::visit(Encoder{out}, in); }

}  // namespace peermesh::wire
