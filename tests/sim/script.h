// A simulation as a text file: a line for each thing that is set, done or expected, in order of
// time.
//
//     # A partition heals as soon as it is gone.
//     peers 32
//     start all
//     expect whole within 3s
//     load 100/s size 200
//     partition 0-15
//     wait 60s
//     heal
//     expect whole within 5s
//     settle 10s
//
// A value may be a range, `2s..8s` or `8..32`: each run draws from it by its seed. `docs` of every
// line: tests/scenarios/sim/README.md. Parsing never fails half way: a script is right or refused
// with file, line and reason.
#ifndef PEERMESH_TESTS_SIM_SCRIPT_H_
#define PEERMESH_TESTS_SIM_SCRIPT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "mesh/base/time.h"

namespace peermesh::sim {

// Both ends included; drawn by the seed.
struct Count {
  std::uint64_t from = 0, to = 0;
};
struct Span {
  Duration from{}, to{};
};

// Which hosts: those listed, or `any` many drawn ones, or all.
struct Who {
  bool all = false;
  Count any;  // {0, 0}: those listed
  std::vector<std::pair<std::size_t, std::size_t>> listed;
};

enum class Deed : std::uint8_t {
  kStart,
  kKill,
  kOff,
  kRestart,
  kPause,
  kContinue,
  kRenew,
  kDrain,
};

struct DoTo {
  Deed deed{};
  Who who;
};
struct DoInTurn {  // one after the other
  Deed deed{};
  Who who;
  Span every;
};
struct Partition {
  Who who;               // against all others
  bool one_way = false;  // only what the others send is lost
};
struct HealAll {};
struct BreakBetween {
  Who who;  // every connection they have is reset
};
struct Load {
  Count per_second;  // messages, of all peers together; 0: no more load
  Count size{100, 100};
  Count subjects{8, 8};
};
struct Readers {
  Count each{1, 1};              // on every peer
  Count everything{0, 0};        // how many of all want `>`; else one subject
  Count slow{0, 0};              // how many of all read at `pace` only
  Count pace{20'000, 20'000};    // bytes a second
  std::string overflow = "gap";  // gap, block, close or any of them
};
struct Wait {
  Span span;
};
struct ExpectWhole {
  Duration within{};
};
struct ExpectSeen {  // `who` seen as `state` by all others that run
  Who who;
  std::string state;
  Duration within{};
};
struct Trouble {
  Span span, every;
  std::vector<std::string> kinds;
};
struct Settle {
  Span span;
};

struct Step {
  int line = 0;
  std::variant<DoTo, DoInTurn, Partition, HealAll, BreakBetween, Load, Readers, Wait, ExpectWhole,
               ExpectSeen, Trouble, Settle>
      what;
};

struct Script {
  std::string name;   // of the file
  std::string title;  // its first comment
  Count peers{3, 3};
  Count seeds{1, 1};  // how many of the first peers everybody begins with
  Span latency{std::chrono::microseconds(200), std::chrono::microseconds(200)};
  Span jitter{std::chrono::microseconds(100), std::chrono::microseconds(100)};
  Count bytes_per_second;            // 0: no limit
  Count window{1u << 20, 1u << 20};  // bytes unread that a connection takes
  Span disk;                         // the longest write
  Span stall, stall_every;           // {}: never
  // What nodes allow their applications and each other; 0: anything.
  Count limit_messages, limit_bytes, peer_limit_bytes;
  std::vector<Step> steps;
};

// "500ms", or "2s..8s".
absl::StatusOr<Span> ParseSpan(const std::string& text);
// INVALID_ARGUMENT with "file:line: what is wrong".
absl::StatusOr<Script> ParseScript(const std::string& name, const std::string& text);
absl::StatusOr<Script> ReadScript(const std::string& path);

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_SCRIPT_H_
