// WatchPeers, with a turn that the test runs.
#include "peermesh/v1/peers.pb.h"
#include "server/api/peers_service.h"
#include "tests/server/api/api_testing.h"

namespace peermesh::api {
namespace {

constexpr char kWatchPeers[] = "/peermesh.v1.PeersService/WatchPeers";

class WatchTest : public ApiTest {
 protected:
  using Look = std::function<void(const node::Node&)>;

  void SetUp() override {
    node::Config config;
    config.self = IdOf(1);
    config.name = "self";
    config.epoch = 1;
    node_ = *node::Node::Create(std::move(config), Rng(Rng::Seed{}), Instant{});
    service_ = std::make_unique<PeersService>(
        [this](Look look) {
          if (!turn_is_late_) return look(*node_);
          late_.With([&](auto& late) { late.push_back(std::move(look)); });
        },
        [this](node::Input fact) { facts_.With([&](auto& facts) { facts.push_back(fact); }); }, 7);
    Serve([this](const auto& stream) { service_->Take(stream); });
  }
  void TearDown() override { server_->Stop(); }

  void Change(std::uint32_t number, bool removed,
              membership::State state = membership::State::kAlive) {
    node::PeerChanged wish;
    wish.peer.id = IdOf(number);
    wish.peer.name = "peer" + std::to_string(number);
    wish.peer.state = state;
    wish.removed = removed;
    service_->Perform(wish);
  }
  std::shared_ptr<Recorder> Watch(const v1::WatchPeersRequest& request = {}) {
    const auto call = Call(kWatchPeers);
    Say(*call, request);
    EXPECT_TRUE(call->Wait([](const link::Record& record) { return !record.messages.empty(); }));
    return call;
  }
  // Every event so far: "+peer2 -peer3 ".
  static std::string Events(Recorder& call) {
    std::string events;
    const auto heard = Heard<v1::WatchPeersResponse>(call);
    for (const v1::PeerEvent& event : heard.events()) {
      if (event.peer().name() == "self") continue;
      events += event.type() == v1::PEER_EVENT_TYPE_REMOVED ? "-" : "+";
      events += event.peer().name() + " ";
    }
    return events;
  }
  static bool HasEvents(Recorder& call, const std::string& wanted) {
    return Eventually([&] { return Events(call) == wanted; });
  }

  std::unique_ptr<node::Node> node_;
  std::unique_ptr<PeersService> service_;
  std::atomic<bool> turn_is_late_{false};
  link::Watched<std::vector<Look>> late_;
  link::Watched<std::vector<node::Input>> facts_;
};

TEST_F(WatchTest, ShowsChangesAndRemovesOnlyWhatItShowed) {
  const auto call = Watch();
  Change(2, false);
  EXPECT_TRUE(HasEvents(*call, "+peer2 "));
  Change(3, true);
  Change(2, true);
  EXPECT_TRUE(HasEvents(*call, "+peer2 -peer2 "));
}

TEST_F(WatchTest, AResumedWatchTellsOfEveryRemovalWhateverTheCallerHeld) {
  const auto first = Watch();
  Change(2, false);
  Change(3, false);
  ASSERT_TRUE(HasEvents(*first, "+peer2 +peer3 "));
  v1::WatchPeersRequest request;
  request.set_resume_token(Heard<v1::WatchPeersResponse>(*first).resume_token());
  first->stream().Cancel("enough");
  Change(2, true);  // while nobody watches
  const auto resumed = Watch(request);
  EXPECT_FALSE(Heard<v1::WatchPeersResponse>(*resumed).reset());
  EXPECT_TRUE(HasEvents(*resumed, "-peer2 "));
  Change(3, true);  // shown by the watch before
  EXPECT_TRUE(HasEvents(*resumed, "-peer2 -peer3 "));
}

TEST_F(WatchTest, AnAccusationIsShownOnceTheTurnHasSaidWhoAccusesAndNothingOvertakesIt) {
  const auto call = Watch();
  turn_is_late_ = true;
  Change(2, false, membership::State::kSuspect);
  Change(2, false, membership::State::kDead);
  Change(3, false);
  Change(2, true, membership::State::kDead);
  ASSERT_TRUE(late_.Wait([](const auto& late) { return late.size() == 1; })) << "one look for all";
  EXPECT_EQ(Events(*call), "");
  turn_is_late_ = false;
  late_.With([&](auto& late) { late.front()(*node_); });
  // What a watcher has not read yet is shown as it is in the end.
  EXPECT_TRUE(Eventually([&] {
    return Events(*call).ends_with("-peer2 +peer3 ") || Events(*call).ends_with("+peer3 -peer2 ");
  })) << Events(*call);
  Change(4, false);
  EXPECT_TRUE(Eventually([&] { return Events(*call).ends_with("+peer4 "); }));
}

TEST_F(WatchTest, AHalfCloseBeforeTheTurnHasSeenTheRequestIsNoEmptyRequest) {
  turn_is_late_ = true;
  const auto call = Call(kWatchPeers);
  call->stream().Write(v1::WatchPeersRequest().SerializeAsString());
  call->stream().HalfClose();
  ASSERT_TRUE(late_.Wait([](const auto& late) { return late.size() == 1; }));
  // The server has read to the end.
  ASSERT_TRUE(Eventually([&] {
    for (const link::StreamRow& row : server_->rpc().Table()) {
      if (row.server && row.state.find("read to the end") != std::string::npos) return true;
    }
    return false;
  }));
  late_.With([&](auto& late) { late.front()(*node_); });
  Change(2, false);
  EXPECT_TRUE(HasEvents(*call, "+peer2 "));
  EXPECT_TRUE(call->record().closed.empty());
}

TEST_F(WatchTest, AHalfCloseWithoutARequestIsRefused) {
  const auto call = Call(kWatchPeers);
  call->stream().HalfClose();
  const auto closed = call->WaitClosed();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->code, static_cast<int>(wire::Code::kInvalidArgument));
}

}  // namespace
}  // namespace peermesh::api
