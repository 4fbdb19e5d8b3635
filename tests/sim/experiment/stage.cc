#include "tests/sim/experiment/stage.h"

#include <malloc.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace peermesh::sim::experiment {
namespace {

constexpr const char* kSubject = "experiment.load";
constexpr const char* kPattern = "experiment.>";
constexpr Duration kContactFine = std::chrono::milliseconds(10);  // for a minute, then
constexpr Duration kContactCoarse = std::chrono::seconds(1);      // for an hour
// A mesh this large is looked through for broken invariants more rarely.
constexpr std::uint64_t kManyPeers = 200;

Network NetworkOf(const Plan& plan) {
  Network network;
  network.latency = plan.latency.from;
  network.spread = plan.latency.to - plan.latency.from;
  network.jitter = plan.jitter;
  if (plan.peers > kManyPeers) network.write_time = {};  // a third of all turns less
  return network;
}

std::size_t Allocated() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

double CpuSeconds() {  // of this thread
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

bool HasMessages(const Plan& plan) {
  return std::any_of(plan.deeds.begin(), plan.deeds.end(), [](const Deed& deed) {
    return std::holds_alternative<Broadcast>(deed.what) ||
           std::holds_alternative<Offered>(deed.what);
  });
}

// It is asked what is sent.
bool HasTraffic(const Plan& plan) {
  return HasMessages(plan) ||
         std::any_of(plan.deeds.begin(), plan.deeds.end(), [](const Deed& deed) {
           const auto* measure = std::get_if<Measure>(&deed.what);
           return measure != nullptr && measure->what == Measured::kTraffic;
         });
}

bool HasBalance(const Plan& plan) {
  return std::any_of(plan.deeds.begin(), plan.deeds.end(),
                     [](const Deed& deed) { return std::holds_alternative<Balance>(deed.what); });
}

}  // namespace

Stage::Stage(const Plan& the_plan, std::uint64_t the_seed)
    : plan(the_plan),
      seed(the_seed),
      world(the_seed, NetworkOf(the_plan)),
      rng(Rng({the_seed, 0, 0, 0}).Fork("experiment")),
      rounds(world),
      verdicts(world),
      account(world),
      messages_(HasMessages(the_plan)),
      bytes_before_(Allocated()) {
  outcome.plan = plan.name;
  outcome.seed = seed;
  world.keep_answers = false;
  world.keep_truth = false;
  world.keep_disks = false;
  world.keep_traffic = HasTraffic(plan);
  const bool many = plan.peers > kManyPeers;
  // One look takes as long as there are peers to know.
  world.checks = {.every = std::clamp<std::uint64_t>(4 * plan.peers, 64, 4096),
                  .all = std::chrono::seconds(many ? 600 : 60)};
  world.SetShape(plan.shape);
  world.on_failure = [this](const std::string& what) {
    if (++outcome.failure_count <= kMostFailures) outcome.failures.push_back(what);
  };
  world.witnesses = {&rounds, &verdicts};
  if (HasBalance(plan)) world.witnesses.push_back(&account);
}

std::vector<HostIndex> Stage::Running() const {
  std::vector<HostIndex> running;
  for (HostIndex host = 0; host < world.hosts(); ++host) {
    if (world.running(host)) running.push_back(host);
  }
  return running;
}

void Stage::Add(std::uint64_t seeds) {
  std::vector<HostIndex> known;
  for (HostIndex host = 0; host < std::min<std::size_t>(seeds, world.hosts()); ++host) {
    known.push_back(host);
  }
  const HostIndex host = world.Add("p" + std::to_string(world.hosts()), known);
  if (!messages_) return;
  apps_.push_back(world.Open(host));
  world.Subscribe(apps_.back(), 1, kPattern);
}

std::vector<HostIndex> Stage::Draw(std::size_t count) {
  std::vector<HostIndex> all = Running();
  count = std::min(count, all.size());
  for (std::size_t i = 0; i < count; ++i) {
    std::swap(all[i], all[i + rng.Below(all.size() - i)]);
  }
  all.resize(count);
  return all;
}

std::vector<HostIndex> Stage::Draw(const Victims& victims) {
  std::vector<HostIndex> all = Running();
  const auto share = std::llround(victims.share * static_cast<double>(all.size()));
  const std::size_t count = victims.count > 0
                                ? victims.count
                                : static_cast<std::size_t>(std::max<std::int64_t>(share, 1));
  if (!victims.busiest) return Draw(count);
  std::stable_sort(all.begin(), all.end(),
                   [&](HostIndex a, HostIndex b) { return rounds.SentBy(a) > rounds.SentBy(b); });
  all.resize(std::min(count, all.size()));
  return all;
}

void Stage::Take(HostIndex host, Manner manner) {
  manner == Manner::kReset ? world.Kill(host) : world.PowerOff(host);
  failed_at = world.now();
}

Graph Stage::Neighbors() const {
  const std::vector<HostIndex> running = Running();
  std::map<PeerId, std::uint32_t> places;
  for (std::uint32_t i = 0; i < running.size(); ++i) places[world.id(running[i])] = i;
  Graph graph(running.size());
  for (std::uint32_t i = 0; i < running.size(); ++i) {
    for (const PeerId& peer : world.node(running[i]).Neighbors()) {
      if (const auto place = places.find(peer); place != places.end()) {
        graph[i].push_back(place->second);
      }
    }
  }
  return graph;
}

bool Stage::Believes(HostIndex at, HostIndex about) const {
  const auto detail = world.node(at).Detail(world.id(about));
  return detail && membership::IsLiving(detail->row.state);
}

void Stage::Offer(const Offered& load) {
  load_ = load;
  ++load_number_;
  if (load.per_second > 0) OfferOne(load_number_);
}

// Whoever still waits for an answer leaves its turn to the next one.
void Stage::OfferOne(std::uint64_t load) {
  if (load != load_number_) return;
  const std::vector<HostIndex> running = Running();
  const std::size_t first = rng.Below(running.size());
  for (std::size_t i = 0; i < running.size(); ++i) {
    const AppIndex app = apps_.at(running[(first + i) % running.size()]);
    if (world.app(app).ended || world.app(app).unanswered > 0) continue;
    world.Publish(app, {kSubject}, load_.bytes);
    break;
  }
  const Duration pause(1'000'000 / static_cast<std::int64_t>(load_.per_second));
  world.At(world.now() + pause, [this, load] { OfferOne(load); });
}

void Stage::Advance(Duration span) {
  const double before = CpuSeconds();
  const std::size_t running = Running().size();
  world.Run(span);
  outcome.cpu_seconds += CpuSeconds() - before;
  outcome.virtual_seconds += Seconds(span);
  outcome.peer_seconds += Seconds(span) * static_cast<double>(running);
}

void Stage::LookAgain(Duration in, std::function<void()> look) {
  const Instant when = world.now() + in;
  last_look_ = std::max(last_look_, when);
  world.At(when, std::move(look));
}

void Stage::Finish() {
  if (last_look_ > world.now()) Advance(last_look_ - world.now());
}

void Stage::WatchContact() {
  const Instant fine = world.now() + std::chrono::minutes(1);
  LookAtContact(fine, kContactFine);
  world.At(fine, [this, fine] { LookAtContact(fine + std::chrono::hours(1), kContactCoarse); });
}

void Stage::LookAtContact(Instant until, Duration every) {
  if (world.hosts() > 0) {
    if (!world.running(0)) return;
    const node::Census census = world.node(0).TakeCensus();
    neighbors_most_ = std::max(neighbors_most_, census.neighbors);
    links_most_ = std::max(links_most_, census.links);
  }
  outcome.figures.Set("contact_links_max", static_cast<double>(neighbors_most_));
  outcome.figures.Set("contact_open_max", static_cast<double>(links_most_));
  const Instant next = world.now() + every;
  if (next < until) world.At(next, [this, until, every] { LookAtContact(until, every); });
}

Traffic Stage::AllTraffic() const {
  Traffic all;
  for (HostIndex host = 0; host < world.hosts(); ++host) {
    const Traffic& one = world.TrafficOf(host);
    for (std::size_t kind = 0; kind < Traffic::kKinds; ++kind) {
      all.sent[kind].frames += one.sent[kind].frames;
      all.sent[kind].bytes += one.sent[kind].bytes;
    }
    all.announced_bytes += one.announced_bytes;
    all.acknowledgements.bytes += one.acknowledgements.bytes;
    all.acknowledgements.frames += one.acknowledgements.frames;
    all.received.bytes += one.received.bytes;
    all.received.frames += one.received.frames;
  }
  return all;
}

double Stage::BytesInUse() const {
  return static_cast<double>(Allocated()) - static_cast<double>(bytes_before_);
}

}  // namespace peermesh::sim::experiment
