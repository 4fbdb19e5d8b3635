// gRPC's count of channels, calls and connections against the ledger's.
//
// gRPC counts everything that goes through it, whoever made it; the ledger what was made by our own
// hands. What gRPC has and no entry stands for, for a minute, was leaked past the ledger: a channel
// that nobody's factory made, a call that a service beside ours never finished, a connection that
// did not come through the accept loop.
//
//   channel      top channels               entries "channel"
//   rpc_client   open calls of channels     streams of ours, calls to the CA, cancelled calls
//   rpc_server   open calls of servers      calls and streams of others, cancelled calls
//   connection   sockets of servers         "fd_handed_over": connections known to last
//
// Rules, so that no honest load is ever a finding:
//   - Only more in gRPC counts. It ends a call when the network does and the ledger when its last
//     operation is back; a connection is an entry before its handshake has made it gRPC's.
//   - What began since the last look is given the benefit of the doubt: it may have arrived in gRPC
//     and not yet here.
//   - The auditor asks for a minute of it (ledger::kSkewFor), and takes the least of that minute.
//
// Cost: some 100 us for a peer with few connections, one more for each. Not thread-safe: the
// auditor's thread.
#ifndef PEERMESH_SERVER_OBSERVE_GRPC_BOOKS_H_
#define PEERMESH_SERVER_OBSERVE_GRPC_BOOKS_H_

#include <cstdint>
#include <vector>

#include "metrics/ledger/auditor.h"

namespace peermesh {

class GrpcBooks {
 public:
  // For ledger::Sources::rpcs: always the same kinds.
  std::vector<ledger::RpcCounts> Compare();

 private:
  // In all, at the last look.
  std::uint64_t calls_before_ = 0, connections_before_ = 0;
};

}  // namespace peermesh

#endif  // PEERMESH_SERVER_OBSERVE_GRPC_BOOKS_H_
