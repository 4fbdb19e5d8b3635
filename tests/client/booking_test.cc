// What the library books in the ledger of the application it is part of.
#include <gmock/gmock.h>

#include "client/kinds.h"
#include "client/peermesh.h"
#include "tests/client/scripted_peer.h"
#include "tests/metrics/ledger/books.h"

namespace peermesh::client {
namespace {

using ledger::Live;
using testing::ElementsAre;

TEST(BookingTest, AClientAndItsSessionAreBookedUntilTheyGo) {
  const TempDir dir;
  ScriptedPeer peer(dir.path() + "/app.sock");
  peer.on_exchange = [](ScriptedPeer::ExchangeStream& stream) {
    ScriptedPeer::Welcome(stream);
    ScriptedPeer::WaitForEnd(stream);
    return grpc::Status::OK;
  };
  peer.Start();
  Options options;
  options.socket = peer.socket();
  options.label = "orders";
  auto client = Client::Connect(options);
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_EQ(Live(kChannel), 1u);
  auto session = (*client)->OpenSession({});
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_THAT(ledger::PathsOf(kThread), ElementsAre("stream orders"));
  EXPECT_THAT(ledger::PathsOf(kStream), ElementsAre("stream orders"));
  client->reset();
  EXPECT_EQ(Live(kChannel), 1u) << "the session still needs it";
  session->reset();
  EXPECT_EQ(Live(kChannel) + Live(kThread) + Live(kStream), 0u);
}

}  // namespace
}  // namespace peermesh::client
