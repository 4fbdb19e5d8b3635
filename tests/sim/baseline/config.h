// What classic SWIM is run with: the values that are deployed, not those of the paper.
#ifndef PEERMESH_TESTS_SIM_BASELINE_CONFIG_H_
#define PEERMESH_TESTS_SIM_BASELINE_CONFIG_H_

#include <cstddef>
#include <cstdint>

#include "mesh/base/time.h"

namespace peermesh::sim::baseline {

// "deployed": the defaults of memberlist for a local network.
struct Config {
  std::uint32_t members = 100;  // all know each other from the start

  Duration period = std::chrono::milliseconds(1000);          // deployed
  Duration probe_timeout = std::chrono::milliseconds(500);    // deployed
  std::size_t helpers = 3;                                    // deployed: k, asked to ping
  Duration gossip_interval = std::chrono::milliseconds(200);  // deployed
  std::size_t gossip_fanout = 3;                              // deployed
  Duration gossip_to_dead = std::chrono::seconds(30);         // deployed: so the dead can object
  std::uint32_t retransmit_mult = 4;                          // deployed: x digits of the size
  std::uint32_t suspicion_mult = 4;                           // deployed: x log10 of the size
  std::size_t updates_per_datagram = 12;                      // deployed packets have 1,400 B;
                                                              // about 110 B an update: guess
  std::size_t inbox = 1024;  // datagrams that wait for a paused member, others are lost; guess
  // What handling one datagram takes: a member that stood still reads a backlog one by one. Guess.
  Duration service = std::chrono::milliseconds(1);

  Duration latency_least = std::chrono::milliseconds(1);  // guess: one site
  Duration latency_most = std::chrono::milliseconds(10);  // guess
  std::uint32_t loss_per_million = 0;                     // of datagrams

  // As models with rounds have it: everybody gossips at the same instants, and pings and acks carry
  // no news.
  bool rounds = false;
  // A member that ran again within this time is not healthy yet: the longest suspicion at 100
  // members (8 s), a period before it, and time for what was said to be heard. Guess.
  Duration grace = std::chrono::seconds(15);
};

// 1000 * log10(value), rounded down; exact at powers of ten. value > 0.
std::uint32_t MilliLog10(std::uint32_t value);

// How often one update is sent by each member: mult * ceil(log10(members + 1)).
std::uint32_t RetransmitLimit(const Config& config);
// How long a suspect has to object: mult * max(1, log10(members)) * period. Nothing shortens it,
// and nothing about the member that waits lengthens it.
Duration SuspicionTimeout(const Config& config);

}  // namespace peermesh::sim::baseline

#endif  // PEERMESH_TESTS_SIM_BASELINE_CONFIG_H_
