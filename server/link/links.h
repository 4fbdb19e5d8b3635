// Links to other peers: a control and a data stream on a connection of its own each.
//
// The node wishes (Dial, SendControl, SendData, ReadNext, Close) and is told facts (LinkUp,
// LinkDown, ControlIn, DataIn, SendDone, DialFailed); everything between is here.
//
// Handshake: the dialler opens Control and says hello; the other side answers with its hello and a
// token; the dialler opens Data on a second connection, to the same address and key, and shows the
// token; an empty data hello comes back. Then, and only then, both sides report LinkUp. The peer is
// who TLS says, never what a frame says.
//
// Rules:
//   - Exactly one LinkUp or DialFailed for each Dial; exactly one LinkDown for each LinkUp, and
//   nothing of a link after
//     it. Facts of one link come one at a time and in order.
//   - A channel lives for one link. Only the node decides when to dial.
//   - Control is read continuously, the next frame when the last was posted, up to a rate. Data
//   only by ReadNext.
//   - A first frame that is not a hello, another mesh, no common version, a wrong token, a data
//   stream of somebody else, a
//     handshake that stays half open: closed and counted by reason. An undecodable frame later:
//     LinkDown kProtocol.
//   - A record of a peer that does not verify is dropped and counted; its link stays, because the
//   sender may only
//     pass on what it got.
//   - What a relayed piece or a statement says is believed of whoever signed it, never of the
//   sender. Unknown or outdated
//     signers, and what is our own: dropped and counted; the link stays. A signature that does not
//     hold: LinkDown kProtocol, because the sender ought to have checked it.
//   - Orderly ends keep what is on its way: a link whose control stream was closed by the other
//   side stays up until
//     its data stream is read to the end, kLinger at most.
//
// An attacker needs a certificate of this mesh. Then it can hold kMaxLinksPerPeer links, half-open
// ones included.
//
// Bounds: limits.h (kMaxLinks, frame sizes) and below.
//
// Thread-safe. Facts are posted from queue threads, or from within the call that caused them; no
// lock is held then, so whoever receives them may call back in here.
#ifndef PEERMESH_SERVER_LINK_LINKS_H_
#define PEERMESH_SERVER_LINK_LINKS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mesh/base/limits.h"
#include "mesh/base/time.h"
#include "mesh/node/effect.h"
#include "mesh/node/input.h"
#include "server/link/stream.h"

namespace peermesh::tls {
class Credentials;
}  // namespace peermesh::tls

namespace peermesh::link {

inline constexpr std::size_t kMaxLinksPerPeer = 4;  // one, its replacement, and dials that crossed
inline constexpr Duration kHandshakeLimit = std::chrono::seconds(5);  // for the accepting side
// Control frames of one link; a flood is read no faster than this, and so slows down whoever sends
// it. A busy link sends tens a second; at 20 us each this is 4 % of a core. Guess. A record that
// has to be verified takes 0.4 ms and counts for as much.
inline constexpr std::uint64_t kControlFramesPerSecond = 2000, kControlFramesBurst = 4000;
inline constexpr std::uint64_t kFramesPerRecord = 20;
inline constexpr std::uint64_t kFramesPerStatement = 3;  // likewise, 0.05 ms
// Relayed pieces of a frame that are checked without a break, so that the thread has other streams
// to serve meanwhile: 3 ms, and what their bytes take.
inline constexpr std::size_t kPiecesAtOnce = 64;
inline constexpr Duration kLinger = std::chrono::seconds(1);  // for closing in good order

struct LinksConfig {
  std::uint64_t epoch = 0;
  std::string software;            // at most wire::kMaxSoftwareBytes
  std::function<Instant()> now;    // the node's clock
  std::function<WallTime()> wall;  // read together with it
  // Tests shorten these.
  Duration dial_limit = kDialTimeout;
  Duration handshake_limit = kHandshakeLimit;
  Duration linger = kLinger;
  Duration write_limit = kWriteDeadline;
};

// Why something signed, that came over a link, was dropped.
enum class SignedRefusal : std::uint8_t {
  kCameBack,      // it is our own
  kUnverifiable,  // whoever signed it is not known here, or its certificate has run out
  kForged,        // the signature does not hold; cost the link
  kMalformed,     // a statement that is none, or that a later version understands
};
inline constexpr std::size_t kSignedRefusalCount = 4;

// Why the accepting side refused or gave up a handshake. The dialler reports a node::DialFailure.
enum class HandshakeFault : std::uint8_t {
  kNotAHello,  // the first frame was something else
  kWrongMesh,
  kWrongVersion,  // no common version
  kWrongToken,    // a data stream whose token is unknown, used or too late
  kWrongPeer,     // the data stream comes from another key than the control stream
  kWrongRole,     // not a peer
  kSelf,
  kFull,      // kMaxLinks or kMaxLinksPerPeer
  kHalfOpen,  // not complete in time
  kBroken,    // ended in the middle
  kStopping,
};
inline constexpr std::size_t kHandshakeFaultCount = 11;
inline constexpr std::size_t kDialFailureCount =
    static_cast<std::size_t>(node::DialFailure::kTransport) + 1;
inline constexpr std::size_t kDownReasonCount =
    static_cast<std::size_t>(node::DownReason::kStalled) + 1;
// lower_snake, as in metric labels: "not_a_hello", "wrong_peer", "closed_by_us".
const char* ToString(HandshakeFault fault);
const char* ToString(node::DialFailure failure);
const char* ToString(node::DownReason reason);
const char* ToString(SignedRefusal refusal);

struct LaneStats {
  std::uint64_t frames_in = 0, bytes_in = 0, frames_out = 0, bytes_out = 0;
};

struct LinkStats {
  std::uint64_t up_inbound = 0, up_outbound = 0;
  std::array<std::uint64_t, kHandshakeFaultCount> faults{};     // by HandshakeFault
  std::array<std::uint64_t, kDialFailureCount> dials_failed{};  // by node::DialFailure
  std::array<std::uint64_t, kDownReasonCount> downs{};          // by node::DownReason
  LaneStats control, data;
  std::uint64_t unknown_frames = 0;   // kinds of a newer release, skipped
  std::uint64_t bad_frames = 0;       // undecodable: each cost a link
  std::uint64_t records_dropped = 0;  // signed peer records that did not verify
  std::uint64_t control_delayed = 0;  // frames read later because of the rate
  std::uint64_t expired = 0;          // links cut because a certificate ran out
  // Pieces of broadcasts, and the bytes of their messages.
  std::uint64_t relayed_in = 0, relayed_bytes_in = 0, relayed_out = 0, relayed_bytes_out = 0;
  std::uint64_t statements_in = 0, statements_out = 0;
  std::array<std::uint64_t, kSignedRefusalCount> relayed_refused{};     // by SignedRefusal
  std::array<std::uint64_t, kSignedRefusalCount> statements_refused{};  // by SignedRefusal
  // Of pieces and statements; remembered: held before, and were not computed again.
  std::uint64_t signatures_made = 0, signatures_checked = 0, signatures_remembered = 0;
};

struct LinkCensus {
  std::size_t links = 0;       // up
  std::size_t handshakes = 0;  // on the way there
  std::size_t streams = 0;
  std::size_t channels = 0;
};

class Links {
 public:
  using Post = std::function<void(node::Input)>;

  // `credentials` and `pool` outlive it.
  Links(LinksConfig config, tls::Credentials& credentials, QueuePool& pool, Post post);
  // Shutdown(kLinger) if that has not happened.
  ~Links();
  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;

  // "/peermesh.link.v1.LinkService/...".
  static bool Serves(std::string_view method);
  // An incoming call of such a method: accepts or refuses it.
  void Serve(const std::shared_ptr<Stream>& stream);

  // Wishes of the node. Those for a link that is gone are ignored: its LinkDown is on the way.
  void Perform(node::Dial dial);
  void Perform(node::SendControl send);
  void Perform(node::SendData send);
  void Perform(node::ReadNext read);
  void Perform(node::Close close);

  // A record from elsewhere than a link: what is remembered from the last run. Its peer's key is
  // known from now on; nothing if it does not verify.
  std::optional<membership::RecordRef> Verify(const std::string& encoded);
  // Signs what is ours: about 0.02 ms, and 0.6 ms for each MiB. The signature resp. `encoded` is
  // filled in.
  broadcast::PieceRef Sign(broadcast::Piece piece);
  membership::StatementRef Sign(membership::Statement statement);

  // Ends links one of whose certificates has run out.
  void CutExpired(WallTime now);
  // Closes everything and waits, `limit` and a moment at most; nothing is posted after it returns,
  // and every Dial and link has had its last fact.
  void Shutdown(Duration limit);

  LinkStats stats() const;
  LinkCensus Census() const;

 private:
  struct Impl;
  const std::shared_ptr<Impl> impl_;
};

}  // namespace peermesh::link

#endif  // PEERMESH_SERVER_LINK_LINKS_H_
