#include "server/observe/targets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace peermesh {
namespace {

using membership::PeerView;
using membership::State;
using testing::ElementsAre;
using testing::IsEmpty;

PeerView Peer(const std::string& name, const std::string& metrics, State state = State::kAlive,
              std::vector<std::string> addresses = {"10.0.0.7:7443"}) {
  PeerView view;
  view.id = *PeerId::FromBytes((name + std::string(32, 'i')).substr(0, 32));
  view.name = name;
  view.addresses = std::move(addresses);
  view.metrics_address = metrics;
  view.state = state;
  return view;
}

PeerView Self(const std::string& metrics, std::vector<std::string> addresses = {"10.0.0.1:7443"}) {
  PeerView view = Peer("self", metrics, State::kAlive, std::move(addresses));
  view.self = true;
  return view;
}

nlohmann::json Targets(const std::vector<PeerView>& peers) {
  return nlohmann::json::parse(TargetsJson(peers, "mesh"));
}

// "name address" of each.
std::vector<std::string> Listed(const std::vector<PeerView>& peers) {
  std::vector<std::string> listed;
  for (const auto& one : Targets(peers)) {
    EXPECT_EQ(one["targets"].size(), 1u);
    listed.push_back(one["labels"]["__meta_peermesh_peer_name"].get<std::string>() + " " +
                     one["targets"][0].get<std::string>());
  }
  return listed;
}

TEST(TargetsTest, APeerIsATargetWithItsNameIdMeshAndState) {
  const PeerView beta = Peer("beta", "10.0.0.7:9464", State::kSuspect);
  const auto all = Targets({beta});
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0]["targets"], nlohmann::json::array({"10.0.0.7:9464"}));
  const nlohmann::json labels = {{"__meta_peermesh_mesh", "mesh"},
                                 {"__meta_peermesh_peer_id", beta.id.ToText()},
                                 {"__meta_peermesh_peer_name", "beta"},
                                 {"__meta_peermesh_state", "suspect"}};
  EXPECT_EQ(all[0]["labels"], labels);
}

TEST(TargetsTest, WhoDoesNotAnswerStaysAndWhoLeftIsGone) {
  EXPECT_THAT(Listed({Self("10.0.0.1:9464"), Peer("dead", "10.0.0.2:9464", State::kDead),
                      Peer("far", "10.0.0.3:9464", State::kUnreachable),
                      Peer("gone", "10.0.0.4:9464", State::kLeft), Peer("off", "", State::kAlive)}),
              ElementsAre("self 10.0.0.1:9464", "far 10.0.0.3:9464", "dead 10.0.0.2:9464"));
}

TEST(TargetsTest, LoopbackIsListedForPeersOfThisHostOnly) {
  EXPECT_THAT(
      Listed({Self("127.0.0.1:9464"),
              Peer("here", "127.0.0.1:9465", State::kAlive, {"10.0.0.9:1", "10.0.0.1:7444"}),
              Peer("there", "127.0.0.1:9466", State::kAlive, {"10.0.0.2:7443"})}),
      ElementsAre("self 127.0.0.1:9464", "here 127.0.0.1:9465"));
}

TEST(TargetsTest, AllThatIsAdvertisedOnLoopbackIsOfOneHost) {
  EXPECT_THAT(Listed({Self("127.0.0.1:1", {"127.0.0.1:7443"}),
                      Peer("six", "127.0.0.1:2", State::kAlive, {"[::1]:7444"}),
                      Peer("name", "localhost:3", State::kAlive, {"localhost:7445"})}),
              ElementsAre("self 127.0.0.1:1", "name localhost:3", "six 127.0.0.1:2"));
}

TEST(TargetsTest, AnAddressIsListedOnceForWhoeverIsMostAlive) {
  EXPECT_THAT(Listed({Peer("aaa", "10.0.0.2:9464", State::kDead),
                      Peer("bbb", "10.0.0.2:9464", State::kAlive), Self("10.0.0.1:9464"),
                      Peer("ccc", "10.0.0.1:9464", State::kAlive)}),
              ElementsAre("self 10.0.0.1:9464", "bbb 10.0.0.2:9464"));
}

TEST(TargetsTest, NobodyIsAnEmptyListAndStillJson) { EXPECT_EQ(TargetsJson({}, "m"), "[]\n"); }

TEST(TargetsTest, ANameThatIsNoUtf8IsStillJson) {
  EXPECT_THAT(Listed({Peer("\xff\"}", "10.0.0.2:9464")}), testing::SizeIs(1));
}

TEST(AdvertisedMetricsTest, AnAddressOfItsOwnIsToldAsItIs) {
  EXPECT_EQ(AdvertisedMetrics("10.0.0.1:9464", {"10.9.9.9:7443"}), "10.0.0.1:9464");
  EXPECT_EQ(AdvertisedMetrics("127.0.0.1:9464", {"10.9.9.9:7443"}), "127.0.0.1:9464");
}

TEST(AdvertisedMetricsTest, AWildcardIsToldAsTheFirstHostThatSpeaksIpv4) {
  EXPECT_EQ(AdvertisedMetrics("0.0.0.0:9464", {"alpha.example.net:7443", "10.0.0.1:7443"}),
            "alpha.example.net:9464");
  EXPECT_EQ(AdvertisedMetrics("0.0.0.0:9464", {"[2001:db8::1]:7443", "10.0.0.1:7443"}),
            "10.0.0.1:9464");
  EXPECT_EQ(AdvertisedMetrics("0.0.0.0:9464", {"[2001:db8::1]:7443"}), "");
  EXPECT_EQ(AdvertisedMetrics("0.0.0.0:9464", {}), "");
}

TEST(AdvertisedMetricsTest, NoMetricsAreToldAsNone) {
  EXPECT_EQ(AdvertisedMetrics("", {"10.0.0.1:7443"}), "");
}

}  // namespace
}  // namespace peermesh
