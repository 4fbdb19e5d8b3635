#include "tests/history/invented.h"

#include <array>
#include <map>

namespace peermesh::history {
namespace {

enum NameLine : std::uint32_t {
  kAlpha,
  kBeta,
  kGamma,
  kOrdersNew,
  kOrdersOld,
  kStock,
  kOrdersAll,  // orders.>
  kAnything,   // >
  kNote,
  kCut,
};

constexpr std::uint32_t kChannelOf[] = {0, 0, 0, 5, 5, 9, 0, 0, 30};

class Inventor {
 public:
  explicit Inventor(const std::function<void(const Record&)>& take) : take_(take) {}

  void Begin() {
    for (std::uint16_t peer = 0; peer < Invented::kPeers; ++peer) Start(peer);
  }

  void Round(std::uint64_t round) {
    for (std::uint16_t peer = 0; peer < Invented::kPeers; ++peer) {
      Publish(peer, round % 3 == 0 ? kOrdersOld : kOrdersNew);
      Publish(peer, kStock);
    }
    if (round % 16 == 3) Publish(0, kOrdersNew, Outcome::kLost);
    if (round % 16 == 4) Publish(1, kOrdersNew, Outcome::kUnreached);
    if (round % 16 == 5) Refuse(2);
    if (round % 16 == 6) Publish(0, kStock, Outcome::kUnknown);
    if (round % 16 == 7) Direct(0, 2);
    if (round == 20) Fault();
    if (round == 30) Restart(1);
  }

  void End() {
    Put({.event = Event::kQuiet});
    for (std::uint16_t peer = 0; peer < Invented::kPeers; ++peer) Close(peer);
  }

 private:
  enum class Outcome { kDelivered, kLost, kUnreached, kUnknown };

  void Put(Record record) {
    record.time_ns = (time_ns_ += 1000);
    take_(record);
  }

  void Start(std::uint16_t peer) {
    epochs_[peer] = Invented::kEpoch + restarts_++;
    numbers_[peer].clear();
    Put({.peer = peer, .event = Event::kStarted, .epoch = epochs_[peer]});
    actors_[peer] = next_actor_++;
    Put({.actor = actors_[peer], .peer = peer, .event = Event::kOpened, .epoch = epochs_[peer]});
    const NameLine patterns[] = {kOrdersAll, kAnything};
    for (std::uint64_t id = 1; id <= 2; ++id) {
      Record record{.actor = actors_[peer],
                    .peer = peer,
                    .event = Event::kSubscribe,
                    .name = patterns[id - 1],
                    .sequence = id};
      Put(record);
      record.event = Event::kSubscribed;
      Put(record);
    }
    for (std::uint16_t other = 0; other < Invented::kPeers; ++other) {
      Know(other, peer);
      Know(peer, other);
    }
  }

  void Know(std::uint16_t origin, std::uint16_t peer) {
    if (origin == peer || epochs_[origin] == 0 || epochs_[peer] == 0) return;
    Put({.peer = peer,
         .event = Event::kLinked,
         .origin = origin,
         .epoch = epochs_[origin],
         .until = epochs_[peer]});
  }

  void Close(std::uint16_t peer) {
    Put({.actor = actors_[peer], .peer = peer, .event = Event::kClosed});
  }

  Record Invoke(std::uint16_t peer, std::uint32_t subject, std::uint64_t target) {
    Record record{.actor = actors_[peer],
                  .peer = peer,
                  .event = Event::kInvoke,
                  .name = subject,
                  .until = target,
                  .message = next_message_++};
    record.crc = static_cast<std::uint32_t>(record.message * 2654435761u);
    Put(record);
    return record;
  }

  Record Accept(Record record) {
    record.event = Event::kAccepted;
    record.crc = 0;
    record.until = 0;
    record.epoch = epochs_[record.peer];
    record.channel = kChannelOf[record.name];
    record.sequence = ++numbers_[record.peer][record.channel];
    Put(record);
    return record;
  }

  void Publish(std::uint16_t peer, std::uint32_t subject, Outcome outcome = Outcome::kDelivered,
               std::uint64_t target = 0) {
    Record record = Invoke(peer, subject, target);
    const std::uint32_t crc = record.crc;
    if (outcome != Outcome::kUnknown) {
      record = Accept(record);
    } else {
      record.event = Event::kUnknown;
      Put(record);
      ++numbers_[peer][kChannelOf[subject]];  // it was taken and went to nobody
    }
    const auto away = static_cast<std::uint16_t>((peer + 1) % Invented::kPeers);
    if (outcome == Outcome::kUnreached) {
      Put({.actor = record.actor,
           .peer = peer,
           .event = Event::kUnreached,
           .name = away,
           .message = record.message});
    }
    for (std::uint16_t to = 0; to < Invented::kPeers; ++to) {
      if (outcome == Outcome::kUnknown || (target != 0 && target != to + 1u)) continue;
      if (outcome != Outcome::kDelivered && to == away) {
        if (outcome == Outcome::kLost) Lose(to, record);
        continue;
      }
      Deliver(to, record, crc);
    }
  }

  void Lose(std::uint16_t to, const Record& accepted) {
    Put({.actor = actors_[to],
         .peer = to,
         .event = Event::kGap,
         .reason = 3,
         .origin = accepted.peer,
         .epoch = accepted.epoch,
         .channel = accepted.channel,
         .sequence = accepted.sequence,
         .until = accepted.sequence});
  }

  void Deliver(std::uint16_t to, const Record& accepted, std::uint32_t crc) {
    Record record = accepted;
    record.event = Event::kDeliver;
    record.actor = actors_[to];
    record.peer = to;
    record.origin = accepted.peer;
    record.crc = crc;
    for (std::uint64_t id = accepted.name == kStock ? 2 : 1; id <= 2; ++id) {
      record.until = id;
      Put(record);
    }
  }

  void Refuse(std::uint16_t peer) {
    Record record = Invoke(peer, kStock, 0);
    record.event = Event::kRefused;
    record.reason = 2;
    Put(record);
  }

  void Direct(std::uint16_t from, std::uint16_t to) {
    Publish(from, kOrdersNew, Outcome::kDelivered, to + 1u);
  }

  void Fault() {
    Put({.event = Event::kFaultOn, .name = kCut});
    Put({.event = Event::kFaultOff, .flags = kBit, .name = kCut});
  }

  // Kills a process with a message that nobody else has seen yet, and one of another on its way.
  void Restart(std::uint16_t peer) {
    Accept(Invoke(peer, kOrdersNew, 0));
    const auto other = static_cast<std::uint16_t>((peer + 1) % Invented::kPeers);
    const Record invoked = Invoke(other, kStock, 0);
    const Record accepted = Accept(invoked);
    for (std::uint16_t to = 0; to < Invented::kPeers; ++to) {
      if (to != peer) Deliver(to, accepted, invoked.crc);
    }
    Put({.peer = peer, .event = Event::kEnded, .flags = kKilled, .epoch = epochs_[peer]});
    Close(peer);
    Start(peer);
  }

  const std::function<void(const Record&)>& take_;
  std::int64_t time_ns_ = 0;
  std::uint64_t restarts_ = 0;
  std::uint32_t next_actor_ = 1;
  std::uint64_t next_message_ = 1;
  std::array<std::uint32_t, Invented::kPeers> actors_{};
  std::array<std::uint64_t, Invented::kPeers> epochs_{};
  std::array<std::map<std::uint32_t, std::uint64_t>, Invented::kPeers> numbers_;
};

}  // namespace

std::vector<std::string> Invented::Names() {
  return {"alpha", "beta",     "gamma", "orders.new", "orders.old",
          "stock", "orders.>", ">",     "note",       "a cable was cut"};
}

void Invent(std::uint64_t rounds, const std::function<void(const Record&)>& take) {
  Inventor inventor(take);
  inventor.Begin();
  for (std::uint64_t round = 0; round < rounds; ++round) inventor.Round(round);
  inventor.End();
}

}  // namespace peermesh::history
