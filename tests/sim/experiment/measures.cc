// What is measured without anything being done: the graph, memory, traffic, speed.
#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "tests/sim/experiment/run.h"
#include "tests/sim/experiment/stage.h"

namespace peermesh::sim::experiment {
namespace {

// Of an overlay's question; guess: three times as long as it takes there.
constexpr Duration kAgreeing = std::chrono::seconds(6);

// An edge that one end knows of only: the first does.
using Edge = std::pair<HostIndex, HostIndex>;

std::vector<Edge> Asymmetric(const Stage& stage) {
  const std::vector<HostIndex> running = stage.Running();
  const Graph graph = stage.Neighbors();
  std::vector<Edge> edges;
  for (std::uint32_t one = 0; one < graph.size(); ++one) {
    for (const std::uint32_t other : graph[one]) {
      const auto& back = graph[other];
      if (std::find(back.begin(), back.end(), one) != back.end()) continue;
      edges.emplace_back(running[one], running[other]);
    }
  }
  return edges;
}

// The two ends of an edge agree within a round trip, or when a question has timed out. So what
// differs at one moment is looked at again, and counts if it still differs.
void CountAsymmetric(Stage& stage, const std::string& name) {
  const std::vector<Edge> now = Asymmetric(stage);
  stage.outcome.figures.Set(name + "_now", static_cast<double>(now.size()));
  stage.outcome.figures.Set(name, 0);
  if (now.empty()) return;
  stage.LookAgain(kAgreeing, [&stage, name, now] {
    std::size_t still = 0;
    for (const Edge& edge : Asymmetric(stage)) {
      if (std::find(now.begin(), now.end(), edge) != now.end()) ++still;
    }
    stage.outcome.figures.Set(name, static_cast<double>(still));
  });
}

void Graphs(Stage& stage, const std::string& as) {
  const GraphFigures graph = MeasureGraph(stage.Neighbors(), stage.rng.Fork("paths"));
  std::size_t links = 0;
  for (const HostIndex host : stage.Running()) {
    links = std::max(links, stage.world.node(host).TakeCensus().links);
  }
  Figures& figures = stage.outcome.figures;
  const auto set = [&](const char* name, auto value) {
    figures.Set(as + name, static_cast<double>(value));
  };
  set("components", graph.components);
  set("largest", graph.largest);
  CountAsymmetric(stage, as + "asymmetric");
  set("degree_mean", graph.degree_mean);
  set("degree_min", graph.degree_min);
  set("degree_max", graph.degree_max);
  set("path_mean", graph.path_mean);
  set("path_max", graph.path_max);
  set("path_sources", graph.path_sources);
  set("clustering", graph.clustering);
  set("links_max", links);
  stage.outcome.curves.degrees = graph.degrees;
}

void Memory(Stage& stage, const std::string& as) {
  const std::vector<HostIndex> running = stage.Running();
  double rows = 0, tables = 0;
  for (const HostIndex host : running) {
    const node::Census census = stage.world.node(host).TakeCensus();
    rows += static_cast<double>(census.peers);
    tables += static_cast<double>(census.table_bytes);
  }
  const auto peers = static_cast<double>(running.size());
  const double bytes = stage.BytesInUse();
  stage.outcome.figures.Set(as + "bytes_per_peer", bytes / peers);
  stage.outcome.figures.Set(as + "bytes_beside_table", (bytes - tables) / peers);
  stage.outcome.figures.Set(as + "rows_per_peer", rows / peers);
}

void Speed(Stage& stage, Duration span, const std::string& as) {
  const double peers = stage.peer_seconds(), cpu = stage.cpu_seconds();
  const std::uint64_t turns = stage.world.turns();
  stage.Advance(span);
  const double used = stage.cpu_seconds() - cpu;
  stage.outcome.figures.Set(as + "peer_seconds_per_core_second",
                            used > 0 ? (stage.peer_seconds() - peers) / used : 0);
  stage.outcome.figures.Set(
      as + "turns_per_peer_second",
      static_cast<double>(stage.world.turns() - turns) / (stage.peer_seconds() - peers));
}

// In the order of node::ControlFrame, then data.
constexpr const char* kKinds[] = {"heartbeat",
                                  "interest_snapshot",
                                  "interest_delta",
                                  "interest_ack",
                                  "interest_request",
                                  "records",
                                  "states",
                                  "goodbye",
                                  "ready",
                                  "statements",
                                  "table_hashes",
                                  "table_rows",
                                  "records_wanted",
                                  "overlay",
                                  "broadcast",
                                  "data"};
static_assert(std::size(kKinds) == Traffic::kKinds);

void Bytes(Stage& stage, Duration span, const std::string& as) {
  const Traffic before = stage.AllTraffic();
  const double peer_seconds = stage.peer_seconds();
  stage.Advance(span);
  const Traffic after = stage.AllTraffic();
  const double spent = stage.peer_seconds() - peer_seconds;
  const auto rate = [&](std::uint64_t from, std::uint64_t to) {
    return static_cast<double>(to - from) / spent;
  };
  Figures& figures = stage.outcome.figures;
  figures.Set(as + "sent_bytes_per_second", rate(before.bytes_sent(), after.bytes_sent()));
  figures.Set(as + "sent_frames_per_second", rate(before.frames_sent(), after.frames_sent()));
  figures.Set(as + "sent_acknowledgements",
              rate(before.acknowledgements.bytes, after.acknowledgements.bytes));
  for (std::size_t kind = 0; kind < Traffic::kKinds; ++kind) {
    if (after.sent[kind].bytes == before.sent[kind].bytes) continue;
    figures.Set(as + "sent_" + kKinds[kind], rate(before.sent[kind].bytes, after.sent[kind].bytes));
  }
}

}  // namespace

void Perform(Stage& stage, const Measure& measure) {
  const std::string as = measure.as.empty() ? "" : measure.as + ".";
  switch (measure.what) {
    case Measured::kGraph: return Graphs(stage, as);
    case Measured::kMemory: return Memory(stage, as);
    case Measured::kSpeed: return Speed(stage, measure.span, as);
    case Measured::kTraffic: return Bytes(stage, measure.span, as);
  }
}

}  // namespace peermesh::sim::experiment
