// What applications hold, in the ledger, and the node's count beside it.
#include <gmock/gmock.h>

#include "peermesh/v1/messaging.pb.h"
#include "peermesh/v1/peers.pb.h"
#include "server/api/applications.h"
#include "server/api/books.h"
#include "server/api/kinds.h"
#include "server/api/peers_service.h"
#include "server/link/kinds.h"
#include "tests/metrics/ledger/books.h"
#include "tests/server/api/api_testing.h"

namespace peermesh::api {
namespace {

using ledger::Live;
using testing::Each;
using testing::StartsWith;

class ApiBookingTest : public ApiTest {
 protected:
  void SetUp() override {
    Serve([this](const auto& stream) {
      if (stream->info().method.find("PeersService") != std::string::npos) {
        peers_.Take(stream);
      } else {
        applications_->Take(stream);
      }
    });
  }
  void TearDown() override { server_->Stop(); }

  std::shared_ptr<Recorder> Open() {
    const auto call = Call("/peermesh.v1.MessagingService/Exchange");
    v1::ExchangeRequest hello;
    hello.mutable_hello()->set_client("test");
    Say(*call, hello);
    return call;
  }
  static v1::ExchangeRequest Subscribe(std::initializer_list<std::uint32_t> ids) {
    v1::ExchangeRequest frame;
    for (const std::uint32_t id : ids) {
      auto* added = frame.add_subscribe();
      added->set_id(id);
      added->set_subject("a");
    }
    return frame;
  }

  link::Watched<std::vector<node::Input>> told_;
  std::unique_ptr<Applications> applications_ =
      std::make_unique<Applications>(PeerFacts{IdOf(1), "self", "mesh"}, [this](node::Input input) {
        told_.With([&](auto& told) { told.push_back(std::move(input)); });
      });
  PeersService peers_{[](const auto&) {}, [](const auto&) {}, 1};
};

TEST_F(ApiBookingTest, ASessionAndItsSubscriptionsBelongToItsStream) {
  const auto call = Open();
  Say(*call, Subscribe({1, 2, 3}));
  v1::ExchangeRequest leave;
  leave.add_unsubscribe(2);
  leave.add_unsubscribe(7);
  Say(*call, leave);
  EXPECT_TRUE(Eventually([] { return Live(kSession) == 1 && Live(kSubscription) == 2; }));
  EXPECT_THAT(ledger::PathsOf(kSession), Each(StartsWith("stream Exchange by grpc-c++/")));
  EXPECT_EQ(ledger::PathsOf(kSubscription),
            std::vector<std::string>(2, ledger::PathsOf(kSession).front()));
  call->stream().Cancel("enough");
  EXPECT_TRUE(Eventually([] { return Live(kSession) + Live(kSubscription) == 0; }));
}

TEST_F(ApiBookingTest, ASubscribeCallHoldsWhatItAskedFor) {
  const auto call = Call("/peermesh.v1.MessagingService/Subscribe");
  v1::SubscribeRequest request;
  for (const char* subject : {"a", "b.*"}) request.add_subjects(subject);
  Say(*call, request);
  EXPECT_TRUE(Eventually([] { return Live(kSubscription) == 2; }));
  call->stream().Cancel("enough");
  EXPECT_TRUE(Eventually([] { return Live(kSession) + Live(kSubscription) == 0; }));
}

TEST_F(ApiBookingTest, ASessionHasADeadlineWhileAPublishWaitsForItsAnswer) {
  const auto call = Open();
  ASSERT_TRUE(Eventually([] { return Live(kSession) == 1; }));
  EXPECT_FALSE(ledger::DeadlineOf(kSession)) << "it may live for ever";
  v1::ExchangeRequest frame;
  frame.set_publish_id(5);
  frame.add_messages()->set_subject("a");
  Say(*call, frame);
  std::optional<node::Publish> publish;
  ASSERT_TRUE(told_.Wait([&](const auto& told) {
    for (const node::Input& input : told) {
      if (const auto* found = std::get_if<node::Publish>(&input)) publish = *found;
    }
    return publish.has_value();
  }));
  const auto deadline = ledger::DeadlineOf(kSession);
  ASSERT_TRUE(deadline);
  EXPECT_GT(*deadline - ledger::CoarseNow(), link::ForLedger(kMaxBlockTimeout))
      << "no reader may hold it back so long";
  applications_->Perform(node::Answer{publish->request, publish->session});
  EXPECT_FALSE(ledger::DeadlineOf(kSession));
  call->stream().Cancel("enough");
}

TEST_F(ApiBookingTest, AWatchBelongsToItsStream) {
  const auto call = Call("/peermesh.v1.PeersService/WatchPeers");
  Say(*call, v1::WatchPeersRequest());
  EXPECT_TRUE(Eventually([] { return Live(kWatch) == 1; }));
  EXPECT_THAT(ledger::PathsOf(kWatch), Each(StartsWith("stream WatchPeers")));
  call->stream().Cancel("enough");
  EXPECT_TRUE(Eventually([] { return Live(kWatch) == 0; }));
}

TEST_F(ApiBookingTest, TheNodesCountStandsBesideOurs) {
  const auto call = Open();
  ASSERT_TRUE(Eventually([] { return Live(kSession) == 1; }));
  node::Census census;
  census.sessions = 2;
  census.links = 1;
  const auto counts = CountedTwice(census);
  ASSERT_EQ(counts.size(), 3u);
  EXPECT_EQ(counts[0].kind, "link");
  EXPECT_EQ(counts[0].elsewhere, 1);
  EXPECT_EQ(counts[0].by_ledger, 0);
  EXPECT_EQ(counts[1].kind, "session");
  EXPECT_EQ(counts[1].elsewhere, 2);
  EXPECT_EQ(counts[1].by_ledger, 1);
  EXPECT_EQ(counts[2].kind, "subscription");
  EXPECT_EQ(counts[2].where, "the node");
  call->stream().Cancel("enough");
}

}  // namespace
}  // namespace peermesh::api
