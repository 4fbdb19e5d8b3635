#include "tests/sim/run.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <set>

#include "mesh/base/check.h"
#include "tests/sim/chronicle.h"
#include "tests/sim/crowd.h"
#include "tests/sim/faults.h"
#include "tests/sim/judge.h"

namespace peermesh::sim {
namespace {

constexpr std::size_t kFewPeers = 8;
constexpr std::uint64_t kCheckSome = 64;
constexpr Duration kWholeAfterTrouble = std::chrono::seconds(30);
constexpr Duration kPoll = std::chrono::milliseconds(5);
constexpr Duration kRest = 2 * kRedialMax;  // nothing that is tried again is tried less often
constexpr Duration kDrainTime = std::chrono::seconds(5);

class Runner {
 public:
  Runner(const Script& script, std::uint64_t seed, const RunOptions& options)
      : script_(script),
        rng_(Rng::Seed{HashWord(seed), HashWord(~seed), seed, 1}),
        parameters_(script, rng_.Fork("parameters")),
        peers_(parameters_.peers) {
    outcome_.seed = seed;
    world_ = std::make_unique<World>(seed, parameters_.network, parameters_.disk);
    world_->on_failure = [this](const std::string& what) { Failed(what); };
    world_->keep_answers = false;
    faults_ = std::make_unique<Faults>(*world_);
    crowd_ = std::make_unique<Crowd>(*world_, parameters_, rng_);
    if (!options.history.empty()) WriteHistory(options.history);
    if (options.timeline != nullptr) options.timeline->Watch(*world_);
    if (parameters_.stall > Duration{}) StallLater();
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
    if (chronicle_ != nullptr) JudgeHistory();
    outcome_.turns = world_->turns();
    outcome_.faults = faults_->count();
    outcome_.parameters = parameters_.drawn();
    outcome_.changes_lost = world_->changes_lost();
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

  void WriteHistory(const std::string& directory) {
    auto chronicle = Chronicle::Create(directory, *world_);
    if (!chronicle.ok()) return Failed(chronicle.status().ToString());
    chronicle_ = *std::move(chronicle);
    history_ = directory;
    world_->witnesses.push_back(chronicle_.get());
  }
  void JudgeHistory() {
    chronicle_->Finish();
    for (const std::string& wrong : Judge(history_)) Failed(wrong);
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
        if (running) {
          faults_->Once("restart", {host});
          world_->Kill(host);
        }
        return Start(host);
      case Deed::kContinue: return Continue(host);
      default: break;
    }
    if (!running) return;
    switch (deed) {
      case Deed::kKill: faults_->Lasting("kill", {host}); return world_->Kill(host);
      case Deed::kOff: faults_->Lasting("off", {host}); return world_->PowerOff(host);
      case Deed::kPause:
        if (!world_->paused(host)) faults_->Lasting("pause", {host});
        return world_->Pause(host);
      case Deed::kRenew:
        faults_->Once("renew", {host});
        return world_->Tell(host, node::CredentialsRenewed{});
      case Deed::kDrain:
        faults_->Once("drain", {host});
        return world_->Tell(host, node::DrainRequested{world_->now() + kDrainTime});
      default: PM_CHECK(false);
    }
  }
  void Continue(HostIndex host) {
    if (host >= world_->hosts()) return;
    faults_->Over("pause", host);
    if (world_->running(host)) world_->Continue(host);
  }
  void Start(HostIndex host) {
    while (world_->hosts() < host) Start(world_->hosts());
    if (host == world_->hosts()) {
      Hosts seeds;
      for (HostIndex seed = 0; seed < std::min<std::size_t>(parameters_.seeds, host); ++seed) {
        seeds.push_back(seed);
      }
      world_->Add("h" + std::to_string(host), seeds, parameters_.limits);
    } else if (!world_->running(host)) {
      for (const char* kind : {"kill", "off", "pause"}) faults_->Over(kind, host);
      world_->Start(host);
    } else {
      return;
    }
    crowd_->Arrive(host);
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
    const std::set<HostIndex> there(apart.begin(), apart.end());
    Hosts hit;
    for (const HostIndex a : there) {
      for (HostIndex b = 0; b < world_->hosts(); ++b) {
        if (there.contains(b)) continue;
        if (hit.empty() || hit.back() != a) hit.push_back(a);
        if (one_way) {
          world_->CutOneWay(b, a);
        } else {
          world_->Cut(a, b);
        }
      }
    }
    if (!hit.empty()) faults_->Lasting(one_way ? "one-way" : "partition", hit);
  }
  void Do(const HealAll&) { Heal(); }
  void Heal() {
    world_->HealAll();
    faults_->Over("partition");
    faults_->Over("one-way");
  }
  void Do(const BreakBetween& step) {
    for (const HostIndex host : Pick(step.who)) Break(host);
  }
  void Break(HostIndex host) {
    std::size_t broken = 0;
    for (HostIndex other = 0; other < world_->hosts(); ++other) {
      if (other != host) broken += world_->Break(host, other);
    }
    if (broken > 0) faults_->Once("break", {host});
  }

  void Do(const Load& step) { crowd_->Begin(step); }
  void Do(const Readers& step) { crowd_->Begin(step); }

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
      Heal();
      for (const HostIndex paused : Running()) Continue(paused);
    } else if (kind == "partition" || kind == "one-way") {
      Hosts apart;
      for (HostIndex other = 0; other < world_->hosts(); ++other) {
        if (rng_.Below(2) == 0) apart.push_back(other);
      }
      Cut(apart, kind == "one-way");
    } else if (kind == "break") {
      Break(host);
    } else if (kind == "reader") {
      if (world_->running(host)) crowd_->OpenReader(host);
    } else {
      Do(kind == "kill"      ? Deed::kKill
         : kind == "off"     ? Deed::kOff
         : kind == "restart" ? Deed::kRestart
         : kind == "pause"   ? Deed::kPause
                             : Deed::kRenew,
         host);
    }
  }
  // One process after the other is not run for a moment.
  void StallLater() {
    world_->At(world_->now() + parameters_.stall_every, [this] {
      if (calm_) return;
      const std::uint64_t host = stalls_.Below(peers_);
      const Duration for_how_long = stalls_.Between({}, parameters_.stall);
      if (host < world_->hosts()) world_->Stall(host, for_how_long);
      StallLater();
    });
  }
  // Long after the last fault nothing happens to links any more.
  void CheckRest() {
    const auto count = [this] {
      std::uint64_t links = 0;
      for (const HostIndex host : Running()) links += world_->node(host).stats().links_up;
      return links;
    };
    const std::uint64_t before = count();
    world_->Run(kRest);
    if (count() != before) Failed("links still come and go, without a fault");
  }
  // All faults are over: everybody is there again, and everything is accounted for.
  void Do(const Settle& step) {
    calm_ = true;
    Heal();
    crowd_->ReadOn();
    for (HostIndex host = 0; host < world_->hosts(); ++host) {
      if (!world_->running(host)) Start(host);
      Continue(host);
    }
    if (!Within(kWholeAfterTrouble, "whole again", [this] { return world_->FullMesh(); })) return;
    crowd_->EndLoad();
    const Duration span = Draw(step.span);
    const bool rests = span >= 2 * kRest;
    world_->Run(rests ? span - kRest : span);
    if (rests) CheckRest();
    if (!world_->FullMesh()) Failed("not whole any more, without a fault");
    for (Witness* witness : world_->witnesses) witness->Quiet();
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
  Rng stalls_ = rng_.Fork("stalls");
  Parameters parameters_;
  const std::uint64_t peers_;
  Outcome outcome_;
  std::unique_ptr<World> world_;
  std::unique_ptr<Faults> faults_;
  std::unique_ptr<Crowd> crowd_;
  std::string history_;
  std::unique_ptr<Chronicle> chronicle_;
  int line_ = 0;
  bool calm_ = false;  // the world has no bad luck of its own any more
};

}  // namespace

Outcome RunScript(const Script& script, std::uint64_t seed, const RunOptions& options) {
  return Runner(script, seed, options).Run();
}

}  // namespace peermesh::sim
