// Numbers: what was given out, what a link has accounted for, what was received.
//
// Messages are numbered per (origin, epoch, channel) from 1. A sender remembers per link and
// channel the next number it has not yet accounted for; everything in between that the receiver
// does not want is skipped by the next run. A receiver remembers per origin and channel the number
// it expects; a run that begins later means a loss, a number below it a repeat.
//
// A receiver that has seen no number of a channel cannot know what it missed, should the very first
// ones go down with their link. So a sender remembers for each receiver where its account began,
// for as long as both processes live, and every link begins by saying: from there to here you have
// it or it is lost.
//
// Bounds: 64 words for each origin and each receiver, both at most kMaxPeers: 2 MiB each way. Not
// thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_ROUTING_NUMBERING_H_
#define PEERMESH_MESH_ROUTING_NUMBERING_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>

#include "mesh/base/check.h"
#include "mesh/base/id.h"
#include "mesh/base/limits.h"

namespace peermesh::routing {

// One number per channel: the next to give out, to account for, or to expect.
class ChannelNumbers {
 public:
  ChannelNumbers() { next_.fill(1); }
  std::uint64_t next(std::uint32_t channel) const {
    PM_CHECK(channel < kChannels);
    return next_[channel];
  }
  // Numbers never go back.
  void Set(std::uint32_t channel, std::uint64_t next) {
    PM_CHECK(channel < kChannels && next >= next_[channel]);
    next_[channel] = next;
  }
  // Gives out the next number.
  std::uint64_t Take(std::uint32_t channel) {
    PM_CHECK(channel < kChannels);
    return next_[channel]++;
  }

 private:
  std::array<std::uint64_t, kChannels> next_;
};

// What was received of each origin.
class Receipts {
 public:
  // A link to `origin` came up with this epoch. A new epoch starts over: what an earlier process
  // numbered is gone. Returns true if the epoch is the one already known.
  bool Begin(PeerId origin, std::uint64_t epoch);

  // Numbers that will not come, both ends included.
  struct Hole {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    friend bool operator==(const Hole&, const Hole&) = default;
  };
  // The sender says `first` comes next. `first` is at least 1.
  std::optional<Hole> Expect(PeerId origin, std::uint32_t channel, std::uint64_t first);
  // The sender says [first, next) is lost: returns what of it was not settled before, and settles
  // it.
  std::optional<Hole> Lose(PeerId origin, std::uint32_t channel, std::uint64_t first,
                           std::uint64_t next);
  // Of one channel of one origin, for many numbers in a row. Not to be used after a Begin or
  // Forget.
  class Expectation {
   public:
    // True if `sequence` is new; moves the expectation behind it. False: seen before.
    bool Accept(std::uint64_t sequence) {
      if (sequence < expected_) return false;
      expected_ = sequence + 1;
      return true;
    }

   private:
    friend class Receipts;
    explicit Expectation(std::uint64_t& expected) : expected_(expected) {}
    std::uint64_t& expected_;
  };
  Expectation Of(PeerId origin, std::uint32_t channel) {
    return Expectation(Expected(origin, channel));
  }
  // Numbers before `next` are settled.
  void Settle(PeerId origin, std::uint32_t channel, std::uint64_t next);

  // Begin was called, and Forget not since.
  bool Has(PeerId origin) const { return origins_.contains(origin); }
  void Forget(PeerId origin) { origins_.erase(origin); }
  std::size_t size() const { return origins_.size(); }
  std::uint64_t Digest() const;

 private:
  struct Origin {
    std::uint64_t epoch = 0;
    // 0: no number of this channel was ever settled; the first run or mark sets it without a loss.
    std::array<std::uint64_t, kChannels> expected{};
  };
  std::uint64_t& Expected(PeerId origin, std::uint32_t channel);
  std::map<PeerId, Origin> origins_;
};

// Where our account with each receiver began.
class Baselines {
 public:
  // A link to this process of `receiver` came up. The first one begins the account at `now`.
  void Begin(PeerId receiver, std::uint64_t epoch, const ChannelNumbers& now);
  // Begin was called.
  const ChannelNumbers& Of(PeerId receiver) const;
  void Forget(PeerId receiver) { receivers_.erase(receiver); }
  std::size_t size() const { return receivers_.size(); }

 private:
  struct Receiver {
    std::uint64_t epoch = 0;
    ChannelNumbers from;
  };
  std::map<PeerId, Receiver> receivers_;
};

}  // namespace peermesh::routing

#endif  // PEERMESH_MESH_ROUTING_NUMBERING_H_
