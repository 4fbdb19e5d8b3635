#include "server/api/applications.h"

#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "server/api/messaging.h"
#include "server/api/session.h"
#include "server/api/status.h"

namespace peermesh::api {
namespace {

constexpr PrincipalId kLocal{1};  // whoever may open the application socket

}  // namespace

Applications::Applications(PeerFacts self, std::function<void(node::Input)> post)
    : self_(std::move(self)), post_(std::move(post)), names_([this](const PeerId& peer) {
        if (peer == self_.id) return self_.name;
        const std::lock_guard lock(mutex_);
        const auto it = peer_names_.find(peer);
        return it == peer_names_.end() ? std::string() : it->second.name;
      }) {}

Applications::~Applications() = default;

void Applications::Take(const std::shared_ptr<link::Stream>& stream) {
  SessionId id;
  {
    const std::lock_guard lock(mutex_);
    id = SessionId{next_session_++};
    if (leaving_) id = {};
  }
  if (!id) return stream->Finish(StatusOf(node::Refusal::kDraining));
  std::shared_ptr<Session> session = MakeSession(*this, stream, id);
  stream->Accept(session);
  stream->Read();
}

PrincipalId Applications::PrincipalOf(const link::CallInfo& info) {
  if (!info.identity) return kLocal;
  const auto [it, fresh] = principals_.try_emplace(info.identity->id);
  if (fresh) it->second = PrincipalId{next_principal_++};
  return it->second;
}

void Applications::Opened(std::shared_ptr<Session> session) {
  const SessionId id = session->id();
  PrincipalId principal;
  {
    const std::lock_guard lock(mutex_);
    principal = PrincipalOf(session->stream()->info());
    sessions_.emplace(id, std::move(session));
  }
  Post(node::SessionOpened{id, principal});
}

void Applications::Closed(SessionId id) {
  std::shared_ptr<Session> last;  // freed outside the lock
  {
    const std::lock_guard lock(mutex_);
    const auto it = sessions_.find(id);
    if (it == sessions_.end()) return;
    last = std::move(it->second);
    sessions_.erase(it);
  }
  Post(node::SessionClosed{id});
}

std::shared_ptr<Session> Applications::Find(SessionId id) const {
  const std::lock_guard lock(mutex_);
  const auto it = sessions_.find(id);
  return it == sessions_.end() ? nullptr : it->second;
}

void Applications::Perform(node::Deliver wish) {
  if (const auto session = Find(wish.session)) session->Deliver(std::move(wish.deliveries));
}

void Applications::Perform(node::Answer wish) {
  if (const auto session = Find(wish.session)) session->Answered(wish);
}

void Applications::Perform(node::Subscribed wish) {
  if (const auto session = Find(wish.session)) session->Subscribed(wish);
}

void Applications::Perform(node::CloseSession wish) {
  if (const auto session = Find(wish.session)) session->CloseFor(wish.reason);
}

void Applications::Perform(const node::PeerChanged& wish) {
  const std::lock_guard lock(mutex_);
  if (peer_names_.size() >= kMaxNames && !peer_names_.contains(wish.peer.id)) {
    const auto gone = std::find_if(peer_names_.begin(), peer_names_.end(),
                                   [](const auto& known) { return known.second.gone; });
    PM_CHECK(gone != peer_names_.end());  // the table holds half as many
    peer_names_.erase(gone);
  }
  peer_names_[wish.peer.id] = {wish.peer.name, wish.removed};
}

std::vector<std::shared_ptr<Session>> Applications::All() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Session>> all;
  all.reserve(sessions_.size());
  for (const auto& [id, session] : sessions_) all.push_back(session);
  return all;
}

void Applications::GoAway(Duration grace) {
  {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
  }
  for (const auto& session : All()) session->GoAway(grace);
}

void Applications::FinishAll() {
  for (const auto& session : All()) session->Finish();
}

RequestId Applications::NextRequest() {
  const std::lock_guard lock(mutex_);
  return RequestId{next_request_++};
}

link::RpcStatus Applications::StatusOf(node::Refusal refusal, const char* limit,
                                       Duration retry_after, const std::string& subject) const {
  return ToStatus(wire::Refused(refusal, limit, retry_after, subject));
}

void Applications::CountRefused() {
  const std::lock_guard lock(mutex_);
  ++bad_requests_;
}

std::uint64_t Applications::bad_requests() const {
  const std::lock_guard lock(mutex_);
  return bad_requests_;
}

}  // namespace peermesh::api
