#include "mesh/routing/interest.h"

#include <algorithm>

#include "mesh/base/check.h"
#include "mesh/base/digest.h"
#include "mesh/routing/subject.h"

namespace peermesh::routing {
namespace {

constexpr std::uint32_t kAllChannels = kChannels;

constexpr auto kByPeer = [](const Interest::RemoteTarget& target, PeerId peer) {
  return target.peer < peer;
};

std::uint32_t ChannelKey(std::string_view pattern) {
  return HasLeadingWildcard(pattern) ? kAllChannels : ChannelOf(pattern);
}

}  // namespace

std::uint64_t InterestShare(std::string_view pattern, std::uint32_t block_ms) {
  return HashWord(HashBytes(pattern) + block_ms);
}

Interest::Entry& Interest::EntryFor(std::string_view pattern) {
  if (const auto place = tree_.Find(pattern)) return *entries_[*place];
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(entries_.size()));
    entries_.emplace_back();
  }
  const std::uint32_t place = free_.back();
  free_.pop_back();
  tree_.Insert(pattern, place);
  entries_[place] = std::make_unique<Entry>();
  entries_[place]->pattern = std::string(pattern);
  return *entries_[place];
}

void Interest::DropIfUnused(std::string_view pattern) {
  const auto key = tree_.Find(pattern);
  PM_CHECK(key);
  const Entry& entry = *entries_[*key];
  if (!entry.local.empty() || !entry.remote.empty()) return;
  const std::string owned = entry.pattern;
  entries_[*key].reset();
  free_.push_back(*key);
  tree_.Erase(owned);
}

std::optional<std::uint32_t> Interest::BlockOf(const Entry& entry) {
  if (entry.blocks.empty()) return std::nullopt;
  return entry.blocks.rbegin()->first;
}

void Interest::Announce(const Entry& entry, std::optional<std::uint32_t> before) {
  before_.emplace(entry.pattern, before);  // keeps the oldest: what others were told last
}

Interest::Added Interest::Add(std::string_view pattern, const LocalSubscription& subscription) {
  const bool leading = HasLeadingWildcard(pattern);
  if (local_count_ >= kMaxSubscriptions) return Added::kTooMany;
  if (leading && local_leading_wildcards_ >= kMaxLeadingWildcards)
    return Added::kTooManyLeadingWildcards;
  Entry& entry = EntryFor(pattern);
  const auto before = BlockOf(entry);
  const auto place = std::lower_bound(entry.local.begin(), entry.local.end(), subscription);
  const bool fresh = place == entry.local.end() || *place != subscription;
  PM_CHECK(fresh);
  entry.local.insert(place, subscription);
  ++entry.blocks[subscription.block_ms];
  ++local_count_;
  if (leading) ++local_leading_wildcards_;
  ++session_channels_[subscription.session][ChannelKey(pattern)];
  if (BlockOf(entry) != before) Announce(entry, before);
  return Added::kOk;
}

void Interest::Remove(std::string_view pattern, const LocalSubscription& subscription) {
  const auto key = tree_.Find(pattern);
  if (!key) return;
  Entry& entry = *entries_[*key];
  const auto [first, last] = std::equal_range(entry.local.begin(), entry.local.end(), subscription);
  RemoveBetween(entry, first, last);
}

void Interest::RemoveAll(std::string_view pattern, SessionId session) {
  const auto key = tree_.Find(pattern);
  if (!key) return;
  Entry& entry = *entries_[*key];
  const auto before = [](const LocalSubscription& a, SessionId b) { return a.session < b; };
  const auto first = std::lower_bound(entry.local.begin(), entry.local.end(), session, before);
  const auto last = std::find_if(first, entry.local.end(),
                                 [&](const auto& local) { return local.session != session; });
  RemoveBetween(entry, first, last);
}

void Interest::RemoveBetween(Entry& entry, Locals::iterator first, Locals::iterator last) {
  if (first == last) return;
  const auto before = BlockOf(entry);
  const std::uint32_t key = ChannelKey(entry.pattern);
  for (auto gone = first; gone != last; ++gone) {
    const auto blocks = entry.blocks.find(gone->block_ms);
    PM_CHECK(blocks != entry.blocks.end() && blocks->second > 0);
    if (--blocks->second == 0) entry.blocks.erase(blocks);
    const auto channels = session_channels_.find(gone->session);
    PM_CHECK(channels != session_channels_.end());
    const auto count = channels->second.find(key);
    PM_CHECK(count != channels->second.end() && count->second > 0);
    if (--count->second == 0) channels->second.erase(count);
    if (channels->second.empty()) session_channels_.erase(channels);
  }
  const auto removed = static_cast<std::size_t>(last - first);
  PM_CHECK(local_count_ >= removed);
  local_count_ -= removed;
  if (HasLeadingWildcard(entry.pattern)) {
    PM_CHECK(local_leading_wildcards_ >= removed);
    local_leading_wildcards_ -= removed;
  }
  entry.local.erase(first, last);
  if (BlockOf(entry) != before) Announce(entry, before);
  DropIfUnused(entry.pattern);
}

std::vector<LocalChange> Interest::TakeChanges(std::size_t most) {
  PM_CHECK(most > 0);
  std::vector<LocalChange> changes;
  while (!before_.empty() && changes.size() < most) {
    const auto node = before_.extract(before_.begin());
    const std::string& pattern = node.key();
    const auto before = node.mapped();
    const auto key = tree_.Find(pattern);
    const auto after = key ? BlockOf(*entries_[*key]) : std::nullopt;
    if (after == before) continue;  // there and back again
    if (before) local_hash_ -= InterestShare(pattern, *before);
    if (after) local_hash_ += InterestShare(pattern, *after);
    changes.push_back({pattern, !after, after.value_or(0)});
  }
  if (!changes.empty()) ++generation_;
  return changes;
}

std::vector<LocalChange> Interest::Snapshot() const {
  PM_CHECK(before_.empty());  // the caller took the changes first, so generation and content agree
  std::map<std::string, std::uint32_t> sorted;
  for (const auto& held : entries_) {
    if (held == nullptr) continue;
    const Entry& entry = *held;
    if (const auto block = BlockOf(entry)) sorted.emplace(entry.pattern, *block);
  }
  std::vector<LocalChange> all;
  all.reserve(sorted.size());
  for (const auto& [pattern, block] : sorted) all.push_back({pattern, false, block});
  return all;
}

bool Interest::SetRemote(PeerId peer, std::string_view pattern, std::uint32_t block_ms) {
  PM_CHECK(IsValidPattern(pattern));
  Remote& remote = remotes_[peer];
  const auto known = remote.patterns.find(pattern);
  if (known == remote.patterns.end()) {
    const bool leading = HasLeadingWildcard(pattern);
    if (remote.patterns.size() >= kMaxSubscriptions) return false;
    if (leading && remote.leading_wildcards >= kMaxLeadingWildcards) return false;
    remote.patterns.emplace(std::string(pattern), block_ms);
    if (leading) ++remote.leading_wildcards;
  } else {
    remote.hash -= InterestShare(pattern, known->second);
    known->second = block_ms;
  }
  remote.hash += InterestShare(pattern, block_ms);
  PM_CHECK(remote.patterns.size() <= kMaxSubscriptions);
  std::vector<RemoteTarget>& targets = EntryFor(pattern).remote;
  const auto place = std::lower_bound(targets.begin(), targets.end(), peer, kByPeer);
  if (place != targets.end() && place->peer == peer) {
    place->block_ms = block_ms;
  } else {
    targets.insert(place, {peer, block_ms});
  }
  return true;
}

void Interest::UnsetRemote(PeerId peer, std::string_view pattern) {
  const auto remote = remotes_.find(peer);
  if (remote == remotes_.end()) return;
  const auto known = remote->second.patterns.find(pattern);
  if (known == remote->second.patterns.end()) return;
  remote->second.hash -= InterestShare(pattern, known->second);
  if (HasLeadingWildcard(pattern)) {
    PM_CHECK(remote->second.leading_wildcards > 0);
    --remote->second.leading_wildcards;
  }
  remote->second.patterns.erase(known);
  DropRemote(pattern, peer);
}

void Interest::DropRemote(std::string_view pattern, PeerId peer) {
  const auto key = tree_.Find(pattern);
  PM_CHECK(key);
  std::vector<RemoteTarget>& targets = entries_[*key]->remote;
  const auto place = std::lower_bound(targets.begin(), targets.end(), peer, kByPeer);
  PM_CHECK(place != targets.end() && place->peer == peer);
  targets.erase(place);
  DropIfUnused(pattern);
}

void Interest::ClearRemote(PeerId peer) {
  const auto remote = remotes_.find(peer);
  if (remote == remotes_.end()) return;
  for (const auto& [pattern, block] : remote->second.patterns) DropRemote(pattern, peer);
  remotes_.erase(remote);
}

std::uint64_t Interest::RemoteHash(PeerId peer) const {
  const auto remote = remotes_.find(peer);
  return remote == remotes_.end() ? 0 : remote->second.hash;
}

std::vector<std::string> Interest::RemotePatterns(PeerId peer) const {
  std::vector<std::string> patterns;
  if (const auto remote = remotes_.find(peer); remote != remotes_.end()) {
    for (const auto& [pattern, block] : remote->second.patterns) patterns.push_back(pattern);
  }
  return patterns;
}

void Interest::Match(std::string_view subject, Matched& out) const {
  out.local.clear();
  out.remote.clear();
  scratch_.clear();
  tree_.Match(subject, scratch_);
  for (const std::uint32_t key : scratch_) {
    const Entry& entry = *entries_[key];
    out.local.insert(out.local.end(), entry.local.begin(), entry.local.end());
    out.remote.insert(out.remote.end(), entry.remote.begin(), entry.remote.end());
  }
  if (scratch_.size() < 2) return;  // one entry is sorted and free of repeats already
  std::sort(out.local.begin(), out.local.end());
  std::sort(out.remote.begin(), out.remote.end(), [](const RemoteTarget& a, const RemoteTarget& b) {
    return a.peer != b.peer ? a.peer < b.peer : a.block_ms > b.block_ms;
  });
  const auto last = std::unique(out.remote.begin(), out.remote.end(),
                                [](const auto& a, const auto& b) { return a.peer == b.peer; });
  out.remote.erase(last, out.remote.end());
}

std::uint64_t Interest::Channels() const {
  std::uint64_t channels = 0;
  for (const auto& [session, counts] : session_channels_) {
    for (const auto& [channel, count] : counts) {
      channels |= channel < kChannels ? std::uint64_t{1} << channel : ~std::uint64_t{0};
    }
  }
  return channels;
}

std::vector<SessionId> Interest::SessionsOnChannel(std::uint32_t channel) const {
  std::vector<SessionId> sessions;
  for (const auto& [session, channels] : session_channels_) {
    if (channels.contains(channel) || channels.contains(kAllChannels)) sessions.push_back(session);
  }
  return sessions;
}

void Interest::CheckInvariants() const {
  PM_CHECK(tree_.size() == patterns());
  std::size_t local = 0, leading = 0;
  std::uint64_t told = 0;  // the hash of what others were told
  std::map<PeerId, std::size_t> remote;
  std::map<SessionId, std::map<std::uint32_t, std::size_t>> channels;
  for (const auto& held : entries_) {
    if (held == nullptr) continue;
    const Entry& entry = *held;
    const auto place = tree_.Find(entry.pattern);
    PM_CHECK(place && entries_[*place] == held);
    PM_CHECK(!entry.local.empty() || !entry.remote.empty());
    local += entry.local.size();
    std::map<std::uint32_t, std::size_t> blocks;
    for (const auto& subscription : entry.local) ++blocks[subscription.block_ms];
    PM_CHECK(blocks == entry.blocks);
    if (HasLeadingWildcard(entry.pattern)) leading += entry.local.size();
    for (const auto& subscription : entry.local) {
      ++channels[subscription.session][ChannelKey(entry.pattern)];
    }
    const auto block = BlockOf(entry);
    if (block && !before_.contains(entry.pattern)) told += InterestShare(entry.pattern, *block);
    for (const auto& [peer, asked] : entry.remote) ++remote[peer];
  }
  PM_CHECK(local == local_count_);
  PM_CHECK(local <= kMaxSubscriptions);
  PM_CHECK(leading == local_leading_wildcards_ && leading <= kMaxLeadingWildcards);
  PM_CHECK(channels == session_channels_);
  for (const auto& [pattern, block] : before_) {
    if (block) told += InterestShare(pattern, *block);
  }
  PM_CHECK(told == local_hash_);
  for (const auto& [peer, held] : remotes_) {
    PM_CHECK(held.patterns.size() == (remote.contains(peer) ? remote.at(peer) : 0));
    std::uint64_t hash = 0;
    for (const auto& [pattern, block] : held.patterns) hash += InterestShare(pattern, block);
    PM_CHECK(hash == held.hash);
    PM_CHECK(held.patterns.size() <= kMaxSubscriptions &&
             held.leading_wildcards <= kMaxLeadingWildcards);
  }
}

std::uint64_t Interest::Digest() const {
  peermesh::Digest digest;
  digest.Add(generation_).Add(local_hash_).Add(local_count_);
  for (const auto& held : entries_) {
    if (held == nullptr) continue;
    const Entry& entry = *held;
    digest.Add(entry.pattern);
    for (const auto& local : entry.local)
      digest.Add(local.session.value).Add(local.id).Add(local.block_ms);
    for (const auto& [peer, block] : entry.remote) digest.Add(peer).Add(block);
  }
  return digest.value();
}

}  // namespace peermesh::routing
