// What a large simulated mesh costs: `build/bench/world PEERS SECONDS`, when nothing else runs.
//
// Peers with eight links each (a ring, each linked to the four next on either side) that only send
// heartbeats: nobody is told of others, so that nothing but the links of the beginning comes up.
// Prints peer-seconds of virtual time for a second of CPU, and bytes of memory a peer, nodes and
// simulator together.
#include "tests/sim/world.h"

#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

namespace peermesh::sim {
namespace {

constexpr std::size_t kNext = 4;

// Keeps peers from telling each other of others.
class Silence final : public Codec {
 public:
  node::ControlFrame Pass(const node::ControlFrame& frame) override {
    if (std::holds_alternative<node::PeerRecords>(frame)) return node::PeerRecords{};
    if (std::holds_alternative<node::PeerStates>(frame)) return node::PeerStates{};
    return frame;
  }
  node::DataFrame Pass(const node::DataFrame& frame) override { return frame; }
};

double CpuSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

int Main(std::size_t peers, std::int64_t seconds) {
  Silence silence;
  const std::size_t before = mallinfo2().uordblks;
  Network network;
  network.write_time = {};
  World world(1, network);
  world.keep_truth = false;
  world.codec = &silence;
  world.keep_answers = false;
  world.checks = {0, std::chrono::hours(1000)};
  for (std::size_t i = 0; i < peers; ++i) {
    std::vector<std::string> seeds;
    for (std::size_t k = 1; k <= kNext; ++k) {
      seeds.push_back("h" + std::to_string((i + k) % peers) + ":7443");
    }
    world.Add("h" + std::to_string(i), {}, {}, seeds);
  }
  double begin = CpuSeconds();
  world.Run(std::chrono::seconds(30));
  std::size_t links = 0;
  for (HostIndex host = 0; host < peers; ++host) links += world.node(host).TakeCensus().links;
  std::printf("%zu peers, %.2f links each, linked in %.1f s of CPU\n", peers,
              static_cast<double>(links) / static_cast<double>(peers), CpuSeconds() - begin);
  begin = CpuSeconds();
  const std::uint64_t turns = world.turns();
  world.Run(std::chrono::seconds(seconds));
  const double took = CpuSeconds() - begin;
  const double done = static_cast<double>(peers) * static_cast<double>(seconds);
  std::printf("%.0f peer-seconds a second of CPU, %.1f turns a peer-second, %.2f us a turn\n",
              done / took, static_cast<double>(world.turns() - turns) / done,
              1e6 * took / static_cast<double>(world.turns() - turns));
  std::printf("%.0f bytes a peer\n",
              static_cast<double>(mallinfo2().uordblks - before) / static_cast<double>(peers));
  std::printf("digest %016llx\n", static_cast<unsigned long long>(world.Fingerprint()));
  return 0;
}

}  // namespace
}  // namespace peermesh::sim

int main(int argc, char** argv) {
  const std::size_t peers = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1000;
  const std::int64_t seconds = argc > 2 ? std::strtoll(argv[2], nullptr, 10) : 60;
  return peermesh::sim::Main(peers, seconds);
}
