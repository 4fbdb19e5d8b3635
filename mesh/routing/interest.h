// Who wants what: the subscriptions of this peer's applications and the interest of linked peers,
// in one tree.
//
// Interest is what one peer tells another: the distinct patterns of its applications, with a
// generation that counts changes and a hash that does not depend on order. A receiver that applied
// generation g holds exactly the patterns of g; a gap in generations or a different hash means: ask
// for a snapshot.
//
// Bounds: kMaxSubscriptions local subscriptions, kMaxLeadingWildcards of them with a wildcard in
// front; as many patterns from each linked peer. A peer that exceeds them misbehaves: its excess is
// refused. Not thread-safe; owned by the node's turn.
#ifndef PEERMESH_MESH_ROUTING_INTEREST_H_
#define PEERMESH_MESH_ROUTING_INTEREST_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mesh/base/id.h"
#include "mesh/base/limits.h"
#include "mesh/base/loss.h"
#include "mesh/routing/subject_tree.h"

namespace peermesh::routing {

// One application's subscription.
struct LocalSubscription {
  SessionId session;
  std::uint32_t id = 0;        // the application's number
  std::uint32_t block_ms = 0;  // hold-back it asks for; 0 unless on_overflow is BLOCK
  friend auto operator<=>(const LocalSubscription&, const LocalSubscription&) = default;
};

// One change of what this peer tells others.
struct LocalChange {
  std::string pattern;
  bool removed = false;
  std::uint32_t block_ms = 0;
};

class Interest {
 public:
  // --- What this peer's applications want ---
  enum class Added : std::uint8_t { kOk, kTooMany, kTooManyLeadingWildcards };
  Added Add(std::string_view pattern, const LocalSubscription& subscription);
  // Removing what is not there does nothing.
  void Remove(std::string_view pattern, const LocalSubscription& subscription);
  // All of a session.
  void RemoveAll(std::string_view pattern, SessionId session);

  // Changes not yet told, one per pattern, at most `most` of them; bumps the generation if there
  // are any. The caller tells others of them, and calls again until none are left.
  std::vector<LocalChange> TakeChanges(std::size_t most);
  std::uint64_t generation() const { return generation_; }
  std::uint64_t hash() const { return local_hash_; }
  // All local patterns, in order, with their hold-back. No changes may be left to take.
  std::vector<LocalChange> Snapshot() const;
  std::size_t local_subscriptions() const { return local_count_; }
  // A bit for each channel with a local subscription that can match on it. Walks all sessions.
  std::uint64_t Channels() const;

  // --- What linked peers want ---
  // False, and nothing is set, when the peer exceeds its bounds. `pattern` must be valid.
  bool SetRemote(PeerId peer, std::string_view pattern, std::uint32_t block_ms);
  void UnsetRemote(PeerId peer, std::string_view pattern);
  void ClearRemote(PeerId peer);
  std::vector<std::string> RemotePatterns(PeerId peer) const;  // in order
  std::uint64_t RemoteHash(PeerId peer) const;

  // --- Who gets this ---
  struct RemoteTarget {
    PeerId peer;
    std::uint32_t block_ms = 0;
  };
  struct Matched {
    std::vector<LocalSubscription> local;  // sorted by session; one entry per subscription
    std::vector<RemoteTarget> remote;  // sorted by peer; one entry per peer, its largest block_ms
  };
  // Clears and fills `out`.
  void Match(std::string_view subject, Matched& out) const;
  // Sessions with a subscription that can match on this channel.
  std::vector<SessionId> SessionsOnChannel(std::uint32_t channel) const;

  std::size_t patterns() const { return entries_.size() - free_.size(); }
  void CheckInvariants() const;
  std::uint64_t Digest() const;

 private:
  struct Entry {
    // Both in order. Arrays, because every message reads them.
    std::vector<LocalSubscription> local;
    std::vector<RemoteTarget> remote;             // one for each peer
    std::map<std::uint32_t, std::size_t> blocks;  // how many local ones ask for each block_ms
    std::string pattern;
  };
  struct Remote {
    std::map<std::string, std::uint32_t, std::less<>> patterns;  // block_ms
    std::size_t leading_wildcards = 0;
    std::uint64_t hash = 0;
  };
  Entry& EntryFor(std::string_view pattern);
  void DropIfUnused(std::string_view pattern);
  using Locals = std::vector<LocalSubscription>;
  void RemoveBetween(Entry& entry, Locals::iterator first, Locals::iterator last);
  void DropRemote(std::string_view pattern, PeerId peer);
  void Announce(const Entry& entry, std::optional<std::uint32_t> before);
  static std::optional<std::uint32_t> BlockOf(const Entry& entry);

  SubjectTree tree_;  // pattern -> place in entries_
  std::vector<std::unique_ptr<Entry>> entries_;
  std::vector<std::uint32_t> free_;  // places in entries_ that are empty

  std::size_t local_count_ = 0;
  std::size_t local_leading_wildcards_ = 0;
  std::uint64_t generation_ = 0;
  std::uint64_t local_hash_ = 0;
  std::map<std::string, std::optional<std::uint32_t>>
      before_;  // announced state of changed patterns
  std::map<SessionId, std::map<std::uint32_t, std::size_t>> session_channels_;  // 64: all channels

  std::map<PeerId, Remote> remotes_;
  mutable std::vector<std::uint32_t> scratch_;
};

// The share of one pattern in an interest hash; shares are added up.
std::uint64_t InterestShare(std::string_view pattern, std::uint32_t block_ms);

}  // namespace peermesh::routing

#endif  // PEERMESH_MESH_ROUTING_INTEREST_H_
