// Drives one node through a story as the real driver would, and holds it to its contract.
//
// What nobody needs to write down happens by itself, after the turn that asked for it: written
// frames are done (SendDone), deliveries are taken (DeliverDone), closed links and sessions are
// gone, our record is signed, and the node is woken whenever NextWake says so. A story may stop
// the first two (`stalls`) and let them go on (`writes`, `reads`). Data comes only when read is
// granted.
//
// A wish that breaks the contract (a second write while one is outstanding, an answer nobody waits
// for, a wake-up that asks for itself for ever) ends the story with an error.
#ifndef PEERMESH_TESTS_MESH_NODE_STORY_DRIVER_H_
#define PEERMESH_TESTS_MESH_NODE_STORY_DRIVER_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "mesh/base/time.h"
#include "mesh/node/node.h"
#include "tests/mesh/node/story_cast.h"
#include "tests/mesh/node/story_frames.h"

namespace peermesh::node {

class StoryDriver {
 public:
  StoryDriver();
  ~StoryDriver();

  Cast cast;
  Config config;  // of the next start; `remembered` comes from what was persisted
  std::map<PeerId, PeerRecord> disk;  // what the node asked to remember

  // --- Time ---
  // Ends the last process, if there was one, and starts a new one.
  absl::Status Start();
  bool started() const { return node_ != nullptr; }
  Instant now() const { return now_; }
  Duration elapsed() const { return now_ - kStart; }
  // Lives until then: wakes the node whenever it asks for it.
  void LiveUntil(Instant when);
  // Time passes, but this process does not run; then it does again.
  void Pause(Duration time);

  // --- Facts: the caller has checked names and numbers ---
  void Tell(Input input);

  struct Link {
    PeerId peer;
    bool granted = false;  // a ReadNext is outstanding
    bool control_busy = false, data_busy = false;
    bool control_stalled = false, data_stalled = false;
    std::uint64_t beats = 0;     // heartbeats heard
    Instant next_beat = kNever;  // beats by itself
  };
  struct App {
    bool busy = false, stalled = false;
    bool publishing = false;  // unanswered
  };
  std::map<LinkId, Link> links;   // those that are up
  std::map<SessionId, App> apps;  // those that are open
  std::set<LinkId> links_used;
  std::set<DialId> dials;     // unanswered
  std::set<RequestId> pings;  // unanswered
  // What each peer said it wants, for truthful heartbeats.
  struct Told {
    std::uint64_t generation = 0;
    std::map<std::string, std::uint32_t> patterns;
  };
  std::map<PeerId, Told> told;

  // Fills in what a heartbeat leaves out, notes what is said of interest, and tells the node.
  void Say(LinkId link, Said said);
  void Write(LinkId link, Lane lane);  // the outstanding write is done
  void Read(SessionId app);            // the outstanding delivery is taken
  RequestId NewRequest(SessionId app, const std::string& kind);

  // --- Results ---
  const Node& node() const { return *node_; }
  // A line of the story's output; the time is said when it is not that of the block.
  void Print(const std::string& line);
  std::vector<std::string> TakeLines();
  // The first broken promise of the node.
  const absl::Status& contract() const { return contract_; }
  // Shows what the node wished for, follows it, and remembers a promise that it breaks.
  void Collect(const Effects& out);

 private:
  static constexpr Instant kStart{std::chrono::hours(1)};

  void Settle();  // completions, and wake-ups that are due
  void Wake();
  void Break(const std::string& promise);
  void Require(bool kept, const std::string& promise) {
    if (!kept) Break(promise);
  }
  void BeatsDue();
  Instant NextBeat() const;

  void Follow(const SendControl& wish);
  void Follow(const SendData& wish);
  void Follow(const ReadNext& wish);
  void Follow(const Close& wish);
  void Follow(const Dial& wish);
  void Follow(const Deliver& wish);
  void Follow(const Answer& wish);
  void Follow(const Subscribed& wish);
  void Follow(const CloseSession& wish);
  void Follow(const SignRecord& wish);
  void Follow(const SignPiece& wish);
  void Follow(const SignStatement& wish);
  void Follow(const Persist& wish);
  void Follow(const Forget& wish);
  void Follow(const PeerChanged& wish);
  void Follow(const Note& wish);
  void Follow(const Drained& wish);
  void Follow(const Pinged& wish);
  void Forgive(RequestId request);

  Instant now_ = kStart;
  Instant shown_ = kStart;  // the time that the output last spoke of
  std::unique_ptr<Node> node_;
  std::deque<Input> due_;                    // facts that follow by themselves
  std::map<RequestId, SessionId> requests_;  // unanswered
  std::uint64_t next_request_ = 1;
  std::vector<std::string> lines_;
  absl::Status contract_;
};

}  // namespace peermesh::node

#endif  // PEERMESH_TESTS_MESH_NODE_STORY_DRIVER_H_
