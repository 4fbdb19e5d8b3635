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
// Most channels are never used, and a link knows three numbers of each: what was never more than 1
// takes no room.
//
// Bounds: 64 words for each origin and each receiver, both at most kMaxPeers: 2 MiB each way. Not
// thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_ROUTING_NUMBERING_H_
#define PEERMESH_MESH_ROUTING_NUMBERING_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "mesh/base/check.h"
#include "mesh/base/id.h"
#include "mesh/base/limits.h"
#include "mesh/base/sorted_map.h"

namespace peermesh::routing {

// A number for each channel, of which few have one: 8 bytes, and when the first has, 100 and 8 for
// each.
class SparseNumbers {
 public:
  SparseNumbers() = default;
  SparseNumbers(SparseNumbers&&) = default;
  SparseNumbers& operator=(SparseNumbers&&) = default;
  SparseNumbers(const SparseNumbers& other)
      : used_(other.used_ == nullptr ? nullptr : std::make_unique<Used>(*other.used_)) {}
  SparseNumbers& operator=(const SparseNumbers& other) { return *this = SparseNumbers(other); }

  // Null: none. Good until another channel gets its first.
  const std::uint64_t* Find(std::uint32_t channel) const {
    PM_CHECK(channel < kChannels);
    if (used_ == nullptr || used_->place[channel] == 0) return nullptr;
    return &used_->numbers[used_->place[channel]];
  }
  // The number of this channel: `first` if it had none.
  std::uint64_t& At(std::uint32_t channel, std::uint64_t first) {
    PM_CHECK(channel < kChannels);
    if (used_ == nullptr || used_->place[channel] == 0) Insert(channel, first);
    return used_->numbers[used_->place[channel]];
  }

 private:
  struct Used {
    std::array<std::uint8_t, kChannels> place{};  // 0: none
    std::vector<std::uint64_t> numbers{0};        // the first one is nobody's
  };
  void Insert(std::uint32_t channel, std::uint64_t first);

  std::unique_ptr<Used> used_;
};
static_assert(kChannels <= 64, "a bit for each channel");

// One number per channel: the next to give out, to account for, or to expect.
class ChannelNumbers {
 public:
  std::uint64_t next(std::uint32_t channel) const {
    const std::uint64_t* const number = numbers_.Find(channel);
    return number == nullptr ? 1 : *number;
  }
  // Numbers never go back.
  void Set(std::uint32_t channel, std::uint64_t next) {
    const std::uint64_t now = this->next(channel);
    PM_CHECK(next >= now);
    if (next != now) numbers_.At(channel, 1) = next;
  }
  // Gives out the next number.
  std::uint64_t Take(std::uint32_t channel) { return numbers_.At(channel, 1)++; }

 private:
  SparseNumbers numbers_;
};

// What was received of each origin.
class Receipts {
  struct Origin {
    std::uint64_t epoch = 0;
    std::uint64_t begun = 0;  // a bit for each channel whose number is 1 and takes no room
    SparseNumbers numbers;    // of the others

    // What is expected. 0: no number of this channel was ever settled; the first run or mark sets
    // it without a loss.
    std::uint64_t Next(std::uint32_t channel) const {
      const std::uint64_t* const number = numbers.Find(channel);
      return number != nullptr ? *number : begun >> channel & 1;
    }
    void Set(std::uint32_t channel, std::uint64_t next);
  };

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
  // Of one channel of one origin, for many numbers in a row. Not to be used after anything else was
  // called.
  class Expectation {
   public:
    // True if `sequence` is new; moves the expectation behind it. False: seen before.
    bool Accept(std::uint64_t sequence) {
      if (expected_ == nullptr) expected_ = &origin_.numbers.At(channel_, origin_.Next(channel_));
      if (sequence < *expected_) return false;
      *expected_ = sequence + 1;
      return true;
    }

   private:
    friend class Receipts;
    Expectation(Origin& origin, std::uint32_t channel) : origin_(origin), channel_(channel) {}
    Origin& origin_;
    const std::uint32_t channel_;
    std::uint64_t* expected_ = nullptr;  // of this channel, once something was accepted
  };
  Expectation Of(PeerId origin, std::uint32_t channel) {
    return Expectation(Find(origin), channel);
  }
  // What is expected next; 0 when nothing was ever settled.
  std::uint64_t Next(PeerId origin, std::uint32_t channel) const {
    const auto it = origins_.find(origin);
    return it == origins_.end() ? 0 : it->second.Next(channel);
  }
  // [first, next) came another way: settled, if nothing before them is open.
  void Follow(PeerId origin, std::uint64_t epoch, std::uint32_t channel, std::uint64_t first,
              std::uint64_t next);
  // Numbers before `next` are settled.
  void Settle(PeerId origin, std::uint32_t channel, std::uint64_t next);

  // Begin was called, and Forget not since.
  bool Has(PeerId origin) const { return origins_.contains(origin); }
  void Forget(PeerId origin) { origins_.erase(origin); }
  std::size_t size() const { return origins_.size(); }
  std::size_t heap_bytes() const { return origins_.heap_bytes(); }  // but for the numbers
  std::uint64_t Digest() const;

 private:
  Origin& Find(PeerId origin);
  SortedMap<PeerId, Origin> origins_;
};

// Where our account with each receiver began, and where it ended when the link was lost.
class Baselines {
 public:
  // A link to this process of `receiver` came up. The first one begins the account at `now`.
  void Begin(PeerId receiver, std::uint64_t epoch, const ChannelNumbers& now);
  // Begin was called. The link went: messages below these numbers may have been meant for it.
  void End(PeerId receiver, const ChannelNumbers& accounted);
  // Begin was called. Behind the last number of which End was told.
  std::uint64_t Ended(PeerId receiver, std::uint32_t channel) const;
  // Begin was called. Good until another receiver comes or goes.
  const ChannelNumbers& Of(PeerId receiver) const;
  bool Has(PeerId receiver) const { return receivers_.contains(receiver); }
  void Forget(PeerId receiver) { receivers_.erase(receiver); }
  std::size_t size() const { return receivers_.size(); }
  std::size_t heap_bytes() const { return receivers_.heap_bytes(); }  // but for the numbers

 private:
  struct Receiver {
    std::uint64_t epoch = 0;
    ChannelNumbers from, ended;
  };
  const Receiver& Find(PeerId receiver) const;
  SortedMap<PeerId, Receiver> receivers_;
};

}  // namespace peermesh::routing

#endif  // PEERMESH_MESH_ROUTING_NUMBERING_H_
