// Member tables compared, so that all peers know the same: news travels once over every link, and
// whoever missed some of it finds out by a hash in the heartbeats.
#include <algorithm>

#include "mesh/node/node_impl.h"

namespace peermesh::node {

using membership::StatementRef;

namespace {

std::uint8_t PartOf(const PeerId& id) { return id.bytes[0]; }

}  // namespace

// One of the two asks: on a new link the dialler, who also sends its record if it did not before;
// later the one with the smaller id.
void Node::Impl::CompareTables(Link& link, const Heartbeat& frame) {
  link.their_table = frame.table_hash;
  if (large_.on && frame.number == 1 && !SameTable(link)) {
    if (std::exchange(link.record_withheld, false)) PushControl(link, PeerRecords{{own_record_}});
    if (link.direction == Direction::kOutbound && !large_.partial()) SendTableHashes(link);
    return;
  }
  if (!large_.on || large_.partial() || frame.table_hash == 0 ||
      frame.table_hash == members_.TableHash()) {
    link.table_differs = 0;
    return;
  }
  if (++link.table_differs % kTableDiffers != 0 || link.peer < config_.self) return;
  SendTableHashes(link);
}

// Whether the other side knows whom we know, by its last heartbeat.
bool Node::Impl::SameTable(const Link& link) const {
  return large_.on && !large_.partial() && link.their_table == members_.TableHash();
}

void Node::Impl::SendTableHashes(Link& link) {
  ++stats_.tables_compared;
  PushControl(link, TableHashes{members_.PartHashes()});
}

// Tells what is in the parts that differ.
void Node::Impl::OnFrame(Instant, Link& link, TableHashes& frame, Effects&) {
  if (frame.hashes.size() != kTableParts || large_.partial()) return;
  const std::vector<std::uint64_t> ours = members_.PartHashes();
  PM_CHECK(ours.size() == kTableParts);
  TableRows rows;
  const auto tell = [&](const PeerId& id, std::uint64_t version) {
    if (rows.parts.empty() || rows.parts.back() != PartOf(id)) return;
    rows.rows.push_back({id, version});
  };
  auto row = members_.rows().begin();
  for (std::size_t part = 0; part < kTableParts; ++part) {
    std::size_t in_part = 0;
    const auto first = row;
    for (; row != members_.rows().end() && PartOf(row->first) == part; ++row) ++in_part;
    if (frame.hashes[part] == ours[part]) continue;
    if (rows.rows.size() + in_part + 1 > kTableRowsPerFrame && !rows.parts.empty()) {
      PushControl(link, std::exchange(rows, {}));
    }
    rows.parts.push_back(static_cast<std::uint8_t>(part));
    if (PartOf(config_.self) == part && own_record_) tell(config_.self, own_record_->Version());
    for (auto it = first; it != row; ++it) {
      if (membership::IsTold(it->second) && rows.rows.size() < kTableRowsPerFrame) {
        tell(it->first, membership::VersionOf(it->second));
      }
    }
  }
  if (!rows.parts.empty()) PushControl(link, std::move(rows));
}

// Sends what the other side lacks and asks for what we lack.
void Node::Impl::OnFrame(Instant now, Link& link, TableRows& frame, Effects&) {
  std::map<PeerId, std::uint64_t> theirs;
  for (const TableRow& row : frame.rows) theirs[row.id] = row.version;
  RecordsWanted wanted;
  std::vector<PeerId> gone;
  for (const auto& [id, version] : theirs) {
    if (id == config_.self) continue;
    const membership::Row* row = members_.Find(id);
    if (members_.Wants(id, version)) {
      wanted.ids.push_back(id);
    } else if (row != nullptr && !membership::IsTold(*row)) {
      gone.push_back(id);
    }
  }
  SendEvidence(now, link, gone);
  std::vector<PeerId> lacking;
  const auto offer = [&](const PeerId& id, std::uint64_t version) {
    const auto known = theirs.find(id);
    if (known == theirs.end() || known->second < version) lacking.push_back(id);
  };
  std::set<std::uint8_t> parts(frame.parts.begin(), frame.parts.end());
  if (parts.contains(PartOf(config_.self)) && own_record_) {
    offer(config_.self, own_record_->Version());
  }
  for (const std::uint8_t part : parts) {
    PeerId first;
    first.bytes[0] = part;
    for (auto row = members_.rows().lower_bound(first);
         row != members_.rows().end() && PartOf(row->first) == part; ++row) {
      if (membership::IsTold(row->second)) offer(row->first, membership::VersionOf(row->second));
    }
  }
  SendRecordsOf(link, lacking);
  if (!wanted.ids.empty()) PushControl(link, std::move(wanted));
}

void Node::Impl::OnFrame(Instant, Link& link, RecordsWanted& frame, Effects&) {
  if (frame.ids.size() > kTableRowsPerFrame) frame.ids.resize(kTableRowsPerFrame);
  SendRecordsOf(link, frame.ids);
}

// What convinced us that these peers are gone, if they are, and the records that it is about:
// others may lack the latest if only observers changed. Of the stranded that record is all there
// is.
void Node::Impl::SendEvidence(Instant now, Link& link, const std::vector<PeerId>& about) {
  // Voices of those whom the latest record does not name any more count by the record before.
  News former, latest;
  for (const PeerId& id : about) {
    const membership::Row* row = members_.Find(id);
    const std::vector<StatementRef> voices = quorum_.Evidence(now, id);
    const bool gone = row != nullptr && !membership::IsLiving(row->state);
    if (voices.empty() && !gone) continue;
    const membership::RecordRef record = row != nullptr ? row->record : membership::RecordRef();
    const bool renewed = id != link.peer && record && record->incarnation > record->Version();
    if (renewed) latest.Add(record, {});
    for (const StatementRef& voice : voices) {
      const bool named = !renewed || voice->observer == id ||
                         std::binary_search(record->observers.begin(), record->observers.end(),
                                            membership::ObserverKey(voice->observer));
      (named ? latest : former).Add(voice, {});
    }
  }
  for (const News* part : {&former, &latest}) {
    for (ControlFrame& frame : part->FramesFor(link.peer)) PushControl(link, std::move(frame));
  }
}

}  // namespace peermesh::node
