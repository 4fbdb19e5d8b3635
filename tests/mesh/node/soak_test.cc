// Random trouble, many seeds: whatever happens, every message is delivered or announced as lost, in
// order and once, and when the trouble is over everybody is linked again.
#include <gtest/gtest.h>

#include "tests/mesh/node/world.h"

namespace peermesh::node {
namespace {

using namespace std::chrono_literals;

class SoakTest : public testing::TestWithParam<std::uint64_t> {
 protected:
  static constexpr std::size_t kHosts = 4;

  void OpenReader(HostIndex host) {
    const AppIndex app = world.Open(host);
    const std::uint64_t kind = world.rng().Below(6);
    world.app(app).bytes_per_second = kind == 0 ? 20'000 : kind == 1 ? 500'000 : 1'000'000'000;
    const OnOverflow policy = kind == 2 ? OnOverflow::kBlock : OnOverflow::kGap;
    const std::vector<std::string> patterns = {"s1.>", "s2.x", "*.x", ">", "s1.x"};
    std::vector<Subscription> wanted;
    for (std::uint32_t id = 1; id <= 2; ++id) {
      wanted.push_back({id, patterns[world.rng().Below(patterns.size())], policy});
    }
    world.Subscribe(app, std::move(wanted));
  }

  void OpenWriter(HostIndex host) {
    const AppIndex app = world.Open(host);
    const std::vector<std::string> subjects = {"s1.x", "s1.y", "s2.x", "s3.x", "s2.z"};
    const std::string subject = subjects[world.rng().Below(subjects.size())];
    const std::size_t bytes = 100 + world.rng().Below(20'000);
    world.Feed(app, subject, 1 + world.rng().Below(5), bytes,
               Duration(4000 + world.rng().Below(30'000)), end);
  }

  // One piece of bad luck.
  void Trouble() {
    const HostIndex a = world.rng().Below(kHosts);
    const HostIndex b = (a + 1 + world.rng().Below(kHosts - 1)) % kHosts;
    switch (world.rng().Below(9)) {
      case 0:
        if (world.running(a)) world.Kill(a);
        break;
      case 1:
      case 2:
        world.Restart(a);
        OpenReader(a);
        OpenWriter(a);
        break;
      case 3:
        world.Cut(a, b);
        cuts.push_back({a, b});
        break;
      case 4:
        while (!cuts.empty()) {
          world.Heal(cuts.back().first, cuts.back().second);
          cuts.pop_back();
        }
        break;
      case 5:
      case 6: world.Break(a, b); break;
      case 7:
        if (world.running(a)) world.Tell(a, CredentialsRenewed{});
        break;
      case 8:
        if (world.running(a)) OpenReader(a);
        break;
    }
  }

  World world{GetParam()};
  Instant end = world.now() + 12s;
  std::vector<std::pair<HostIndex, HostIndex>> cuts;
};

TEST_P(SoakTest, EveryMessageIsDeliveredOrAnnouncedAndTheMeshHeals) {
  for (HostIndex host = 0; host < kHosts; ++host) {
    world.Add("h" + std::to_string(host),
              host == 0 ? std::vector<HostIndex>{} : std::vector<HostIndex>{0});
  }
  for (HostIndex host = 0; host < kHosts; ++host) {
    OpenReader(host);
    OpenReader(host);
    OpenWriter(host);
  }
  while (world.now() < end) {
    world.Run(Duration(world.rng().Below(1'200'000)));
    Trouble();
  }
  for (const auto& [a, b] : cuts) world.Heal(a, b);
  for (HostIndex host = 0; host < kHosts; ++host) {
    if (!world.running(host)) world.Restart(host);
  }
  ASSERT_TRUE(world.RunUntil([&] { return world.FullMesh(); }, 30s)) << "seed " << GetParam();
  for (AppIndex app = 0; app < world.apps(); ++app) world.app(app).bytes_per_second = 1'000'000'000;
  world.Run(70s);  // queues drain, marks pass, the longest reading ends
  EXPECT_TRUE(world.FullMesh()) << "seed " << GetParam();
  world.ExpectNothingMissing();
  for (HostIndex host = 0; host < kHosts; ++host) {
    const Census census = world.node(host).TakeCensus();
    EXPECT_EQ(census.held_publishes, 0u);
    EXPECT_EQ(census.session_queue_bytes, 0u);
    EXPECT_EQ(census.link_queue_bytes, 0u);
    EXPECT_EQ(census.withheld_links, 0u);
    EXPECT_EQ(census.slow_sessions, 0u);
    EXPECT_EQ(world.node(host).stats().peer_misbehaved, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SoakTest, testing::Range<std::uint64_t>(1, 21));

}  // namespace
}  // namespace peermesh::node
