#include "server/net/acceptor.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include <atomic>
#include <thread>

#include "tests/server/net/net_testing.h"

namespace peermesh::net {
namespace {

using ::testing::MatchesRegex;

std::string LocalAddress(int fd) {
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  char port[NI_MAXSERV];
  getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length);
  getnameinfo(reinterpret_cast<sockaddr*>(&name), length, nullptr, 0, port, sizeof port,
              NI_NUMERICSERV);
  return port;
}

TEST_F(AcceptorTest, HandsOverAConnectionThatIsReadyForGrpc) {
  const std::string address = Listen("127.0.0.1:0");
  EXPECT_THAT(address, MatchesRegex("127\\.0\\.0\\.1:[1-9][0-9]*"));
  acceptor_->Start();
  const Client client = Client::To(address);
  ASSERT_TRUE(inbox_.WaitFor(1));
  const Inbox::Seen accepted = inbox_.at(0);
  EXPECT_EQ(accepted.peer, "ipv4:127.0.0.1:" + LocalAddress(client.fd()));
  EXPECT_TRUE(accepted.id);
  EXPECT_NE(fcntl(accepted.fd, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(accepted.fd, F_GETFD) & FD_CLOEXEC, 0);
  int value = 0;
  socklen_t length = sizeof value;
  ASSERT_EQ(getsockopt(accepted.fd, IPPROTO_TCP, TCP_NODELAY, &value, &length), 0);
  EXPECT_EQ(value, 1);
  ASSERT_EQ(getsockopt(accepted.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &length), 0);
  EXPECT_EQ(value, 10'000);
  EXPECT_EQ(acceptor_->FindByPeer(accepted.peer), accepted.id);
  EXPECT_EQ(acceptor_->FindByPeer("ipv4:127.0.0.1:1"), std::nullopt);
}

TEST_F(AcceptorTest, ConnectionsMadeBeforeStartAreTakenAfterIt) {
  const std::string address = Listen("127.0.0.1:0");
  const Client client = Client::To(address);
  EXPECT_EQ(inbox_.size(), 0u);
  acceptor_->Start();
  EXPECT_TRUE(inbox_.WaitFor(1));
}

TEST_F(AcceptorTest, IPv6LoopbackShowsTheEscapedAddress) {
  const std::string address = Listen("[::1]:0");
  acceptor_->Start();
  const Client client = Client::To(address);
  ASSERT_TRUE(inbox_.WaitFor(1));
  EXPECT_EQ(inbox_.at(0).peer, "ipv6:%5B::1%5D:" + LocalAddress(client.fd()));
}

TEST_F(AcceptorTest, AWildcardTakesBothFamiliesAndShowsEachAsItself) {
  const std::string address = Listen("[::]:0");
  const std::uint16_t port = ParseHostPort(address)->port;
  acceptor_->Start();
  const Client v4 = Client::To(FormatHostPort("127.0.0.1", port));
  ASSERT_TRUE(inbox_.WaitFor(1));
  const Client v6 = Client::To(FormatHostPort("::1", port));
  ASSERT_TRUE(inbox_.WaitFor(2));
  EXPECT_EQ(inbox_.at(0).peer, "ipv4:127.0.0.1:" + LocalAddress(v4.fd()));
  EXPECT_EQ(inbox_.at(1).peer, "ipv6:%5B::1%5D:" + LocalAddress(v6.fd()));
}

TEST_F(AcceptorTest, AnAddressInUseIsNamed) {
  const std::string address = Listen("127.0.0.1:0");
  const auto again = acceptor_->Listen({"again", address, Roomy(), 0600}, inbox_.handler());
  EXPECT_EQ(again.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(again.status().message()), ::testing::HasSubstr(address));
}

TEST_F(AcceptorTest, AnAddressThatIsNoneIsRefused) {
  for (const char* bad : {"", "7443", "::1:7443", "127.0.0.1:99999", "no-such-host.invalid:1"}) {
    const auto result = acceptor_->Listen({"bad", bad, Roomy(), 0600}, inbox_.handler());
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST_F(AcceptorTest, TheCapOnConnectionsHoldsAndRoomComesBack) {
  Caps caps = Roomy();
  caps.max_connections = 2;
  const std::string address = Listen("127.0.0.1:0", caps);
  acceptor_->Start();
  const Client first = Client::To(address);
  const Client second = Client::To(address);
  ASSERT_TRUE(inbox_.WaitFor(2));
  EXPECT_TRUE(Client::To(address).SeesEnd());
  EXPECT_EQ(Refused(Refusal::kTotal), 1u);
  EXPECT_EQ(Stats().open, 2u);
  inbox_.End(0);
  ASSERT_TRUE(Eventually([&] { return Stats().open == 1; }));
  const Client third = Client::To(address);
  EXPECT_TRUE(inbox_.WaitFor(3));
}

TEST_F(AcceptorTest, TheCapPerAddressIsOfOneAddress) {
  Caps caps = Roomy();
  caps.max_per_address = 1;
  const std::string address = Listen("[::]:0", caps);
  const std::uint16_t port = ParseHostPort(address)->port;
  acceptor_->Start();
  const Client first = Client::To(FormatHostPort("127.0.0.1", port));
  ASSERT_TRUE(inbox_.WaitFor(1));
  EXPECT_TRUE(Client::To(FormatHostPort("127.0.0.1", port)).SeesEnd());
  EXPECT_EQ(Refused(Refusal::kPerAddress), 1u);
  const Client other = Client::To(FormatHostPort("::1", port));
  EXPECT_TRUE(inbox_.WaitFor(2));
}

TEST_F(AcceptorTest, AnEstablishedConnectionIsNoHandshakeAnyMore) {
  Caps caps = Roomy();
  caps.max_handshakes = 1;
  const std::string address = Listen("127.0.0.1:0", caps);
  acceptor_->Start();
  const Client first = Client::To(address);
  ASSERT_TRUE(inbox_.WaitFor(1));
  EXPECT_TRUE(Client::To(address).SeesEnd());
  EXPECT_EQ(Refused(Refusal::kHandshakes), 1u);
  acceptor_->Established(inbox_.at(0).id);
  EXPECT_EQ(Stats().handshakes, 0u);
  EXPECT_TRUE(acceptor_->Connections().at(0).established);
  const Client second = Client::To(address);
  EXPECT_TRUE(inbox_.WaitFor(2));
}

TEST_F(AcceptorTest, AHandshakeCountsForItsTimeOnly) {
  const AcceptorTimes times{std::chrono::milliseconds(100), std::chrono::hours(1)};
  acceptor_ = *Acceptor::Create(times);
  const std::string address = Listen("127.0.0.1:0");
  acceptor_->Start();
  const auto begin = std::chrono::steady_clock::now();
  const Client silent = Client::To(address);
  ASSERT_TRUE(inbox_.WaitFor(1));
  ASSERT_TRUE(Eventually([&] { return Stats().handshakes == 0; }));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, times.handshake);
  EXPECT_EQ(Stats().open, 1u) << "ending the count does not end the connection";
  EXPECT_FALSE(acceptor_->Connections().at(0).established);
}

TEST_F(AcceptorTest, ARateLimitedAddressIsReset) {
  Caps caps = Roomy();
  caps.handshakes = limits::Rate{1, std::chrono::hours(1), 2};
  const std::string address = Listen("127.0.0.1:0", caps);
  acceptor_->Start();
  const Client first = Client::To(address);
  const Client second = Client::To(address);
  ASSERT_TRUE(inbox_.WaitFor(2));
  EXPECT_TRUE(Client::To(address).SeesEnd());
  EXPECT_EQ(Refused(Refusal::kRate), 1u);
}

TEST_F(AcceptorTest, CutEndsTheConnectionForBothSides) {
  const std::string address = Listen("127.0.0.1:0");
  acceptor_->Start();
  Client client = Client::To(address);
  ASSERT_TRUE(inbox_.WaitFor(1));
  const Inbox::Seen accepted = inbox_.at(0);
  EXPECT_TRUE(acceptor_->Cut(accepted.id));
  EXPECT_TRUE(client.SeesEnd());
  char byte;
  EXPECT_EQ(read(accepted.fd, &byte, 1), 0) << "the holder of the descriptor sees the end too";
  ASSERT_TRUE(Eventually([&] { return acceptor_->Connections().empty(); }));
  EXPECT_EQ(Stats().cut, 1u);
  EXPECT_EQ(Stats().closed, 1u);
  EXPECT_FALSE(acceptor_->Cut(accepted.id)) << "it is gone";
  EXPECT_EQ(acceptor_->FindByPeer(accepted.peer), std::nullopt);
}

TEST_F(AcceptorTest, ConnectionsAreCutWhenTheirCertificateHasRunOut) {
  const std::string address = Listen("127.0.0.1:0");
  acceptor_->Start();
  const Client soon = Client::To(address), later = Client::To(address), never = Client::To(address);
  ASSERT_TRUE(inbox_.WaitFor(3));
  const WallTime now{std::chrono::hours(1000)};
  acceptor_->Established(inbox_.at(0).id, now);
  acceptor_->Established(inbox_.at(1).id, now + std::chrono::microseconds(1));
  EXPECT_EQ(acceptor_->CutExpired(now - std::chrono::microseconds(1)), 0u);
  EXPECT_EQ(acceptor_->CutExpired(now), 1u);
  EXPECT_TRUE(soon.SeesEnd());
  ASSERT_TRUE(Eventually([&] { return Stats().open == 2; }));
  EXPECT_EQ(Stats().cut, 1u);
  EXPECT_EQ(acceptor_->CutExpired(now), 0u);
}

TEST_F(AcceptorTest, AConnectionResetByItsClientIsForgotten) {
  const std::string address = Listen("127.0.0.1:0");
  acceptor_->Start();
  Client client = Client::To(address);
  ASSERT_TRUE(inbox_.WaitFor(1));
  client.Reset();
  EXPECT_TRUE(Eventually([&] { return acceptor_->Connections().empty(); }));
}

TEST_F(AcceptorTest, AHolderThatIgnoresTheEndIsShutAfterAWhile) {
  const AcceptorTimes times{std::chrono::hours(1), std::chrono::milliseconds(100)};
  acceptor_ = *Acceptor::Create(times);
  const std::string address = Listen("127.0.0.1:0");
  acceptor_->Start();
  Client client = Client::To(address);
  ASSERT_TRUE(inbox_.WaitFor(1));
  const auto begin = std::chrono::steady_clock::now();
  client.Close();
  EXPECT_TRUE(Eventually([&] { return Stats().open == 0; }));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, times.half_closed) << "time to notice";
}

TEST_F(AcceptorTest, TwoHundredConnectionsLeaveNothingBehind) {
  const std::string address = Listen("127.0.0.1:0");
  acceptor_->Start();
  const int before = OpenDescriptors();
  for (std::size_t i = 0; i < 200; ++i) {
    Client client = Client::To(address);
    ASSERT_TRUE(inbox_.WaitFor(i + 1));
    inbox_.End(i);
  }
  ASSERT_TRUE(Eventually([&] { return acceptor_->Connections().empty(); }));
  // What is left is what this test holds.
  EXPECT_EQ(OpenDescriptors(), before + 200);
  EXPECT_EQ(Stats().accepted, 200u);
  EXPECT_EQ(Stats().closed, 200u);
}

TEST_F(AcceptorTest, MayBeAskedFromManyThreadsWhileConnectionsComeAndGo) {
  const std::string address = Listen("127.0.0.1:0");
  acceptor_->Start();
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!done) {
        for (const ConnectionInfo& connection : acceptor_->Connections()) {
          acceptor_->Established(connection.id);
          acceptor_->FindByPeer(connection.peer);
          acceptor_->Cut(connection.id);
        }
        const ListenerStats stats = Stats();
        EXPECT_EQ(stats.accepted - stats.closed, stats.open);
      }
    });
  }
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(Client::To(address).SeesEnd());
  done = true;
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(Eventually([&] { return acceptor_->Connections().empty(); }));
  EXPECT_EQ(Stats().closed, Stats().accepted);
  EXPECT_EQ(Stats().handshakes, 0u);
}

TEST_F(AcceptorTest, RunningOutOfDescriptorsRefusesAndRecovers) {
  const std::string address = Listen("127.0.0.1:0");
  acceptor_->Start();
  std::vector<Client> clients;
  for (int i = 0; i < 20; ++i) clients.emplace_back(AF_INET);
  Client late(AF_INET);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next_free = dup(0);
  ASSERT_GE(next_free, 0);
  close(next_free);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(next_free);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  for (Client& client : clients) EXPECT_TRUE(client.Connect(address));
  for (Client& client : clients) EXPECT_TRUE(client.SeesEnd()) << "nobody is left hanging";
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(inbox_.size(), 0u);
  EXPECT_EQ(Refused(Refusal::kNoDescriptors), 20u);
  EXPECT_TRUE(late.Connect(address));
  EXPECT_TRUE(inbox_.WaitFor(1)) << "the listener lives";
}

TEST_F(AcceptorTest, StopListeningKeepsConnectionsAndFreesThePort) {
  const std::string address = Listen("127.0.0.1:0");
  acceptor_->Start();
  Client client = Client::To(address);
  ASSERT_TRUE(inbox_.WaitFor(1));
  acceptor_->StopListening();
  EXPECT_FALSE(Client(AF_INET).Connect(address));
  EXPECT_EQ(acceptor_->Connections().size(), 1u);
  const auto again =
      (*Acceptor::Create())->Listen({"again", address, Roomy(), 0600}, inbox_.handler());
  EXPECT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(acceptor_->Cut(inbox_.at(0).id));
  EXPECT_TRUE(client.SeesEnd());
}

TEST_F(AcceptorTest, AHandlerMayStopListening) {
  std::string address;
  const auto bound =
      acceptor_->Listen({"once", "127.0.0.1:0", Roomy(), 0600}, [this](Accepted accepted) {
        acceptor_->StopListening();
        inbox_.handler()(std::move(accepted));
      });
  ASSERT_TRUE(bound.ok());
  acceptor_->Start();
  const Client client = Client::To(*bound);
  ASSERT_TRUE(inbox_.WaitFor(1));
  EXPECT_FALSE(Client(AF_INET).Connect(*bound));
}

TEST_F(AcceptorTest, StopLeavesConnectionsToTheirHolders) {
  const std::string address = Listen("127.0.0.1:0");
  acceptor_->Start();
  const Client client = Client::To(address);
  ASSERT_TRUE(inbox_.WaitFor(1));
  acceptor_->Stop();
  const Inbox::Seen accepted = inbox_.at(0);
  EXPECT_EQ(send(client.fd(), "x", 1, MSG_NOSIGNAL), 1);
  pollfd watch{accepted.fd, POLLIN, 0};
  ASSERT_EQ(poll(&watch, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())), 1);
  char byte = 0;
  EXPECT_EQ(read(accepted.fd, &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
  EXPECT_TRUE(acceptor_->Connections().empty());
}

}  // namespace
}  // namespace peermesh::net
