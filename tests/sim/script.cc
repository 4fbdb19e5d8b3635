#include "tests/sim/script.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>

namespace peermesh::sim {
namespace {

const std::map<std::string, Deed, std::less<>> kDeeds = {
    {"start", Deed::kStart},     {"kill", Deed::kKill},   {"off", Deed::kOff},
    {"restart", Deed::kRestart}, {"pause", Deed::kPause}, {"continue", Deed::kContinue},
    {"renew", Deed::kRenew},     {"drain", Deed::kDrain},
};
const std::vector<std::string> kTroubles = {"kill", "off",   "restart", "pause",   "partition",
                                            "heal", "break", "renew",   "one-way", "reader"};
const std::vector<std::string> kStates = {"suspect", "dead", "left", "unreachable", "alive"};
const std::vector<std::string> kOverflows = {"gap", "block", "close", "any"};

constexpr std::uint64_t kAllReaders = 1'000'000'000;
constexpr std::uint64_t kMostPeers = 20'000;

// The words of one line, taken from the front; the first thing wrong is kept and all else is moot.
class Words {
 public:
  explicit Words(const std::string& line) {
    std::istringstream words(line);
    for (std::string word; words >> word;) words_.push_back(word);
  }

  bool empty() const { return at_ == words_.size(); }
  std::string peek() const { return empty() ? "" : words_[at_]; }
  std::string Take(const char* what) {
    if (empty()) {
      Wrong(std::string(what) + " is missing");
      return "";
    }
    return words_[at_++];
  }
  bool TakeIf(std::string_view word) {
    if (peek() != word) return false;
    ++at_;
    return true;
  }
  void Expect(const std::string& word) {
    if (!TakeIf(word))
      Wrong("'" + word + "' is missing" + (empty() ? "" : " before '" + peek() + "'"));
  }
  void Wrong(std::string what) {
    if (!wrong_) wrong_ = std::move(what);
  }
  const std::optional<std::string>& wrong() const { return wrong_; }

  Count TakeCount(const char* what, std::string_view suffix = "") {
    std::string word = Take(what);
    if (!suffix.empty()) {
      if (!word.ends_with(suffix))
        Wrong(std::string(what) + " must end with " + std::string(suffix));
      word.resize(word.size() - std::min(word.size(), suffix.size()));
    }
    const auto [first, second] = Ends(word);
    const Count count{Number(first, what), Number(second, what)};
    if (count.from > count.to) Wrong("'" + word + "' ends before it begins");
    return count;
  }
  Span TakeSpan(const char* what) {
    const std::string word = Take(what);
    const auto [first, second] = Ends(word);
    const Span span{Time(first, what), Time(second, what)};
    if (span.from > span.to) Wrong("'" + word + "' ends before it begins");
    return span;
  }
  Duration TakeDuration(const char* what) { return Time(Take(what), what); }

  // all | any | N any | 3 | 0-15 | 0,4,8-9
  Who TakeWho() {
    Who who;
    if (TakeIf("all")) {
      who.all = true;
      return who;
    }
    if (TakeIf("any")) {
      who.any = {1, 1};
      return who;
    }
    if (at_ + 1 < words_.size() && words_[at_ + 1] == "any") {
      who.any = TakeCount("how many");
      Take("any");
      if (who.any.from == 0) Wrong("at least 1 any");
      return who;
    }
    std::istringstream parts(Take("which peers"));
    for (std::string part; std::getline(parts, part, ',');) {
      const auto dash = part.find('-');
      const std::size_t first = Number(part.substr(0, dash), "a peer");
      const std::size_t last =
          dash == std::string::npos ? first : Number(part.substr(dash + 1), "a peer");
      if (first > last) Wrong("'" + part + "' ends before it begins");
      who.listed.emplace_back(first, last);
    }
    return who;
  }

 private:
  static std::pair<std::string, std::string> Ends(const std::string& word) {
    const auto dots = word.find("..");
    if (dots == std::string::npos) return {word, word};
    return {word.substr(0, dots), word.substr(dots + 2)};
  }
  std::uint64_t Number(const std::string& word, const char* what) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    std::uint64_t unit = 1;
    if (end == word.data() + word.size() - 1)
      unit = *end == 'k' ? 1'000 : *end == 'M' ? 1'000'000 : 0;
    if (error != std::errc() || (end != word.data() + word.size() && unit <= 1)) {
      Wrong(std::string(what) + " is not a number: '" + word + "'");
    }
    return number * unit;
  }
  Duration Time(const std::string& word, const char* what) {
    static const std::map<std::string, std::int64_t> units = {
        {"us", 1}, {"ms", 1'000}, {"s", 1'000'000}, {"min", 60'000'000}, {"h", 3'600'000'000}};
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    const auto unit = units.find(std::string(end, word.data() + word.size()));
    if (error != std::errc() || number < 0 || unit == units.end()) {
      Wrong(std::string(what) + " is not a time such as 500ms or 3s: '" + word + "'");
      return {};
    }
    return Duration(number * unit->second);
  }

  std::vector<std::string> words_;
  std::size_t at_ = 0;
  std::optional<std::string> wrong_;
};

std::string Listed(const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : ", ") + word;
  return all;
}

// What nodes allow: `limit 500 messages/s`, `limit 1MB/s`, `limit peers 1MB/s`.
void ParseLimit(Words& words, Script& script) {
  if (words.TakeIf("peers")) {
    script.peer_limit_bytes = words.TakeCount("bytes a second", "B/s");
  } else if (words.peek().ends_with("B/s")) {
    script.limit_bytes = words.TakeCount("bytes a second", "B/s");
  } else {
    script.limit_messages = words.TakeCount("messages a second");
    words.Expect("messages/s");
  }
}

// Settings of the world. False if `verb` is none of them.
bool ParseSetting(const std::string& verb, Words& words, Script& script) {
  if (verb == "peers") {
    script.peers = words.TakeCount("how many peers");
    if (script.peers.from == 0 || script.peers.to > kMostPeers) words.Wrong("peers: 1 to 20000");
  } else if (verb == "seeds") {
    script.seeds = words.TakeCount("how many seeds");
    if (script.seeds.from == 0) words.Wrong("seeds: at least 1");
  } else if (verb == "latency") {
    script.latency = words.TakeSpan("the latency");
    if (words.TakeIf("jitter")) script.jitter = words.TakeSpan("the jitter");
  } else if (verb == "bandwidth") {
    script.bytes_per_second = words.TakeCount("bytes a second", "B/s");
  } else if (verb == "window") {
    script.window = words.TakeCount("the window", "B");
  } else if (verb == "disk") {
    script.disk = words.TakeSpan("the longest write");
  } else if (verb == "stall") {
    script.stall = words.TakeSpan("the longest stall");
    words.Expect("every");
    script.stall_every = words.TakeSpan("how often");
    if (script.stall_every.from == Duration{}) words.Wrong("stalls without a pause have no end");
  } else if (verb == "limit") {
    ParseLimit(words, script);
  } else {
    return false;
  }
  if (!script.steps.empty())
    words.Wrong("'" + verb + "' belongs before the first thing that happens");
  return true;
}

Load ParseLoad(Words& words) {
  Load load;
  load.per_second = words.TakeCount("messages a second", "/s");
  while (!words.empty() && !words.wrong()) {
    if (words.TakeIf("size")) {
      load.size = words.TakeCount("the size");
    } else if (words.TakeIf("subjects")) {
      load.subjects = words.TakeCount("how many subjects");
      if (load.subjects.from == 0) words.Wrong("subjects: at least 1");
    } else {
      words.Wrong("after a load: size, subjects; not '" + words.peek() + "'");
    }
  }
  return load;
}

Readers ParseReaders(Words& words) {
  Readers readers;
  readers.each = words.TakeCount("how many readers on each peer");
  while (!words.empty() && !words.wrong()) {
    if (words.TakeIf("everything")) {
      readers.everything = {kAllReaders, kAllReaders};
      const std::string next = words.peek();
      if (!next.empty() && next[0] >= '0' && next[0] <= '9') {
        readers.everything = words.TakeCount("how many want everything");
      }
    } else if (words.TakeIf("slow")) {
      readers.slow = words.TakeCount("how many slow readers");
    } else if (words.TakeIf("pace")) {
      readers.pace = words.TakeCount("the pace", "B/s");
      if (readers.pace.from == 0) words.Wrong("a pace is at least 1B/s");
    } else if (words.TakeIf("overflow")) {
      readers.overflow = words.Take("what happens then");
      if (std::find(kOverflows.begin(), kOverflows.end(), readers.overflow) == kOverflows.end()) {
        words.Wrong("an overflow is " + Listed(kOverflows) + "; not '" + readers.overflow + "'");
      }
    } else {
      words.Wrong("after readers: everything, slow, pace, overflow; not '" + words.peek() + "'");
    }
  }
  return readers;
}

Trouble ParseTrouble(Words& words) {
  Trouble trouble;
  trouble.span = words.TakeSpan("how long");
  words.Expect("every");
  trouble.every = words.TakeSpan("how often");
  while (!words.empty() && !words.wrong()) {
    trouble.kinds.push_back(words.Take("a kind of trouble"));
    if (std::find(kTroubles.begin(), kTroubles.end(), trouble.kinds.back()) == kTroubles.end()) {
      words.Wrong("trouble is one of " + Listed(kTroubles) + "; not '" + trouble.kinds.back() +
                  "'");
    }
  }
  if (trouble.kinds.empty()) words.Wrong("trouble of which kind? " + Listed(kTroubles));
  if (trouble.every.to == Duration{}) words.Wrong("trouble without a pause has no end");
  return trouble;
}

decltype(Step::what) ParseExpect(Words& words) {
  if (words.TakeIf("whole")) {
    words.Expect("within");
    return ExpectWhole{words.TakeDuration("the bound")};
  }
  ExpectSeen seen;
  seen.who = words.TakeWho();
  words.Expect("seen");
  seen.state = words.Take("the state");
  if (std::find(kStates.begin(), kStates.end(), seen.state) == kStates.end()) {
    words.Wrong("a peer is seen " + Listed(kStates) + "; not '" + seen.state + "'");
  }
  words.Expect("within");
  seen.within = words.TakeDuration("the bound");
  return seen;
}

decltype(Step::what) ParseStep(const std::string& verb, Words& words) {
  if (const auto deed = kDeeds.find(verb); deed != kDeeds.end()) {
    const Who who = words.TakeWho();
    if (!words.TakeIf("every")) return DoTo{deed->second, who};
    return DoInTurn{deed->second, who, words.TakeSpan("how often")};
  }
  if (verb == "partition") {
    Partition partition{.who = words.TakeWho()};
    partition.one_way = words.TakeIf("one-way");
    return partition;
  }
  if (verb == "heal") return HealAll{};
  if (verb == "break") return BreakBetween{words.TakeWho()};
  if (verb == "load") return ParseLoad(words);
  if (verb == "readers") return ParseReaders(words);
  if (verb == "wait") return Wait{words.TakeSpan("how long")};
  if (verb == "expect") return ParseExpect(words);
  if (verb == "trouble") return ParseTrouble(words);
  if (verb == "settle") return Settle{words.TakeSpan("how long")};
  words.Wrong("unknown word '" + verb + "'");
  return HealAll{};
}

}  // namespace

absl::StatusOr<Span> ParseSpan(const std::string& text) {
  Words words(text);
  const Span span = words.TakeSpan("the time");
  if (words.wrong()) return absl::InvalidArgumentError(*words.wrong());
  return span;
}

absl::StatusOr<Script> ParseScript(const std::string& name, const std::string& text) {
  Script script;
  script.name = name;
  std::istringstream lines(text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const auto hash = line.find('#');
    if (hash != std::string::npos) {
      const auto begin = line.find_first_not_of("# ", hash);
      if (script.title.empty() && begin != std::string::npos) script.title = line.substr(begin);
      line.resize(hash);
    }
    Words words(line);
    if (words.empty()) continue;
    const std::string verb = words.Take("a word");
    if (!ParseSetting(verb, words, script))
      script.steps.push_back({number, ParseStep(verb, words)});
    if (!words.empty()) words.Wrong("'" + words.peek() + "' was not expected");
    if (words.wrong()) {
      return absl::InvalidArgumentError(name + ":" + std::to_string(number) + ": " +
                                        *words.wrong());
    }
  }
  if (script.steps.empty()) return absl::InvalidArgumentError(name + ": nothing happens in it");
  return script;
}

absl::StatusOr<Script> ReadScript(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(path + ": cannot be read");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return ParseScript(path, text);
}

}  // namespace peermesh::sim
