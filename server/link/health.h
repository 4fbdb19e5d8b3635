// grpc.health.v1, the standard health service, on streams like every other method.
//
// Why not gRPC's own: a Watch of it is a call that no entry of the ledger stands for, so gRPC's
// count of open calls could never be held against ours (server/grpc_books.h). And so its calls are
// counted by method like all others.
//
// Rules, those of the standard:
//   - Check answers SERVING or NOT_SERVING; NOT_FOUND for a service that is not here.
//   - Watch tells the state now and every change, and SERVICE_UNKNOWN for a service that is not
//   here.
//     A reader too slow for all changes gets the last one.
//   - Who may connect may ask: it tells nothing of anybody.
// When the server stops, watchers are told NOT_SERVING and ended with UNAVAILABLE, so that they
// hold up nobody.
//
// Bounds: watchers are streams, of which each connection has a bounded number. Thread-safe.
#ifndef PEERMESH_SERVER_LINK_HEALTH_H_
#define PEERMESH_SERVER_LINK_HEALTH_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "server/link/stream.h"

namespace peermesh::link {

inline constexpr std::string_view kHealthCheck = "/grpc.health.v1.Health/Check";
inline constexpr std::string_view kHealthWatch = "/grpc.health.v1.Health/Watch";

class Health {
 public:
  // Known beside "", the server as a whole. None serves at first. Outlives its streams.
  explicit Health(const std::vector<std::string>& services);

  static bool Serves(std::string_view method) {
    return method == kHealthCheck || method == kHealthWatch;
  }
  void Serve(const std::shared_ptr<Stream>& stream);

  // The server and all of its services. Ignored after Stop.
  void Set(bool serving);
  void Stop();

 private:
  // As on the wire.
  enum class Status : std::uint8_t { kServing = 1, kNotServing = 2, kServiceUnknown = 3 };
  class CheckCall;
  class WatchCall;

  static std::string Response(Status status);
  Status StatusOf(const std::string& service) const;
  void Enter(std::shared_ptr<WatchCall> watch);
  void Leave(const std::shared_ptr<WatchCall>& watch);
  std::set<std::shared_ptr<WatchCall>> Watches() const;

  mutable std::mutex mutex_;
  std::set<std::string> services_;
  std::set<std::shared_ptr<WatchCall>> watches_;
  bool serving_ = false, stopped_ = false;
};

}  // namespace peermesh::link

#endif  // PEERMESH_SERVER_LINK_HEALTH_H_
