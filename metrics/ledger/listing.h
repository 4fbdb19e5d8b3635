// What is live, grouped: for people who look around before there is a verdict.
#ifndef PEERMESH_METRICS_LEDGER_LISTING_H_
#define PEERMESH_METRICS_LEDGER_LISTING_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/ledger/ledger.h"

namespace peermesh::ledger {

enum class GroupBy : std::uint8_t {
  kKind,
  kOwner,  // the outermost scope: a peer, a client, the process
  kSite,
  kScope,  // the whole path
  kEach,   // every one for itself
};
const char* ToString(GroupBy by);
std::optional<GroupBy> ParseGroupBy(std::string_view name);

struct ListingRow {
  std::string key;                             // of the group; the id of a single one
  std::string kind, owner, scope, site, note;  // empty where the group has several
  std::uint64_t live = 0, amount = 0;
  Duration oldest{}, longest_idle{};
};

struct Listing {
  std::vector<ListingRow> rows;  // most live first, then oldest
  std::uint64_t left_off = 0;    // rows beyond the limit
};

struct ListingOptions {
  GroupBy by = GroupBy::kKind;
  Duration older{};  // at least so old
  std::string kind;  // empty: all
  std::size_t limit = 1000;
};

// Copies the entries shard by shard and groups the copies: nobody waits for it.
Listing List(const Ledger& ledger, const ListingOptions& options);

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_LISTING_H_
