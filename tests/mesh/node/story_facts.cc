#include "tests/mesh/node/story_facts.h"

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/mesh/node/story_effects.h"
#include "tests/mesh/node/story_names.h"

namespace peermesh::node {
namespace {

using Driver = StoryDriver;

// --- The node itself -----------------------------------------------------------------------------

absl::Status TellNode(Driver& driver, Words& words) {
  Config& config = driver.config;
  config.self = ReadPeer(words);
  config.name = ShowPeer(config.self);
  words.Expect("epoch");
  const std::uint64_t epoch = words.Number("an epoch");
  if (epoch <= config.epoch) words.Fail("the epoch of a process is larger than that of its last");
  if (words.Take("seeds")) {
    config.seeds.clear();
    do {
      config.seeds.push_back(words.Word("an address"));
    } while (words.Take(","));
  }
  if (absl::Status status = words.Finish(); !status.ok()) return status;
  config.epoch = epoch;
  return driver.Start();
}

absl::Status TellLimit(Driver& driver, Words& words) {
  Limits& limits = driver.config.limits;
  const std::vector<Named<limits::Rate*>> table = {
      {"application_messages", &limits.application_messages},
      {"application_bytes", &limits.application_bytes},
      {"peer_messages", &limits.peer_messages},
      {"peer_bytes", &limits.peer_bytes},
      {"subscribes", &limits.subscribes}};
  limits::Rate* rate = words.OneOf("a limit", table);
  const std::uint64_t units = words.Number("units per second");
  words.Expect("per");
  words.Expect("second");
  std::uint64_t burst = 0;
  if (words.Take("burst")) burst = words.Number("a burst");
  if (absl::Status status = words.Finish(); !status.ok()) return status;
  *rate = limits::Rate::PerSecond(units, burst);
  if (driver.started()) driver.Tell(Reconfigured{driver.config.limits, driver.config.seeds});
  return absl::OkStatus();
}

absl::Status TellSeeds(Driver& driver, Words& words) {
  std::vector<std::string> seeds;
  if (!words.Take("none")) {
    do {
      seeds.push_back(words.Word("an address"));
    } while (words.Take(","));
  }
  if (absl::Status status = words.Finish(); !status.ok()) return status;
  driver.config.seeds = std::move(seeds);
  driver.Tell(Reconfigured{driver.config.limits, driver.config.seeds});
  return absl::OkStatus();
}

absl::Status TellRemember(Driver& driver, Words& words) {
  const PeerRecord record = ReadRecord(driver.cast, words);
  if (driver.started()) words.Fail("what is remembered stands before the node starts");
  if (absl::Status status = words.Finish(); !status.ok()) return status;
  driver.disk[record.id] = record;
  return absl::OkStatus();
}

absl::Status TellTime(Driver& driver, Words& words) {
  const bool relative = words.Peek().starts_with('+');
  const std::string word = words.Word("a time, like +500ms or 10s");
  const auto time = ReadTime(std::string_view(word).substr(relative ? 1 : 0));
  if (words.ok() && !time) words.Fail("'" + word + "' is no time, like +500ms or 10s");
  const Duration forward = time.value_or(Duration{}) - (relative ? Duration{} : driver.elapsed());
  if (words.ok() && forward < Duration{}) {
    words.Fail("it is " + ShowTime(driver.elapsed()) + " already");
  }
  if (absl::Status status = words.Finish(); !status.ok()) return status;
  driver.LiveUntil(driver.now() + forward);
  return absl::OkStatus();
}

absl::Status TellPause(Driver& driver, Words& words) {
  const Duration time = words.Time("how long this process does not run");
  if (absl::Status status = words.Finish(); !status.ok()) return status;
  driver.Pause(time);
  return absl::OkStatus();
}

absl::Status TellDrain(Driver& driver, Words& words) {
  words.Expect("within");
  const Duration time = words.Time("the deadline");
  if (absl::Status status = words.Finish(); !status.ok()) return status;
  driver.Tell(DrainRequested{driver.now() + time});
  return absl::OkStatus();
}

absl::Status TellPing(Driver& driver, Words& words) {
  const RequestId request{words.Number("a number for the ping")};
  const std::string target = words.Word("a peer, or a prefix of its id");
  if (words.ok() && !driver.pings.insert(request).second) words.Fail("that ping waits already");
  if (absl::Status status = words.Finish(); !status.ok()) return status;
  driver.Tell(PingAsked{request, target});
  return absl::OkStatus();
}

absl::Status TellDialFailed(Driver& driver, Words& words) {
  const DialId dial{words.Number("the number of a dial")};
  words.Expect("failed");
  const DialFailure why = words.OneOf("a failure of a dial", kDialFailureNames);
  if (words.ok() && !driver.dials.contains(dial)) {
    words.Fail("there is no dial " + std::to_string(dial.value) + " that waits for its end");
  }
  if (absl::Status status = words.Finish(); !status.ok()) return status;
  driver.dials.erase(dial);
  driver.Tell(DialFailed{dial, why});
  return absl::OkStatus();
}

absl::Status TellShow(Driver& driver, Words& words) {
  enum class What { kPeers, kQueues, kCounters, kNextWake };
  constexpr std::array<Named<What>, 4> kWhat = {{{"peers", What::kPeers},
                                                 {"queues", What::kQueues},
                                                 {"counters", What::kCounters},
                                                 {"next-wake", What::kNextWake}}};
  const What what = words.OneOf("something to show", kWhat);
  if (absl::Status status = words.Finish(); !status.ok()) return status;
  const Node& node = driver.node();
  std::vector<std::string> lines;
  switch (what) {
    case What::kPeers: lines = ShowPeers(node.Peers(), driver.now() - driver.elapsed()); break;
    case What::kQueues: lines = ShowQueues(node.TakeCensus()); break;
    case What::kCounters: lines = ShowCounters(node.stats()); break;
    case What::kNextWake: {
      const Instant next = node.NextWake();
      lines = {next == kNever ? "never" : "in " + ShowTime(next - driver.now())};
      break;
    }
  }
  for (const std::string& line : lines) driver.Print(line);
  return absl::OkStatus();
}

// --- Links: "beta/1 ..." -------------------------------------------------------------------------

absl::Status TellLinkUp(Driver& driver, Words& words, PeerId peer, LinkId id) {
  LinkUp up;
  up.link = id;
  up.peer = peer;
  up.name = ShowPeer(peer);
  up.epoch = 1;
  while (words.ok() && !words.empty()) {
    if (words.Take("epoch")) {
      up.epoch = words.Number("an epoch");
      if (up.epoch == 0) words.Fail("epochs begin at 1");
    } else if (words.Take("answers")) {
      words.Expect("dial");
      up.dial = DialId{words.Number("the number of a dial")};
      up.dial_count = up.dial.value;
      up.direction = Direction::kOutbound;
      if (words.ok() && !driver.dials.contains(up.dial)) {
        words.Fail("there is no dial " + std::to_string(up.dial.value) + " that waits for its end");
      }
    } else if (words.Take("their")) {
      words.Expect("dial");
      up.dial_count = words.Number("which of their dials it is");
    } else if (words.Take("expires")) {
      words.Expect("in");
      up.expires = driver.now() + words.Time("how long its certificates hold");
    } else {
      break;
    }
  }
  if (driver.links_used.contains(id)) {
    words.Fail("there was a link " + std::to_string(id.value) + " before; numbers are used once");
  }
  if (absl::Status status = words.Finish(); !status.ok()) return status;
  driver.dials.erase(up.dial);
  driver.links_used.insert(id);
  driver.links[id].peer = peer;
  driver.cast.links[id] = ShowPeer(peer) + "/" + std::to_string(id.value);
  driver.Tell(std::move(up));
  return absl::OkStatus();
}

absl::Status TellStall(Driver& driver, Words& words, LinkId id) {
  const bool control = words.Take("control");
  if (absl::Status status = words.Finish(); !status.ok()) return status;
  Driver::Link& link = driver.links.at(id);
  (control ? link.control_stalled : link.data_stalled) = true;
  return absl::OkStatus();
}

absl::Status TellWrites(Driver& driver, Words& words, LinkId id) {
  const Lane lane = words.Take("control") ? Lane::kControl : Lane::kData;
  const bool on = words.Take("on");
  Driver::Link& link = driver.links.at(id);
  const bool busy = lane == Lane::kControl ? link.control_busy : link.data_busy;
  if (!busy && !on) words.Fail("nothing is being written to " + driver.cast.Link(id));
  if (absl::Status status = words.Finish(); !status.ok()) return status;
  if (on) (lane == Lane::kControl ? link.control_stalled : link.data_stalled) = false;
  if (busy) driver.Write(id, lane);
  return absl::OkStatus();
}

absl::Status TellBrings(Driver& driver, Words& words, LinkId id) {
  DataFrame frame = ReadData(driver.cast, words);
  Driver::Link& link = driver.links.at(id);
  if (!link.granted) {
    words.Fail(driver.cast.Link(id) + " may bring nothing now: no ReadNext is outstanding");
  }
  if (absl::Status status = words.Finish(); !status.ok()) return status;
  link.granted = false;
  driver.Tell(DataIn{id, std::move(frame)});
  return absl::OkStatus();
}

absl::Status TellLink(Driver& driver, Words& words, std::string_view name) {
  const std::size_t slash = name.find('/');
  const auto number = ReadNumber(name.substr(slash + 1));
  Words first(name.substr(0, slash));
  const PeerId peer = ReadPeer(first);
  if (absl::Status status = first.Finish(); !status.ok()) return status;
  if (!number || *number == 0) {
    return absl::InvalidArgumentError("'" + std::string(name) + "' is no link, like beta/1");
  }
  const LinkId id{*number};
  if (words.Take("up")) return TellLinkUp(driver, words, peer, id);
  const auto link = driver.links.find(id);
  if (link == driver.links.end() || link->second.peer != peer) {
    return absl::InvalidArgumentError("there is no link " + std::string(name));
  }
  if (words.Take("says")) {
    Said said = ReadControl(driver.cast, words);
    if (absl::Status status = words.Finish(); !status.ok()) return status;
    driver.Say(id, std::move(said));
  } else if (words.Take("brings")) {
    return TellBrings(driver, words, id);
  } else if (words.Take("down")) {
    const DownReason why = words.OneOf("a reason", kDownNames);
    if (absl::Status status = words.Finish(); !status.ok()) return status;
    driver.links.erase(link);
    driver.Tell(LinkDown{id, why});
  } else if (words.Take("beats")) {
    if (absl::Status status = words.Finish(); !status.ok()) return status;
    link->second.next_beat = driver.now() + kHeartbeat;
  } else if (words.Take("falls")) {
    words.Expect("silent");
    if (absl::Status status = words.Finish(); !status.ok()) return status;
    link->second.next_beat = kNever;
  } else if (words.Take("stalls")) {
    return TellStall(driver, words, id);
  } else if (words.Take("writes")) {
    return TellWrites(driver, words, id);
  } else {
    return absl::InvalidArgumentError(
        "a link is up, says, brings, beats, falls silent, stalls, "
        "writes or is down");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status TellFact(StoryDriver& driver, std::string_view line) {
  Words words(line);
  if (words.Take("limit")) return TellLimit(driver, words);
  if (words.Take("remember")) return TellRemember(driver, words);
  if (words.Take("node")) return TellNode(driver, words);
  if (!driver.started()) {
    return absl::InvalidArgumentError("a story begins with a node: node alpha epoch 1000");
  }
  if (words.Take("at")) return TellTime(driver, words);
  if (words.Take("seeds")) return TellSeeds(driver, words);
  if (words.Take("pause")) return TellPause(driver, words);
  if (words.Take("app")) return TellApp(driver, words);
  if (words.Take("dial")) return TellDialFailed(driver, words);
  if (words.Take("drain")) return TellDrain(driver, words);
  if (words.Take("ping")) return TellPing(driver, words);
  if (words.Take("show")) return TellShow(driver, words);
  if (words.Take("credentials")) {
    words.Expect("renewed");
    if (absl::Status status = words.Finish(); !status.ok()) return status;
    driver.Tell(CredentialsRenewed{});
    return absl::OkStatus();
  }
  const std::string first = words.Word("a fact");
  if (first.find('/') != std::string::npos) return TellLink(driver, words, first);
  return absl::InvalidArgumentError(
      "'" + first +
      "' begins no fact; there are node, limit, seeds, remember, at, pause, "
      "app, dial, drain, ping, credentials, "
      "show, and links like beta/1");
}

absl::StatusOr<std::vector<std::vector<std::string>>> TellStory(const StoryText& story) {
  StoryDriver driver;
  std::vector<std::vector<std::string>> effects;
  for (const StoryBlock& block : story.blocks) {
    std::vector<std::string>& lines = effects.emplace_back();
    for (const StoryFact& fact : block.facts) {
      driver.TakeLines();
      absl::Status status = TellFact(driver, fact.text);
      if (status.ok()) status = driver.contract();
      if (!status.ok()) return StoryError(story.path, fact.line, std::string(status.message()));
      std::vector<std::string> shown = driver.TakeLines();
      if (!fact.given) lines.insert(lines.end(), shown.begin(), shown.end());
    }
  }
  return effects;
}

}  // namespace peermesh::node
