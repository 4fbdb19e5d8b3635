// An experiment as a text file: a line for each thing that is set, done, measured or required.
//
//     # Half of the peers vanish at once.
//     cases name,peers,share small,500,50% full,10000,50%
//     peers $peers
//     shape full-mesh 0 active 8 passive 64 table 512
//     latency 10ms..50ms
//     join every 10ms through 3 seeds
//     wait 120s
//     measure graph as before
//     vanish $share
//     broadcast every 1s for 20 rounds size 1024 from any
//     each before.components 1
//     mean path_mean 6.2..6.6 at full
//     mean delivered[2] at least 0.999
//
// A file with `cases` is run once for each, with the words behind `$` replaced. All lines:
// tests/scenarios/large/README.md. Parsing never fails half way: a file is right, or refused with
// file, line and reason.
#ifndef PEERMESH_TESTS_SIM_EXPERIMENT_PLAN_H_
#define PEERMESH_TESTS_SIM_EXPERIMENT_PLAN_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "mesh/base/time.h"
#include "mesh/node/node.h"
#include "tests/sim/script.h"

namespace peermesh::sim::experiment {

struct Join {
  std::uint64_t count = 0;  // 0: all that are not there yet
  Duration every{};         // one after the other; or else
  Duration within{};        // all at random moments of this time
  std::uint64_t seeds = 1;  // how many of the first peers everybody knows at its start
};
enum class Measured : std::uint8_t { kGraph, kMemory, kTraffic, kSpeed };
struct Measure {
  Measured what{};
  Duration span{};  // of traffic and speed
  std::string as;   // put before the names of its figures, with a dot
};
struct Victims {
  std::uint64_t count = 0;
  double share = 0;  // of those that run, unless it is a count
  bool busiest = false;
};
enum class Manner : std::uint8_t { kSilent, kReset };  // nobody is told; the kernel tells
struct Fail {
  Victims who;
  Manner manner{};
};
struct Broadcast {
  Duration every = std::chrono::seconds(1);
  std::uint64_t rounds = 1, warm_up = 0, bytes = 1024;
  bool from_any = false;  // else all from one peer
  Duration within = std::chrono::seconds(1);
  std::string as;
};
struct Crashes {
  std::uint64_t count = 0;
  Duration every{};
  Manner manner{};
  Duration within = std::chrono::seconds(20);
  std::string as;
};
struct Pauses {
  std::uint64_t members = 0;
  Duration length{};
};
enum class Greyness : std::uint8_t { kOneWay, kLossy, kPair };
struct Grey {
  Greyness how{};
  double share = 0;  // of the peers
  double loss = 0;   // of what comes to a lossy one
  Duration turns{};  // a one-way cut comes and goes as often
  Duration length{};
};
struct Split {
  double share = 0;
  Duration length{};
  Duration within{};  // after it has healed
};
struct Offered {
  std::uint64_t per_second = 0;  // of all peers together; 0: no more
  std::uint64_t bytes = 200;
};
struct Balance {
  Duration after{};
};
struct WatchContact {};
struct Rest {
  Duration span{};
};

struct Deed {
  int line = 0;
  std::variant<Join, Rest, Measure, Fail, Broadcast, Crashes, Pauses, Grey, Split, Offered, Balance,
               WatchContact>
      what;
};

// What a figure must be.
enum class Of : std::uint8_t {
  kEach,   // run
  kMean,   // of the seeds of a case
  kTotal,  // of the means of all cases
};
struct Bound {
  int line = 0;
  Of of{};
  std::string figure;
  double least = 0, most = 0;
  std::string times;  // not empty: the bounds are multiples of this figure
  std::string at;     // cases; see IsOf
  std::string text;   // "0.999..1", as it stands in the file
};

struct Plan {
  std::string name;  // of the case; empty without cases
  std::uint64_t peers = 0;
  node::Shape shape;
  Span latency{std::chrono::milliseconds(10), std::chrono::milliseconds(50)};  // E4
  Duration jitter{};
  std::vector<Deed> deeds;
};

// Whether a case is meant: `full` means full, full-50 and so on, and nothing means all.
bool IsOf(std::string_view plan, std::string_view at);

struct Experiment {
  std::string name;   // of the file
  std::string title;  // its first comment
  std::vector<Plan> plans;
  std::vector<Bound> bounds;
};

// INVALID_ARGUMENT with "file:line: what is wrong".
absl::StatusOr<Experiment> ParseExperiment(const std::string& name, const std::string& text);
absl::StatusOr<Experiment> ReadExperiment(const std::string& path);

}  // namespace peermesh::sim::experiment

#endif  // PEERMESH_TESTS_SIM_EXPERIMENT_PLAN_H_
