#include "metrics/ledger/listing.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace peermesh::ledger {
namespace {

// A copy of an entry that keeps its scope alive.
struct Copy {
  Item item;
  std::string note;
};

std::vector<Copy> CopyEntries(const Ledger& ledger, const ListingOptions& options, Time now) {
  std::vector<Copy> copies;
  ledger.Walk([&](const Item& item) {
    if (now - item.born < options.older) return;
    if (!options.kind.empty() && options.kind != ledger.spec(item.kind).name) return;
    if (item.scope != nullptr) item.scope->Ref();
    Copy copy{.item = item};
    if (item.particulars != nullptr) copy.note = item.particulars->note;
    copy.item.particulars = nullptr;
    copies.push_back(std::move(copy));
  });
  return copies;
}

std::string KeyOf(const ListingRow& one, std::uint64_t id, GroupBy by) {
  switch (by) {
    case GroupBy::kKind: return one.kind;
    case GroupBy::kOwner: return one.owner;
    case GroupBy::kSite: return one.site;
    case GroupBy::kScope: return one.scope;
    case GroupBy::kEach: return std::to_string(id);
  }
  return "";
}

void AddTo(ListingRow& row, const ListingRow& one) {
  if (row.live == 0) {
    row = one;
    return;
  }
  for (const auto field : {&ListingRow::kind, &ListingRow::owner, &ListingRow::scope,
                           &ListingRow::site, &ListingRow::note}) {
    if (row.*field != one.*field) (row.*field).clear();
  }
  row.live += one.live;
  row.amount += one.amount;
  row.oldest = std::max(row.oldest, one.oldest);
  row.longest_idle = std::max(row.longest_idle, one.longest_idle);
}

}  // namespace

const char* ToString(GroupBy by) {
  switch (by) {
    case GroupBy::kKind: return "kind";
    case GroupBy::kOwner: return "peer";
    case GroupBy::kSite: return "site";
    case GroupBy::kScope: return "scope";
    case GroupBy::kEach: return "each";
  }
  return "";
}

std::optional<GroupBy> ParseGroupBy(std::string_view name) {
  for (const GroupBy by :
       {GroupBy::kKind, GroupBy::kOwner, GroupBy::kSite, GroupBy::kScope, GroupBy::kEach})
    if (name == ToString(by)) return by;
  return std::nullopt;
}

Listing List(const Ledger& ledger, const ListingOptions& options) {
  const Time now = ledger.now();
  std::map<std::string, ListingRow> groups;
  for (const Copy& copy : CopyEntries(ledger, options, now)) {
    const Item& item = copy.item;
    ListingRow one{.kind = ledger.spec(item.kind).name,
                   .owner = item.scope == nullptr ? "process" : item.scope->Owner(),
                   .scope = item.scope == nullptr ? "process" : item.scope->Path(),
                   .site = item.site.ToText(),
                   .note = copy.note,
                   .live = 1,
                   .amount = item.amount,
                   .oldest = now - item.born,
                   .longest_idle = now - item.touched};
    if (item.scope != nullptr) item.scope->Unref();
    one.key = KeyOf(one, item.id, options.by);
    AddTo(groups[one.key], one);
  }
  Listing listing;
  for (auto& [key, row] : groups) listing.rows.push_back(std::move(row));
  std::sort(listing.rows.begin(), listing.rows.end(), [](const auto& a, const auto& b) {
    return std::tuple(b.live, b.oldest, a.key) < std::tuple(a.live, a.oldest, b.key);
  });
  if (listing.rows.size() > options.limit) {
    listing.left_off = listing.rows.size() - options.limit;
    listing.rows.resize(options.limit);
  }
  return listing;
}

}  // namespace peermesh::ledger
