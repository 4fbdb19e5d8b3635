// Exchange as an application sees it, with the node in the hands of the test.
#include "peermesh/v1/messaging.pb.h"
#include "server/api/applications.h"
#include "tests/server/api/api_testing.h"

namespace peermesh::api {
namespace {

constexpr char kExchange[] = "/peermesh.v1.MessagingService/Exchange";

class ExchangeTest : public ApiTest {
 protected:
  void SetUp() override {
    applications_ = std::make_unique<Applications>(
        PeerFacts{IdOf(1), "self", "mesh"}, [this](node::Input input) {
          told_.With([&](auto& told) { told.push_back(std::move(input)); });
        });
    Serve([this](const auto& stream) { applications_->Take(stream); });
  }
  void TearDown() override { server_->Stop(); }

  // The first fact of a type, once it has come.
  template <class T>
  std::optional<T> WaitFor() {
    std::optional<T> found;
    const bool there = told_.Wait([&](const std::vector<node::Input>& told) {
      for (const node::Input& input : told) {
        if (const T* match = std::get_if<T>(&input)) found = *match;
      }
      return found.has_value();
    });
    return there ? found : std::nullopt;
  }
  static v1::ExchangeRequest Hello() {
    v1::ExchangeRequest frame;
    frame.mutable_hello()->set_client("test");
    return frame;
  }
  static v1::ExchangeRequest Subscribe(std::uint32_t id) {
    v1::ExchangeRequest frame;
    frame.add_subscribe()->set_id(id);
    frame.mutable_subscribe(0)->set_subject("a");
    return frame;
  }
  static bool HasPong(Recorder& call, std::uint64_t ping) {
    return Eventually([&] { return Heard<v1::ExchangeResponse>(call).pong() == ping; });
  }

  std::unique_ptr<Applications> applications_;
  link::Watched<std::vector<node::Input>> told_;
};

TEST_F(ExchangeTest, AFirstFrameHoldsItsHelloAndNothingElse) {
  std::vector<v1::ExchangeRequest> frames(7, Hello());
  frames[0].MergeFrom(Subscribe(1));
  frames[1].add_unsubscribe(1);
  frames[2].set_ping(1);
  frames[3].set_publish_id(1);
  frames[4].set_target("beta");
  frames[5].add_messages()->set_subject("a");
  frames[6].add_messages()->set_subject("not a subject");
  for (const v1::ExchangeRequest& frame : frames) {
    const auto call = Call(kExchange);
    Say(*call, frame);
    const auto closed = call->WaitClosed();
    ASSERT_TRUE(closed) << frame.ShortDebugString();
    EXPECT_EQ(closed->code, static_cast<int>(wire::Code::kInvalidArgument));
    EXPECT_NE(closed->message.find("a hello and nothing else"), std::string::npos)
        << closed->message;
  }
  EXPECT_EQ(applications_->bad_requests(), frames.size());
}

TEST_F(ExchangeTest, HalfClosingKeepsASubscriptionThatWasNotGivenUp) {
  const auto call = Call(kExchange);
  Say(*call, Hello());
  Say(*call, Subscribe(1));
  v1::ExchangeRequest leave;
  for (const std::uint32_t unknown : {2, 3, 3}) leave.add_unsubscribe(unknown);
  leave.set_ping(9);
  Say(*call, leave);
  ASSERT_TRUE(HasPong(*call, 9));
  call->stream().HalfClose();
  const auto opened = WaitFor<node::SessionOpened>();
  ASSERT_TRUE(opened);
  ASSERT_TRUE(Eventually([&] {
    for (const link::StreamRow& row : server_->rpc().Table()) {
      if (row.server && row.state.find("read to the end") != std::string::npos) return true;
    }
    return false;
  }));
  applications_->Perform(node::Subscribed{{}, opened->session, {1}, {}});
  EXPECT_TRUE(
      Eventually([&] { return Heard<v1::ExchangeResponse>(*call).subscribed_size() == 1; }));
  EXPECT_TRUE(call->record().closed.empty());
}

TEST_F(ExchangeTest, HalfClosingEndsTheStreamWhenEverySubscriptionWasGivenUp) {
  const auto call = Call(kExchange);
  Say(*call, Hello());
  Say(*call, Subscribe(1));
  v1::ExchangeRequest leave;
  leave.add_unsubscribe(1);
  Say(*call, leave);
  call->stream().HalfClose();
  const auto closed = call->WaitClosed();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->code, 0);
  EXPECT_TRUE(WaitFor<node::SessionClosed>());
}

TEST_F(ExchangeTest, APublishIsAnsweredBeforeTheNextFrameIsRead) {
  const auto call = Call(kExchange);
  Say(*call, Hello());
  v1::ExchangeRequest frame;
  frame.set_publish_id(5);
  frame.add_messages()->set_subject("a");
  Say(*call, frame);
  v1::ExchangeRequest ping;
  ping.set_ping(1);
  Say(*call, ping);
  const auto publish = WaitFor<node::Publish>();
  ASSERT_TRUE(publish);
  EXPECT_EQ(Heard<v1::ExchangeResponse>(*call).pong(), 0u);
  node::Answer answer{publish->request, publish->session};
  answer.interested_peers = 3;
  applications_->Perform(answer);
  ASSERT_TRUE(HasPong(*call, 1));
  const auto heard = Heard<v1::ExchangeResponse>(*call);
  ASSERT_EQ(heard.published_size(), 1);
  EXPECT_EQ(heard.published(0).publish_id(), 5u);
  EXPECT_EQ(heard.published(0).accepted().interested_peers(), 3u);
  call->stream().HalfClose();
  EXPECT_TRUE(call->WaitClosed());
}

}  // namespace
}  // namespace peermesh::api
