// What a world is made of beside its nodes: the network, applications, and what frames go through.
// Plain data.
#ifndef PEERMESH_TESTS_SIM_APP_H_
#define PEERMESH_TESTS_SIM_APP_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mesh/node/effect.h"
#include "mesh/node/input.h"
#include "tests/sim/truth.h"
#include "tests/sim/witness.h"

namespace peermesh::sim {

// What all wires of a world are like.
struct Network {
  Duration latency = std::chrono::microseconds(200);  // one way, at least
  Duration jitter = std::chrono::microseconds(100);   // and at most this much more
  Duration spread{};  // pairs of hosts are further apart by up to this, each by the same always
  // And by what stands here, one way. Host n lives in region n modulo their number.
  std::vector<std::vector<Duration>> regions;
  // Until a frame has left its process. 0: at once, in the same turn, which saves a third of all
  // turns; queues are then never seen to wait for a write.
  Duration write_time = std::chrono::microseconds(5);
  std::uint64_t bytes_per_second = 0;  // out of each host; 0: no limit
  std::uint64_t window = 1u << 20;     // unread data that a connection takes
  bool certificates_expire = false;    // after kCertificateLife
};

// How long a certificate lasts that is new when a link comes up.
inline constexpr Duration kCertificateLife = std::chrono::hours(24 * 7);

// How many times a world looks for broken invariants.
struct Checks {
  std::uint64_t every = 1;                  // turns between checks of the touched node; 0: never
  Duration all = std::chrono::seconds(10);  // virtual time between checks of every node
};

// An application. Indexes stay valid when it has ended.
struct App {
  HostIndex host = 0;
  std::uint64_t process = 0;  // of the host
  SessionId session;
  std::map<std::uint32_t, std::string> patterns;  // by subscription id
  std::uint64_t bytes_per_second = 1'000'000'000;
  bool stalled = false;  // reads nothing more
  bool owes_done = false;
  Instant reads_until{};  // with owes_done, unless it is stalled
  bool ended = false;
  std::optional<node::Refusal> end_reason;
  std::map<RequestId, node::Answer> answers;
  std::map<RequestId, node::Subscribed> subscribed;
  std::size_t unanswered = 0;
  Received received;
  std::vector<std::string> texts;  // of all messages, in order
};

// Encodes and decodes frames on their way, if there is one.
class Codec {
 public:
  virtual ~Codec() = default;
  virtual node::ControlFrame Pass(const node::ControlFrame& frame) = 0;
  virtual node::DataFrame Pass(const node::DataFrame& frame) = 0;
};

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_APP_H_
