#include "server/api/peers_service.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "mesh/base/check.h"
#include "peermesh/v1/peers.pb.h"
#include "server/api/kinds.h"
#include "server/api/peer_detail.h"
#include "server/api/status.h"
#include "server/wire/api.h"

namespace peermesh::api {
namespace {

using membership::PeerView;

v1::Peer ToProto(const PeerView& row, const std::vector<PeerId>& accusers) {
  return wire::ToPeer(row, driver::ToWall(row.since), accusers);
}

bool Passes(const v1::PeerFilter& filter, const PeerView& row) {
  const auto state = static_cast<int>(row.state);
  if (filter.states_size() > 0 && std::none_of(filter.states().begin(), filter.states().end(),
                                               [&](int wanted) { return wanted == state; })) {
    return false;
  }
  return filter.peer().empty() || row.name == filter.peer() ||
         row.id.ToText().starts_with(filter.peer());
}

// Itself first, then by name.
void Sort(std::vector<PeerView>& rows) {
  std::sort(rows.begin(), rows.end(), [](const PeerView& a, const PeerView& b) {
    return std::tuple(!a.self, a.name, a.id) < std::tuple(!b.self, b.name, b.id);
  });
}

std::string TokenOf(std::uint64_t run, std::uint64_t number) {
  std::string token(16, '\0');
  std::memcpy(token.data(), &run, 8);
  std::memcpy(token.data() + 8, &number, 8);
  return token;
}

std::optional<std::uint64_t> NumberOf(const std::string& token, std::uint64_t run) {
  if (token.size() != 16 || std::memcmp(token.data(), &run, 8) != 0) return std::nullopt;
  std::uint64_t number = 0;
  std::memcpy(&number, token.data() + 8, 8);
  return number;
}

}  // namespace

// --- ListPeers -----------------------------------------------------------------------------------

class PeersService::ListCall final : public link::StreamHandler,
                                     public std::enable_shared_from_this<PeersService::ListCall> {
 public:
  ListCall(PeersService& service, std::shared_ptr<link::Stream> stream)
      : service_(service), stream_(std::move(stream)) {}

  void OnMessage(std::shared_ptr<const std::string> bytes) override {
    if (!request_.ParseFromString(*bytes)) {
      return stream_->Finish(
          ToStatus(wire::Invalid("MALFORMED_MESSAGE", "", "not a ListPeersRequest")));
    }
    service_.look_([self = shared_from_this()](const node::Node& node) {
      std::vector<PeerView> rows = node.Peers();
      Sort(rows);
      v1::ListPeersResponse response;
      for (const PeerView& row : rows) {
        if (Passes(self->request_.filter(), row)) {
          *response.add_peers() = ToProto(row, AccusersOf(node, row));
        }
      }
      self->stream_->Reply(response.SerializeAsString());
    });
  }
  void OnReadEnd() override {
    stream_->Finish(ToStatus(wire::Invalid("EMPTY_REQUEST", "", "the call carried no message")));
  }
  void OnClosed(const link::Closed&) override {}

 private:
  PeersService& service_;
  const std::shared_ptr<link::Stream> stream_;
  v1::ListPeersRequest request_;
};

// --- GetPeer and PingPeer ------------------------------------------------------------------------

class PeersService::GetCall final : public link::StreamHandler,
                                    public std::enable_shared_from_this<PeersService::GetCall> {
 public:
  GetCall(PeersService& service, std::shared_ptr<link::Stream> stream)
      : service_(service), stream_(std::move(stream)) {}

  void OnMessage(std::shared_ptr<const std::string> bytes) override {
    if (!request_.ParseFromString(*bytes)) {
      return stream_->Finish(
          ToStatus(wire::Invalid("MALFORMED_MESSAGE", "", "not a GetPeerRequest")));
    }
    service_.look_([self = shared_from_this()](const node::Node& node) { self->Answer(node); });
  }
  void OnReadEnd() override {
    stream_->Finish(ToStatus(wire::Invalid("EMPTY_REQUEST", "", "the call carried no message")));
  }
  void OnClosed(const link::Closed&) override {}

 private:
  void Answer(const node::Node& node) {
    const membership::Members::Lookup found = node.Find(request_.peer());
    const auto detail = found.peer ? node.Detail(*found.peer) : std::nullopt;
    if (!detail) {
      return stream_->Finish(ToStatus(wire::Refused(
          found.ambiguous ? node::Refusal::kAmbiguousPeer : node::Refusal::kUnknownPeer)));
    }
    std::map<PeerId, std::string> names;
    for (const PeerView& row : node.Peers()) names.emplace(row.id, row.name);
    stream_->Reply(PeerResponse(*detail, names).SerializeAsString());
  }

  PeersService& service_;
  const std::shared_ptr<link::Stream> stream_;
  v1::GetPeerRequest request_;
};

class PeersService::PingCall final : public link::StreamHandler {
 public:
  PingCall(PeersService& service, std::shared_ptr<link::Stream> stream)
      : service_(service), stream_(std::move(stream)) {}

  void OnMessage(std::shared_ptr<const std::string> bytes) override {
    v1::PingPeerRequest request;
    if (!request.ParseFromString(*bytes)) {
      return stream_->Finish(
          ToStatus(wire::Invalid("MALFORMED_MESSAGE", "", "not a PingPeerRequest")));
    }
    RequestId id;
    {
      const std::lock_guard lock(service_.mutex_);
      id = RequestId{service_.next_ping_++};
      service_.pings_.emplace(id, stream_);
    }
    service_.post_(node::PingAsked{id, request.peer()});
  }
  void OnReadEnd() override {
    stream_->Finish(ToStatus(wire::Invalid("EMPTY_REQUEST", "", "the call carried no message")));
  }
  void OnClosed(const link::Closed&) override {}

 private:
  PeersService& service_;
  const std::shared_ptr<link::Stream> stream_;
};

void PeersService::Perform(const node::Pinged& wish) {
  std::shared_ptr<link::Stream> stream;
  {
    const std::lock_guard lock(mutex_);
    const auto it = pings_.find(wish.request);
    if (it == pings_.end()) return;  // FinishAll has answered
    stream = std::move(it->second);
    pings_.erase(it);
  }
  if (wish.refusal != node::Refusal::kNone) {
    return stream->Finish(ToStatus(wire::Refused(wish.refusal, "pings", wish.retry_after, "peer")));
  }
  look_([stream, wish](const node::Node& node) {
    const auto detail = node.Detail(wish.peer);
    stream->Reply(PingResponse(wish, detail ? detail->row.name : "").SerializeAsString());
  });
}

// --- WatchPeers ----------------------------------------------------------------------------------

class PeersService::Watch final : public link::StreamHandler,
                                  public std::enable_shared_from_this<PeersService::Watch> {
 public:
  Watch(PeersService& service, std::shared_ptr<link::Stream> stream)
      : service_(service), stream_(std::move(stream)) {}

  void OnMessage(std::shared_ptr<const std::string> bytes) override {
    v1::WatchPeersRequest request;
    if (!request.ParseFromString(*bytes)) {
      return Finish(ToStatus(wire::Invalid("MALFORMED_MESSAGE", "", "not a WatchPeersRequest")));
    }
    {
      const std::lock_guard lock(mutex_);
      asked_ = true;
    }
    service_.look_([self = shared_from_this(), request = std::move(request)](
                       const node::Node& node) { self->Begin(node, request); });
    stream_->Read();
  }

  void OnWritten() override {
    std::unique_lock lock(mutex_);
    writing_ = false;
    Flush(lock);
  }

  // The caller needs no other filter; the watch goes on.
  void OnReadEnd() override {
    const std::lock_guard lock(mutex_);
    if (!asked_)
      finish_ = ToStatus(wire::Invalid("EMPTY_REQUEST", "", "the call carried no message"));
    if (finish_ && !writing_ && !std::exchange(ended_, true)) stream_->Finish(*finish_);
  }

  void OnClosed(const link::Closed&) override {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    service_.Drop(this);
  }

  // Within the turn.
  void Changed(const LoggedChange& change) {
    std::unique_lock lock(mutex_);
    if (!started_) return;
    Note(change);
    Flush(lock);
  }

  void Finish(link::RpcStatus status) {
    std::unique_lock lock(mutex_);
    if (!finish_) finish_ = std::move(status);
    Flush(lock);
  }

 private:
  // Within the turn: takes the table, or what changed since the token.
  void Begin(const node::Node& node, const v1::WatchPeersRequest& request) {
    std::unique_lock lock(mutex_);
    const bool first = !std::exchange(started_, true);
    filter_ = request.filter();
    pending_.clear();
    const auto since = first ? NumberOf(request.resume_token(), service_.run_) : std::nullopt;
    held_.clear();
    resumed_ = since && Replay(*since);
    if (!resumed_) {
      reset_ = !first || !request.resume_token().empty();
      std::vector<PeerView> rows = node.Peers();
      Sort(rows);
      snapshot_.clear();
      for (PeerView& row : rows) {
        std::vector<PeerId> accusers = AccusersOf(node, row);
        snapshot_.push_back({0, std::move(row), false, std::move(accusers)});
      }
    }
    synced_due_ = true;
    number_ = service_.LastChange();
    Flush(lock);
  }

  bool Replay(std::uint64_t since) {
    const std::lock_guard lock(service_.mutex_);
    if (since > service_.last_change_) return false;
    const std::uint64_t oldest =
        service_.log_.empty() ? service_.last_change_ + 1 : service_.log_.front().number;
    if (since + 1 < oldest) return false;
    for (const LoggedChange& change : service_.log_) {
      if (change.number > since) Note(change);
    }
    return true;
  }

  void Note(const LoggedChange& change) {
    pending_[change.peer.id] = change;
    number_ = std::max(number_, change.number);
  }

  // Writes what there is, if nothing is being written. Gives up the lock to do so.
  void Flush(std::unique_lock<std::mutex>& lock) {
    if (writing_ || ended_) return;
    v1::WatchPeersResponse response;
    if (std::exchange(reset_, false)) response.set_reset(true);
    for (const LoggedChange& row : std::exchange(snapshot_, {})) Add(response, row);
    for (const auto& [id, change] : std::exchange(pending_, {})) Add(response, change);
    if (std::exchange(synced_due_, false)) response.set_synced(true);
    if (response.events_size() == 0 && !response.reset() && !response.synced()) {
      if (!finish_) return;
      ended_ = true;
      link::RpcStatus status = *finish_;
      lock.unlock();
      return stream_->Finish(std::move(status));
    }
    response.set_resume_token(TokenOf(service_.run_, number_));
    writing_ = true;
    lock.unlock();
    stream_->Write(response.SerializeAsString());
  }

  void Add(v1::WatchPeersResponse& response, const LoggedChange& change) {
    const bool visible = !change.removed && Passes(filter_, change.peer);
    const auto known = held_.try_emplace(change.peer.id, resumed_).first;
    const bool held = std::exchange(known->second, visible);
    if (change.removed) held_.erase(known);
    if (!visible && !held) return;
    v1::PeerEvent* event = response.add_events();
    event->set_type(visible ? v1::PEER_EVENT_TYPE_UPSERTED : v1::PEER_EVENT_TYPE_REMOVED);
    *event->mutable_peer() = ToProto(change.peer, change.accusers);
  }

  PeersService& service_;
  const std::shared_ptr<link::Stream> stream_;
  const ledger::Handle booking_{kWatch, stream_->scope()};

  std::mutex mutex_;
  bool asked_ = false;    // a request came
  bool started_ = false;  // and the turn has seen it
  bool resumed_ = false;  // the caller may hold rows that this watch has not shown
  bool ended_ = false, writing_ = false, reset_ = false, synced_due_ = false;
  v1::PeerFilter filter_;
  std::vector<LoggedChange> snapshot_;
  std::map<PeerId, LoggedChange> pending_;  // the latest of each peer
  std::map<PeerId, bool> held_;             // whether the caller holds the row
  std::uint64_t number_ = 0;
  std::optional<link::RpcStatus> finish_;
};

// --- The service ---------------------------------------------------------------------------------

PeersService::PeersService(std::function<void(std::function<void(const node::Node&)>)> look,
                           std::function<void(node::Input)> post, std::uint64_t run)
    : look_(std::move(look)), post_(std::move(post)), run_(run) {}

PeersService::~PeersService() = default;

void PeersService::Take(const std::shared_ptr<link::Stream>& stream) {
  if (stream->info().method.ends_with("/ListPeers")) {
    stream->Accept(std::make_shared<ListCall>(*this, stream));
  } else if (stream->info().method.ends_with("/GetPeer")) {
    stream->Accept(std::make_shared<GetCall>(*this, stream));
  } else if (stream->info().method.ends_with("/PingPeer")) {
    stream->Accept(std::make_shared<PingCall>(*this, stream));
  } else {
    const auto watch = std::make_shared<Watch>(*this, stream);
    {
      const std::lock_guard lock(mutex_);
      if (watches_.size() >= kMaxWatchers) {
        return stream->Finish(
            ToStatus(wire::Exhausted("STREAM_LIMIT", "watches", "too many watches on this peer")));
      }
      watches_.emplace(watch.get(), watch);
    }
    stream->Accept(watch);
  }
  stream->Read();
}

void PeersService::Perform(const node::PeerChanged& wish) {
  const membership::State state = wish.peer.state;
  const bool explained =
      wish.removed || state == membership::State::kAlive || state == membership::State::kLeft;
  if (explained && unexplained_.empty()) return Tell({0, wish.peer, wish.removed, {}});
  const bool asked = !unexplained_.empty();
  unexplained_.push_back({0, wish.peer, wish.removed, {}});
  if (!asked) look_([this](const node::Node& node) { Explain(node); });
}

void PeersService::Explain(const node::Node& node) {
  for (LoggedChange& change : std::exchange(unexplained_, {})) {
    if (!change.removed) change.accusers = AccusersOf(node, change.peer);
    Tell(std::move(change));
  }
}

void PeersService::Tell(LoggedChange change) {
  std::vector<std::shared_ptr<Watch>> watches;
  {
    const std::lock_guard lock(mutex_);
    change.number = ++last_change_;
    log_.push_back(change);
    if (log_.size() > kLoggedChanges) log_.pop_front();
    for (const auto& [key, watch] : watches_) watches.push_back(watch);
  }
  for (const auto& watch : watches) watch->Changed(change);
}

void PeersService::FinishAll() {
  std::vector<std::shared_ptr<Watch>> watches;
  std::map<RequestId, std::shared_ptr<link::Stream>> pings;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, watch] : watches_) watches.push_back(watch);
    pings.swap(pings_);
  }
  for (const auto& watch : watches) watch->Finish({});
  for (const auto& [id, stream] : pings)
    stream->Finish(ToStatus(wire::Refused(node::Refusal::kDraining)));
}

std::uint64_t PeersService::LastChange() const {
  const std::lock_guard lock(mutex_);
  return last_change_;
}

void PeersService::Drop(Watch* watch) {
  std::shared_ptr<Watch> last;  // freed outside the lock
  const std::lock_guard lock(mutex_);
  if (const auto it = watches_.find(watch); it != watches_.end()) {
    last = std::move(it->second);
    watches_.erase(it);
  }
}

}  // namespace peermesh::api
