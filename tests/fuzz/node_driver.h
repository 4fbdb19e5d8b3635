// Drives one node by bytes: frames of hostile peers, requests of applications, and the time.
//
// A step is a byte that says what happens, one that says to whom, and what else it needs (see
// node_driver.cc). The driver keeps to what a real one promises (mesh/node/effect.h: one SendDone
// for each Send, one DataIn for each ReadNext, ...) and passes frames through the decoders; beyond
// that, anybody may say anything at any time.
//
// Held of every turn: the node's own invariants; it asks for nothing twice; numbers of one origin
// reach a session in order and once; a wake-up leaves nothing due.
#ifndef PEERMESH_TESTS_FUZZ_NODE_DRIVER_H_
#define PEERMESH_TESTS_FUZZ_NODE_DRIVER_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>
#include <vector>

#include "mesh/node/node.h"
#include "tests/fuzz/fuzz.h"

namespace peermesh::fuzz {

class NodeDriver {
 public:
  // `large`: five peers are too many for all to have links to all.
  explicit NodeDriver(bool large);
  void Step(Parts& parts);
  // Everything that is owed is answered and every link ends; the node must come to rest.
  void End();

 private:
  struct Link {
    PeerId peer;
    bool control_out = false, data_out = false, reading = false;
  };
  struct Session {
    bool delivering = false, publishing = false;
  };

  void Handle(node::Input input);
  void Advance(Duration by);
  void Collect(node::Effects& out);
  void Take(node::SendControl& wish);
  void Take(node::SendData& wish);
  void Take(node::ReadNext& wish);
  void Take(node::Dial& wish);
  void Take(node::Deliver& wish);
  void Take(node::Answer& wish);
  void Take(node::SignRecord& wish);
  void Take(node::SignPiece& wish);
  void Take(node::SignStatement& wish);
  template <class Other>
  void Take(Other&) {}

  // What happens; each may find nothing it could happen to.
  void ControlCame(LinkId link, std::string_view bytes);
  void DataCame(LinkId link, std::string_view bytes);
  void RecordsCame(LinkId link, Parts& parts);
  void StatementCame(LinkId link, Parts& parts);
  void LinkCame(std::uint8_t who, Parts& parts);
  void Wrote(LinkId link, node::Lane lane);
  void Published(SessionId session, std::string_view bytes);
  void Subscribed(SessionId session, Parts& parts);
  void Delivered(SessionId session);

  LinkId AnyLink(std::uint8_t who) const;
  SessionId AnySession(std::uint8_t who) const;
  Session* Find(SessionId session);

  std::unique_ptr<node::Node> node_;
  Instant now_{};
  std::map<LinkId, Link> links_;
  std::map<SessionId, Session> sessions_;
  std::set<DialId> dials_;
  std::vector<std::uint64_t> to_sign_;
  std::deque<broadcast::Piece> pieces_to_sign_;
  std::deque<membership::Statement> statements_to_sign_;
  std::uint64_t next_id_ = 1;
  std::map<PeerId, std::uint64_t> epochs_;       // as the peer's last link said
  std::map<PeerId, std::uint64_t> generations_;  // how often that changed
  // Last number that a session saw, by origin, epoch, its generation, and channel.
  using Stream = std::tuple<SessionId, PeerId, std::uint64_t, std::uint64_t, std::uint32_t>;
  std::map<Stream, std::uint64_t> seen_;
};

}  // namespace peermesh::fuzz

#endif  // PEERMESH_TESTS_FUZZ_NODE_DRIVER_H_
