// A small world for nodes: virtual time, hosts, wires between them, applications that read at their
// own pace.
//
// It answers the wishes of nodes as the drivers do: one write outstanding on each lane of a link,
// data read by grant and held back by a window as TCP holds it back, one Deliver outstanding for
// each session, exactly one LinkUp or DialFailed for each Dial. Frames of one lane arrive in order;
// lanes are independent of each other.
//
// It also keeps the truth: every number a node gave out and what it was given for. Applications are
// checked against it with every delivery (order, content, matched subscriptions), and at the end
// for completeness. After every turn the node checks its invariants.
#ifndef PEERMESH_TESTS_MESH_NODE_WORLD_H_
#define PEERMESH_TESTS_MESH_NODE_WORLD_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "mesh/base/digest.h"
#include "mesh/base/rng.h"
#include "mesh/node/node.h"

namespace peermesh::node {

// `*` and `>` as the documentation has them, without a tree.
bool NaiveMatch(std::string_view pattern, std::string_view subject);

using HostIndex = std::size_t;
using AppIndex = std::size_t;

// An application. Indexes stay valid when it has ended.
struct App {
  HostIndex host = 0;
  std::uint64_t process = 0;  // of the host
  SessionId session;
  std::map<std::uint32_t, std::string> patterns;  // by subscription id
  std::uint64_t bytes_per_second = 1'000'000'000;
  bool stalled = false;  // reads nothing more
  bool owes_done = false;
  bool ended = false;
  std::optional<Refusal> end_reason;
  std::map<RequestId, Answer> answers;
  std::map<RequestId, Subscribed> subscribed;
  std::size_t unanswered = 0;

  // What was delivered, by origin, epoch and channel; all ranges in order.
  using Key = std::tuple<PeerId, std::uint64_t, std::uint32_t>;
  struct Stream {
    std::vector<std::uint64_t> numbers;
    std::vector<flow::Delivery> gaps;
    std::uint64_t last = 0;
  };
  std::map<Key, Stream> streams;
  std::uint64_t delivered = 0;
  std::map<LossReason, std::uint64_t> gapped;  // numbers in gaps
  std::vector<std::string> texts;              // of all messages, in order
  // How many messages each publishing process had accepted when this application subscribed.
  std::map<std::pair<PeerId, std::uint64_t>, std::size_t> subscribed_at;
};

// What became of the messages that one application was promised.
struct Tally {
  std::uint64_t accepted = 0, delivered = 0, gapped = 0, missing = 0;
  std::string first_missing;
};

class World {
 public:
  explicit World(std::uint64_t seed);
  ~World();

  // --- Hosts ---
  // Starts at once. Seeds are hosts, or texts for addresses that lead elsewhere.
  HostIndex Add(std::string name, const std::vector<HostIndex>& seeds = {}, Limits limits = {},
                const std::vector<std::string>& other_seeds = {});
  void Kill(HostIndex host);     // kill -9
  void Restart(HostIndex host);  // a new process with a new epoch and what the last one remembered
  void Cut(HostIndex a, HostIndex b);  // packets vanish; nobody is told
  void Heal(HostIndex a, HostIndex b);
  void Break(HostIndex a, HostIndex b);  // every connection between them is reset
  void JumpClock(HostIndex host, Duration by);
  void Tell(HostIndex host, Input input);
  // Frames on the way from `a` to `b`: loses the next one with messages, or spoils the next
  // interest delta.
  void DropNextData(HostIndex a, HostIndex b) { drop_data_.insert({a, b}); }
  void SpoilNextDelta(HostIndex a, HostIndex b) { spoil_delta_.insert({a, b}); }

  Node& node(HostIndex host) { return *hosts_.at(host)->node; }
  bool running(HostIndex host) const { return hosts_.at(host)->node != nullptr; }
  const PeerId& id(HostIndex host) const { return hosts_.at(host)->id; }
  std::optional<Instant> drained(HostIndex host) const { return hosts_.at(host)->drained; }
  std::size_t CountNotes(HostIndex host, NoteKind kind) const;
  std::optional<membership::PeerView> RowOf(HostIndex at, HostIndex about) const;
  std::optional<membership::State> StateOf(HostIndex at, HostIndex about) const;
  bool Linked(HostIndex a, HostIndex b) const;
  // All running hosts see each other alive, linked once each, and know the same records.
  bool FullMesh() const;

  // --- Applications ---
  AppIndex Open(HostIndex host);
  App& app(AppIndex app) { return *apps_.at(app); }
  std::size_t apps() const { return apps_.size(); }
  void CloseApp(AppIndex app);
  RequestId Subscribe(AppIndex app, std::vector<Subscription> subscriptions);
  RequestId Subscribe(AppIndex app, std::uint32_t id, std::string pattern,
                      OnOverflow on_overflow = OnOverflow::kGap,
                      Duration block = kDefaultBlockTimeout);
  void Unsubscribe(AppIndex app, std::vector<std::uint32_t> ids);
  // One message for each subject, each record about `bytes` long.
  RequestId Publish(AppIndex app, const std::vector<std::string>& subjects, std::size_t bytes = 100,
                    std::string target = {});
  // Publishes `batch` messages whenever the last ones were answered, `pause` later, until `until`.
  void Feed(AppIndex app, std::string subject, std::size_t batch, std::size_t bytes, Duration pause,
            Instant until);
  void Resume(AppIndex app);  // a stalled one reads again
  Tally TallyOf(AppIndex app) const;
  // Tallies all live applications; every promised message must be accounted for.
  void ExpectNothingMissing() const;

  // --- Time ---
  Instant now() const { return now_; }
  void At(Instant when, std::function<void()> what);
  void Run(Duration for_how_long);
  // Runs until `condition` holds; false if it does not within `limit`.
  bool RunUntil(const std::function<bool()>& condition, Duration limit);
  // Of all that happened and of all nodes as they are.
  std::uint64_t Fingerprint() const;
  Rng& rng() { return rng_; }
  bool check_every_turn = true;  // off for tests with very many subscriptions

 private:
  struct Fin {
    DownReason why;
  };
  struct Lane_ {
    struct Flight {
      Instant arrival;
      std::variant<ControlFrame, DataFrame, Fin> frame;
      std::uint64_t bytes = 0;
    };
    std::deque<Flight> flying;
    std::uint64_t unread = 0;  // bytes sent and not consumed
    bool blocked = false;      // a SendDone waits for the window
    bool granted = false;      // the receiver may take one data frame
    Instant last_arrival{};
  };
  struct End {
    HostIndex host = 0;
    std::uint64_t process = 0;
    LinkId link;
    bool up = false, gone = false;
    Lane_ lanes[2];  // outbound
  };
  struct Wire {
    End ends[2];  // the dialler first
    DialId dial;
    bool broken = false;  // nothing but the news of it passes any more
  };
  struct Host {
    std::string name, address;
    PeerId id;
    std::vector<std::string> seeds;
    Limits limits;
    std::map<PeerId, PeerRecord> remembered;
    std::unique_ptr<Node> node;
    std::uint64_t process = 0;  // also the epoch, less kFirstEpoch
    Duration skew{};
    Instant wake_at = kNever;
    std::optional<Instant> drained;
    std::vector<Note> notes;
    std::map<LinkId, std::uint64_t> wires;
    std::map<SessionId, AppIndex> sessions;
  };
  struct Accepted {
    std::string subject, text;
    std::uint32_t channel;
    std::uint64_t number;
    bool direct;  // meant for one peer, so nobody else was promised it
  };
  struct Ledger {
    std::vector<Accepted> order;
    std::map<std::pair<std::uint32_t, std::uint64_t>, std::size_t> by_number;
  };
  using Process = std::pair<PeerId, std::uint64_t>;  // with its epoch

  void Start(HostIndex host);
  void Stop(HostIndex host, DownReason why);
  void Turn(HostIndex host, std::optional<Input> input);
  void ScheduleWake(HostIndex host);
  void Post(HostIndex host, Input input, Duration in);
  bool IsCut(HostIndex a, HostIndex b) const;
  Duration Delay();
  Process ProcessOf(HostIndex host) const;

  void Perform(HostIndex host, SendControl& wish);
  void Perform(HostIndex host, SendData& wish);
  void Perform(HostIndex host, ReadNext& wish);
  void Perform(HostIndex host, Close& wish);
  void Perform(HostIndex host, Dial& wish);
  void Perform(HostIndex host, Deliver& wish);
  void Perform(HostIndex host, Answer& wish);
  void Perform(HostIndex host, node::Subscribed& wish);
  void Perform(HostIndex host, CloseSession& wish);
  void Perform(HostIndex host, SignRecord& wish);
  void Perform(HostIndex host, Persist& wish);
  void Perform(HostIndex host, Forget& wish);
  void Perform(HostIndex, PeerChanged&) {}
  void Perform(HostIndex host, Note& wish);
  void Perform(HostIndex host, Drained& wish);

  std::pair<std::uint64_t, int> FindEnd(HostIndex host, LinkId link) const;
  void Connect(HostIndex from, std::uint64_t process, DialId dial, HostIndex to);
  void Up(std::uint64_t wire, int end);
  void Fly(std::uint64_t wire, int from, Lane lane, Lane_::Flight flight);
  void Land(std::uint64_t wire, int from, Lane lane);
  void LandAll(std::uint64_t wire);
  void Hear(HostIndex at, HostIndex from, const ControlFrame& frame);
  void Hang(std::uint64_t wire, int end, DownReason why);
  void Window(std::uint64_t wire, int from);
  void Receive(App& app, const flow::Delivery& delivery);

  Instant now_{std::chrono::hours(1)};
  Rng rng_;
  std::map<std::pair<Instant, std::uint64_t>, std::function<void()>> events_;
  std::uint64_t next_event_ = 1, next_wire_ = 1, next_id_ = 1;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<std::unique_ptr<App>> apps_;
  std::map<std::uint64_t, Wire> wires_;
  std::set<std::pair<HostIndex, HostIndex>> cuts_, drop_data_, spoil_delta_;
  std::map<RequestId, std::pair<AppIndex, std::vector<Accepted>>> publishing_;
  std::map<Process, Ledger> ledgers_;
  // publisher, subscriber, pattern -> messages accepted before the publisher knew of the pattern
  std::map<std::tuple<Process, Process, std::string>, std::size_t> known_;
  Effects effects_;
  Digest history_;
};

}  // namespace peermesh::node

#endif  // PEERMESH_TESTS_MESH_NODE_WORLD_H_
