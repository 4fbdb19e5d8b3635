#include "tests/sim/experiment/run.h"

#include <algorithm>
#include <string>
#include <vector>

#include "tests/sim/experiment/stage.h"

namespace peermesh::sim::experiment {
namespace {

constexpr const char* kSubject = "experiment.round";
// What is late is waited for, so that `missed` means never.
constexpr Duration kGrace = std::chrono::seconds(10);

// What a broadcast costs each peer, all rounds included: the data it receives, and what is sent to
// keep the tree, which is next to nothing without broadcasts; of heartbeats, what is announced in
// them.
void DescribeCost(Stage& stage, const Broadcast& broadcast, const Traffic& before) {
  const std::size_t about_trees = node::ControlFrame(broadcast::Message{}).index();
  const Traffic after = stage.AllTraffic();
  const std::string as = broadcast.as.empty() ? "" : broadcast.as + ".";
  const double each =
      static_cast<double>(stage.Running().size()) * static_cast<double>(broadcast.rounds);
  const auto set = [&](const char* name, std::uint64_t value) {
    stage.outcome.figures.Set(as + name, static_cast<double>(value) / each);
  };
  const Traffic::Count& data = stage.rounds.received();
  const std::uint64_t own = after.sent[about_trees].bytes - before.sent[about_trees].bytes;
  const std::uint64_t company = after.announced_bytes - before.announced_bytes;
  const std::uint64_t tree = own + company;
  const std::uint64_t frames = after.sent[about_trees].frames - before.sent[about_trees].frames;
  set("bytes_per_broadcast", data.bytes + tree);
  set("data_bytes_per_broadcast", data.bytes);
  set("tree_bytes_per_broadcast", tree);
  set("tree_frames_per_broadcast", frames);
  set("heartbeat_bytes_per_broadcast", company);
  set("unframed_bytes_per_broadcast", data.bytes + tree - kFraming * (data.frames + frames));
}

}  // namespace

void Perform(Stage& stage, const Join& join) {
  const std::uint64_t left = stage.plan.peers - std::min(stage.plan.peers, stage.world.hosts());
  const std::uint64_t count = join.count == 0 ? left : std::min(join.count, left);
  if (join.every > Duration{} || join.within == Duration{}) {
    for (std::uint64_t i = 0; i < count; ++i) {
      stage.Add(join.seeds);
      if (join.every > Duration{}) stage.Advance(join.every);
    }
    return;
  }
  const Instant begin = stage.world.now();
  std::vector<Instant> moments;
  for (std::uint64_t i = 0; i < count; ++i) {
    moments.push_back(begin + stage.rng.Between({}, join.within));
  }
  // Who all others turn to is there first.
  std::fill_n(moments.begin(), std::min<std::size_t>(join.seeds, moments.size()), begin);
  std::sort(moments.begin(), moments.end());
  for (const Instant moment : moments) {
    stage.Advance(moment - stage.world.now());
    stage.Add(join.seeds);
  }
}

void Perform(Stage& stage, const Rest& rest) { stage.Advance(rest.span); }

void Perform(Stage& stage, const Fail& fail) {
  for (const HostIndex host : stage.Draw(fail.who)) stage.Take(host, fail.manner);
  stage.outcome.figures.Set("survivors", static_cast<double>(stage.Running().size()));
}

void Perform(Stage& stage, const Broadcast& broadcast) {
  stage.rounds.Clear();
  const Traffic before = stage.AllTraffic();
  for (std::uint64_t round = 0; round < broadcast.rounds; ++round) {
    const std::vector<HostIndex> running = stage.Running();
    const HostIndex origin =
        broadcast.from_any ? running[stage.rng.Below(running.size())] : running.front();
    stage.rounds.Publish(stage.app(origin), kSubject, broadcast.bytes);
    stage.Advance(broadcast.every);
  }
  stage.Advance(std::max(kGrace, broadcast.within));
  DescribeCost(stage, broadcast, before);
  std::vector<bool> owed(stage.world.hosts());
  for (const HostIndex host : stage.Running()) owed[host] = true;
  Describe(stage.rounds.all(), owed, broadcast, stage.failed_at, stage.outcome.figures,
           stage.outcome.curves);
}

void Perform(Stage& stage, const Offered& load) { stage.Offer(load); }

void Perform(Stage& stage, const Balance& balance) {
  stage.Offer({});
  stage.Advance(balance.after);
  stage.account.Describe(stage.outcome.figures);
}

void Perform(Stage& stage, const WatchContact&) { stage.WatchContact(); }

Outcome RunPlan(const Plan& plan, std::uint64_t seed) {
  Stage stage(plan, seed);
  for (const Deed& deed : plan.deeds) {
    std::visit([&](const auto& what) { Perform(stage, what); }, deed.what);
  }
  stage.Finish();
  for (const HostIndex host : stage.Running()) stage.world.node(host).CheckInvariants();
  stage.outcome.digest = stage.world.Fingerprint();
  stage.outcome.turns = stage.world.turns();
  return std::move(stage.outcome);
}

}  // namespace peermesh::sim::experiment
