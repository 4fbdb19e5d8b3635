#include "tests/sim/experiment/plan.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "tests/sim/experiment/words.h"

namespace peermesh::sim::experiment {
namespace {

constexpr std::uint64_t kMostPeers = 20'000;

std::string TakeAs(Words& words) { return words.TakeIf("as") ? words.Take("a name") : ""; }

void ParseShape(Words& words, node::Shape& shape) {
  while (!words.empty() && !words.wrong()) {
    if (words.TakeIf("full-mesh")) {
      shape.full_mesh_peers = words.TakeCount("peers of the full mesh");
    } else if (words.TakeIf("active")) {
      shape.active = words.TakeAtLeastOne("the active view");
    } else if (words.TakeIf("passive")) {
      shape.passive = words.TakeAtLeastOne("the passive view");
    } else if (words.TakeIf("table")) {
      shape.table_peers = words.TakeAtLeastOne("the member table");
    } else if (words.TakeIf("parents")) {
      shape.eager_parents = words.TakeAtLeastOne("eager parents");
    } else if (words.TakeIf("shuffle")) {
      shape.shuffle_every = words.TakePositive("the time between shuffles");
    } else {
      words.Wrong("a shape has full-mesh, active, passive, table, parents, shuffle; not '" +
                  words.peek() + "'");
    }
  }
}

// Settings of the world. False if `verb` is none of them.
bool ParseSetting(const std::string& verb, Words& words, Plan& plan) {
  if (verb == "peers") {
    plan.peers = words.TakeCount("how many peers");
    if (plan.peers < 2 || plan.peers > kMostPeers) words.Wrong("peers: 2 to 20000");
  } else if (verb == "shape") {
    ParseShape(words, plan.shape);
  } else if (verb == "latency") {
    plan.latency = words.TakeSpan("the latency");
    if (words.TakeIf("jitter")) plan.jitter = words.TakeTime("the jitter");
  } else {
    return false;
  }
  if (!plan.deeds.empty())
    words.Wrong("'" + verb + "' belongs before the first thing that happens");
  return true;
}

Join ParseJoin(Words& words) {
  Join join;
  if (words.PeeksNumber()) join.count = words.TakeAtLeastOne("how many peers");
  if (words.TakeIf("every")) {
    join.every = words.TakeTime("how often");
  } else if (words.TakeIf("within")) {
    join.within = words.TakeTime("the time for all");
  } else {
    words.Wrong("peers join 'every' or 'within' some time");
  }
  if (words.TakeIf("through")) {
    join.seeds = words.TakeAtLeastOne("how many seeds");
    if (!words.TakeIf("seed")) words.Expect("seeds");
  }
  return join;
}

Measure ParseMeasure(Words& words) {
  Measure measure;
  if (words.TakeIf("graph")) {
    measure.what = Measured::kGraph;
  } else if (words.TakeIf("memory")) {
    measure.what = Measured::kMemory;
  } else if (words.TakeIf("traffic")) {
    measure.what = Measured::kTraffic;
    measure.span = words.TakePositive("how long");
  } else if (words.TakeIf("speed")) {
    measure.what = Measured::kSpeed;
    measure.span = words.TakePositive("how long");
  } else {
    words.Wrong("what is measured is graph, memory, traffic, speed; not '" + words.peek() + "'");
  }
  measure.as = TakeAs(words);
  return measure;
}

// 50% | 10 | 10 any | 10 busiest
Victims TakeVictims(Words& words) {
  Victims victims;
  if (words.PeeksShare()) {
    victims.share = words.TakeShare("how many peers");
  } else {
    victims.count = words.TakeAtLeastOne("how many peers");
  }
  victims.busiest = words.TakeIf("busiest");
  if (!victims.busiest) words.TakeIf("any");
  return victims;
}

Broadcast ParseBroadcast(Words& words) {
  Broadcast broadcast;
  words.Expect("every");
  broadcast.every = words.TakePositive("how often");
  words.Expect("for");
  broadcast.rounds = words.TakeAtLeastOne("how many rounds");
  if (!words.TakeIf("round")) words.Expect("rounds");
  while (!words.empty() && !words.wrong()) {
    if (words.TakeIf("size")) {
      broadcast.bytes = words.TakeAtLeastOne("the size");
    } else if (words.TakeIf("warm-up")) {
      broadcast.warm_up = words.TakeCount("rounds to warm up");
    } else if (words.TakeIf("within")) {
      broadcast.within = words.TakePositive("the time to arrive");
    } else if (words.TakeIf("from")) {
      broadcast.from_any = words.TakeIf("any");
      if (!broadcast.from_any) words.Expect("one");
    } else if (words.peek() == "as") {
      broadcast.as = TakeAs(words);
    } else {
      words.Wrong("after a broadcast: size, warm-up, within, from, as; not '" + words.peek() + "'");
    }
  }
  if (broadcast.warm_up >= broadcast.rounds) words.Wrong("all rounds are warm-up");
  return broadcast;
}

Crashes ParseCrashes(Words& words) {
  Crashes crashes;
  crashes.count = words.TakeAtLeastOne("how many peers");
  words.Expect("every");
  crashes.every = words.TakePositive("how often");
  while (!words.empty() && !words.wrong()) {
    if (words.TakeIf("reset")) {
      crashes.manner = Manner::kReset;
    } else if (words.TakeIf("silent")) {
      crashes.manner = Manner::kSilent;
    } else if (words.TakeIf("within")) {
      crashes.within = words.TakePositive("the bound");
    } else if (words.peek() == "as") {
      crashes.as = TakeAs(words);
    } else {
      words.Wrong("after crashes: silent, reset, within, as; not '" + words.peek() + "'");
    }
  }
  return crashes;
}

Grey ParseGrey(Words& words) {
  Grey grey;
  if (words.TakeIf("one-way")) {
    grey.how = Greyness::kOneWay;
    grey.share = words.TakeShare("how many peers");
    words.Expect("every");
    grey.turns = words.TakePositive("how often");
  } else if (words.TakeIf("lossy")) {
    grey.how = Greyness::kLossy;
    grey.share = words.TakeShare("how many peers");
    words.Expect("loss");
    grey.loss = words.TakeShare("how much is lost");
  } else if (words.TakeIf("pair")) {
    grey.how = Greyness::kPair;
  } else {
    words.Wrong("grey is one-way, lossy or a pair; not '" + words.peek() + "'");
  }
  words.Expect("for");
  grey.length = words.TakePositive("how long");
  return grey;
}

Split ParseSplit(Words& words) {
  Split split;
  split.share = words.TakeShare("how many peers");
  words.Expect("for");
  split.length = words.TakePositive("how long");
  words.Expect("heal");
  words.Expect("within");
  split.within = words.TakePositive("the bound");
  return split;
}

decltype(Deed::what) ParseDeed(const std::string& verb, Words& words) {
  if (verb == "join") return ParseJoin(words);
  if (verb == "wait") return Rest{words.TakePositive("how long")};
  if (verb == "measure") return ParseMeasure(words);
  if (verb == "vanish") return Fail{TakeVictims(words), Manner::kSilent};
  if (verb == "kill") return Fail{TakeVictims(words), Manner::kReset};
  if (verb == "broadcast") return ParseBroadcast(words);
  if (verb == "crash") return ParseCrashes(words);
  if (verb == "grey") return ParseGrey(words);
  if (verb == "split") return ParseSplit(words);
  if (verb == "watch") {
    words.Expect("contact");
    return WatchContact{};
  }
  if (verb == "pause") {
    Pauses pauses;
    pauses.members = words.TakeAtLeastOne("how many peers");
    words.Expect("for");
    pauses.length = words.TakePositive("how long");
    return pauses;
  }
  if (verb == "load") {
    Offered load;
    std::string rate = words.Take("messages a second");
    if (!rate.ends_with("/s")) words.Wrong("messages a second must end with /s");
    rate.resize(rate.size() - std::min<std::size_t>(rate.size(), 2));
    Words number(rate);
    load.per_second = number.TakeCount("messages a second");
    if (number.wrong()) words.Wrong(*number.wrong());
    if (words.TakeIf("size")) load.bytes = words.TakeAtLeastOne("the size");
    return load;
  }
  if (verb == "balance") {
    words.Expect("after");
    return Balance{words.TakePositive("how long")};
  }
  words.Wrong("unknown word '" + verb + "'");
  return Rest{};
}

std::optional<Bound> ParseBound(const std::string& verb, Words& words, int line,
                                const std::string& text) {
  Bound bound;
  bound.line = line;
  if (verb == "each") {
    bound.of = Of::kEach;
  } else if (verb == "mean") {
    bound.of = Of::kMean;
  } else if (verb == "total") {
    bound.of = Of::kTotal;
  } else {
    return std::nullopt;
  }
  bound.figure = words.Take("a figure");
  std::tie(bound.least, bound.most) = words.TakeRange("what it must be");
  if (words.TakeIf("of")) bound.times = words.Take("a figure");
  if (words.TakeIf("at")) bound.at = words.Take("a case");
  const auto after = text.find(bound.figure) + bound.figure.size();
  const auto begin = text.find_first_not_of(' ', after);
  if (begin != std::string::npos) {
    bound.text = text.substr(begin, text.find(" at " + bound.at, begin) - begin);
    if (bound.at.empty()) bound.text = text.substr(begin);
    bound.text.erase(bound.text.find_last_not_of(' ') + 1);
  }
  return bound;
}

std::vector<std::string> SplitAtCommas(const std::string& word) {
  std::vector<std::string> parts;
  std::istringstream stream(word);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

// What stands for `$word` in each case.
struct Cases {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> values;

  void Parse(Words& words) {
    names = SplitAtCommas(words.Take("what differs between the cases"));
    std::set<std::string> known;
    while (!words.empty() && !words.wrong()) {
      values.push_back(SplitAtCommas(words.Take("a case")));
      for (std::string& value : values.back()) std::replace(value.begin(), value.end(), '_', ' ');
      if (values.back().size() != names.size()) {
        words.Wrong("each case has as many values as there are names: " +
                    std::to_string(names.size()));
      } else if (!known.insert(values.back().front()).second) {
        words.Wrong("two cases begin with '" + values.back().front() + "'");
      }
    }
    if (values.empty()) words.Wrong("a case is missing");
  }

  // The longest name first, so that $peers is not taken for $peer.
  std::string Replace(std::string line, std::size_t which,
                      std::optional<std::string>& wrong) const {
    for (auto at = line.find('$'); at != std::string::npos; at = line.find('$', at + 1)) {
      std::size_t best = names.size();
      for (std::size_t i = 0; i < names.size(); ++i) {
        if (line.compare(at + 1, names[i].size(), names[i]) != 0) continue;
        if (best == names.size() || names[i].size() > names[best].size()) best = i;
      }
      if (best == names.size()) {
        wrong = "no case gives '" + line.substr(at, line.find(' ', at) - at) + "'";
        return line;
      }
      line.replace(at, 1 + names[best].size(), values[which][best]);
    }
    return line;
  }
};

struct Line {
  int number = 0;
  std::string text;
};

std::string At(const std::string& name, int line, const std::string& what) {
  return name + ":" + std::to_string(line) + ": " + what;
}

// The lines without comments and without `cases`.
absl::StatusOr<std::vector<Line>> Read(const std::string& text, Experiment& experiment,
                                       Cases& cases) {
  std::vector<Line> lines;
  std::istringstream stream(text);
  int number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    if (const auto hash = line.find('#'); hash != std::string::npos) {
      const auto begin = line.find_first_not_of("# ", hash);
      if (experiment.title.empty() && begin != std::string::npos) {
        experiment.title = line.substr(begin);
      }
      line.resize(hash);
    }
    Words words(line);
    if (!words.TakeIf("cases")) {
      if (!words.empty()) lines.push_back({number, line});
      continue;
    }
    if (!lines.empty()) words.Wrong("'cases' belongs before all else");
    cases.Parse(words);
    if (words.wrong()) {
      return absl::InvalidArgumentError(At(experiment.name, number, *words.wrong()));
    }
  }
  return lines;
}

absl::Status ParseCase(const std::vector<Line>& lines, const Cases& cases, std::size_t which,
                       Experiment& experiment) {
  Plan plan;
  if (!cases.values.empty()) plan.name = cases.values[which].front();
  for (const auto& [number, text] : lines) {
    std::optional<std::string> wrong;
    const std::string line = cases.Replace(text, which, wrong);
    Words words(line);
    if (wrong) words.Wrong(*wrong);
    const std::string verb = words.Take("a word");
    if (auto bound = ParseBound(verb, words, number, line)) {
      if (which == 0) experiment.bounds.push_back(*std::move(bound));
    } else if (!ParseSetting(verb, words, plan)) {
      plan.deeds.push_back({number, ParseDeed(verb, words)});
    }
    if (!words.empty()) words.Wrong("'" + words.peek() + "' was not expected");
    if (words.wrong())
      return absl::InvalidArgumentError(At(experiment.name, number, *words.wrong()));
  }
  if (plan.deeds.empty()) {
    return absl::InvalidArgumentError(experiment.name + ": nothing happens in it");
  }
  if (plan.peers == 0) {
    return absl::InvalidArgumentError(experiment.name + ": 'peers' is missing");
  }
  experiment.plans.push_back(std::move(plan));
  return absl::OkStatus();
}

}  // namespace

bool IsOf(std::string_view plan, std::string_view at) {
  if (at.empty() || plan == at) return true;
  return plan.starts_with(at) && plan[at.size()] == '-';
}

absl::StatusOr<Experiment> ParseExperiment(const std::string& name, const std::string& text) {
  Experiment experiment;
  experiment.name = name;
  Cases cases;
  const auto lines = Read(text, experiment, cases);
  if (!lines.ok()) return lines.status();
  for (std::size_t which = 0; which < std::max<std::size_t>(cases.values.size(), 1); ++which) {
    if (const auto status = ParseCase(*lines, cases, which, experiment); !status.ok()) {
      return status;
    }
  }
  for (const Bound& bound : experiment.bounds) {
    const auto begins = [&](const Plan& plan) { return IsOf(plan.name, bound.at); };
    if (std::none_of(experiment.plans.begin(), experiment.plans.end(), begins)) {
      return absl::InvalidArgumentError(At(name, bound.line, "no case is '" + bound.at + "'"));
    }
  }
  return experiment;
}

absl::StatusOr<Experiment> ReadExperiment(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(path + ": cannot be read");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return ParseExperiment(path, text);
}

}  // namespace peermesh::sim::experiment
