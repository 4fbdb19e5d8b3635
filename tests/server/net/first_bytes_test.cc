// What a TLS listener does before it hands a connection over.
#include "tests/server/net/hello_testing.h"
#include "tests/server/net/net_testing.h"

namespace peermesh::net {
namespace {

class FirstBytesTest : public AcceptorTest {
 protected:
  void Begin(AcceptorTimes times = {}, Caps caps = Roomy()) {
    acceptor_ = *Acceptor::Create(times);
    address_ = Listen("127.0.0.1:0", caps, true);
    acceptor_->Start();
  }
  static void Say(const Client& client, std::string_view bytes) {
    ASSERT_EQ(send(client.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // All that comes until the other side ends the connection.
  static std::string Hear(const Client& client) {
    std::string heard;
    char bytes[64];
    pollfd watch{client.fd(), POLLIN, 0};
    const int patience = static_cast<int>(std::chrono::milliseconds(kPatience).count());
    while (poll(&watch, 1, patience) == 1) {
      const ssize_t got = recv(client.fd(), bytes, sizeof bytes, 0);
      if (got <= 0) return heard;
      heard.append(bytes, static_cast<std::size_t>(got));
    }
    ADD_FAILURE() << "the connection did not end";
    return heard;
  }
  bool Gone() {
    return Eventually([&] { return Stats().open == 0 && Stats().handshakes == 0; });
  }

  std::string address_;
};

TEST_F(FirstBytesTest, AHelloIsHandedOverWholeHoweverItComes) {
  Begin();
  const std::string hello = ClientHello(TLS1_3_VERSION);
  const Client client = Client::To(address_);
  for (const char byte : hello) {
    EXPECT_EQ(inbox_.size(), 0u);
    Say(client, {&byte, 1});
  }
  ASSERT_TRUE(inbox_.WaitFor(1));
  std::string read(hello.size() + 1, '\0');
  EXPECT_EQ(recv(inbox_.at(0).fd, read.data(), read.size(), 0), static_cast<ssize_t>(hello.size()));
  read.pop_back();
  EXPECT_EQ(read, hello);
  EXPECT_EQ(acceptor_->FindByPeer(inbox_.at(0).peer), inbox_.at(0).id);
}

TEST_F(FirstBytesTest, WhatWasHandedOverIsWatchedToItsEnd) {
  Begin({std::chrono::hours(1), std::chrono::milliseconds(50)});
  Client client = Client::To(address_);
  Say(client, ClientHello(TLS1_3_VERSION));
  shutdown(client.fd(), SHUT_WR);  // may be seen together with the hello
  ASSERT_TRUE(inbox_.WaitFor(1));
  EXPECT_TRUE(Gone());
  EXPECT_EQ(Ended(Unproven::kEnded), 1u);
}

TEST_F(FirstBytesTest, WhatIsNoTlsIsResetAndCounted) {
  Begin();
  const Client client = Client::To(address_);
  Say(client, "GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(Hear(client), "");
  EXPECT_TRUE(Gone());
  EXPECT_EQ(Ended(Unproven::kNotTls), 1u);
  EXPECT_EQ(inbox_.size(), 0u);
}

TEST_F(FirstBytesTest, AnOldTlsIsToldSoAndCounted) {
  Begin();
  const Client client = Client::To(address_);
  Say(client, ClientHello(TLS1_2_VERSION));
  EXPECT_EQ(Hear(client), std::string("\x15\x03\x03\x00\x02\x02\x46", 7));
  EXPECT_TRUE(Gone());
  EXPECT_EQ(Ended(Unproven::kOldTls), 1u);
  EXPECT_EQ(inbox_.size(), 0u);
}

TEST_F(FirstBytesTest, SilenceEndsWithTheTimeForAHandshake) {
  Begin({std::chrono::milliseconds(100), std::chrono::hours(1)});
  const Client silent = Client::To(address_), stammering = Client::To(address_);
  Say(stammering, "\x16\x03");
  EXPECT_EQ(Hear(silent), "");
  EXPECT_EQ(Hear(stammering), "");
  EXPECT_TRUE(Gone());
  EXPECT_EQ(Ended(Unproven::kTimeout), 2u);
}

TEST_F(FirstBytesTest, ClientsThatLeaveInTheMiddleLeaveNothingBehind) {
  Begin();
  const int before = OpenDescriptors();
  const std::string hello = ClientHello(TLS1_3_VERSION);
  for (int i = 0; i < 100; ++i) {
    Client client = Client::To(address_);
    Say(client, std::string_view(hello).substr(0, static_cast<std::size_t>(i)));
    if (i % 2 == 0) client.Reset();
  }
  EXPECT_TRUE(Eventually([&] { return Stats().closed == 100; }));
  EXPECT_EQ(Ended(Unproven::kEnded), 100u);
  EXPECT_EQ(OpenDescriptors(), before);
  EXPECT_EQ(inbox_.size(), 0u);
}

TEST_F(FirstBytesTest, ANewcomerPushesOutTheOldestOfTheAddressThatHasTheMost) {
  Caps caps = Roomy();
  caps.max_handshakes = 4;
  Begin({std::chrono::hours(1), std::chrono::hours(1)}, caps);
  std::vector<Client> greedy;
  for (int i = 0; i < 4; ++i) greedy.push_back(Client::From("127.0.0.2", address_));
  for (const int talks : {2, 3}) Say(greedy[talks], ClientHello(TLS1_3_VERSION));
  ASSERT_TRUE(inbox_.WaitFor(2));
  EXPECT_TRUE(Client::From("127.0.0.2", address_).SeesEnd()) << "it has the most already";
  EXPECT_EQ(Refused(Refusal::kHandshakes), 1u);
  std::vector<Client> others;
  for (std::size_t i = 0; i < 3; ++i) {
    others.push_back(Client::From("127.0.0." + std::to_string(3 + i), address_));
    EXPECT_TRUE(greedy[i].SeesEnd()) << i;
    EXPECT_TRUE(Eventually([&] { return Ended(Unproven::kCrowdedOut) == i + 1; }));
  }
  EXPECT_TRUE(Client::From("127.0.0.3", address_).SeesEnd()) << "all have one now, and so has it";
  for (const Client& other : others) Say(other, ClientHello(TLS1_3_VERSION));
  EXPECT_TRUE(inbox_.WaitFor(5));
  EXPECT_EQ(Stats().handshakes, 4u);
}

TEST_F(FirstBytesTest, TheTimeForAHandshakeBeginsAnewWithItsFirstBytes) {
  Begin({std::chrono::milliseconds(400), std::chrono::hours(1)});
  Client client = Client::To(address_);
  ASSERT_TRUE(Eventually([&] { return Stats().handshakes == 1; }));
  EXPECT_FALSE(Eventually([&] { return Stats().handshakes == 0; }, std::chrono::milliseconds(250)));
  Say(client, ClientHello(TLS1_3_VERSION));
  EXPECT_FALSE(Eventually([&] { return Stats().handshakes == 0; }, std::chrono::milliseconds(250)));
  EXPECT_TRUE(Eventually([&] { return Stats().handshakes == 0; }));
}

TEST_F(FirstBytesTest, AConnectionThatOutlivedItsHandshakeFailedInNoWay) {
  Begin({std::chrono::milliseconds(1), std::chrono::hours(1)});
  Client idle = Client::To(address_);
  Say(idle, ClientHello(TLS1_3_VERSION));
  ASSERT_TRUE(inbox_.WaitFor(1));
  // As long as gRPC may take to end what has not proved itself.
  EXPECT_FALSE(Eventually([&] { return Stats().closed > 0; }, std::chrono::milliseconds(1100)));
  idle.Reset();
  ASSERT_TRUE(Eventually([&] { return Stats().closed == 1; }));
  for (std::size_t how = 0; how < kUnprovenCount; ++how)
    EXPECT_EQ(Stats().unproven[how], 0u) << how;
}

TEST_F(FirstBytesTest, AHeldConnectionCanBeCut) {
  Begin();
  const Client client = Client::To(address_);
  ASSERT_TRUE(Eventually([&] { return acceptor_->Connections().size() == 1; }));
  EXPECT_TRUE(acceptor_->Cut(acceptor_->Connections().at(0).id));
  EXPECT_EQ(Hear(client), "");
  EXPECT_TRUE(Gone());
}

TEST_F(FirstBytesTest, NothingIsHandedOverAfterStopListening) {
  Begin();
  const Client client = Client::To(address_);
  ASSERT_TRUE(Eventually([&] { return acceptor_->Connections().size() == 1; }));
  acceptor_->StopListening();
  EXPECT_EQ(Hear(client), "") << "it waits for nobody";
  EXPECT_EQ(Stats().open, 0u);
  EXPECT_EQ(inbox_.size(), 0u);
}

}  // namespace
}  // namespace peermesh::net
