// Numbers: what was given out, what a link has accounted for, what was received.
//
// Messages are numbered per (origin, epoch, channel) from 1. A sender remembers per link and channel the next
// number it has not yet accounted for; everything in between that the receiver does not want is skipped by
// the next run. A receiver remembers per origin and channel the number it expects; a run that begins later
// means a loss, a number below it a repeat. State per origin is 64 words; origins are bounded by kMaxPeers.
#ifndef PEERMESH_MESH_ROUTING_NUMBERING_H_
#define PEERMESH_MESH_ROUTING_NUMBERING_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>

#include "mesh/base/id.h"
#include "mesh/base/limits.h"

namespace peermesh::routing {

// One number per channel: the next to give out, to account for, or to expect.
class ChannelNumbers {
 public:
  ChannelNumbers() { next_.fill(1); }
  std::uint64_t next(std::uint32_t channel) const { return next_.at(channel); }
  void Set(std::uint32_t channel, std::uint64_t next) { next_.at(channel) = next; }
  // Gives out the next number.
  std::uint64_t Take(std::uint32_t channel) { return next_.at(channel)++; }

 private:
  std::array<std::uint64_t, kChannels> next_;
};

// What was received of each origin.
class Receipts {
 public:
  // A link to `origin` came up with this epoch. A new epoch starts over: what an earlier process numbered is
  // gone. Returns true if the epoch is the one already known.
  bool Begin(PeerId origin, std::uint64_t epoch);

  // [first, first of the missing...): what a run that begins at `first` reveals as missing, if anything.
  struct Hole {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
  };
  // The sender says `first` comes next.
  std::optional<Hole> Expect(PeerId origin, std::uint32_t channel, std::uint64_t first);
  // True if `sequence` is new; moves the expectation behind it. False: seen before.
  bool Accept(PeerId origin, std::uint32_t channel, std::uint64_t sequence);
  // Numbers before `next` are settled.
  void Settle(PeerId origin, std::uint32_t channel, std::uint64_t next);

  void Forget(PeerId origin) { origins_.erase(origin); }
  std::size_t size() const { return origins_.size(); }
  std::uint64_t Digest() const;

 private:
  struct Origin {
    std::uint64_t epoch = 0;
    // 0: no number of this channel was ever settled; the first run or mark sets it without a loss, because
    // nothing before our first link was meant for us.
    std::array<std::uint64_t, kChannels> expected{};
  };
  std::map<PeerId, Origin> origins_;
};

}  // namespace peermesh::routing

#endif  // PEERMESH_MESH_ROUTING_NUMBERING_H_
