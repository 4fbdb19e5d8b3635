// Who is in the mesh, as it changes: the table first, then every change, across reconnects.
//
// After a reconnect the watch resumes where it was; if the peer no longer knows that place, kReset
// says to forget everything and a new table follows. `v1::Peer` is the public contract itself:
// include peermesh/v1/peers.pb.h to read its fields.
//
// `Next` is for one thread. `Cancel` and the destructor end the watch.
#ifndef PEERMESH_CLIENT_PEER_WATCH_H_
#define PEERMESH_CLIENT_PEER_WATCH_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mesh/base/time.h"

namespace grpc {
class Channel;
}
namespace peermesh::v1 {
class Peer;
class PeerFilter;
}  // namespace peermesh::v1

namespace peermesh::client {

struct PeerChange {
  enum class Kind {
    kUpserted,      // `peer` is new or some of its fields changed
    kRemoved,       // `peer` left the table or no longer passes the filter
    kSynced,        // the table is complete
    kReset,         // forget everything: a new table follows
    kDisconnected,  // the stream broke for the reason `why`; the watch tries again
  };
  Kind kind = Kind::kSynced;
  std::shared_ptr<const v1::Peer> peer;  // with kUpserted and kRemoved
  absl::Status why;                      // with kDisconnected
};

class PeerWatch {
 public:
  ~PeerWatch();

  // The next change; nullopt after `timeout`. An error is how the watch ended.
  absl::StatusOr<std::optional<PeerChange>> Next(Duration timeout);

  // Another filter; a reset and a new table follow.
  void SetFilter(const v1::PeerFilter& filter);

  // Ends the watch from any thread; Next returns CANCELLED.
  void Cancel();

 private:
  friend class Client;
  class Impl;
  PeerWatch(std::shared_ptr<grpc::Channel> channel, std::string label,
            const v1::PeerFilter& filter);

  std::unique_ptr<Impl> impl_;
};

}  // namespace peermesh::client

#endif  // PEERMESH_CLIENT_PEER_WATCH_H_
