// What the member table tells, and what must hold of it.
#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/base/digest.h"
#include "mesh/membership/members.h"

namespace peermesh::membership {

PeerView Members::View(const Row& row) const {
  PeerView view;
  view.id = row.id;
  view.name = row.name();
  view.software = row.software();
  if (row.record) {
    view.addresses = row.record->addresses;
    view.metrics_address = row.record->metrics_address;
  }
  view.state = row.state;
  view.reason = row.reason;
  view.since = row.since;
  view.connection = row.connection;
  view.connection_reason = row.connection_reason;
  view.round_trip = row.round_trip;
  view.direction = row.direction;
  view.certificate_expiry = row.certificate_expiry;
  view.incarnation = row.incarnation;
  view.epoch = row.epoch;
  return view;
}

std::vector<PeerId> Members::Vouchers(PeerId about) const {
  std::vector<PeerId> vouchers;
  for (const auto& [from, abouts] : beliefs_) {
    if (std::binary_search(abouts.begin(), abouts.end(), about)) vouchers.push_back(from);
  }
  return vouchers;
}

bool Members::Vouches(PeerId from, PeerId about) const {
  const auto it = beliefs_.find(from);
  return it != beliefs_.end() && std::binary_search(it->second.begin(), it->second.end(), about);
}

std::vector<Members::Change> Members::TakeChanges() {
  std::vector<Change> taken;
  taken.reserve(changed_.size() + removed_.size());
  auto removed = removed_.begin();
  const auto take_removed = [&] { taken.push_back({std::move((removed++)->second), true}); };
  for (const PeerId& id : changed_) {
    while (removed != removed_.end() && removed->first < id) take_removed();
    taken.push_back({View(*table_.Find(id)), false});
  }
  while (removed != removed_.end()) take_removed();
  changed_.clear();
  removed_.clear();
  return taken;
}

void Members::CheckInvariants() const {
  table_.CheckInvariants();
  std::map<PeerId, std::size_t> vouchers;
  for (const auto& [from, abouts] : beliefs_) {
    PM_CHECK(!large_ && !abouts.empty());
    for (const PeerId& about : abouts) {
      PM_CHECK(about != from && about != self_);
      ++vouchers[about];
    }
  }
  for (const auto& [id, row] : table_.rows()) {
    PM_CHECK(row.deadline == DeadlineOf(row));
    PM_CHECK((row.direction != 0) == IsLinked(row));
    PM_CHECK(!row.round_trip || IsLinked(row));
    PM_CHECK(!row.record || row.record->addresses.size() <= kMaxAddressesPerPeer);
    PM_CHECK(!row.judged || (large_ && row.state != State::kAlive));
    const auto counted = vouchers.find(id);
    PM_CHECK(row.vouchers == (counted == vouchers.end() ? 0 : counted->second));
    if (large_) {
      PM_CHECK(row.state != State::kUnreachable);
      continue;
    }
    if (row.state == State::kAlive && !IsLinked(row)) PM_CHECK(row.since <= small_since_);
    if (!IsLost(row.state)) continue;
    PM_CHECK(!IsLinked(row));
    PM_CHECK((row.vouchers > 0) == (row.state == State::kUnreachable));
  }
}

std::uint64_t Members::Digest() const {
  peermesh::Digest digest;
  for (const auto& [id, row] : table_.rows()) {
    digest.Add(id).Add(row.incarnation).Add(row.epoch).Add(row.since).Add(row.name());
    digest.Add(static_cast<std::uint64_t>(row.state))
        .Add(static_cast<std::uint64_t>(row.connection));
    digest.Add(static_cast<std::uint64_t>(row.reason)).Add(row.judged ? 1 : 0);
  }
  for (const auto& [from, abouts] : beliefs_) {
    digest.Add(from);
    for (const PeerId& about : abouts) digest.Add(about);
  }
  digest.Add(large_ ? 1 : 0);
  return digest.value();
}

}  // namespace peermesh::membership
