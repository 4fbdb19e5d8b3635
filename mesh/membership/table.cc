#include "mesh/membership/table.h"

#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/base/digest.h"

namespace peermesh::membership {
namespace {

constexpr std::size_t kMinPrefix = 4;  // shorter ones are typing accidents
constexpr std::size_t kIdCharacters = 52;

const std::string kNothing;

// One peer's part of the sum over the table.
std::uint64_t Share(const PeerId& peer, std::uint64_t incarnation) {
  std::uint64_t share = incarnation;
  for (std::size_t at = 0; at < peer.bytes.size(); at += 8) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < 8; ++i) word = word << 8 | peer.bytes[at + i];
    share = HashWord(share ^ word) + 0x9e3779b97f4a7c15ull;
  }
  return HashWord(share);
}

bool ByName(const Row* a, const Row* b) {
  const int order = a->name().compare(b->name());
  return order != 0 ? order < 0 : a->id < b->id;
}

// Neither linked nor alive.
bool IsIdle(const Row& row) { return !IsLinked(row) && row.state != State::kAlive; }

// The smallest id whose text can begin so; nullopt for what no id begins with.
std::optional<PeerId> FirstWith(std::string_view prefix) {
  PeerId id;
  if (prefix.size() > kIdCharacters) return std::nullopt;
  for (std::size_t at = 0; at < prefix.size(); ++at) {
    const char c = prefix[at];
    std::uint32_t value = 0;
    if (c >= 'a' && c <= 'z') {
      value = static_cast<std::uint32_t>(c - 'a');
    } else if (c >= '2' && c <= '7') {
      value = static_cast<std::uint32_t>(c - '2') + 26;
    } else {
      return std::nullopt;
    }
    for (std::size_t bit = 0; bit < 5; ++bit) {
      const std::size_t place = 5 * at + bit;
      if ((value >> (4 - bit) & 1) == 0) continue;
      if (place >= 8 * id.bytes.size()) return std::nullopt;  // more than an id has
      id.bytes[place / 8] |= static_cast<std::uint8_t>(0x80u >> place % 8);
    }
  }
  return id;
}

}  // namespace

const std::string& Row::name() const {
  if (told != nullptr) return told->name;
  return record ? record->name : kNothing;
}

const std::string& Row::software() const {
  if (told != nullptr) return told->software;
  return record ? record->software : kNothing;
}

bool Table::ByDeadline::operator()(const Row* a, const Row* b) const {
  return a->deadline != b->deadline ? a->deadline < b->deadline : a->id < b->id;
}

bool Table::ByAge::operator()(const Row* a, const Row* b) const {
  const bool a_suspect = a->state == State::kSuspect, b_suspect = b->state == State::kSuspect;
  if (a_suspect != b_suspect) return b_suspect;
  return a->since != b->since ? a->since < b->since : a->id < b->id;
}

Row* Table::Find(PeerId peer) {
  const auto it = rows_.find(peer);
  return it == rows_.end() ? nullptr : &it->second;
}

const Row* Table::Find(PeerId peer) const {
  const auto it = rows_.find(peer);
  return it == rows_.end() ? nullptr : &it->second;
}

Row& Table::Add(PeerId peer) {
  PM_CHECK(!full() && peer != self_);
  const auto [it, fresh] = rows_.try_emplace(peer);
  PM_CHECK(fresh);
  it->second.id = peer;
  return it->second;
}

void Table::Remove(Row& row) {
  PM_CHECK(!IsLinked(row));
  Unindex(row);
  UnindexName(row);
  rows_.erase(rows_.find(row.id));
}

void Table::Unindex(Row& row) {
  if (row.deadline != kNever) PM_CHECK(due_.erase(&row) == 1);
  if (IsIdle(row)) PM_CHECK(idle_.erase(&row) == 1);
  PM_CHECK(living_ >= IsLiving(row.state));
  living_ -= IsLiving(row.state);
  if (IsTold(row)) sum_ -= Share(row.id, VersionOf(row));
}

void Table::Index(Row& row) {
  if (row.deadline != kNever) PM_CHECK(due_.insert(&row).second);
  if (IsIdle(row)) PM_CHECK(idle_.insert(&row).second);
  living_ += IsLiving(row.state);
  if (IsTold(row)) sum_ += Share(row.id, VersionOf(row));
}

void Table::IndexName(const Row& row) {
  if (row.name().empty()) return;
  const auto at = std::lower_bound(names_.begin(), names_.end(), &row, ByName);
  PM_CHECK(at == names_.end() || *at != &row);
  names_.insert(at, &row);
}

void Table::UnindexName(const Row& row) {
  if (row.name().empty()) return;
  const auto at = std::lower_bound(names_.begin(), names_.end(), &row, ByName);
  PM_CHECK(at != names_.end() && *at == &row);
  names_.erase(at);
}

void Table::SetRecord(Row& row, RecordRef record) {
  PM_CHECK(record->id == row.id);
  const bool renamed = record->name != row.name();
  if (renamed) UnindexName(row);
  row.record = std::move(record);
  row.told.reset();
  if (renamed) IndexName(row);
}

void Table::SetTold(Row& row, std::string_view name, std::string_view software) {
  const bool renamed = name != row.name();
  if (renamed) UnindexName(row);
  // Most say what their record says.
  row.told.reset();
  if (row.name() != name || row.software() != software) {
    row.told = std::make_unique<const Told>(Told{std::string(name), std::string(software)});
  }
  if (renamed) IndexName(row);
}

Row* Table::Farthest() {
  PeerId opposite = self_;
  opposite.bytes[0] ^= 0x80;
  auto it = rows_.lower_bound(opposite);
  for (std::size_t left = rows_.size(); left > 0; --left, ++it) {
    if (it == rows_.end()) it = rows_.begin();
    if (!IsLinked(it->second) && IsLiving(it->second.state)) return &it->second;
  }
  return nullptr;
}

Table::Lookup Table::Resolve(std::string_view text) const {
  Lookup result;
  // Two are enough to know that it is ambiguous.
  const auto offer = [&result](PeerId id) {
    result.ambiguous = result.peer.has_value();
    result.peer = id;
  };
  auto named =
      std::lower_bound(names_.begin(), names_.end(), text,
                       [](const Row* row, std::string_view name) { return row->name() < name; });
  for (; named != names_.end() && (*named)->name() == text && !result.ambiguous; ++named) {
    offer((*named)->id);
  }
  const auto first = FirstWith(text);
  if (!result.peer && first && text.size() >= kMinPrefix) {
    if (self_.ToText().starts_with(text)) offer(self_);
    auto it = rows_.lower_bound(*first);
    for (; it != rows_.end() && !result.ambiguous; ++it) {
      if (!it->first.ToText().starts_with(text)) break;
      offer(it->first);
    }
  }
  if (result.ambiguous) result.peer.reset();
  return result;
}

void Table::SetSelf(std::uint64_t version) {
  const std::uint64_t before = self_version_ == 0 ? 0 : Share(self_, self_version_);
  const std::uint64_t after = version == 0 ? 0 : Share(self_, version);
  sum_ += after - before;
  self_version_ = version;
}

std::vector<std::uint64_t> Table::PartHashes() const {
  std::vector<std::uint64_t> parts(256);
  if (self_version_ != 0) parts[self_.bytes[0]] = Share(self_, self_version_);
  for (const auto& [id, row] : rows_) {
    if (IsTold(row)) parts[id.bytes[0]] += Share(id, VersionOf(row));
  }
  for (std::uint64_t& part : parts) {
    if (part == 0) part = 1;
  }
  return parts;
}

void Table::CheckInvariants() const {
  PM_CHECK(rows_.size() <= kMaxPeers);
  PM_CHECK(!rows_.contains(self_));
  std::uint64_t sum = self_version_ == 0 ? 0 : Share(self_, self_version_);
  std::size_t living = 0, due = 0, idle = 0, named = 0;
  for (const auto& [id, row] : rows_) {
    PM_CHECK(row.id == id);
    PM_CHECK(!row.record || row.record->id == id);
    Row* const key = const_cast<Row*>(&row);  // only looked up
    if (row.deadline != kNever) PM_CHECK(due_.contains(key));
    if (IsIdle(row)) PM_CHECK(idle_.contains(key));
    if (IsTold(row)) sum += Share(id, VersionOf(row));
    living += IsLiving(row.state);
    due += row.deadline != kNever;
    idle += IsIdle(row);
    named += !row.name().empty();
  }
  PM_CHECK(living == living_ && due == due_.size() && idle == idle_.size());
  PM_CHECK(named == names_.size());
  PM_CHECK(std::is_sorted(names_.begin(), names_.end(), ByName));
  PM_CHECK(sum == sum_);
}

}  // namespace peermesh::membership
