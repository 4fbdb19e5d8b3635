// Connections in the ledger: whose they are, and that nothing of them stays.
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>

#include "server/net/kinds.h"
#include "tests/metrics/ledger/books.h"
#include "tests/server/net/net_testing.h"

namespace peermesh::net {
namespace {

using ledger::Live;
using ledger::ScopeType;
using testing::Each;
using testing::StartsWith;

class BookingTest : public AcceptorTest {
 protected:
  std::string PathOf(const std::string& peer) {
    return acceptor_->ScopeFor("test", peer, ScopeType::kStream, "Exchange").Path();
  }
};

TEST_F(BookingTest, AConnectionBelongsToWhoeverItProvesToBe) {
  const std::string address = Listen("127.0.0.1:0");
  acceptor_->Start();
  const Client client = Client::To(address);
  ASSERT_TRUE(inbox_.WaitFor(1));
  const Inbox::Seen accepted = inbox_.at(0);
  EXPECT_EQ(PathOf(accepted.peer),
            "client unproven > connection test " + accepted.peer + " > stream Exchange");
  EXPECT_TRUE(acceptor_->Established(accepted.id));
  EXPECT_FALSE(acceptor_->Established(accepted.id)) << "that is no news";
  acceptor_->Identify(accepted.id, ScopeType::kPeer, "beta (mfqwcyld)");
  EXPECT_EQ(PathOf(accepted.peer),
            "peer beta (mfqwcyld) > connection test " + accepted.peer + " > stream Exchange");
  EXPECT_THAT(ledger::PathsOf(kConnectionFd), Each(StartsWith("peer beta (mfqwcyld) > ")));
  EXPECT_EQ(PathOf("ipv4:192.0.2.1:1"), "client of test > stream Exchange");
}

TEST_F(BookingTest, AsManyAreMeantToBeThereAsTheListenersTake) {
  const ledger::Ledger& books = ledger::Ledger::Process();
  ListenOptions options;
  options.name = "one";
  options.address = "127.0.0.1:0";
  options.caps.max_connections = 300;
  ASSERT_TRUE(acceptor_->Listen(options, [](Accepted) {}).ok());
  options.name = "two";
  options.caps.max_connections = 40;
  ASSERT_TRUE(acceptor_->Listen(options, [](Accepted) {}).ok());
  EXPECT_EQ(books.soft_limit(kConnection), 340u);
  EXPECT_EQ(books.soft_limit(kHandedOverFd), 340u);
  EXPECT_EQ(books.soft_limit(kConnectionFd), 680u);
  options.caps.max_connections = 1u << 30;
  acceptor_->SetCaps("two", options.caps);
  EXPECT_EQ(books.soft_limit(kConnection), 300u + (1u << 30));
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_LE(books.soft_limit(kConnectionFd), limit.rlim_cur) << "no more than the system permits";
}

TEST_F(BookingTest, EverythingOfAConnectionEndsWithIt) {
  const std::string address = Listen("127.0.0.1:0");
  acceptor_->Start();
  Client client = Client::To(address);
  ASSERT_TRUE(inbox_.WaitFor(1));
  EXPECT_EQ(Live(kConnection), 1u);
  EXPECT_EQ(Live(kConnectionFd), 2u) << "the duplicate, and the one its holder has";
  EXPECT_EQ(Live(kHandedOverFd), 1u);
  EXPECT_EQ(Live(kListenerFd), 1u);
  client.Reset();
  EXPECT_TRUE(Eventually([] { return Live(kConnection) == 0; }));
  EXPECT_EQ(Live(kHandedOverFd), 0u);
  EXPECT_EQ(Live(kConnectionFd), 1u) << "its holder still has it";
  acceptor_->StopListening();
  EXPECT_EQ(Live(kListenerFd), 0u);
}

TEST_F(BookingTest, HowAConnectionEndedIsBooked) {
  const std::string address = Listen("127.0.0.1:0", Roomy(), true);
  acceptor_->Start();
  const auto reaped = [] { return ledger::Ended(kConnection, ledger::Outcome::kReaped); };
  const auto failed = [] { return ledger::Ended(kConnection, ledger::Outcome::kError); };
  const std::uint64_t reaped_before = reaped(), failed_before = failed();
  const Client stranger = Client::To(address);
  ASSERT_EQ(send(stranger.fd(), "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
  EXPECT_TRUE(Eventually([&] { return failed() == failed_before + 1; }));
  const Client client = Client::To(address);
  ASSERT_TRUE(Eventually([&] { return acceptor_->Connections().size() == 1; }));
  EXPECT_TRUE(acceptor_->Cut(acceptor_->Connections().front().id));
  EXPECT_TRUE(Eventually([&] { return reaped() == reaped_before + 1; }));
}

TEST_F(BookingTest, OnAUnixSocketTheProcessIsNamed) {
  std::string pattern = std::filesystem::temp_directory_path() / "peermesh-book-XXXXXX";
  const std::string directory = mkdtemp(pattern.data());
  const std::string address = Listen("unix:" + directory + "/app.sock");
  acceptor_->Start();
  const Client client = Client::To(address);
  ASSERT_TRUE(inbox_.WaitFor(1));
  EXPECT_THAT(ledger::PathsOf(kConnection),
              testing::ElementsAre("client process " + std::to_string(getpid()) +
                                   " > connection test unix:"));
  // gRPC shows all of them as one.
  EXPECT_EQ(PathOf("unix:"), "client of test > stream Exchange");
  acceptor_->StopListening();
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace peermesh::net
