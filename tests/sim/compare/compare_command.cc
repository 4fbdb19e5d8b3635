#include "tests/sim/compare/compare_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/sim/compare/chart.h"
#include "tests/sim/compare/measure.h"

namespace peermesh::sim {
namespace {

using compare::Figures;
using compare::Row;
using compare::Way;

struct Options {
  std::vector<std::size_t> peers = {32, 100, 1000, 4096};
  std::size_t drawn = 1000;
  std::uint64_t seeds = 20, first = 1;
  std::string json, svg;
};

void PrintTable(const std::vector<Row>& rows) {
  fmt::print("{:>5}  {:<18} {:>9} {:>6}  {:>9} {:>9}  {:>9} {:>9} {:>8}  {:>9} {:>9}\n", "", "",
             "links", "", "idle B/s", "", "broadcast", "ms", "", "connected", "without");
  fmt::print("{:>5}  {:<18} {:>9} {:>6}  {:>9} {:>9}  {:>9} {:>9} {:>8}  {:>9} {:>9}\n", "peers",
             "", "mean", "most", "mean", "most", "half", "last", "reached", "any 50 %", "best 5 %");
  std::size_t peers = 0;
  for (const Row& row : rows) {
    if (peers != 0 && peers != row.peers) fmt::print("\n");
    peers = row.peers;
    const Figures& f = row.figures;
    fmt::print(
        "{:>5}  {:<18} {:>9.1f} {:>6.0f}  {:>9.0f} {:>9.0f}  {:>9.1f} {:>9.1f} {:>8.4f}  {:>9.4f} "
        "{:>9.4f}\n",
        row.peers, NameOf(row.way), f.links_mean, f.links_max, f.idle_mean, f.idle_max, f.median_ms,
        f.last_ms, f.reached, f.survive_random, f.survive_best);
  }
}

nlohmann::ordered_json ToJson(const std::vector<Row>& rows, const Options& options) {
  nlohmann::ordered_json json{{"seeds", options.seeds}, {"first_seed", options.first}};
  for (const Row& row : rows) {
    const Figures& f = row.figures;
    json["rows"].push_back({{"peers", row.peers},
                            {"way", NameOf(row.way)},
                            {"links_mean", f.links_mean},
                            {"links_most", f.links_max},
                            {"idle_bytes_per_second_mean", f.idle_mean},
                            {"idle_bytes_per_second_most", f.idle_max},
                            {"broadcast_half_ms", f.median_ms},
                            {"broadcast_last_ms", f.last_ms},
                            {"broadcast_reached", f.reached},
                            {"connected_without_random_half", f.survive_random},
                            {"connected_without_best_twentieth", f.survive_best}});
  }
  return json;
}

int Write(const std::string& path, const std::string& text) {
  if (path.empty()) return 0;
  std::ofstream file(path);
  if (file << text << std::flush) return 0;
  fmt::print(stderr, "meshsim: {}: cannot be written\n", path);
  return kBadInput;
}

int Run(const Options& options) {
  const bool draws = !options.svg.empty();
  if (draws && std::count(options.peers.begin(), options.peers.end(), options.drawn) == 0) {
    fmt::print(stderr, "meshsim: --draw {} is none of --peers\n", options.drawn);
    return kBadInput;
  }
  fmt::print("seed {} to {}\n", options.first, options.first + options.seeds - 1);
  std::vector<Row> rows;
  for (const std::size_t peers : options.peers) {
    for (const Way way : compare::kWays) {
      rows.push_back({way, peers, compare::Mean(way, peers, options.first, options.seeds)});
    }
  }
  PrintTable(rows);
  const int json =
      Write(options.json, options.json.empty() ? "" : ToJson(rows, options).dump(2) + "\n");
  const int svg =
      Write(options.svg, draws ? compare::Chart(rows, options.drawn, options.seeds) : "");
  return std::max(json, svg);
}

}  // namespace

Command AddCompare(CLI::App& meshsim) {
  const auto owned = std::make_shared<Options>();
  Options& options = *owned;
  CLI::App* compare = meshsim.add_subcommand("compare",
                                             "Compare five ways to connect peers: links, latency, "
                                             "survival, idle traffic.");
  compare->add_option("--peers", options.peers, "How many; several with commas")
      ->delimiter(',')
      ->check(CLI::Range(compare::kFewestPeers, std::size_t{10'000}))
      ->capture_default_str();
  compare->add_option("--seeds", options.seeds, "Means of how many seeds")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  compare->add_option("--seed", options.first, "The first seed")->capture_default_str();
  compare->add_option("--json", options.json, "Write the figures to this file, too");
  compare->add_option("--svg", options.svg, "Draw them: an SVG");
  compare->add_option("--draw", options.drawn, "The number of peers that is drawn")
      ->capture_default_str();
  return {compare, [owned] { return Run(*owned); }};
}

}  // namespace peermesh::sim
