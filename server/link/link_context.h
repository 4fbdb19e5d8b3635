// What all links of one Links share: configuration, counters, and who is there. Internal to this
// folder.
#ifndef PEERMESH_SERVER_LINK_LINK_CONTEXT_H_
#define PEERMESH_SERVER_LINK_LINK_CONTEXT_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mesh/base/id.h"
#include "mesh/identity/identity.h"
#include "server/link/links.h"
#include "server/link/signatures.h"
#include "server/wire/control.h"

namespace peermesh::link {

class PeerLink;

inline constexpr char kControlMethod[] = "/peermesh.link.v1.LinkService/Control";
inline constexpr char kDataMethod[] = "/peermesh.link.v1.LinkService/Data";

class LinkContext {
 public:
  LinkContext(LinksConfig config, tls::Credentials& credentials, QueuePool& pool, Links::Post post);

  const LinksConfig& config() const { return config_; }
  tls::Credentials& credentials() const { return credentials_; }
  QueuePool& pool() const { return pool_; }
  const PeerId& self() const { return self_; }

  template <class F>
  void Count(F change) {
    const std::lock_guard lock(stats_mutex_);
    change(stats_);
  }
  LinkStats stats() const;

  // Delivers one fact.
  void Post(node::Input input) { post_(std::move(input)); }

  Signatures& signatures() { return signatures_; }

  // Those that verify; what was verified before is not verified again. Counts the others.
  struct Verification {
    node::PeerRecords good;
    std::uint64_t checked = 0;  // signatures that had to be looked at
  };
  Verification Verify(std::vector<std::string> encoded);
  // Likewise. `forged`: one did not hold, and whoever sent it must have known.
  struct StatementsVerification {
    node::Statements good;
    std::uint64_t checked = 0;
    bool forged = false;
  };
  StatementsVerification VerifyStatements(const wire::EncodedStatements& encoded);
  // Whether it is believed; counts it.
  std::optional<SignedRefusal> Verify(const node::Relayed& relayed);

  // Signed with our key.
  broadcast::PieceRef Sign(broadcast::Piece piece);
  membership::StatementRef Sign(membership::Statement statement);

  // A link that begins; it is kept until Remove. Null once stopping, or when there are too many
  // (`remote`: of one peer; unset for dials).
  std::shared_ptr<PeerLink> Add(const std::optional<PeerId>& remote, Queue& queue, DialId dial,
                                std::shared_ptr<LinkContext> self);
  bool stopping() const;
  std::shared_ptr<PeerLink> Find(LinkId link) const;
  std::vector<std::shared_ptr<PeerLink>> All() const;
  void Remove(LinkId link);

  // Tokens given out in our hello, each good for one data stream.
  std::string NewToken(const std::shared_ptr<PeerLink>& link);
  std::shared_ptr<PeerLink> TakeToken(const std::string& token);
  void DropToken(const std::string& token);

  // Data streams that have not shown a token yet; cancelled when stopping.
  void Awaits(const std::shared_ptr<Stream>& stream);
  void Arrived(const Stream* stream);
  std::vector<std::shared_ptr<Stream>> Awaited() const;

  // What must have ended before Shutdown may return: streams, and threads that deliver facts.
  void StreamBegan() { Busy(streams_, 1); }
  void StreamEnded() { Busy(streams_, -1); }
  void PostingBegan() { Busy(posting_, 1); }
  void PostingEnded() { Busy(posting_, -1); }
  void ChannelMade() { Busy(channels_, 1); }
  void ChannelGone() { Busy(channels_, -1); }
  void BeginStopping();
  bool WaitUntilIdle(Queue::Clock::time_point deadline);
  LinkCensus Census() const;

 private:
  void Busy(std::size_t& what, int change);
  std::optional<SignedRefusal> Judge(const Signatures::Check& check);

  const LinksConfig config_;
  tls::Credentials& credentials_;
  QueuePool& pool_;
  const Links::Post post_;
  const PeerId self_;

  mutable std::mutex stats_mutex_;
  LinkStats stats_;

  Signatures signatures_;

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  bool stopping_ = false;
  std::uint64_t last_link_ = 0;
  std::unordered_map<LinkId, std::shared_ptr<PeerLink>> links_;
  std::unordered_map<LinkId, PeerId> inbound_;  // who, for the bound per peer
  std::unordered_map<std::string, std::weak_ptr<PeerLink>> tokens_;
  std::unordered_map<const Stream*, std::shared_ptr<Stream>> awaited_;
  std::size_t streams_ = 0, posting_ = 0, channels_ = 0;
};

}  // namespace peermesh::link

#endif  // PEERMESH_SERVER_LINK_LINK_CONTEXT_H_
