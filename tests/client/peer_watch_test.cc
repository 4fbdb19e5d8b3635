#include "client/peer_watch.h"

#include <gtest/gtest.h>

#include <atomic>

#include "client/errors.h"
#include "client/peermesh.h"
#include "tests/client/scripted_peer.h"

namespace peermesh::client {
namespace {

using Kind = PeerChange::Kind;
using WatchStream = ScriptedPeer::WatchStream;

constexpr Duration kPatience = std::chrono::seconds(20);

class PeerWatchTest : public testing::Test {
 protected:
  PeerWatchTest() : peer_(dir_.path() + "/app.sock") {}

  std::unique_ptr<PeerWatch> Watch(const v1::PeerFilter& filter = {}) {
    peer_.Start();
    Options options;
    options.socket = peer_.socket();
    client_ = *Client::Connect(options);
    return client_->WatchPeers(filter);
  }
  static PeerChange Next(PeerWatch& watch) {
    auto change = watch.Next(kPatience);
    EXPECT_TRUE(change.ok() && change->has_value()) << change.status();
    return change.ok() && *change ? **change : PeerChange{};
  }
  static void Send(WatchStream& stream, const std::string& name, const std::string& token,
                   bool synced) {
    v1::WatchPeersResponse response;
    auto& event = *response.add_events();
    event.set_type(v1::PEER_EVENT_TYPE_UPSERTED);
    event.mutable_peer()->set_name(name);
    response.set_synced(synced);
    response.set_resume_token(token);
    stream.Write(response);
  }
  static void WaitForEnd(WatchStream& stream) {
    v1::WatchPeersRequest request;
    while (stream.Read(&request)) continue;
  }

  TempDir dir_;
  ScriptedPeer peer_;
  std::unique_ptr<Client> client_;
};

TEST_F(PeerWatchTest, ResumesWhereItWasAfterAReconnect) {
  std::atomic<int> streams = 0;
  peer_.on_watch = [&](WatchStream& stream) {
    v1::WatchPeersRequest request;
    stream.Read(&request);
    if (++streams == 1) {
      EXPECT_EQ(request.resume_token(), "");
      Send(stream, "alpha", "7", true);
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
    }
    EXPECT_EQ(request.resume_token(), "7");
    Send(stream, "beta", "8", false);
    WaitForEnd(stream);
    return grpc::Status::OK;
  };
  const auto watch = Watch();
  EXPECT_EQ(Next(*watch).peer->name(), "alpha");
  EXPECT_EQ(Next(*watch).kind, Kind::kSynced);
  EXPECT_EQ(Next(*watch).kind, Kind::kDisconnected);
  EXPECT_EQ(Next(*watch).peer->name(), "beta");
}

TEST_F(PeerWatchTest, ANewFilterIsSentAndAResetIsShown) {
  Log<std::string> filters;
  peer_.on_watch = [&](WatchStream& stream) {
    v1::WatchPeersRequest request;
    while (stream.Read(&request)) {
      filters.Add(request.filter().peer());
      v1::WatchPeersResponse response;
      response.set_reset(true);
      stream.Write(response);
    }
    return grpc::Status::OK;
  };
  v1::PeerFilter filter;
  filter.set_peer("alpha");
  const auto watch = Watch(filter);
  EXPECT_EQ(Next(*watch).kind, Kind::kReset);
  filter.set_peer("beta");
  watch->SetFilter(filter);
  EXPECT_EQ(Next(*watch).kind, Kind::kReset);
  EXPECT_EQ(filters.Take(), "alpha");
  EXPECT_EQ(filters.Take(), "beta");
}

TEST_F(PeerWatchTest, ARefusalEndsIt) {
  peer_.on_watch = [&](WatchStream&) {
    return RefusalOf(grpc::StatusCode::PERMISSION_DENIED, "ROLE_REQUIRED", "No.");
  };
  const auto watch = Watch();
  EXPECT_EQ(ReasonOf(watch->Next(kPatience).status()), "ROLE_REQUIRED");
}

TEST_F(PeerWatchTest, CancelEndsAWaitingNext) {
  peer_.on_watch = [&](WatchStream& stream) {
    WaitForEnd(stream);
    return grpc::Status::OK;
  };
  const auto watch = Watch();
  std::thread canceller([&watch] { watch->Cancel(); });
  EXPECT_EQ(ReasonOf(watch->Next(kPatience).status()), "SESSION_CLOSED");
  canceller.join();
}

}  // namespace
}  // namespace peermesh::client
