#include "server/api/messaging.h"

#include <map>
#include <optional>
#include <utility>

#include "mesh/base/check.h"
#include "server/api/applications.h"
#include "server/api/kinds.h"
#include "server/api/status.h"
#include "server/driver/driver.h"
#include "server/wire/api.h"

namespace peermesh::api {
namespace {

std::string SubjectOf(const link::CallInfo& info) {
  return info.identity ? "application:" + info.identity->name : "application:local";
}

wire::Accepted ToAccepted(const node::Answer& answer) {
  wire::Accepted accepted;
  accepted.numbers = answer.numbers;
  accepted.interested_peers = answer.interested_peers;
  for (const PeerId& peer : answer.unreachable) accepted.unreachable_peers.push_back(peer.ToText());
  return accepted;
}

std::vector<std::string> Texts(const std::vector<PeerId>& peers) {
  std::vector<std::string> texts;
  texts.reserve(peers.size());
  for (const PeerId& peer : peers) texts.push_back(peer.ToText());
  return texts;
}

// One request, one answer.
class PublishCall final : public Session {
 public:
  using Session::Session;

  void OnMessage(std::shared_ptr<const std::string> bytes) override {
    wire::Result<wire::PublishRequest> request = wire::DecodePublish(std::move(bytes));
    if (!request.ok()) {
      applications_.CountRefused();
      return stream_->Finish(ToStatus(request.error()));
    }
    Open();
    applications_.Post(node::Publish{applications_.NextRequest(), id(), std::move(request->batch),
                                     driver::WallNow(), std::move(request->target)});
  }
  void OnReadEnd() override {
    stream_->Finish(ToStatus(wire::Invalid("EMPTY_REQUEST", "", "the call carried no message")));
  }

  void Answered(const node::Answer& answer) override {
    if (answer.refusal != node::Refusal::kNone) {
      return FinishAfter(applications_.StatusOf(answer.refusal, answer.limit, answer.retry_after,
                                                SubjectOf(stream_->info())));
    }
    stream_->Reply(wire::EncodePublishResponse(ToAccepted(answer)));
  }
  void Subscribed(const node::Subscribed&) override { PM_CHECK(false); }
  // Its answer is on the way; nothing to tell.
  void GoAway(Duration) override {}
  void Finish() override {}
};

// One request, deliveries until the caller has enough.
class SubscribeCall final : public Session {
 public:
  using Session::Session;

  void OnMessage(std::shared_ptr<const std::string> bytes) override {
    wire::Result<std::vector<node::Subscription>> request = wire::DecodeSubscribe(*bytes);
    if (!request.ok()) {
      applications_.CountRefused();
      return stream_->Finish(ToStatus(request.error()));
    }
    stream_->SetWriteDeadline(
        std::nullopt);  // a subscriber may be slow; the node bounds what waits
    Open();
    subscriptions_.reserve(request->size());
    for (std::size_t i = 0; i < request->size(); ++i)
      subscriptions_.push_back(ledger::Handle(kSubscription, stream_->scope()));
    applications_.Post(node::Subscribe{applications_.NextRequest(), id(), std::move(*request)});
  }
  void OnReadEnd() override {
    stream_->Finish(ToStatus(wire::Invalid("EMPTY_REQUEST", "", "the call carried no message")));
  }

  void Answered(const node::Answer& answer) override {
    FinishAfter(applications_.StatusOf(answer.refusal, answer.limit, answer.retry_after,
                                       SubjectOf(stream_->info())));
  }
  void Subscribed(const node::Subscribed& subscribed) override {
    Send(wire::EncodeSubscribeConfirmation(subscribed.ids, Texts(subscribed.unconfirmed)));
  }
  void GoAway(Duration grace) override { Send(wire::EncodeGoAway("DRAINING", grace)); }
  void OnClosed(const link::Closed& closed) override {
    subscriptions_.clear();
    Session::OnClosed(closed);
  }

 private:
  std::vector<ledger::Handle> subscriptions_;
};

// Both ways on one stream.
class ExchangeCall final : public Session {
 public:
  using Session::Session;

  void OnMessage(std::shared_ptr<const std::string> bytes) override {
    wire::Result<wire::ExchangeFrame> frame = wire::DecodeExchange(std::move(bytes));
    if (!frame.ok()) return Refuse(frame.error());
    if (!greeted_) return Greet(*frame);
    if (frame->hello) {
      return Refuse(wire::Invalid("UNEXPECTED_HELLO", "hello",
                                  "a session has one hello, in its first frame"));
    }
    Take(*frame);
  }

  void OnReadEnd() override {
    if (!greeted_) {
      return Refuse(wire::Invalid("HELLO_EXPECTED", "hello", "the stream ended before its hello"));
    }
    // No publish is under way: reading goes on only when it is answered.
    if (subscriptions_.empty()) FinishAfter({});
  }

  void Answered(const node::Answer& answer) override {
    std::optional<PublishEntry> publish;
    {
      const std::lock_guard lock(mutex_);
      if (publish_ && publish_->request == answer.request) {
        publish.swap(publish_);
        AnswerCameLocked();
      }
    }
    if (!publish) {  // a refused subscription ends the session, which would wait for ever
      return FinishAfter(applications_.StatusOf(answer.refusal, answer.limit, answer.retry_after,
                                                SubjectOf(stream_->info())));
    }
    if (answer.refusal != node::Refusal::kNone) {
      const wire::RpcError error = wire::Refused(answer.refusal, answer.limit, answer.retry_after,
                                                 SubjectOf(stream_->info()));
      Send(wire::EncodePublishRefused(publish->publish_id, error));
    } else if (publish->publish_id != 0) {
      Send(wire::EncodePublished(publish->publish_id, ToAccepted(answer)));
    }
    ReadOn();
  }

  void Subscribed(const node::Subscribed& subscribed) override {
    Send(wire::EncodeSubscribed(subscribed.ids, Texts(subscribed.unconfirmed)));
  }
  void GoAway(Duration grace) override { Send(wire::EncodeGoAway("DRAINING", grace)); }

 private:
  struct PublishEntry {
    RequestId request;
    std::uint64_t publish_id = 0;
  };

  void Refuse(const wire::RpcError& error) {
    applications_.CountRefused();
    FinishAfter(ToStatus(error));
  }

  void Greet(const wire::ExchangeFrame& frame) {
    const bool more = !frame.subscribe.empty() || !frame.unsubscribe.empty() || frame.ping != 0 ||
                      frame.publish_id != 0 || !frame.target.empty() || frame.batch != nullptr ||
                      frame.refused;
    if (!frame.hello || more) {
      return Refuse(wire::Invalid("HELLO_EXPECTED", "hello",
                                  "the first frame must hold a hello and nothing else"));
    }
    greeted_ = true;
    stream_->SetWriteDeadline(std::nullopt);
    Open();
    const PeerFacts& self = applications_.self();
    Send(wire::EncodeWelcome(id().value, self.id.ToText(), self.name, self.mesh_id));
    ReadOn();
  }

  void Take(wire::ExchangeFrame& frame) {
    const bool publishing = frame.batch != nullptr;
    for (const node::Subscription& added : frame.subscribe)
      subscriptions_.try_emplace(added.id, ledger::Handle(kSubscription, stream_->scope()));
    for (const std::uint32_t id : frame.unsubscribe) subscriptions_.erase(id);
    if (!frame.subscribe.empty()) {
      applications_.Post(
          node::Subscribe{applications_.NextRequest(), id(), std::move(frame.subscribe)});
    }
    if (!frame.unsubscribe.empty())
      applications_.Post(node::Unsubscribe{id(), std::move(frame.unsubscribe)});
    if (frame.ping != 0) Send(wire::EncodePong(frame.ping));
    if (frame.refused) {
      applications_.CountRefused();
      Send(wire::EncodePublishRefused(frame.publish_id, *frame.refused));
    }
    if (publishing) {
      const RequestId request = applications_.NextRequest();
      {
        const std::lock_guard lock(mutex_);
        publish_ = {request, frame.publish_id};
        AwaitAnswerLocked();
      }
      // The answer asks for the next frame: a publisher held back is not read from.
      applications_.Post(node::Publish{request, id(), std::move(frame.batch), driver::WallNow(),
                                       std::move(frame.target)});
      return;
    }
    ReadOn();
  }

  void ReadOn() {
    if (HasRoomOrWait()) stream_->Read();
  }

  void OnRoom() override { stream_->Read(); }

  void OnClosed(const link::Closed& closed) override {
    subscriptions_.clear();
    Session::OnClosed(closed);
  }

  // Touched by callbacks only.
  bool greeted_ = false;
  std::map<std::uint32_t, ledger::Handle> subscriptions_;  // asked for and not given up

  // Under mutex_.
  std::optional<PublishEntry> publish_;  // one: the next frame is read after its answer
};

}  // namespace

std::shared_ptr<Session> MakeSession(Applications& applications,
                                     std::shared_ptr<link::Stream> stream, SessionId id) {
  const std::string& method = stream->info().method;
  if (method.ends_with("/Publish"))
    return std::make_shared<PublishCall>(applications, std::move(stream), id);
  if (method.ends_with("/Subscribe"))
    return std::make_shared<SubscribeCall>(applications, std::move(stream), id);
  PM_CHECK(method.ends_with("/Exchange"));
  return std::make_shared<ExchangeCall>(applications, std::move(stream), id);
}

}  // namespace peermesh::api
