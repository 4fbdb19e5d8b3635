// What drivers outside the mesh write down of everything they did and saw: fixed records of 64
// bytes, one file for each writer, in the order in which it saw things.
//
// A history is a directory: `names.txt` (one subject, pattern, peer or description a line; a record
// refers to it by its line, from 0) and any number of `*.history` files of records. `peer` and
// `origin` are lines of names.txt, too, so peers stand among its first 65,536. All clocks in it are
// one clock, so records of different writers can be compared by time. Numbers are little-endian.
//
// What is asked for (kInvoke, kSubscribe) is written before it is sent, what came (all others)
// after it was seen. A writer appends and never looks back, so a killed one leaves a prefix; a last
// record that is cut short is ignored. Plain data.
#ifndef PEERMESH_TESTS_HISTORY_RECORD_H_
#define PEERMESH_TESTS_HISTORY_RECORD_H_

#include <cstdint>
#include <type_traits>

namespace peermesh::history {

enum class Event : std::uint8_t {
  // A process of a peer. `peer`, `epoch` (of its numbering; larger for every later process).
  kStarted = 1,
  kEnded = 2,  // nothing it still held will come; flag kKilled if it could not say goodbye
  // The process `epoch` of `origin` knows from now on what applications of `peer`, in its process
  // `until`, want; with the flag kOnePattern, that they want the pattern `name`. Without this record
  // it is known from the first thing that reaches one of them.
  kLinked = 3,
  // A session at `peer`, whose process has `epoch`; `actor` is new for each session.
  kOpened = 10,     // `until`: a name of the peer that people read + 1, or 0
  kClosed = 11,     // by the application or by the peer (`reason`: node::Refusal), or with its
                    // process
  kSubscribe = 12,  // asked: `name` is the pattern, `sequence` the subscription's id in its session
  kSubscribed = 13,  // `sequence` is confirmed: `until` is the number of linked peers that have not
                     // acknowledged it
  kUnsubscribe = 14,  // `sequence`
  // A message that `actor` publishes: `message` is its id, unique in the history and not 0; `name`
  // its subject.
  kInvoke =
      20,  // about to be sent; `crc` of the payload; `until`: the target peer's name + 1, or 0
  kAccepted = 21,   // `epoch`, `channel`, `sequence` as numbered; `peer` is the origin
  kUnreached = 22,  // beside an acceptance: `name` is a peer that may want it and has no link
  kRefused = 23,    // `reason`: it was not taken and will never be delivered
  kUnknown = 24,    // no answer came: it may have been taken or not
  // What reached `actor`. `origin`, `epoch`, `channel`, `sequence` name the message.
  kDeliver =
      30,     // `crc` of the payload, `message` as it stands in the payload, `name` the subject;
              // `until`: subscription id matched (one record for each id that matched)
  kGap = 31,  // [sequence, until] will not come; `reason`: LossReason
  // The run itself. Each fault has a `name` of its own, which describes it.
  kFaultOn = 40,   // one of its records has the flag kBit once it demonstrably bit
  kFaultOff = 41,  // likewise
  kQuiet = 42,  // no fault since, and all that was under way has had its time: the end. The first
                // one counts; sessions that are to be judged in full close after it
  // What a counter in the metrics of a process said: `peer`, `epoch`, `reason` (Book), `sequence`
  // (its value), `channel` (LossReason, with kAnnounced). The time is from before it was asked for.
  kBooks = 43,
};

enum class Book : std::uint8_t {
  kPublished = 1,
  kDelivered = 2,
  kRefusedRate = 3,   // requests, each of one message or more
  kRefusedOther = 4,  // likewise
  kAnnounced = 5,     // numbers in gaps
};

inline constexpr std::uint16_t kKilled = 1;
inline constexpr std::uint16_t kBit = 2;
inline constexpr std::uint16_t kOnePattern = 4;
inline constexpr std::uint16_t kNoMore = 8;  // with kOnePattern: it knows that no longer

struct Record {
  std::int64_t time_ns = 0;  // of the run's one clock
  std::uint32_t actor = 0;
  std::uint16_t peer = 0;  // the peer the actor talks to, or that the record is about
  Event event{};
  std::uint8_t reason = 0;
  std::uint16_t origin = 0;  // the publishing peer
  std::uint16_t flags = 0;
  std::uint32_t name = 0;  // line of names.txt
  std::uint64_t epoch = 0;
  std::uint32_t channel = 0;
  std::uint32_t crc = 0;
  std::uint64_t sequence = 0;
  std::uint64_t until = 0;
  std::uint64_t message = 0;
};
static_assert(sizeof(Record) == 64 && std::is_trivially_copyable_v<Record>);

}  // namespace peermesh::history

#endif  // PEERMESH_TESTS_HISTORY_RECORD_H_
