#include "tests/mesh/overlay/network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <sstream>
#include <utility>

namespace peermesh::overlay::testing {

PeerId PeerOf(std::size_t n) {
  PeerId peer;
  for (std::size_t i = 0; i < 28; ++i) {
    peer.bytes[i] = static_cast<std::uint8_t>(HashWord((n + 1) * 64 + i));
  }
  for (std::size_t i = 0; i < 4; ++i) peer.bytes[28 + i] = static_cast<std::uint8_t>(n >> (8 * i));
  return peer;
}

std::size_t NumberOf(const PeerId& peer) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < 4; ++i) n |= std::size_t{peer.bytes[28 + i]} << (8 * i);
  return n;
}

Network::Network(std::uint64_t seed, std::size_t peers, Config config, Conditions conditions)
    : conditions_(conditions), rng_({seed, 1, 2, 3}), nodes_(peers) {
  for (std::size_t n = 0; n < peers; ++n) {
    nodes_[n].overlay = std::make_unique<Overlay>(PeerOf(n), config, rng_.Fork("overlay"));
  }
}

void Network::Put(Event event) {
  event.number = next_event_++;
  events_.push(event);
}

void Network::JoinAt(Instant when, std::size_t n, std::size_t contact) {
  Put({.at = when,
       .what = What::kJoin,
       .to = static_cast<std::uint32_t>(n),
       .from = static_cast<std::uint32_t>(contact)});
}

void Network::KillAt(Instant when, std::size_t n) {
  Put({.at = when, .what = What::kKill, .to = static_cast<std::uint32_t>(n)});
}

void Network::RunUntil(Instant end) {
  while (!events_.empty() && events_.top().at <= end) {
    const Event event = events_.top();
    events_.pop();
    ASSERT_GE(event.at, now_);
    now_ = event.at;
    Handle(event);
  }
  now_ = end;
}

bool Network::Apart(std::uint32_t a, std::uint32_t b) const {
  return split_ && (a < *split_) != (b < *split_);
}

void Network::Handle(const Event& event) {
  Node& node = nodes_[event.to];
  if (event.what == What::kArrive) return Arrive(event);
  if (!node.alive) return;
  Wishes wishes;
  switch (event.what) {
    case What::kWake:
      if (event.at != node.wake) return;  // an earlier one was put since
      node.wake = kNever;
      if (node.overlay->NextWake() <= now_) {
        ++counters_.calls;
        node.overlay->Wake(now_, wishes);
        ASSERT_GT(node.overlay->NextWake(), now_) << "a deadline stays in the past";
      }
      break;
    case What::kClose:
    case What::kLost: {
      const auto end = node.links.find(event.from);
      if (end == node.links.end() || end->second.link != event.link) return;
      return Drop(event.to, event.from,
                  event.what == What::kClose ? Loss::kInOrder : Loss::kFailed);
    }
    case What::kDialled:
      if (node.links.count(event.from) > 0) return;
      if (!nodes_[event.from].alive || Apart(event.to, event.from)) {
        ++counters_.failed_dials;
        node.overlay->CannotReach(now_, PeerOf(event.from), wishes);
      } else {
        Connected(event.to, event.from, wishes);
      }
      break;
    case What::kJoin:
      node.overlay->Seek(now_, true, wishes);
      if (event.from != event.to) {
        Put({.at = now_ + Delay(), .what = What::kDialled, .to = event.to, .from = event.from});
      }
      break;
    case What::kKill:
      node.alive = false;
      for (const auto& [other, end] : node.links) {
        const Duration after =
            rng_.Between(conditions_.least_detection, conditions_.most_detection);
        Put({.at = now_ + after,
             .what = What::kLost,
             .to = other,
             .from = event.to,
             .link = end.link});
      }
      node.links.clear();
      return;
    case What::kArrive: break;
  }
  Carry(event.to, wishes);
}

void Network::Arrive(const Event& event) {
  Node& node = nodes_[event.to];
  const Message message = std::move(messages_[event.message]);
  free_places_.push_back(event.message);
  if (!node.alive) return;
  const auto end = node.links.find(event.from);
  if (end == node.links.end() || end->second.link != event.link) return;
  Wishes wishes;
  ++counters_.calls;
  EXPECT_TRUE(node.overlay->Receive(now_, PeerOf(event.from), message, wishes))
      << "an honest message was refused: kind " << message.index();
  Carry(event.to, wishes);
}

void Network::Link(std::size_t a, std::size_t b) {
  Wishes wishes;
  if (nodes_[a].links.count(static_cast<std::uint32_t>(b)) > 0) return;
  Connected(static_cast<std::uint32_t>(a), static_cast<std::uint32_t>(b), wishes);
  Carry(static_cast<std::uint32_t>(a), wishes);
}

void Network::Bridge(std::size_t a, std::size_t b) {
  Link(a, b);
  if (nodes_[a].links.count(static_cast<std::uint32_t>(b)) == 0) return;  // closed again at once
  Wishes wishes;
  nodes_[a].overlay->Bridge(now_, PeerOf(b), wishes);
  Carry(static_cast<std::uint32_t>(a), wishes);
}

void Network::Connected(std::uint32_t dialler, std::uint32_t other, Wishes& out) {
  // What is left of an older link at the other end goes first.
  if (nodes_[other].links.count(dialler) > 0) Drop(other, dialler, Loss::kInOrder);
  const std::uint64_t link = next_link_++;
  nodes_[dialler].links[other] = {.link = link};
  nodes_[other].links[dialler] = {.link = link};
  Wishes theirs;
  nodes_[dialler].overlay->Linked(now_, PeerOf(other), out);
  nodes_[other].overlay->Linked(now_, PeerOf(dialler), theirs);
  Carry(other, theirs);
}

void Network::Drop(std::uint32_t node, std::uint32_t other, Loss how) {
  nodes_[node].links.erase(other);
  Wishes wishes;
  nodes_[node].overlay->Unlinked(now_, PeerOf(other), how, wishes);
  Carry(node, wishes);
}

void Network::Close(std::uint32_t node, std::uint32_t other) {
  SendTo(node, other, What::kClose, 0);
  Drop(node, other, Loss::kInOrder);
}

void Network::SendTo(std::uint32_t from, std::uint32_t to, What what, std::uint32_t message) {
  End& end = nodes_[from].links.at(to);
  const Instant earliest = end.last_arrival + Duration(1);
  end.last_arrival = std::max(earliest, now_ + Delay());
  Put({.at = end.last_arrival,
       .what = what,
       .to = to,
       .from = from,
       .link = end.link,
       .message = message});
}

void Network::Carry(std::uint32_t from, Wishes& wishes) {
  Node& node = nodes_[from];
  counters_.most_active = std::max(counters_.most_active, node.overlay->Active().size());
  std::vector<std::uint32_t> released;
  for (Wish& wish : wishes) {
    if (auto* send = std::get_if<Send>(&wish)) {
      const auto to = static_cast<std::uint32_t>(NumberOf(send->peer));
      ++counters_.messages;
      ++counters_.kinds[send->message.index()];
      ASSERT_TRUE(node.links.count(to) > 0) << "a message without a link";
      std::uint32_t place = 0;
      if (free_places_.empty()) {
        place = static_cast<std::uint32_t>(messages_.size());
        messages_.emplace_back();
      } else {
        place = free_places_.back();
        free_places_.pop_back();
      }
      messages_[place] = std::move(send->message);
      SendTo(from, to, What::kArrive, place);
    } else if (const auto* connect = std::get_if<Connect>(&wish)) {
      const auto to = static_cast<std::uint32_t>(NumberOf(connect->peer));
      ++counters_.dials;
      ++node.dials;
      const bool dead = !nodes_[to].alive || Apart(from, to);
      // A round trip for the connection and two for TLS and hello.
      const Duration one_way = Delay();
      const Duration takes = dead ? conditions_.refusal : 6 * one_way;
      Put({.at = now_ + takes, .what = What::kDialled, .to = from, .from = to});
    } else if (const auto* release = std::get_if<Release>(&wish)) {
      released.push_back(static_cast<std::uint32_t>(NumberOf(release->peer)));
    }
  }
  for (const std::uint32_t other : released) {
    if (!conditions_.closes_released || node.overlay->Needs(PeerOf(other))) continue;
    if (node.links.count(other) > 0) Close(from, other);
  }
  const Instant wake = node.overlay->NextWake();
  if (wake < node.wake) {
    node.wake = std::max(wake, now_);
    Put({.at = node.wake, .what = What::kWake, .to = from});
  }
}

void Network::Split(std::size_t first_of_second_half) {
  split_ = first_of_second_half;
  for (std::uint32_t n = 0; n < nodes_.size(); ++n) {
    for (const auto& [other, end] : nodes_[n].links) {
      if (!Apart(n, other)) continue;
      Put({.at = now_, .what = What::kLost, .to = n, .from = other, .link = end.link});
    }
  }
}

Shape Network::Measure(std::size_t sources) const {
  Shape shape;
  const std::size_t none = nodes_.size();
  std::vector<std::vector<std::size_t>> edges(nodes_.size());
  shape.least = kMostActive + 1;
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    if (!nodes_[n].alive) continue;
    ++shape.peers;
    for (const PeerId& peer : at(n).Active()) {
      const std::size_t other = NumberOf(peer);
      if (!nodes_[other].alive || !at(other).IsActive(PeerOf(n))) {
        ++shape.one_sided;
      } else {
        edges[n].push_back(other);
      }
    }
    ++shape.degrees[edges[n].size()];
    shape.edges += edges[n].size();
    shape.kept += static_cast<double>(at(n).kept());
    shape.most = std::max(shape.most, edges[n].size());
    shape.least = std::min(shape.least, edges[n].size());
  }
  std::vector<std::size_t> component(nodes_.size(), none);
  std::size_t triangles = 0, pairs = 0;
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    for (const std::size_t a : edges[n]) {
      for (const std::size_t b : edges[n]) {
        if (a >= b) continue;
        ++pairs;
        triangles += std::count(edges[a].begin(), edges[a].end(), b) > 0 ? 1 : 0;
      }
    }
    if (!nodes_[n].alive || component[n] != none) continue;
    std::size_t size = 0;
    std::deque<std::size_t> reached{n};
    component[n] = shape.components;
    while (!reached.empty()) {
      ++size;
      for (const std::size_t next : edges[reached.front()]) {
        if (component[next] != none) continue;
        component[next] = shape.components;
        reached.push_back(next);
      }
      reached.pop_front();
    }
    ++shape.components;
    shape.largest = std::max(shape.largest, size);
  }
  std::uint64_t sum = 0, paths = 0;
  std::vector<std::size_t> alive;
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    if (nodes_[n].alive) alive.push_back(n);
  }
  for (std::size_t i = 0; i < std::min(sources, alive.size()); ++i) {
    std::vector<std::size_t> hops(nodes_.size(), none);
    const std::size_t source = alive[i * alive.size() / std::min(sources, alive.size())];
    std::deque<std::size_t> reached{source};
    hops[source] = 0;
    while (!reached.empty()) {
      const std::size_t here = reached.front();
      reached.pop_front();
      sum += hops[here];
      if (here != source) ++paths;
      shape.longest_path = std::max(shape.longest_path, hops[here]);
      for (const std::size_t next : edges[here]) {
        if (hops[next] != none) continue;
        hops[next] = hops[here] + 1;
        reached.push_back(next);
      }
    }
  }
  const auto peers = static_cast<double>(std::max<std::size_t>(shape.peers, 1));
  shape.mean_degree = static_cast<double>(shape.edges) / peers;
  shape.kept /= peers;
  if (paths > 0) shape.mean_path = static_cast<double>(sum) / static_cast<double>(paths);
  if (pairs > 0) shape.clustering = static_cast<double>(triangles) / static_cast<double>(pairs);
  return shape;
}

std::string Shape::ToText() const {
  std::ostringstream text;
  text << peers << " peers, components " << components << " (largest " << largest << "), one-sided "
       << one_sided << ", mean degree " << mean_degree << ", mean path " << mean_path
       << ", longest " << longest_path << ", clustering " << clustering << ", kept " << kept
       << ", degrees";
  for (const auto& [degree, count] : degrees) text << ' ' << degree << ':' << count;
  return text.str();
}

std::vector<std::pair<std::size_t, std::size_t>> Network::OneSided() const {
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    if (!nodes_[n].alive) continue;
    for (const PeerId& peer : at(n).Active()) {
      const std::size_t other = NumberOf(peer);
      if (!nodes_[other].alive || !at(other).IsActive(PeerOf(n))) pairs.emplace_back(n, other);
    }
  }
  return pairs;
}

void Network::CheckInvariants() const {
  for (const Node& node : nodes_) {
    if (node.alive) node.overlay->CheckInvariants();
  }
}

std::uint64_t Network::Digest() const {
  peermesh::Digest digest;
  digest.Add(now_).Add(counters_.messages).Add(counters_.dials);
  for (const Node& node : nodes_) digest.Add(node.overlay->Digest());
  return digest.value();
}

}  // namespace peermesh::overlay::testing
