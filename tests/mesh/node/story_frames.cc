#include "tests/mesh/node/story_frames.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <variant>

#include "mesh/routing/interest.h"
#include "mesh/routing/subject.h"
#include "tests/mesh/node/story_large.h"
#include "tests/mesh/node/story_names.h"

namespace peermesh::node {
namespace {

// --- Control: what is shown ----------------------------------------------------------------------

std::string ShowInterest(const Interest& entry) {
  if (entry.block_ms == 0) return entry.pattern;
  return entry.pattern + " block " + ShowTime(std::chrono::milliseconds(entry.block_ms));
}

struct ControlText {
  const Cast& cast;
  using Parts = std::vector<std::string>;

  Parts operator()(const Heartbeat& beat) const {
    std::string text = "heartbeat " + std::to_string(beat.number);
    if (beat.echo != 0) {
      text += " echo " + std::to_string(beat.echo) + " delay " + ShowTime(beat.echo_delay);
    }
    constexpr std::string_view kHex = "0123456789abcdef";
    if (beat.asks) text += " asks";
    if (beat.table_hash != 0) text += " table " + ShowHash(beat.table_hash);
    text += ", interest " + std::to_string(beat.interest_generation) + " hash ";
    for (int shift = 12; shift >= 0; shift -= 4) text += kHex[beat.interest_hash >> shift & 15];
    return {text};
  }
  Parts operator()(const InterestSnapshot& frame) const {
    std::string text = "interest " + std::to_string(frame.generation);
    if (!(frame.first && frame.last))
      text += frame.first ? " first" : frame.last ? " last" : " next";
    text += ":";
    for (const Interest& entry : frame.entries) {
      text += (&entry == &frame.entries.front() ? " " : ", ") + ShowInterest(entry);
    }
    return {frame.entries.empty() ? text + " nothing" : text};
  }
  Parts operator()(const InterestDelta& frame) const {
    std::vector<std::string> changes;
    for (const Interest& entry : frame.add) changes.push_back("+" + ShowInterest(entry));
    for (const std::string& pattern : frame.remove) changes.push_back("-" + pattern);
    return {"change " + std::to_string(frame.generation) + ": " + Join(changes, ", ")};
  }
  Parts operator()(const InterestAck& frame) const {
    return {"ack " + std::to_string(frame.generation)};
  }
  Parts operator()(const InterestRequest&) const { return {"ask interest"}; }
  Parts operator()(const PeerRecords& frame) const {
    std::vector<std::string> records;
    for (const PeerRecord& record : frame.records) {
      std::string text = ShowPeer(record.id) + " " + std::to_string(record.incarnation);
      if (record.epoch != record.incarnation) text += " epoch " + std::to_string(record.epoch);
      for (const std::string& address : record.addresses) text += " at " + address;
      text += ShowObserved(cast, record.channels, record.observers, record.published);
      records.push_back(std::move(text));
    }
    return {(frame.news ? "news records " : "records ") + Join(records, ", ")};
  }
  Parts operator()(const PeerStates& frame) const {
    std::vector<std::string> beliefs;
    for (const PeerBelief& belief : frame.beliefs) {
      beliefs.push_back(ShowPeer(belief.id) + " " + std::to_string(belief.incarnation) +
                        (belief.left     ? " left"
                         : belief.silent ? " silent"
                         : belief.linked ? " linked"
                                         : " unlinked"));
    }
    return {"beliefs " + Join(beliefs, ", ")};
  }
  Parts operator()(const Goodbye& frame) const {
    return {"goodbye " + NameOf(kGoodbyeNames, frame.reason)};
  }
  Parts operator()(const LinkReady&) const { return {"ready"}; }
  // The rest is said in large meshes only.
  template <class Frame>
  Parts operator()(const Frame& frame) const {
    return {ShowFrame(cast, frame)};
  }
};

// --- Control: what is said -----------------------------------------------------------------------

Interest ReadInterest(Cast& cast, Words& words) {
  Interest entry{words.Word("a pattern"), 0};
  cast.Learn(entry.pattern);
  if (words.Take("block")) {
    entry.block_ms =
        static_cast<std::uint32_t>(words.Time("the time to block") / std::chrono::milliseconds(1));
  }
  return entry;
}

std::vector<Interest> ReadInterests(Cast& cast, Words& words) {
  std::vector<Interest> entries;
  words.Expect(":");
  if (words.Take("nothing")) return entries;
  do {
    entries.push_back(ReadInterest(cast, words));
  } while (words.Take(","));
  return entries;
}

Said ReadHeartbeat(Cast& cast, Words& words) {
  Heartbeat beat;
  bool given = false;
  if (ReadNumber(words.Peek())) beat.number = words.Number("the number of a heartbeat");
  if (words.Take("echo")) {
    beat.echo = words.Number("the number that is echoed");
    words.Expect("delay");
    beat.echo_delay = words.Time("how long it waited");
  }
  beat.asks = words.Take("asks");
  if (words.Take("table")) beat.table_hash = ReadHash(words);
  words.Take(",");
  if (words.Take("interest")) {
    given = true;
    beat.interest_generation = words.Number("a generation");
    beat.interest_hash = HashOf(ReadInterests(cast, words));
  }
  return {beat, given};
}

ControlFrame ReadSnapshot(Cast& cast, Words& words) {
  InterestSnapshot frame;
  frame.generation = words.Number("a generation");
  const bool first = words.Take("first"), next = words.Take("next"), last = words.Take("last");
  frame.first = first || (!next && !last);
  frame.last = last || (!next && !first);
  frame.entries = ReadInterests(cast, words);
  return frame;
}

ControlFrame ReadDelta(Cast& cast, Words& words) {
  InterestDelta frame;
  frame.generation = words.Number("a generation");
  words.Expect(":");
  do {
    Interest entry = ReadInterest(cast, words);
    const char sign = entry.pattern.empty() ? ' ' : entry.pattern.front();
    entry.pattern = entry.pattern.substr(entry.pattern.empty() ? 0 : 1);
    cast.Learn(entry.pattern);
    if (sign == '+') {
      frame.add.push_back(std::move(entry));
    } else if (sign == '-') {
      frame.remove.push_back(std::move(entry.pattern));
    } else {
      words.Fail("a change begins with + or -");
    }
  } while (words.Take(","));
  return frame;
}

ControlFrame ReadBeliefs(Words& words) {
  PeerStates frame;
  enum class View { kLinked, kUnlinked, kLeft, kSilent };
  constexpr std::array<Named<View>, 4> kViews = {{{"linked", View::kLinked},
                                                  {"unlinked", View::kUnlinked},
                                                  {"left", View::kLeft},
                                                  {"silent", View::kSilent}}};
  do {
    PeerBelief belief;
    belief.id = ReadPeer(words);
    belief.incarnation = words.Number("an incarnation");
    const View view = words.OneOf("a belief", kViews);
    belief.linked = view == View::kLinked || view == View::kSilent;
    belief.silent = view == View::kSilent;
    belief.left = view == View::kLeft;
    frame.beliefs.push_back(belief);
  } while (words.Take(","));
  return frame;
}

// --- Data ----------------------------------------------------------------------------------------

std::string ShowLost(std::uint64_t from, std::uint64_t to, LossReason reason) {
  return "lost " + ShowNumbers(from, to) + " " + ToString(reason);
}

std::string ShowRun(const Cast& cast, const flow::Run& run) {
  const std::string behind = run.behind > 0 ? " behind " + std::to_string(run.behind) : "";
  const std::string head = (run.mark ? "mark " : "") + cast.Channel(run.channel) + behind;
  if (run.first == run.next) return head + " next " + std::to_string(run.next);
  // The account, number by number.
  std::vector<std::string> pieces;
  std::uint64_t at = run.first + run.lost;
  if (run.lost > 0) pieces.push_back(ShowLost(run.first, at - 1, run.lost_reason));
  const auto skip_to = [&](std::uint64_t next) {
    if (at < next) pieces.push_back("skipped " + ShowNumbers(at, next - 1));
    at = next;
  };
  for (std::size_t i = 0; i < run.items.size();) {
    skip_to(run.items[i].sequence);
    std::size_t end = i + 1;
    while (end < run.items.size() && run.items[end].sequence == run.items[end - 1].sequence + 1) {
      ++end;
    }
    const std::vector<flow::Item> row(run.items.begin() + static_cast<std::ptrdiff_t>(i),
                                      run.items.begin() + static_cast<std::ptrdiff_t>(end));
    for (std::string& piece : ShowItems(run.batch, row)) pieces.push_back(std::move(piece));
    at = run.items[end - 1].sequence + 1;
    i = end;
  }
  skip_to(run.next);
  const bool plain = pieces.size() == 1 && !run.mark && run.behind == 0 && !run.items.empty();
  if (plain) return pieces.front();
  return head + " " + ShowNumbers(run.first, run.next - 1) + ": " + Join(pieces, ", ");
}

// The pieces after the colon of a whole account, for numbers from run.first.
void ReadPieces(Cast& cast, Words& words, flow::Run& run) {
  std::vector<Messages> messages;
  std::uint64_t at = run.first;
  const auto take = [&](Numbers numbers) {
    if (words.ok() && (numbers.from != at || numbers.to >= run.next)) {
      words.Fail("the account of " + ShowNumbers(run.first, run.next - 1) + " goes on at " +
                 std::to_string(at) + ", not with " + ShowNumbers(numbers.from, numbers.to));
    }
    at = numbers.to + 1;
  };
  do {
    if (words.Take("lost")) {
      const Numbers numbers = words.Range("the numbers lost");
      if (at != run.first) words.Fail("what is lost comes first in a run");
      take(numbers);
      run.lost = numbers.to - numbers.from + 1;
      run.lost_reason = words.OneOf("a reason of a loss", kLossNames);
    } else if (words.Take("skipped")) {
      take(words.Range("the numbers skipped"));
    } else {
      Messages some{words.Word("a subject"), 1, 0};
      const Numbers numbers = words.Range("the numbers of messages");
      take(numbers);
      some.count = numbers.to - numbers.from + 1;
      some.size = words.Size("the size of a message");
      for (std::uint64_t number = numbers.from; number <= numbers.to && words.ok(); ++number) {
        run.items.push_back({static_cast<std::uint32_t>(run.items.size()), number});
      }
      if (words.ok() &&
          (!IsValidSubject(some.subject) || routing::ChannelOf(some.subject) != run.channel)) {
        words.Fail("'" + some.subject + "' is no subject of channel " + cast.Channel(run.channel));
      }
      messages.push_back(std::move(some));
    }
  } while (words.Take(","));
  if (words.ok() && at != run.next) words.Fail("nobody says what became of " + std::to_string(at));
  if (words.ok() && !messages.empty()) run.batch = MakeBatch(messages);
}

flow::Run ReadRun(Cast& cast, Words& words) {
  flow::Run run;
  run.mark = words.Take("mark");
  // "news.a 1..3 100B": the short form names a subject and is followed by a size.
  if (!run.mark && ReadSize(words.Peek(2))) {
    const std::string subject(words.Peek());
    if (!IsValidSubject(subject)) words.Fail("'" + subject + "' is no subject");
    if (!words.ok()) return run;
    cast.Learn(subject);
    run.channel = routing::ChannelOf(subject);
    if (const auto numbers = ReadNumbers(words.Peek(1))) {
      run.first = numbers->from;
      run.next = numbers->to + 1;
    }
    ReadPieces(cast, words, run);
    return run;
  }
  run.channel = cast.ReadChannel(words);
  if (words.Take("behind")) run.behind = words.Number("a number that was broadcast");
  if (words.Take("next")) {
    run.first = run.next = words.Number("the number that comes next");
    if (run.first == 0) words.Fail("numbers begin at 1");
    return run;
  }
  const Numbers numbers = words.Range("the numbers of a run");
  run.first = numbers.from;
  run.next = numbers.to + 1;
  words.Expect(":");
  if (words.ok()) ReadPieces(cast, words, run);
  return run;
}

}  // namespace

std::vector<std::string> ShowControl(const Cast& cast, const ControlFrame& frame) {
  return std::visit(ControlText{cast}, frame);
}

Said ReadControl(Cast& cast, Words& words) {
  if (words.Take("heartbeat")) return ReadHeartbeat(cast, words);
  if (words.Take("interest")) return {ReadSnapshot(cast, words)};
  if (words.Take("change")) return {ReadDelta(cast, words)};
  if (words.Take("ack")) return {InterestAck{words.Number("a generation")}};
  if (words.Take("ready")) return {LinkReady{}};
  if (words.Take("beliefs")) return {ReadBeliefs(words)};
  if (words.Take("goodbye")) {
    Goodbye frame;
    frame.reason = words.OneOf("a kind of goodbye", kGoodbyeNames);
    return {std::move(frame)};
  }
  if (words.Take("ask")) {
    words.Expect("interest");
    return {InterestRequest{}};
  }
  const bool news = words.Take("news");
  if (news || words.Take("records")) {
    PeerRecords frame{.news = news};
    if (news) words.Expect("records");
    do {
      frame.records.push_back(ReadRecord(cast, words));
    } while (words.Take(","));
    return {std::move(frame)};
  }
  if (auto frame = ReadLargeFrame(cast, words)) return {*std::move(frame)};
  words.Fail("'" + std::string(words.Peek()) +
             "' is nothing a peer says; there are heartbeat, interest, change, ack, ask, records, "
             "beliefs, goodbye, ready, statements, hashes, rows, want, join, forward, neighbor, "
             "disconnect, shuffle, have, graft, prune, positions");
  return {LinkReady{}};
}

PeerRecord ReadRecord(Cast& cast, Words& words) {
  PeerRecord record;
  record.id = ReadPeer(words);
  record.name = ShowPeer(record.id);
  record.incarnation = record.epoch = words.Number("an incarnation");
  if (words.Take("epoch")) record.epoch = words.Number("an epoch");
  while (words.Take("at")) record.addresses.push_back(words.Word("an address"));
  if (record.addresses.size() > kMaxAddressesPerPeer)
    words.Fail("a record has 8 addresses at most");
  ReadObserved(cast, words, record);
  record.encoded = "record of " + record.name;
  return record;
}

std::uint64_t HashOf(const std::vector<Interest>& entries) {
  std::uint64_t hash = 0;
  for (const Interest& entry : entries)
    hash += routing::InterestShare(entry.pattern, entry.block_ms);
  return hash;
}

std::vector<std::string> ShowData(const Cast& cast, const DataFrame& frame) {
  std::vector<std::string> parts;
  std::size_t idle = 0;
  for (const flow::Run& run : frame.runs) {
    if (run.mark && run.first == 1 && run.next == 1) {
      ++idle;
    } else {
      parts.push_back(ShowRun(cast, run));
    }
  }
  if (idle > 0) {
    parts.insert(parts.begin(), "marks of " + std::to_string(idle) + " idle channels");
  }
  for (const Relayed& relayed : frame.relayed) {
    const std::string hops = relayed.hops == 1 ? "" : " hops " + std::to_string(relayed.hops);
    parts.push_back("relayed " + ShowPiece(*relayed.piece, hops));
  }
  if (frame.end) parts.emplace_back("end");
  return parts;
}

DataFrame ReadData(Cast& cast, Words& words) {
  DataFrame frame;
  do {
    if (words.Take("end")) {
      frame.end = true;
      break;
    }
    if (words.Take("relayed")) {
      frame.relayed.push_back(ReadRelayed(cast, words));
      continue;
    }
    if (!frame.relayed.empty()) words.Fail("what is relayed comes behind the runs");
    frame.runs.push_back(ReadRun(cast, words));
    if (words.ok() && !frame.runs.back().IsWellFormed()) words.Fail("no peer may send such a run");
  } while (words.Take(";"));
  return frame;
}

std::vector<std::string> ShowItems(const BatchRef& batch, const std::vector<flow::Item>& items,
                                   const std::vector<std::string>& marks) {
  std::vector<std::string> pieces;
  for (std::size_t i = 0; i < items.size();) {
    const Row& row = batch->rows[items[i].row];
    const std::string mark = marks.empty() ? "" : " " + marks[i];
    std::size_t end = i + 1;
    for (; end < items.size(); ++end) {
      const Row& other = batch->rows[items[end].row];
      if (items[end].sequence != items[end - 1].sequence + 1 ||
          batch->subject(other) != batch->subject(row) ||
          other.record_length != row.record_length || (!marks.empty() && marks[end] != marks[i])) {
        break;
      }
    }
    pieces.push_back(std::string(batch->subject(row)) + " " +
                     ShowNumbers(items[i].sequence, items[end - 1].sequence) + " " +
                     ShowSize(row.record_length) + mark);
    i = end;
  }
  return pieces;
}

}  // namespace peermesh::node
