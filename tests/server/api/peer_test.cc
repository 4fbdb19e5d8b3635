// GetPeer and PingPeer, with a node that the test asks and answers for.
#include "peermesh/v1/peers.pb.h"
#include "server/api/peer_detail.h"
#include "server/api/peers_service.h"
#include "server/driver/driver.h"
#include "server/wire/api.h"
#include "tests/server/api/api_testing.h"

namespace peermesh::api {
namespace {

constexpr char kGetPeer[] = "/peermesh.v1.PeersService/GetPeer";
constexpr char kPingPeer[] = "/peermesh.v1.PeersService/PingPeer";

class PeerTest : public ApiTest {
 protected:
  void SetUp() override {
    node::Config config;
    config.self = IdOf(1);
    config.name = "self";
    config.epoch = 7;
    node_ = *node::Node::Create(std::move(config), Rng(Rng::Seed{}), Instant{});
    node::LinkUp up;
    up.link = LinkId{1};
    up.peer = IdOf(2);
    up.name = "beta";
    up.epoch = 5;
    node::Effects effects;
    node_->Handle(Instant{}, up, effects);
    service_ = std::make_unique<PeersService>(
        [this](const auto& look) { look(*node_); },
        [this](node::Input fact) {
          asked_.With(
              [&](auto& all) { all.push_back(std::get<node::PingAsked>(std::move(fact))); });
        },
        7);
    Serve([this](const auto& stream) { service_->Take(stream); });
  }
  void TearDown() override { server_->Stop(); }

  v1::GetPeerResponse Get(const std::string& peer) {
    v1::GetPeerRequest request;
    request.set_peer(peer);
    const auto call = Call(kGetPeer);
    Say(*call, request);
    call->WaitClosed();
    return Heard<v1::GetPeerResponse>(*call);
  }
  // A ping that the node has been told of.
  std::shared_ptr<Recorder> Ping(const std::string& peer, std::size_t asked) {
    v1::PingPeerRequest request;
    request.set_peer(peer);
    const auto call = Call(kPingPeer);
    Say(*call, request);
    EXPECT_TRUE(asked_.Wait([&](const auto& all) { return all.size() == asked; }));
    return call;
  }
  node::PingAsked Asked(std::size_t index) {
    node::PingAsked ping;
    asked_.With([&](auto& all) { ping = all.at(index); });
    return ping;
  }

  std::unique_ptr<node::Node> node_;
  std::unique_ptr<PeersService> service_;
  link::Watched<std::vector<node::PingAsked>> asked_;
};

TEST_F(PeerTest, APeerIsShownWithItsLinkByNameIdOrPrefix) {
  for (const std::string& name : {std::string("beta"), IdOf(2).ToText()}) {
    const v1::GetPeerResponse known = Get(name);
    EXPECT_EQ(known.peer().name(), "beta") << name;
    EXPECT_EQ(known.epoch(), 5u);
    ASSERT_EQ(known.links_size(), 1);
    EXPECT_EQ(known.links(0).direction(), v1::LINK_DIRECTION_INBOUND);
    EXPECT_TRUE(known.links(0).carries_data());
    EXPECT_EQ(known.links(0).heartbeats(), 1u) << "the greeting";
    EXPECT_FALSE(known.links(0).has_certificate_expiry()) << "nothing was shown that runs out";
    EXPECT_FALSE(known.interest_known());
    EXPECT_FALSE(known.interest_confirmed());
  }
  const v1::GetPeerResponse self = Get("self");
  EXPECT_TRUE(self.peer().self());
  EXPECT_EQ(self.epoch(), 7u);
  EXPECT_EQ(self.links_size(), 0);
}

TEST(PeerDetailTest, AccusersAreNamedWithWhatTheySaw) {
  node::PeerDetail detail;
  detail.row.id = IdOf(2);
  detail.row.state = membership::State::kDead;
  detail.neighbor = true;
  detail.accusers = {
      {IdOf(3), membership::StateReason::kHeartbeatTimeout, driver::SteadyNow(), true},
      {IdOf(4), membership::StateReason::kNone, driver::SteadyNow(), false}};
  const v1::GetPeerResponse response = PeerResponse(detail, {{IdOf(3), "gamma"}});
  EXPECT_TRUE(response.neighbor());
  ASSERT_EQ(response.accusers_size(), 2);
  EXPECT_EQ(response.accusers(0).peer().id(), IdOf(3).ToText());
  EXPECT_EQ(response.accusers(0).peer().name(), "gamma");
  EXPECT_EQ(response.accusers(0).reason(), "HEARTBEAT_TIMEOUT");
  EXPECT_GT(response.accusers(0).since().seconds(), 0);
  EXPECT_TRUE(response.accusers(0).counts());
  EXPECT_EQ(response.accusers(1).peer().name(), "");
  EXPECT_EQ(response.accusers(1).reason(), "");
  EXPECT_FALSE(response.accusers(1).counts());
  ASSERT_EQ(response.peer().accusers_size(), 2);
  EXPECT_EQ(response.peer().accusers(1), IdOf(4).ToText());
}

TEST(PeerDetailTest, ARowNamesSixteenAccusersAtMost) {
  std::vector<PeerId> accusers;
  for (std::uint32_t i = 0; i < 20; ++i) accusers.push_back(IdOf(i));
  EXPECT_EQ(wire::ToPeer({}, {}, accusers).accusers_size(), 16);
  EXPECT_EQ(wire::ToPeer({}, {}).accusers_size(), 0);
}

TEST_F(PeerTest, APrefixOfTwoIsAmbiguousAndAnUnknownNameIsNotFound) {
  v1::GetPeerRequest request;
  for (const auto& [name, code] :
       {std::pair{IdOf(1).ToText().substr(0, 8), wire::Code::kInvalidArgument},
        std::pair{std::string("gamma"), wire::Code::kNotFound},
        std::pair{std::string(), wire::Code::kNotFound}}) {
    request.set_peer(name);
    const auto call = Call(kGetPeer);
    Say(*call, request);
    const auto closed = call->WaitClosed();
    ASSERT_TRUE(closed);
    EXPECT_EQ(closed->code, static_cast<int>(code)) << name;
  }
}

TEST_F(PeerTest, EachPingGetsItsOwnAnswer) {
  const auto first = Ping("beta", 1), second = Ping("beta", 2);
  EXPECT_EQ(Asked(0).target, "beta");
  EXPECT_NE(Asked(0).request, Asked(1).request);
  service_->Perform(node::Pinged{Asked(1).request, node::Refusal::kNone, IdOf(2), Duration(1500)});
  ASSERT_TRUE(second->WaitClosed());
  const auto answer = Heard<v1::PingPeerResponse>(*second);
  EXPECT_EQ(answer.round_trip_time().nanos(), 1'500'000);
  EXPECT_EQ(answer.peer().name(), "beta");
  EXPECT_TRUE(first->record().closed.empty());
  service_->Perform(node::Pinged{Asked(0).request, node::Refusal::kNoAnswer, IdOf(2)});
  const auto closed = first->WaitClosed();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->code, static_cast<int>(wire::Code::kDeadlineExceeded));
}

TEST_F(PeerTest, APingThatWaitsWhenThePeerLeavesIsAnsweredOnce) {
  const auto call = Ping("beta", 1);
  service_->FinishAll();
  const auto closed = call->WaitClosed();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->code, static_cast<int>(wire::Code::kUnavailable));
  service_->Perform(node::Pinged{Asked(0).request, node::Refusal::kNone, IdOf(2), Duration(1)});
}

}  // namespace
}  // namespace peermesh::api
