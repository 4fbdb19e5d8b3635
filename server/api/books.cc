#include "server/api/books.h"

#include "server/api/kinds.h"
#include "server/link/kinds.h"

namespace peermesh::api {

std::vector<ledger::RpcCounts> CountedTwice(const node::Census& census) {
  const ledger::Ledger& ledger = ledger::Ledger::Process();
  const auto booked = ledger.TakeCounts();
  std::vector<ledger::RpcCounts> counts;
  const auto add = [&](ledger::Kind kind, std::size_t by_node) {
    counts.push_back({.kind = ledger.spec(kind).name,
                      .elsewhere = static_cast<std::int64_t>(by_node),
                      .by_ledger = static_cast<std::int64_t>(booked[kind.index].live()),
                      .where = "the node"});
  };
  add(link::kLink, census.links);
  add(kSession, census.sessions);
  add(kSubscription, census.subscriptions);
  return counts;
}

}  // namespace peermesh::api
