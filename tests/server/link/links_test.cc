// Links that are up: frames, grants, ends.
#include "server/link/links.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "server/wire/signed_record.h"
#include "tests/server/link/proxy.h"
#include "tests/server/link/test_peer.h"

namespace peermesh::link {
namespace {

using namespace std::chrono_literals;
using node::DownReason;
using node::Lane;

class LinksTest : public testing::Test {
 protected:
  TestMesh mesh_;
  TestPeer alpha_{mesh_, {.name = "alpha", .epoch = 11}};
  TestPeer beta_{mesh_, {.name = "beta", .epoch = 22}};
};

TEST_F(LinksTest, BothEndsReportTheLinkWithWhatTlsAndHelloSay) {
  const auto up = alpha_.Connect(beta_);
  ASSERT_TRUE(up);
  EXPECT_EQ(up->ours.peer, beta_.id());
  EXPECT_EQ(up->ours.name, "beta");
  EXPECT_EQ(up->ours.epoch, 22u);
  EXPECT_EQ(up->ours.software, "test/beta");
  EXPECT_EQ(up->ours.direction, node::Direction::kOutbound);
  EXPECT_EQ(up->ours.dial, DialId{1});
  EXPECT_EQ(up->ours.certificate_expiry, beta_.credentials().self().not_after);
  EXPECT_EQ(up->theirs.peer, alpha_.id());
  EXPECT_EQ(up->theirs.name, "alpha");
  EXPECT_EQ(up->theirs.epoch, 11u);
  EXPECT_EQ(up->theirs.direction, node::Direction::kInbound);
  EXPECT_FALSE(up->theirs.dial);
  EXPECT_EQ(up->ours.dial_count, 1u);
  EXPECT_EQ(up->theirs.dial_count, 1u) << "both ends can tell which of two links is the newer";
  const Instant now{
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())};
  EXPECT_GT(up->ours.expires, now + 50min);
  EXPECT_LT(up->ours.expires, now + 61min);
  const LinkCensus census = alpha_.links().Census();
  EXPECT_EQ(census.links, 1u);
  EXPECT_EQ(census.streams, 2u);
  EXPECT_EQ(census.channels, 2u);
  EXPECT_EQ(beta_.links().Census().channels, 0u);
  EXPECT_EQ(beta_.server().acceptor().Connections().size(), 2u) << "one for each stream";
}

TEST_F(LinksTest, ControlFramesArriveInOrderBothWaysOneForEachSendDone) {
  const auto up = alpha_.Connect(beta_);
  ASSERT_TRUE(up);
  for (std::uint64_t i = 1; i <= 50; ++i) {
    alpha_.links().Perform(node::SendControl{up->ours.link, node::Heartbeat{.number = i}});
    beta_.links().Perform(node::SendControl{up->theirs.link, node::InterestAck{i}});
    ASSERT_TRUE(alpha_.WaitFor<node::SendDone>(i));
    ASSERT_TRUE(beta_.WaitFor<node::SendDone>(i));
  }
  for (std::uint64_t i = 1; i <= 50; ++i) {
    const auto there = beta_.WaitFor<node::ControlIn>(i);
    const auto here = alpha_.WaitFor<node::ControlIn>(i);
    ASSERT_TRUE(there && here);
    EXPECT_EQ(std::get<node::Heartbeat>(there->frame).number, i);
    EXPECT_EQ(std::get<node::InterestAck>(here->frame).generation, i);
    EXPECT_EQ(there->link, up->theirs.link);
  }
  const LinkStats stats = beta_.links().stats();
  EXPECT_EQ(stats.control.frames_in, 50u);
  EXPECT_EQ(stats.control.frames_out, 50u);
  EXPECT_EQ(stats.data.frames_in, 0u);
}

TEST_F(LinksTest, DataIsReadByGrantOnly) {
  const auto up = alpha_.Connect(beta_);
  ASSERT_TRUE(up);
  alpha_.links().Perform(node::SendData{up->ours.link, FrameOf("a.b", {"one", "two"})});
  const auto sent = alpha_.WaitFor<node::SendDone>(1);
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->lane, Lane::kData);
  alpha_.links().Perform(node::SendData{up->ours.link, FrameOf("a.b", {"three"}, 3)});
  ASSERT_TRUE(alpha_.WaitFor<node::SendDone>(2));
  // Control overtakes: were data read unasked, it would have come before this.
  alpha_.links().Perform(node::SendControl{up->ours.link, node::LinkReady{}});
  ASSERT_TRUE(beta_.WaitFor<node::ControlIn>(1));
  EXPECT_EQ(beta_.CountOf<node::DataIn>(), 0u);
  beta_.links().Perform(node::ReadNext{up->theirs.link});
  const auto first = beta_.WaitFor<node::DataIn>(1);
  ASSERT_TRUE(first);
  EXPECT_EQ(PayloadsOf(first->frame), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(first->frame.runs.front().first, 1u);
  EXPECT_EQ(beta_.CountOf<node::DataIn>(), 1u);
  beta_.links().Perform(node::ReadNext{up->theirs.link});
  const auto second = beta_.WaitFor<node::DataIn>(2);
  ASSERT_TRUE(second);
  EXPECT_EQ(PayloadsOf(second->frame), std::vector<std::string>{"three"});
}

TEST_F(LinksTest, DataFlowsBothWaysInOrder) {
  const auto up = alpha_.Connect(beta_);
  ASSERT_TRUE(up);
  for (std::uint64_t i = 1; i <= 100; ++i) {
    const std::string payload(i * 100, static_cast<char>('a' + i % 26));
    beta_.links().Perform(node::SendData{up->theirs.link, FrameOf("s", {payload}, i)});
    alpha_.links().Perform(node::ReadNext{up->ours.link});
    const auto in = alpha_.WaitFor<node::DataIn>(i);
    ASSERT_TRUE(in);
    ASSERT_EQ(PayloadsOf(in->frame).front(), payload);
    ASSERT_TRUE(beta_.WaitFor<node::SendDone>(i));
  }
}

TEST_F(LinksTest, RecordsThatDoNotVerifyAreDroppedAndTheLinkStays) {
  const auto up = alpha_.Connect(beta_);
  ASSERT_TRUE(up);
  node::PeerRecord record;
  record.id = alpha_.id();
  record.incarnation = 7;
  record.addresses = {"192.0.2.1:7443"};
  const std::string body = wire::EncodeRecordBody(record);
  const auto& credentials = alpha_.credentials();
  record.encoded = wire::EncodeSignedRecord(body, credentials.key().Sign(wire::kRecordDomain, body),
                                            credentials.certificate().der());
  node::PeerRecord forged = record;
  forged.encoded = wire::EncodeSignedRecord(body, credentials.key().Sign("another domain", body),
                                            credentials.certificate().der());
  for (std::size_t i = 1; i <= 2; ++i) {  // the second time from memory
    alpha_.links().Perform(node::SendControl{up->ours.link, node::PeerRecords{{forged, record}}});
    const auto in = beta_.WaitFor<node::ControlIn>(i);
    ASSERT_TRUE(in);
    const auto& records = std::get<node::PeerRecords>(in->frame).records;
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records.front()->id, alpha_.id());
    EXPECT_EQ(records.front()->name, "alpha");
    EXPECT_EQ(records.front()->incarnation, 7u);
    EXPECT_EQ(beta_.links().stats().records_dropped, i);
    ASSERT_TRUE(alpha_.WaitFor<node::SendDone>(i));
  }
  EXPECT_EQ(beta_.CountOf<node::LinkDown>(), 0u);
}

TEST_F(LinksTest, ALinkThatEndsAsItComesUpWasUpFirst) {
  std::atomic<bool> over{false};
  std::thread cutter([&] {
    while (!over) beta_.links().CutExpired(WallTime::max());
  });
  for (std::size_t i = 1; i <= 50; ++i) {
    alpha_.Dial(beta_.address());
    EXPECT_TRUE(beta_.WaitFor<node::LinkDown>(i)) << i;
  }
  over = true;
  cutter.join();
  std::set<LinkId> up;
  beta_.facts().With([&](const std::vector<node::Input>& facts) {
    for (const node::Input& fact : facts) {
      if (const auto* came = std::get_if<node::LinkUp>(&fact)) up.insert(came->link);
      if (const auto* went = std::get_if<node::LinkDown>(&fact)) {
        EXPECT_EQ(up.erase(went->link), 1u);
      }
    }
  });
}

TEST_F(LinksTest, CloseDeliversWhatWasSentBeforeAndEndsBothSidesOnce) {
  for (const bool dialler_closes : {true, false}) {
    const auto patient = [](LinksConfig& config) { config.linger = kPatience; };
    TestPeer gamma(mesh_, {.name = "gamma", .adjust = patient});
    TestPeer delta(mesh_, {.name = "delta", .adjust = patient});
    const auto up = gamma.Connect(delta);
    ASSERT_TRUE(up);
    TestPeer& closer = dialler_closes ? gamma : delta;
    TestPeer& other = dialler_closes ? delta : gamma;
    const LinkId closing = dialler_closes ? up->ours.link : up->theirs.link;
    const LinkId left = dialler_closes ? up->theirs.link : up->ours.link;
    closer.links().Perform(node::SendData{closing, FrameOf("s", {std::string(1000, 'x')})});
    closer.links().Perform(node::SendControl{closing, node::Goodbye{}});
    closer.links().Perform(node::Close{closing});
    ASSERT_TRUE(other.WaitFor<node::ControlIn>(1)) << "the goodbye";
    other.links().Perform(node::ReadNext{left});
    const auto data = other.WaitFor<node::DataIn>(1);
    ASSERT_TRUE(data);
    EXPECT_EQ(PayloadsOf(data->frame).front().size(), 1000u);
    other.links().Perform(node::ReadNext{left});  // finds the end
    const auto here = closer.WaitFor<node::LinkDown>();
    const auto there = other.WaitFor<node::LinkDown>();
    ASSERT_TRUE(here && there);
    EXPECT_EQ(here->why, DownReason::kClosedByUs);
    EXPECT_EQ(there->why, DownReason::kClosedByPeer);
    gamma.Stop();
    delta.Stop();
    EXPECT_EQ(closer.CountOf<node::LinkDown>(), 1u);
    EXPECT_EQ(other.CountOf<node::LinkDown>(), 1u);
  }
}

TEST_F(LinksTest, ACloseThatIsNotReadEndsAfterTheLinger) {
  TestPeer hasty(mesh_, {.name = "hasty", .adjust = [](LinksConfig& c) { c.linger = 50ms; }});
  const auto up = hasty.Connect(beta_);
  ASSERT_TRUE(up);
  hasty.links().Perform(node::SendData{up->ours.link, FrameOf("s", {"never read"})});
  hasty.links().Perform(node::Close{up->ours.link});
  ASSERT_TRUE(hasty.WaitFor<node::LinkDown>());
  const auto there = beta_.WaitFor<node::LinkDown>();
  ASSERT_TRUE(there);
  EXPECT_EQ(there->why, DownReason::kClosedByPeer);
}

TEST_F(LinksTest, ADeadPeerIsNoticedAtOnceByBothKindsOfEnd) {
  const auto up = alpha_.Connect(beta_);
  ASSERT_TRUE(up);
  const auto started = std::chrono::steady_clock::now();
  beta_.Die();
  const auto here = alpha_.WaitFor<node::LinkDown>();
  const auto there = beta_.WaitFor<node::LinkDown>();
  ASSERT_TRUE(here && there);
  EXPECT_EQ(here->why, DownReason::kTransport);
  EXPECT_EQ(there->why, DownReason::kTransport);
  EXPECT_LT(std::chrono::steady_clock::now() - started, 1s);
}

TEST_F(LinksTest, AnUndecodableFrameEndsTheLink) {
  const auto up = alpha_.Connect(beta_);
  ASSERT_TRUE(up);
  // Pattern "..": the encoder does not care, the decoder does.
  alpha_.links().Perform(node::SendControl{
      up->ours.link, node::InterestSnapshot{1, true, true, {node::Interest{"..", 0}}}});
  const auto there = beta_.WaitFor<node::LinkDown>();
  ASSERT_TRUE(there);
  EXPECT_EQ(there->why, DownReason::kProtocol);
  EXPECT_EQ(beta_.links().stats().bad_frames, 1u);
  EXPECT_TRUE(alpha_.WaitFor<node::LinkDown>());
}

TEST_F(LinksTest, AWriterWhosePeerReadsNothingIsStalled) {
  TestPeer writer(mesh_,
                  {.name = "writer", .adjust = [](LinksConfig& c) { c.write_limit = 500ms; }});
  const auto up = writer.Connect(beta_);
  ASSERT_TRUE(up);
  const std::string block(1 << 19, 'b');
  std::size_t done = 0;
  while (writer.CountOf<node::LinkDown>() == 0) {
    writer.links().Perform(node::SendData{up->ours.link, FrameOf("s", {block}, done + 1)});
    ++done;
    ASSERT_TRUE(writer.facts().Wait([&](const auto& facts) {
      std::size_t news = 0;
      for (const auto& fact : facts) {
        news += std::holds_alternative<node::SendDone>(fact) ? 1 : 0;
        if (std::holds_alternative<node::LinkDown>(fact)) return true;
      }
      return news >= done;
    }));
  }
  EXPECT_EQ(writer.WaitFor<node::LinkDown>()->why, DownReason::kStalled);
  EXPECT_TRUE(beta_.WaitFor<node::LinkDown>());
}

// A peer that is stopped: its host still accepts packets until the buffers are full, and nothing
// ever comes back.
TEST_F(LinksTest, AFrozenPeerHoldsUpNeitherTheLinkNorShutdown) {
  for (const bool dialler_writes : {true, false}) {
    const auto quick = [](LinksConfig& config) { config.write_limit = 500ms; };
    TestPeer one(mesh_, {.name = "one", .adjust = quick});
    TestPeer two(mesh_, {.name = "two", .adjust = quick});
    Proxy proxy(two.address());
    one.Dial(proxy.address(), two.id());
    const auto up = one.WaitFor<node::LinkUp>();
    const auto up_there = two.WaitFor<node::LinkUp>();
    ASSERT_TRUE(up && up_there);
    proxy.Freeze();
    TestPeer& writer = dialler_writes ? one : two;
    const LinkId link = dialler_writes ? up->link : up_there->link;
    const std::string block(1 << 19, 'b');
    for (std::size_t sent = 1; writer.CountOf<node::LinkDown>() == 0; ++sent) {
      writer.links().Perform(node::SendData{link, FrameOf("s", {block}, sent)});
      ASSERT_TRUE(writer.facts().Wait([&](const auto& facts) {
        std::size_t news = 0;
        for (const auto& fact : facts) {
          news += std::holds_alternative<node::SendDone>(fact) ? 1 : 0;
          if (std::holds_alternative<node::LinkDown>(fact)) return true;
        }
        return news >= sent;
      }));
    }
    EXPECT_EQ(writer.WaitFor<node::LinkDown>()->why, DownReason::kStalled);
    const auto started = std::chrono::steady_clock::now();
    writer.Stop();
    EXPECT_LT(std::chrono::steady_clock::now() - started, 5s);
  }
}

TEST_F(LinksTest, NothingIsPostedForALinkAfterItsEnd) {
  // A node that talks back within the fact: sends, grants and closes from under the callback.
  const auto busy = [](TestPeer& peer, const node::Input& fact) {
    if (const auto* up = std::get_if<node::LinkUp>(&fact)) {
      peer.links().Perform(node::SendControl{up->link, node::LinkReady{}});
      peer.links().Perform(node::SendData{up->link, FrameOf("s", {"x"})});
      peer.links().Perform(node::ReadNext{up->link});
    }
    if (const auto* in = std::get_if<node::DataIn>(&fact)) {
      peer.links().Perform(node::ReadNext{in->link});
    }
    if (const auto* done = std::get_if<node::SendDone>(&fact); done && done->lane == Lane::kData) {
      peer.links().Perform(node::SendData{done->link, FrameOf("s", {"x"})});
    }
    if (const auto* in = std::get_if<node::ControlIn>(&fact)) {
      peer.links().Perform(node::Close{in->link});
    }
  };
  TestPeer one(mesh_, {.name = "one", .on_fact = busy}),
      two(mesh_, {.name = "two", .on_fact = busy});
  for (std::size_t i = 1; i <= 20; ++i) {
    one.Dial(two.address(), two.id());
    ASSERT_TRUE(one.WaitFor<node::LinkDown>(i));
    ASSERT_TRUE(two.WaitFor<node::LinkDown>(i));
  }
  one.Stop();
  two.Stop();
  for (TestPeer* peer : {&one, &two}) {
    peer->facts().With([](const auto& facts) {
      std::map<LinkId, int> state;  // 1: up, 2: down
      for (const node::Input& fact : facts) {
        std::visit(
            [&](const auto& value) {
              using T = std::decay_t<decltype(value)>;
              if constexpr (std::is_same_v<T, node::LinkUp>) {
                EXPECT_EQ(state[value.link]++, 0);
              } else if constexpr (std::is_same_v<T, node::LinkDown>) {
                EXPECT_EQ(state[value.link]++, 1);
              } else if constexpr (std::is_same_v<T, node::DataIn> ||
                                   std::is_same_v<T, node::ControlIn> ||
                                   std::is_same_v<T, node::SendDone>) {
                EXPECT_EQ(state[value.link], 1);
              }
            },
            fact);
      }
      EXPECT_EQ(state.size(), 20u);
    });
  }
}

TEST_F(LinksTest, ALinkIsCutWhenTheFirstOfItsCertificatesRunsOut) {
  TestPeer brief(mesh_, {.name = "brief", .age = 59min});
  const auto up = alpha_.Connect(brief);
  ASSERT_TRUE(up);
  EXPECT_LT(up->ours.expires, up->ours.expires + 1us);
  alpha_.links().CutExpired(brief.credentials().self().not_after - 1s);
  EXPECT_EQ(alpha_.CountOf<node::LinkDown>(), 0u);
  alpha_.links().CutExpired(brief.credentials().self().not_after);
  const auto down = alpha_.WaitFor<node::LinkDown>();
  ASSERT_TRUE(down);
  EXPECT_EQ(alpha_.links().stats().expired, 1u);
  EXPECT_TRUE(brief.WaitFor<node::LinkDown>());
}

TEST_F(LinksTest, ManyCyclesComeBackToTheBaseline) {
  const auto cycle = [&](std::size_t n) {
    const auto up = alpha_.Connect(beta_);
    ASSERT_TRUE(up);
    if (n % 3 == 0) beta_.Die();
    if (n % 3 == 1) alpha_.links().Perform(node::Close{up->ours.link});
    if (n % 3 == 2) beta_.links().Perform(node::Close{up->theirs.link});
    ASSERT_TRUE(alpha_.WaitFor<node::LinkDown>(n + 1));
    ASSERT_TRUE(beta_.WaitFor<node::LinkDown>(n + 1));
  };
  const auto idle = [&] {
    return Eventually([&] {
      for (TestPeer* peer : {&alpha_, &beta_}) {
        const LinkCensus census = peer->links().Census();
        if (census.links + census.handshakes + census.streams + census.channels > 0) return false;
        if (peer->server().rpc().stats().live > 0) return false;
        if (!peer->server().acceptor().Connections().empty()) return false;
      }
      return true;
    });
  };
  for (std::size_t n = 0; n < 3; ++n) cycle(n);
  ASSERT_TRUE(idle());
  const std::size_t before = OpenDescriptors();
  for (std::size_t n = 3; n < 53; ++n) cycle(n);
  ASSERT_TRUE(idle());
  EXPECT_TRUE(Eventually([&] { return OpenDescriptors() <= before; }))
      << OpenDescriptors() << " descriptors, " << before << " before";
}

TEST_F(LinksTest, ShutdownEndsLinksAndHandshakesAndPostsTheirEnds) {
  ASSERT_TRUE(alpha_.Connect(beta_));
  ASSERT_TRUE(beta_.Connect(alpha_));
  alpha_.Dial(beta_.address());  // somewhere in its handshake
  const auto started = std::chrono::steady_clock::now();
  alpha_.Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - started, 8s);
  EXPECT_EQ(alpha_.links().Census().streams, 0u);
  EXPECT_EQ(alpha_.CountOf<node::LinkUp>(), alpha_.CountOf<node::LinkDown>());
  // Connect dialled once from here; each dial has its one answer.
  std::size_t answers = alpha_.CountOf<node::DialFailed>();
  alpha_.facts().With([&](const auto& facts) {
    for (const auto& fact : facts) {
      const auto* up = std::get_if<node::LinkUp>(&fact);
      if (up != nullptr && up->dial) ++answers;
    }
  });
  EXPECT_EQ(answers, 2u);
  EXPECT_TRUE(beta_.WaitFor<node::LinkDown>(2));
}

}  // namespace
}  // namespace peermesh::link
