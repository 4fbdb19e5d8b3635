#include "tests/sim/run.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <set>

#include "mesh/base/check.h"

namespace peermesh::sim {
namespace {

constexpr std::size_t kFewPeers = 8;
constexpr std::uint64_t kCheckSome = 64;
constexpr Duration kWholeAfterTrouble = std::chrono::seconds(30);
constexpr Duration kPoll = std::chrono::milliseconds(5);
constexpr Duration kDrainTime = std::chrono::seconds(5);
constexpr std::uint64_t kSlowReader = 20'000;  // bytes a second

class Runner {
 public:
  Runner(const Script& script, std::uint64_t seed, const RunOptions& options)
      : script_(script), rng_(Rng::Seed{HashWord(seed), HashWord(~seed), seed, 1}) {
    outcome_.seed = seed;
    Network network;
    network.latency = Draw(script.latency);
    network.jitter = Draw(script.jitter);
    network.bytes_per_second = Draw(script.bytes_per_second);
    peers_ = Draw(script.peers);
    seeds_ = std::min<std::uint64_t>(Draw(script.seeds), peers_);
    world_ = std::make_unique<World>(seed, network);
    world_->on_failure = [this](const std::string& what) { Failed(what); };
    world_->keep_answers = false;
    world_->codec = options.codec;
    if (options.trace.to > Duration{}) {
      const Instant start = world_->now();
      const Span span = options.trace;
      world_->At(start + span.from, [this, start] {
        world_->trace = [this, start](const std::string& turn) {
          std::printf("%lld us %s\n", static_cast<long long>((world_->now() - start).count()),
                      turn.c_str());
        };
      });
      world_->At(start + span.to, [this] { world_->trace = nullptr; });
    }
    world_->checks.every = options.check_every > 0 ? options.check_every
                           : peers_ <= kFewPeers   ? 1
                                                   : kCheckSome;
  }

  Outcome Run() {
    const auto begin = std::chrono::steady_clock::now();
    const Instant start = world_->now();
    for (const Step& step : script_.steps) {
      line_ = step.line;
      std::visit([this](const auto& what) { Do(what); }, step.what);
      if (outcome_.failure_count > 0) break;
    }
    outcome_.turns = world_->turns();
    outcome_.digest = world_->Fingerprint();
    outcome_.virtual_time = world_->now() - start;
    outcome_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return std::move(outcome_);
  }

 private:
  using Hosts = std::vector<HostIndex>;

  void Failed(const std::string& what) {
    const Duration at = world_->now() - Instant(std::chrono::hours(1));
    if (++outcome_.failure_count > kMostFailures) return;
    outcome_.failures.push_back(script_.name + ":" + std::to_string(line_) + ": at " +
                                std::to_string(at.count() / 1000) + " ms: " + what);
  }

  std::uint64_t Draw(const Count& count) {
    return count.from + rng_.Below(count.to - count.from + 1);
  }
  Duration Draw(const Span& span) { return rng_.Between(span.from, span.to); }

  Hosts Pick(const Who& who) {
    Hosts hosts;
    for (HostIndex host = 0; host < peers_; ++host) {
      bool in = who.all || who.any.to > 0;
      for (const auto& [first, last] : who.listed) in |= first <= host && host <= last;
      if (in) hosts.push_back(host);
    }
    for (const auto& [first, last] : who.listed) {
      if (last >= peers_) Failed("there is no peer " + std::to_string(last));
    }
    if (who.any.to == 0) return hosts;
    const std::uint64_t wanted = std::min<std::uint64_t>(Draw(who.any), hosts.size());
    for (std::size_t i = 0; i < wanted; ++i) {
      std::swap(hosts[i], hosts[i + rng_.Below(hosts.size() - i)]);
    }
    hosts.resize(wanted);
    std::sort(hosts.begin(), hosts.end());
    return hosts;
  }

  // --- Hosts -------------------------------------------------------------------------------------
  void Do(const DoTo& step) {
    for (const HostIndex host : Pick(step.who)) Do(step.deed, host);
  }
  void Do(const DoInTurn& step) {
    for (const HostIndex host : Pick(step.who)) {
      Do(step.deed, host);
      world_->Run(Draw(step.every));
    }
  }
  void Do(Deed deed, HostIndex host) {
    const bool running = host < world_->hosts() && world_->running(host);
    switch (deed) {
      case Deed::kStart: return Start(host);
      case Deed::kRestart:
        if (running) world_->Kill(host);
        ++outcome_.faults;
        return Start(host);
      case Deed::kContinue:
        if (running) world_->Continue(host);
        return;
      default: break;
    }
    if (!running) return;
    ++outcome_.faults;
    switch (deed) {
      case Deed::kKill: return world_->Kill(host);
      case Deed::kOff: return world_->PowerOff(host);
      case Deed::kPause: return world_->Pause(host);
      case Deed::kRenew: return world_->Tell(host, node::CredentialsRenewed{});
      case Deed::kDrain:
        return world_->Tell(host, node::DrainRequested{world_->now() + kDrainTime});
      default: PM_CHECK(false);
    }
  }
  void Start(HostIndex host) {
    while (world_->hosts() < host) Start(world_->hosts());
    if (host == world_->hosts()) {
      Hosts seeds;
      for (HostIndex seed = 0; seed < std::min<std::size_t>(seeds_, host); ++seed) {
        seeds.push_back(seed);
      }
      world_->Add("h" + std::to_string(host), seeds);
    } else if (!world_->running(host)) {
      world_->Start(host);
    } else {
      return;
    }
    OpenReaders(host);
    OpenWriter(host);
  }
  Hosts Running() const {
    Hosts hosts;
    for (HostIndex host = 0; host < world_->hosts(); ++host) {
      if (world_->running(host)) hosts.push_back(host);
    }
    return hosts;
  }

  // --- The network -------------------------------------------------------------------------------
  void Do(const Partition& step) { Cut(Pick(step.who), step.one_way); }
  void Cut(const Hosts& apart, bool one_way) {
    ++outcome_.faults;
    const std::set<HostIndex> there(apart.begin(), apart.end());
    for (const HostIndex a : there) {
      for (HostIndex b = 0; b < world_->hosts(); ++b) {
        if (there.contains(b)) continue;
        if (one_way) {
          world_->CutOneWay(b, a);
        } else {
          world_->Cut(a, b);
        }
      }
    }
  }
  void Do(const HealAll&) { world_->HealAll(); }
  void Do(const BreakBetween& step) {
    ++outcome_.faults;
    for (const HostIndex a : Pick(step.who)) {
      for (HostIndex b = 0; b < world_->hosts(); ++b) {
        if (a != b) world_->Break(a, b);
      }
    }
  }

  // --- Applications ------------------------------------------------------------------------------
  void Do(const Load& step) {
    load_ = step;
    const std::uint64_t per_second = Draw(step.per_second);
    load_until_ = per_second == 0 ? Instant::min() : kNever;
    pause_ = per_second == 0 ? Duration{} : Duration(1'000'000 * peers_ / per_second);
    subjects_ = Draw(step.subjects);
    for (const AppIndex app : std::exchange(writers_, {})) {
      if (!world_->app(app).ended) world_->CloseApp(app);
    }
    for (const HostIndex host : Running()) OpenWriter(host);
  }
  void OpenWriter(HostIndex host) {
    if (load_until_ != kNever) return;
    const AppIndex app = world_->Open(host);
    writers_.push_back(app);
    const std::string subject = "s" + std::to_string(rng_.Below(subjects_)) + ".x";
    const std::uint64_t size = Draw(load_.size);
    const Duration first = rng_.Between({}, pause_);
    world_->At(world_->now() + first, [this, app, subject, size] {
      world_->Feed(app, subject, 1, size, pause_, kNever - std::chrono::hours(1));
    });
  }
  void Do(const Readers& step) {
    readers_ = step;
    slow_ = Draw(step.slow);
    for (const HostIndex host : Running()) OpenReaders(host);
  }
  void OpenReaders(HostIndex host) {
    const std::uint64_t each = Draw(readers_.each);
    for (std::uint64_t i = 0; i < each; ++i) OpenReader(host);
  }
  void OpenReader(HostIndex host) {
    const AppIndex app = world_->Open(host);
    const std::uint64_t subject = rng_.Below(subjects_);
    if (slow_ > 0) {
      --slow_;
      world_->app(app).bytes_per_second = kSlowReader;
    }
    world_->Subscribe(app, 1, readers_.everything ? ">" : "s" + std::to_string(subject) + ".*");
  }

  // --- Time and expectations ---------------------------------------------------------------------
  void Do(const Wait& step) { world_->Run(Draw(step.span)); }
  // Looks at every peer's table, so it looks now and then; as exact as kPoll.
  template <typename Condition>
  bool Within(Duration bound, const std::string& what, const Condition& condition) {
    const Instant begin = world_->now();
    bool holds = condition();
    while (!holds && world_->now() - begin < bound && outcome_.failure_count == 0) {
      world_->Run(kPoll);
      holds = condition();
    }
    outcome_.figures.push_back(
        {"line " + std::to_string(line_) + ": " + what, world_->now() - begin, bound});
    if (!holds) Failed("not " + what + " within the bound");
    return holds;
  }
  void Do(const ExpectWhole& step) {
    Within(step.within, "whole", [this] { return world_->FullMesh(); });
  }
  void Do(const ExpectSeen& step) {
    static const std::vector<std::pair<std::string, membership::State>> kNamed = {
        {"alive", membership::State::kAlive},
        {"suspect", membership::State::kSuspect},
        {"dead", membership::State::kDead},
        {"left", membership::State::kLeft},
        {"unreachable", membership::State::kUnreachable}};
    const auto state = std::find_if(kNamed.begin(), kNamed.end(),
                                    [&](const auto& named) { return named.first == step.state; });
    const Hosts whom = Pick(step.who);
    Within(step.within, "seen " + step.state, [&] {
      for (const HostIndex about : whom) {
        for (const HostIndex at : Running()) {
          if (at != about && world_->StateOf(at, about) != state->second) return false;
        }
      }
      return true;
    });
  }
  void Do(const Trouble& step) {
    const Instant end = world_->now() + Draw(step.span);
    while (world_->now() < end && outcome_.failure_count == 0) {
      world_->Run(Draw(step.every));
      OnePiece(step.kinds[rng_.Below(step.kinds.size())]);
    }
  }
  void OnePiece(const std::string& kind) {
    const HostIndex host = rng_.Below(world_->hosts());
    if (kind == "heal") {
      world_->HealAll();
      for (const HostIndex paused : Running()) world_->Continue(paused);
    } else if (kind == "partition" || kind == "one-way") {
      Hosts apart;
      for (HostIndex other = 0; other < world_->hosts(); ++other) {
        if (rng_.Below(2) == 0) apart.push_back(other);
      }
      Cut(apart, kind == "one-way");
    } else if (kind == "break") {
      ++outcome_.faults;
      for (HostIndex other = 0; other < world_->hosts(); ++other) {
        if (other != host) world_->Break(host, other);
      }
    } else if (kind == "reader") {
      if (world_->running(host)) OpenReader(host);
    } else {
      Do(kind == "kill"      ? Deed::kKill
         : kind == "off"     ? Deed::kOff
         : kind == "restart" ? Deed::kRestart
         : kind == "pause"   ? Deed::kPause
                             : Deed::kRenew,
         host);
    }
  }
  // All faults are over: everybody is there again, and everything is accounted for.
  void Do(const Settle& step) {
    world_->HealAll();
    for (HostIndex host = 0; host < world_->hosts(); ++host) {
      if (!world_->running(host)) Start(host);
      world_->Continue(host);
    }
    if (!Within(kWholeAfterTrouble, "whole again", [this] { return world_->FullMesh(); })) return;
    Do(Load{});
    for (AppIndex app = 0; app < world_->apps(); ++app) {
      world_->app(app).bytes_per_second = 1'000'000'000;
    }
    world_->Run(Draw(step.span));
    if (!world_->FullMesh()) Failed("not whole any more, without a fault");
    outcome_.tally = world_->ExpectNothingMissing();
    for (const HostIndex host : Running()) {
      world_->node(host).CheckInvariants();
      const node::Census census = world_->node(host).TakeCensus();
      if (census.held_publishes > 0) Failed("a publisher is held for ever");
      if (census.session_queue_bytes > 0 || census.link_queue_bytes > 0)
        Failed("a queue does not drain");
      if (census.withheld_links > 0) Failed("a link is withheld for ever");
      if (world_->node(host).stats().peer_misbehaved > 0) Failed("an honest peer misbehaved");
    }
  }

  const Script& script_;
  Rng rng_;
  Outcome outcome_;
  std::unique_ptr<World> world_;
  std::uint64_t peers_ = 0, seeds_ = 0, slow_ = 0, subjects_ = 8;
  int line_ = 0;
  Load load_;
  Readers readers_{.each = {0, 0}};
  Duration pause_{};
  Instant load_until_ = Instant::min();
  std::vector<AppIndex> writers_;
};

}  // namespace

Outcome RunScript(const Script& script, std::uint64_t seed, const RunOptions& options) {
  return Runner(script, seed, options).Run();
}

}  // namespace peermesh::sim
