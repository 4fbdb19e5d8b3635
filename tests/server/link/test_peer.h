// A whole peer without its node: credentials, server, links. What the links post is written down.
#ifndef PEERMESH_TESTS_SERVER_LINK_TEST_PEER_H_
#define PEERMESH_TESTS_SERVER_LINK_TEST_PEER_H_

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "mesh/node/effect.h"
#include "mesh/node/input.h"
#include "server/link/links.h"
#include "server/tls/credentials.h"
#include "tests/server/link/harness.h"
#include "tests/server/tls/mesh_fixture.h"

namespace peermesh::link {

using tls::TestMesh;
using tls::WallNow;

class TestPeer {
 public:
  struct Options {
    std::string name = "peer";
    std::string listen = "127.0.0.1:0";
    int queues = 2;
    std::uint64_t epoch = 1;
    Duration age{};  // of the certificate, which lives for an hour
    std::function<void(LinksConfig&)> adjust;
    // Sees each fact on the thread that brings it, before it is written down.
    std::function<void(TestPeer&, const node::Input&)> on_fact;
  };
  TestPeer(const TestMesh& mesh, Options options);
  ~TestPeer();

  PeerId id() const { return credentials_->self().id; }
  const std::string& address() const { return server_->address(); }
  Links& links() { return *links_; }
  tls::Credentials& credentials() { return *credentials_; }
  TestServer& server() { return *server_; }

  // Wishes a dial and returns its number.
  DialId Dial(const std::string& address, std::optional<PeerId> expected = std::nullopt);
  // The n-th fact of a type, once it has come.
  template <class T>
  std::optional<T> WaitFor(std::size_t n = 1);
  template <class T>
  std::size_t CountOf();
  // Links with `other`, dialled from here: both ends.
  struct Pair {
    node::LinkUp ours, theirs;
  };
  std::optional<Pair> Connect(TestPeer& other);
  // As SIGKILL would: nothing is said, the sockets are gone.
  void Die();
  void Stop();
  Watched<std::vector<node::Input>>& facts() { return facts_; }

 private:
  Options options_;
  std::unique_ptr<tls::Credentials> credentials_;
  Watched<std::vector<node::Input>> facts_;
  std::mutex starting_;  // held until there are links_
  std::unique_ptr<Links> links_;
  std::unique_ptr<TestServer> server_;
  std::uint64_t last_dial_ = 0;
  bool stopped_ = false;
};

template <class T>
std::optional<T> TestPeer::WaitFor(std::size_t n) {
  std::optional<T> found;
  const bool there = facts_.Wait([&](const std::vector<node::Input>& facts) {
    std::size_t seen = 0;
    for (const node::Input& fact : facts) {
      const T* match = std::get_if<T>(&fact);
      if (match == nullptr || ++seen < n) continue;
      found = *match;
      return true;
    }
    return false;
  });
  return there ? found : std::nullopt;
}

template <class T>
std::size_t TestPeer::CountOf() {
  return facts_.With([](const std::vector<node::Input>& facts) {
    std::size_t count = 0;
    for (const node::Input& fact : facts) count += std::holds_alternative<T>(fact) ? 1 : 0;
    return count;
  });
}

// One run with these messages, on the channel of the subject.
node::DataFrame FrameOf(const std::string& subject, const std::vector<std::string>& payloads,
                        std::uint64_t first = 1);
// The payloads of a frame that arrived, in order.
std::vector<std::string> PayloadsOf(const node::DataFrame& frame);

}  // namespace peermesh::link

#endif  // PEERMESH_TESTS_SERVER_LINK_TEST_PEER_H_
