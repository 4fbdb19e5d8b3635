#include "server/observe/grpc_books.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "server/link/calls.h"
#include "server/link/channelz.h"
#include "server/link/kinds.h"
#include "server/net/kinds.h"

namespace peermesh {
namespace {

// Calls of ours that are no streams, and so have no entry: those to the CA.
std::uint64_t OpenUnaryCalls() {
  std::uint64_t open = 0;
  for (const link::CallFigures& call : link::CallBook::Made().Figures()) {
    if (call.type != link::CallType::kUnary) continue;
    open +=
        call.started - std::accumulate(call.handled.begin(), call.handled.end(), std::uint64_t{0});
  }
  return open;
}

}  // namespace

std::vector<ledger::RpcCounts> GrpcBooks::Compare() {
  // gRPC first: what begins between the two looks is then in the ledger alone.
  const link::ChannelzCounts grpc = link::CountChannelz();
  const auto counts = ledger::Ledger::Process().TakeCounts();
  const auto live = [&](ledger::Kind kind) { return counts[kind.index].live(); };
  const std::uint64_t connections = counts[net::kHandedOverFd.index].acquired;
  const std::uint64_t new_calls =
      grpc.served_started -
      std::min(grpc.served_started, std::exchange(calls_before_, grpc.served_started));
  const std::uint64_t new_connections =
      connections - std::min(connections, std::exchange(connections_before_, connections));

  std::vector<ledger::RpcCounts> rows;
  const auto add = [&](const char* kind, std::uint64_t by_grpc, std::uint64_t doubtful,
                       std::uint64_t booked) {
    const std::uint64_t certain = by_grpc - std::min(by_grpc, doubtful);
    rows.push_back({.kind = kind,
                    .elsewhere = static_cast<std::int64_t>(std::max(certain, booked)),
                    .by_ledger = static_cast<std::int64_t>(booked)});
  };
  const std::uint64_t cancelled = live(link::kCancelledCall);
  add("channel", grpc.channels, 0, live(link::kChannel));
  add("rpc_client", grpc.made_open, 0, live(link::kClientStream) + cancelled + OpenUnaryCalls());
  add("rpc_server", grpc.served_open, new_calls,
      live(link::kServerCall) + live(link::kServerStream) + cancelled);
  add("connection", grpc.accepted, new_connections, live(net::kHandedOverFd));
  return rows;
}

}  // namespace peermesh
