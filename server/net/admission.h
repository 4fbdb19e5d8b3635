// Which new connections a listener takes: caps and a token bucket per address.
//
// Decided before a byte is read, from the remote address alone. An IPv6 address counts as its /64:
// whoever has one address there has them all. Remembers at most kMaxTrackedAddresses addresses:
// those whose bucket is full again are forgotten first; when all are busy, newcomers from unknown
// addresses are refused, because a flood from that many addresses is what the table is for.
//
// Time is an argument. Not thread-safe; owned by its listener.
#ifndef PEERMESH_SERVER_NET_ADMISSION_H_
#define PEERMESH_SERVER_NET_ADMISSION_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "mesh/base/id.h"
#include "mesh/base/time.h"
#include "mesh/limits/gcra.h"

namespace peermesh::net {

using ConnectionId = Id<struct ConnectionTag>;

// 64 bytes or so each; more addresses than a mesh has peers and clients.
inline constexpr std::size_t kMaxTrackedAddresses = 4096;
inline constexpr Duration kSweepInterval = std::chrono::milliseconds(100);

struct Caps {
  std::size_t max_connections = 256;  // guess: 96 links of two connections each, and clients
  std::size_t max_per_address = 64;   // a host behind NAT, or many peers on one machine
  std::size_t max_handshakes = 64;    // each costs about a millisecond of CPU and 100 KiB
  // New connections of one address.
  limits::Rate handshakes = limits::Rate::PerSecond(8, 32);

  // For unix sockets: all callers share one address and have passed the permissions of the file.
  static Caps Local(std::size_t connections = 1024) {
    return Caps{connections, connections, connections, limits::Rate{}};
  }
};

// Why a connection was refused.
enum class Refusal : std::uint8_t {
  kTotal,          // max_connections
  kPerAddress,     // max_per_address
  kHandshakes,     // max_handshakes, and nothing else speaks against it
  kRate,           // handshakes, or too many addresses at once
  kNoDescriptors,  // the process is out of file descriptors
};
inline constexpr std::size_t kRefusalCount = 5;
using RefusalCounts = std::array<std::uint64_t, kRefusalCount>;
// lower_snake, as in metric labels: "per_address".
const char* ToString(Refusal refusal);

class Admission {
 public:
  explicit Admission(const Caps& caps) : caps_(caps) {}

  // Takes the connection into the counts, or says why not. `address` has no port.
  struct Verdict {
    bool admitted = false;
    Refusal refusal = Refusal::kTotal;  // if not admitted
  };
  [[nodiscard]] Verdict TryAdmit(const std::string& address, Instant now);
  // The handshake of an admitted connection ended, in whatever way.
  void HandshakeOver(const std::string& address);
  // Where room for a handshake can be made fairly: the address that has the most under way, if
  // those are more than `newcomer` has.
  std::optional<std::string> Busiest(const std::string& newcomer) const;
  // An admitted connection ended.
  void Release(const std::string& address);

  // From now on; what is admitted stays. A changed rate begins with its whole burst.
  void SetCaps(const Caps& caps);

  const Caps& caps() const { return caps_; }
  std::size_t open() const { return open_; }
  std::size_t handshakes() const { return handshakes_; }
  std::size_t tracked() const { return addresses_.size(); }

 private:
  struct Entry {
    std::size_t open = 0;
    std::size_t handshakes = 0;
    limits::Gcra bucket;
  };
  bool Forgettable(const Entry& entry, Instant now) const;
  bool MakeRoom(Instant now);

  Caps caps_;
  std::size_t open_ = 0;
  std::size_t handshakes_ = 0;
  std::map<std::string, Entry> addresses_;
  Instant next_sweep_ = Instant::min();  // a sweep looks at every address, so they are rationed
};

}  // namespace peermesh::net

#endif  // PEERMESH_SERVER_NET_ADMISSION_H_
