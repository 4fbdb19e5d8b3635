#include "server/link/link_context.h"

#include <unistd.h>

#include <algorithm>

#include "mesh/base/check.h"
#include "server/link/peer_link.h"
#include "server/tls/credentials.h"
#include "server/wire/data.h"

namespace peermesh::link {

LinkContext::LinkContext(LinksConfig config, tls::Credentials& credentials, QueuePool& pool,
                         Links::Post post)
    : config_(std::move(config)),
      credentials_(credentials),
      pool_(pool),
      post_(std::move(post)),
      self_(credentials.self().id) {}

LinkStats LinkContext::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return stats_;
}

std::shared_ptr<PeerLink> LinkContext::Add(const std::optional<PeerId>& remote, Queue& queue,
                                           DialId dial, std::shared_ptr<LinkContext> self) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return nullptr;
  const LinkId id{++last_link_};
  if (remote) {
    const auto same = std::count_if(inbound_.begin(), inbound_.end(),
                                    [&](const auto& entry) { return entry.second == *remote; });
    if (links_.size() >= kMaxLinks || static_cast<std::size_t>(same) >= kMaxLinksPerPeer) {
      return nullptr;
    }
    inbound_.emplace(id, *remote);
  }
  auto link = std::make_shared<PeerLink>(std::move(self), id, dial, queue);
  links_.emplace(id, link);
  return link;
}

bool LinkContext::stopping() const {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

std::shared_ptr<PeerLink> LinkContext::Find(LinkId link) const {
  const std::lock_guard lock(mutex_);
  const auto found = links_.find(link);
  return found == links_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<PeerLink>> LinkContext::All() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<PeerLink>> all;
  all.reserve(links_.size());
  for (const auto& [id, link] : links_) all.push_back(link);
  return all;
}

void LinkContext::Remove(LinkId link) {
  const std::lock_guard lock(mutex_);
  links_.erase(link);
  inbound_.erase(link);
  idle_.notify_all();
}

std::string LinkContext::NewToken(const std::shared_ptr<PeerLink>& link) {
  std::string token(wire::kLinkTokenBytes, '\0');
  PM_CHECK(getentropy(token.data(), token.size()) == 0);
  const std::lock_guard lock(mutex_);
  PM_CHECK(tokens_.emplace(token, link).second);
  return token;
}

std::shared_ptr<PeerLink> LinkContext::TakeToken(const std::string& token) {
  const std::lock_guard lock(mutex_);
  const auto found = tokens_.find(token);
  if (found == tokens_.end()) return nullptr;
  auto link = found->second.lock();
  tokens_.erase(found);
  return link;
}

void LinkContext::DropToken(const std::string& token) {
  const std::lock_guard lock(mutex_);
  tokens_.erase(token);
}

void LinkContext::Awaits(const std::shared_ptr<Stream>& stream) {
  const std::lock_guard lock(mutex_);
  awaited_.emplace(stream.get(), stream);
}

void LinkContext::Arrived(const Stream* stream) {
  const std::lock_guard lock(mutex_);
  awaited_.erase(stream);
}

std::vector<std::shared_ptr<Stream>> LinkContext::Awaited() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Stream>> all;
  for (const auto& [raw, stream] : awaited_) all.push_back(stream);
  return all;
}

void LinkContext::Busy(std::size_t& what, int change) {
  const std::lock_guard lock(mutex_);
  what += static_cast<std::size_t>(change);
  idle_.notify_all();
}

void LinkContext::BeginStopping() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
}

bool LinkContext::WaitUntilIdle(Queue::Clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return idle_.wait_until(lock, deadline,
                          [this] { return links_.empty() && streams_ == 0 && posting_ == 0; });
}

LinkCensus LinkContext::Census() const {
  LinkCensus census;
  for (const auto& link : All()) ++(link->up() ? census.links : census.handshakes);
  const std::lock_guard lock(mutex_);
  census.streams = streams_;
  census.channels = channels_;
  return census;
}

}  // namespace peermesh::link
