// gRPC's own books: its servers, channels, connections and calls, by its C API, within the process.
//
// gRPC counts for reasons of its own and knows nothing of the ledger: what the two of them count
// alike is compared by the auditor (server/grpc_books.h) and shown at /debug/channelz.
//
// Rules:
//   - Only this file knows the form of gRPC's answers. They are JSON; what is missing there is 0.
//   - No service is offered: whoever may see this sees every address that is connected.
//   - Counts are those of gRPC's moment, not of one moment: objects come and go between two of
//   them.
//
// Cost: 57 us for one server, a microsecond for each connection on top. Bounds: kMaxShownSockets
// for each server and channel; counts are not bounded. Thread-safe; empty when gRPC is not running.
#ifndef PEERMESH_SERVER_LINK_CHANNELZ_H_
#define PEERMESH_SERVER_LINK_CHANNELZ_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace peermesh::link {

inline constexpr std::size_t kMaxShownSockets = 500;  // a page that a person can read

struct ChannelzCalls {
  std::uint64_t started = 0, succeeded = 0, failed = 0;
  std::string last_started;  // "2026-11-21T12:00:00.123456789Z"; empty: none yet
  // Those that have not ended.
  std::uint64_t open() const { return started - succeeded - failed; }
};

// A connection that speaks HTTP/2.
struct ChannelzSocket {
  std::int64_t id = 0;
  std::string remote;  // "ipv4:127.0.0.1:7443", "unix:"
  ChannelzCalls streams;
  std::uint64_t messages_sent = 0, messages_received = 0, keepalives = 0;
};

// What a server has accepted, or what a channel has dialled.
struct ChannelzGroup {
  std::int64_t id = 0;
  std::string target, state;  // of a channel: "ipv4:10.0.0.7:7443", "READY"
  ChannelzCalls calls;
  std::vector<ChannelzSocket> sockets;
  std::size_t left_off = 0;  // sockets beyond kMaxShownSockets
};

struct Channelz {
  std::vector<ChannelzGroup> servers, channels;
};
Channelz ReadChannelz();

struct ChannelzCounts {
  std::uint64_t servers = 0, channels = 0;
  std::uint64_t served_open = 0, served_started = 0;  // calls of all servers
  std::uint64_t made_open = 0;                        // calls of all channels
  std::uint64_t accepted = 0;                         // connections of all servers
};
ChannelzCounts CountChannelz();

}  // namespace peermesh::link

#endif  // PEERMESH_SERVER_LINK_CHANNELZ_H_
