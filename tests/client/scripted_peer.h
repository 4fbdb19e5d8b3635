// A peer's services on a unix socket, with a script in place of a mesh.
//
// For what a real peer cannot be made to do on demand: refuse with a wait, contradict itself,
// withhold an answer, go away at an exact moment. Everything between the script and the code under
// test is real gRPC.
#ifndef PEERMESH_TESTS_CLIENT_SCRIPTED_PEER_H_
#define PEERMESH_TESTS_CLIENT_SCRIPTED_PEER_H_

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "mesh/base/time.h"
#include "peermesh/v1/admin.grpc.pb.h"
#include "peermesh/v1/messaging.grpc.pb.h"
#include "peermesh/v1/peers.grpc.pb.h"

namespace peermesh::client {

// An error as a peer makes it.
grpc::Status RefusalOf(grpc::StatusCode code, std::string_view reason, std::string_view message,
                       Duration retry = Duration::zero());

// A directory that goes with the object.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// What happened, in order; the test waits for it.
template <class T>
class Log {
 public:
  void Add(T item) {
    const std::lock_guard lock(mutex_);
    items_.push_back(std::move(item));
    changed_.notify_all();
  }
  // Takes the oldest; fails the process's patience after 20 s, far beyond anything that works.
  T Take() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(20), [this] { return !items_.empty(); })) {
      std::abort();
    }
    T item = std::move(items_.front());
    items_.pop_front();
    return item;
  }
  bool empty() const {
    const std::lock_guard lock(mutex_);
    return items_.empty();
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> items_;
};

class ScriptedPeer {
 public:
  using ExchangeStream = grpc::ServerReaderWriter<v1::ExchangeResponse, v1::ExchangeRequest>;
  using WatchStream = grpc::ServerReaderWriter<v1::WatchPeersResponse, v1::WatchPeersRequest>;

  // The script; each runs on a thread of its own. Set before Start. Unset: UNIMPLEMENTED.
  std::function<grpc::Status(const v1::PublishRequest&, v1::PublishResponse&)> on_publish;
  std::function<grpc::Status(ExchangeStream&)> on_exchange;
  std::function<grpc::Status(v1::ListPeersResponse&)> on_list;
  std::function<grpc::Status(WatchStream&)> on_watch;
  std::function<grpc::Status(v1::GetStatusResponse&)> on_status;
  std::function<grpc::Status(const v1::DrainRequest&)> on_drain;
  std::function<grpc::Status(v1::ReloadResponse&)> on_reload;

  explicit ScriptedPeer(std::string socket);
  ~ScriptedPeer();
  void Start();
  void Stop();  // cuts every stream
  const std::string& socket() const { return socket_; }

  // Steps that many scripts begin with.
  static v1::ExchangeRequest Read(ExchangeStream& stream);
  static void Welcome(ExchangeStream& stream);  // takes the hello
  // Takes one frame of subscriptions and confirms it.
  static v1::ExchangeRequest Confirm(ExchangeStream& stream);
  static void Deliver(ExchangeStream& stream, std::string_view subject, std::string_view payload,
                      std::uint64_t sequence);
  static void Answer(ExchangeStream& stream, std::uint64_t publish_id);
  static void WaitForEnd(ExchangeStream& stream);

 private:
  struct Services;
  const std::string socket_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace peermesh::client

#endif  // PEERMESH_TESTS_CLIENT_SCRIPTED_PEER_H_
