// A world for nodes: virtual time, hosts, wires between them, applications that read at their own
// pace. The nodes are those of production; everything around them is here.
//
// It answers the wishes of nodes as the drivers do: one write outstanding on each lane of a link,
// data read by grant and held back by a window as TCP holds it back, one Deliver outstanding for
// each session, exactly one LinkUp or DialFailed for each Dial. Frames of one lane arrive in order;
// lanes are independent of each other.
//
// Broadcasts and statements are signed with a keyed hash that only the world can make; what comes
// with another is thrown away and counted, as a driver does.
//
// A mesh of thousands: `checks` seldom, `keep_answers`, `keep_truth` and `keep_disks` off, and
// `write_time` 0.
//
// It also keeps the truth: every number a node gave out and what it was given for. Applications are
// checked against it with every delivery (order, content, matched subscriptions), and at the end
// for completeness. Whatever is found goes to `on_failure`.
//
// The same seed and the same calls give the same run, event by event. Randomness comes in streams,
// one for each host and purpose, so that one host more does not change what the others draw.
// Not thread-safe.
#ifndef PEERMESH_TESTS_SIM_WORLD_H_
#define PEERMESH_TESTS_SIM_WORLD_H_

#include <cstdint>
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
#include "tests/sim/agenda.h"
#include "tests/sim/app.h"
#include "tests/sim/disk.h"
#include "tests/sim/traffic.h"
#include "tests/sim/truth.h"
#include "tests/sim/wire.h"
#include "tests/sim/witness.h"

namespace peermesh::sim {

// Epochs of processes count from here.
inline constexpr std::uint64_t kFirstEpoch = 1'700'000'000'000;

class World {
 public:
  // `slowest_write`: see disk.h.
  explicit World(std::uint64_t seed, Network network = {}, Duration slowest_write = {});
  ~World();

  std::function<void(const std::string& what)> on_failure;
  std::function<void(const std::string& turn)> trace;  // every turn, if set
  std::vector<Witness*> witnesses;
  Checks checks;
  Codec* codec = nullptr;
  bool keep_answers = true;  // and texts and notes; off for long runs
  bool keep_truth = true;    // who is owed what: grows with every pair. Off: witnesses judge
  bool keep_traffic = true;  // what each host sends
  bool keep_disks = true;    // off where nobody is started again: they are no memory of a peer's
  bool keep_keys = false;    // what is signed by somebody whose record did not come is refused, too
  // Bytes of a control frame on the wire, as traffic counts it; RoughSize if it is not set.
  std::function<std::uint64_t(const node::ControlFrame&)> size_of;

  // --- Hosts ---
  // Starts at once. Seeds are hosts, or texts for addresses that lead elsewhere.
  HostIndex Add(std::string name, const std::vector<HostIndex>& seeds = {},
                node::Limits limits = {}, const std::vector<std::string>& other_seeds = {});
  void SetShape(node::Shape shape) { shape_ = shape; }  // of hosts that start from now on
  void Kill(HostIndex host);                            // kill -9: the kernel says goodbye for it
  void PowerOff(HostIndex host);  // nobody says anything, until it is started again
  void Start(HostIndex host);     // a new process, with a new epoch and what the last remembered
  void Restart(HostIndex host);   // killed first, if it runs
  void Pause(HostIndex host);     // SIGSTOP: the kernel still takes what fits its buffers
  void Continue(HostIndex host);
  // Its process stands still for a while, as one does on a busy machine.
  void Stall(HostIndex host, Duration for_how_long);
  void Cut(HostIndex a, HostIndex b);  // packets vanish both ways; nobody is told
  void CutOneWay(HostIndex from, HostIndex to);
  // What goes between these and all others vanishes until HealAll; one way: what the others send.
  void Split(const std::vector<HostIndex>& apart, bool one_way = false);
  // This share of the packets that come to this host is lost. Connections are TCP, so each costs a
  // retransmission, after 200 ms, 400 ms and so on, and holds up what was sent behind it.
  void Lossy(HostIndex host, double share);
  void Heal(HostIndex a, HostIndex b);
  void HealAll();
  // Every connection between them is reset; how many there were.
  std::size_t Break(HostIndex a, HostIndex b);
  void JumpClock(HostIndex host, Duration by);
  void Tell(HostIndex host, node::Input input);
  // Frames on the way from `a` to `b`: loses the next one with messages, or spoils the next
  // interest delta.
  void DropNextData(HostIndex a, HostIndex b) { drop_data_.insert({a, b}); }
  void SpoilNextDelta(HostIndex a, HostIndex b) { spoil_delta_.insert({a, b}); }

  std::size_t hosts() const { return hosts_.size(); }
  node::Node& node(HostIndex host) const { return *hosts_.at(host)->node; }
  bool running(HostIndex host) const { return hosts_.at(host)->node != nullptr; }
  bool paused(HostIndex host) const { return hosts_.at(host)->paused; }
  const PeerId& id(HostIndex host) const { return hosts_.at(host)->id; }
  const std::string& name(HostIndex host) const { return hosts_.at(host)->name; }
  Process ProcessOf(HostIndex host) const;  // the last, if it does not run
  const std::string& SubjectOf(const Accepted& message) const {
    return truth_.subject(message.subject);
  }
  std::optional<Instant> drained(HostIndex host) const { return hosts_.at(host)->drained; }
  std::size_t CountNotes(HostIndex host, node::NoteKind kind) const;
  std::optional<membership::PeerView> RowOf(HostIndex at, HostIndex about) const;
  std::optional<membership::State> StateOf(HostIndex at, HostIndex about) const;
  bool Linked(HostIndex a, HostIndex b) const;
  // All running hosts see each other alive, linked once each, and know the same records.
  bool FullMesh() const;

  // --- Applications ---
  AppIndex Open(HostIndex host);
  App& app(AppIndex app) { return *apps_.at(app); }
  const App& app(AppIndex app) const { return *apps_.at(app); }
  std::size_t apps() const { return apps_.size(); }
  void CloseApp(AppIndex app);
  RequestId Subscribe(AppIndex app, std::vector<node::Subscription> subscriptions);
  RequestId Subscribe(AppIndex app, std::uint32_t id, std::string pattern,
                      OnOverflow on_overflow = OnOverflow::kGap,
                      Duration block = kDefaultBlockTimeout);
  void Unsubscribe(AppIndex app, std::vector<std::uint32_t> ids);
  // One message for each subject, each record about `bytes` long.
  RequestId Publish(AppIndex app, const std::vector<std::string>& subjects, std::size_t bytes = 100,
                    std::string target = {});
  // Publishes `batch` messages every `pause` if the last ones were answered, until `until`.
  void Feed(AppIndex app, std::string subject, std::size_t batch, std::size_t bytes, Duration pause,
            Instant until);
  void Resume(AppIndex app);  // a stalled one reads again
  Tally TallyOf(AppIndex app) const;
  // Applications that are promised this message, which `origin` has just taken.
  std::size_t CountOwed(const Process& origin, const Accepted& message) const;
  // Of all applications that are owed anything; whatever is missing is a failure.
  Tally ExpectNothingMissing() const;

  // --- Time ---
  Instant now() const { return now_; }
  void At(Instant when, std::function<void()> what);
  void Run(Duration for_how_long);
  // Runs until `condition` holds; false if it does not within `limit`.
  bool RunUntil(const std::function<bool()>& condition, Duration limit);
  // Of all that happened and of all nodes as they are.
  std::uint64_t Fingerprint() const;
  Rng& rng() { return rng_; }
  std::uint64_t turns() const { return turns_; }
  // Since it was added.
  const Traffic& TrafficOf(HostIndex host) const { return *hosts_.at(host)->traffic; }
  std::uint64_t refused() const { return refused_; }  // pieces and statements nobody signed
  std::uint64_t changes_lost() const { return changes_lost_; }  // that no disk had yet, in crashes

 private:
  struct Host {
    std::unique_ptr<node::Node> node;
    Instant wake_at = kNever;
    Duration skew{};
    Instant stalled_until{};
    std::uint64_t process = 0;  // also the epoch, less kFirstEpoch
    bool paused = false;
    std::uint32_t loss = 0;  // of a million packets that come
    Instant line_free{};     // when its network takes the next byte
    Rng network{Rng::Seed{}}, life{Rng::Seed{}};
    std::vector<std::uint64_t> wires;  // in order
    std::map<SessionId, AppIndex> sessions;
    std::unique_ptr<Traffic> traffic;  // null if it is not kept; likewise the disk
    PeerId id;
    std::string name, address;
    std::vector<std::string> seeds;
    node::Limits limits;
    std::unique_ptr<Disk> disk;
    std::vector<node::Input> backlog;  // while paused
    std::optional<Instant> drained;
    std::vector<node::Note> notes;
    std::unique_ptr<std::set<PeerId>> keys;  // of those whose record came
  };
  struct PostedInput {
    std::uint64_t process = 0;
    node::Input input;
  };
  struct PostedDial {
    std::uint64_t process = 0;
    Instant began{};
    node::Dial wish;
  };
  struct FeedPlan {
    AppIndex app = 0;
    std::vector<std::string> subjects;
    std::size_t bytes = 0;
    Duration pause{};
    Instant until{};
  };

  void Fail(const std::string& what) const;
  template <typename... What, typename... Given>
  void Show(void (Witness::*what)(What...), const Given&... given) const {
    for (Witness* witness : witnesses) (witness->*what)(given...);
  }
  void Dispatch(const Event& event);
  void CheckSome(HostIndex touched);
  void Stop(HostIndex host, std::optional<node::DownReason> told, Goodbye goodbye);
  void Turn(HostIndex host, std::optional<node::Input> input);
  void ScheduleWake(HostIndex host);
  void Woken(HostIndex host, std::uint64_t process, Instant when);
  void Post(HostIndex host, node::Input input, Duration in);
  bool Still(HostIndex host) const {  // paused or stalled
    return hosts_.at(host)->paused || hosts_.at(host)->stalled_until > now_;
  }
  void Resumed(HostIndex host);
  bool IsCut(HostIndex from, HostIndex to) const {
    return !(cuts_.empty() && partings_.empty()) && FindCut(from, to);
  }
  bool FindCut(HostIndex from, HostIndex to) const;
  Duration Delay(HostIndex from);
  Duration DistanceOf(HostIndex a, HostIndex b) const;
  Duration Retransmissions(HostIndex from, HostIndex to);
  void Obey(HostIndex host, Instant now, node::Effects& effects);
  void Written(HostIndex host, LinkId link, node::Lane lane);
  std::string SealOf(const broadcast::Piece& piece) const;
  std::string SealOf(const membership::Statement& statement) const;
  void DropForged(HostIndex at, HostIndex sender, node::ControlFrame& frame);
  void DropForged(node::DataFrame& frame);

  void Perform(HostIndex host, node::SendControl& wish);
  void Perform(HostIndex host, node::SendData& wish);
  void Perform(HostIndex host, node::ReadNext& wish);
  void Perform(HostIndex host, node::Close& wish);
  void Perform(HostIndex host, node::Dial& wish);
  void Perform(HostIndex host, node::Deliver& wish);
  void Perform(HostIndex host, node::Answer& wish);
  void Perform(HostIndex host, node::Subscribed& wish);
  void Perform(HostIndex host, node::CloseSession& wish);
  void Perform(HostIndex host, node::SignRecord& wish);
  void Perform(HostIndex host, node::Persist& wish);
  void Perform(HostIndex host, node::Forget& wish);
  void Perform(HostIndex host, node::PeerChanged& wish);
  void Perform(HostIndex host, node::Note& wish);
  void Perform(HostIndex host, node::Drained& wish);
  void Perform(HostIndex, node::Pinged&) {}
  void Perform(HostIndex host, node::SignPiece& wish);
  void Perform(HostIndex host, node::SignStatement& wish);

  Wire* FindWire(std::uint64_t wire);
  // The wire and end of a link that is still there; {nullptr, 0} if it is not.
  std::pair<Wire*, int> FindEnd(HostIndex host, LinkId link);
  void DialArrives(HostIndex from, PostedDial dial);
  void DialAgain(HostIndex from, PostedDial dial);
  void Connect(HostIndex from, std::uint64_t process, DialId dial, HostIndex to, Duration late);
  void Up(std::uint64_t wire, int end);
  void Unlist(End& end, std::uint64_t wire);
  void Fly(std::uint64_t wire, int from, node::Lane lane, Flight flight);
  void Land(std::uint64_t wire, int from, node::Lane lane);
  bool LandOne(std::uint64_t id, Wire& wire, int from, node::Lane lane);
  void Learn(const Wire& wire, int index, const node::ControlFrame& frame);
  void LandAll(std::uint64_t wire);
  void LandEverything();
  void Hang(std::uint64_t wire, int end, node::DownReason why);
  bool TakesMore(const End& end) const;
  void Window(std::uint64_t wire, int from);
  void EndOfWire(std::uint64_t wire);
  void FeedNow(std::uint64_t plan);

  node::Shape shape_;
  Instant now_{std::chrono::hours(1)};
  Rng rng_;
  const Network network_;
  const Duration slowest_write_;
  Agenda agenda_;
  Waiting<PostedInput> inputs_;
  Waiting<PostedDial> dials_;
  Waiting<std::function<void()>> calls_;
  std::vector<FeedPlan> feeds_;
  std::uint64_t next_id_ = 1, turns_ = 0, changes_lost_ = 0;
  Instant next_check_{};
  std::vector<std::unique_ptr<Host>> hosts_;
  std::map<std::string, HostIndex, std::less<>> by_address_;
  std::vector<std::unique_ptr<App>> apps_;
  std::vector<std::unique_ptr<Wire>> wires_;  // by number; null when it has ended
  std::set<std::pair<HostIndex, HostIndex>> cuts_, drop_data_, spoil_delta_;
  std::vector<Parting> partings_;
  std::vector<node::SendDone> written_;  // this turn, if writes take no time
  std::uint64_t seal_key_ = 0, refused_ = 0;
  std::map<RequestId, std::pair<AppIndex, std::vector<Accepted>>> publishing_;
  Truth truth_;
  std::map<std::pair<Process, Process>, std::uint64_t> interest_seen_;  // publisher, subscriber
  node::Effects effects_;
  Digest history_;
};

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_WORLD_H_
