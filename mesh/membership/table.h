// The rows of the member table and every order in which they are looked for.
//
// It knows no rule of membership: members.h decides, this finds. Whatever an index depends on (id,
// name, state, since, connection, incarnation, deadline) changes only while the row is out of the
// indices: between Unindex and Index, or by the functions for names.
//
// Orders: by id (the map), by name (a sorted vector: 8 bytes a row, and a move of at most 32 KiB
// when a name comes or goes), by deadline, and of those neither linked nor alive by age. The
// hash over the living is a sum, so that a row comes and goes at the cost of a few words.
//
// The sum is no defence: ids are hashes of certified keys, incarnations are their owners' choice.
// Whoever steers its own incarnations to make two different tables look equal keeps others from
// comparing them for as long as nothing else changes, and gains nothing but that.
//
// Bounds: kMaxPeers rows. Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_MEMBERSHIP_TABLE_H_
#define PEERMESH_MESH_MEMBERSHIP_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "mesh/base/growth.h"
#include "mesh/base/id.h"
#include "mesh/base/limits.h"
#include "mesh/base/time.h"
#include "mesh/membership/row.h"

namespace peermesh::membership {

class Table {
 public:
  explicit Table(PeerId self) : self_(self) {}

  const std::map<PeerId, Row>& rows() const { return rows_; }
  Row* Find(PeerId peer);
  const Row* Find(PeerId peer) const;
  bool full() const { return rows_.size() >= kMaxPeers; }
  std::size_t living() const { return living_; }

  // A new row, out of the indices; there is room.
  Row& Add(PeerId peer);
  // The row is in the indices.
  void Remove(Row& row);
  void Unindex(Row& row);
  void Index(Row& row);
  // Both may change the name.
  void SetRecord(Row& row, RecordRef record);
  void SetTold(Row& row, std::string_view name, std::string_view software);

  // Next to change by time; null if none.
  Row* NextDue() { return due_.empty() ? nullptr : *due_.begin(); }
  Instant NextDeadline() const { return due_.empty() ? kNever : (*due_.begin())->deadline; }

  // Of the rows without a link that are not alive, in this order: the lost and the left before the
  // suspects, the oldest first. Null if there is none.
  Row* OldestIdle() { return idle_.empty() ? nullptr : *idle_.begin(); }
  // The first living row without a link, going round the circle of ids from the point opposite to
  // ours: each peer gives up others, so nobody is forgotten by all, and who is near knows it. Takes
  // at most kMaxLinks steps more when all rows are living. Null if there is none.
  Row* Farthest();

  struct Lookup {
    std::optional<PeerId> peer;
    bool ambiguous = false;
  };
  // Name, id, or unique prefix of an id, ours included.
  Lookup Resolve(std::string_view text) const;

  // Ourselves as others see us; 0: not yet.
  void SetSelf(std::uint64_t version);
  // Over (id, incarnation) of ourselves and those we tell of. Never 0.
  std::uint64_t Hash() const { return sum_ == 0 ? 1 : sum_; }
  // The same for each first byte of an id. Walks all rows: tables are compared seldom, and 2 KB for
  // the sums is more than a small table.
  std::vector<std::uint64_t> PartHashes() const;

  std::size_t HeapBytes() const {
    const std::size_t row = peermesh::HeapBytes(kTreeNodeBytes + sizeof(*rows_.begin()));
    const std::size_t link = peermesh::HeapBytes(kTreeNodeBytes + sizeof(Row*));
    return rows_.size() * row + (due_.size() + idle_.size()) * link + peermesh::HeapBytes(names_);
  }
  void CheckInvariants() const;

 private:
  struct ByDeadline {
    bool operator()(const Row* a, const Row* b) const;
  };
  struct ByAge {
    bool operator()(const Row* a, const Row* b) const;
  };
  void IndexName(const Row& row);
  void UnindexName(const Row& row);

  const PeerId self_;

  std::map<PeerId, Row> rows_;
  std::vector<const Row*> names_;  // by name and id; those without a name are not in it
  std::set<Row*, ByDeadline> due_;
  std::set<Row*, ByAge> idle_;
  std::size_t living_ = 0;
  std::uint64_t self_version_ = 0;
  std::uint64_t sum_ = 0;
};

}  // namespace peermesh::membership

#endif  // PEERMESH_MESH_MEMBERSHIP_TABLE_H_
