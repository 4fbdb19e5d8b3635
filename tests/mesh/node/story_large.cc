#include "tests/mesh/node/story_large.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <utility>
#include <variant>

#include "mesh/routing/subject.h"
#include "tests/mesh/node/story_frames.h"
#include "tests/mesh/node/story_names.h"

namespace peermesh::node {
namespace {

using broadcast::Range;

// --- Lists within one word: "beta+gamma" ---------------------------------------------------------

std::vector<std::string> Split(const std::string& word) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  for (std::size_t end; (end = word.find('+', start)) != std::string::npos; start = end + 1) {
    parts.push_back(word.substr(start, end - start));
  }
  parts.push_back(word.substr(start));
  return parts;
}

// Reads one word as several; what is wrong with one of them is wrong with the line.
template <class Read>
void ReadEach(Words& words, std::string_view what, Read read) {
  for (const std::string& part : Split(words.Word(what))) {
    if (!words.ok()) return;
    Words one(part);
    read(one);
    if (const absl::Status status = one.Finish(); !status.ok()) {
      words.Fail(std::string(status.message()));
    }
  }
}

std::string ShowPeers(const std::vector<PeerId>& peers) {
  std::vector<std::string> names;
  for (const PeerId& peer : peers) names.push_back(ShowPeer(peer));
  return names.empty() ? "nobody" : Join(names, "+");
}

std::vector<PeerId> ReadPeers(Words& words) {
  std::vector<PeerId> peers;
  if (words.Take("nobody")) return peers;
  ReadEach(words, "names of peers", [&](Words& one) { peers.push_back(ReadPeer(one)); });
  return peers;
}

std::string ShowChannels(const Cast& cast, std::uint64_t channels) {
  if (channels == 0) return "none";
  if (channels == ~std::uint64_t{0}) return "all";
  std::vector<std::string> names;
  for (std::uint32_t channel = 0; channel < kChannels; ++channel) {
    if ((channels >> channel & 1) != 0) names.push_back(cast.Channel(channel));
  }
  return Join(names, "+");
}

std::uint64_t ReadChannels(Cast& cast, Words& words) {
  if (words.Take("none")) return 0;
  if (words.Take("all")) return ~std::uint64_t{0};
  std::uint64_t channels = 0;
  ReadEach(words, "names of channels",
           [&](Words& one) { channels |= std::uint64_t{1} << cast.ReadChannel(one); });
  return channels;
}

// Parts of a table by the first letter of whom they hold; "#1f" if there is none.
std::string ShowPart(std::uint8_t part) {
  if (part >= 'a' && part <= 'z') return {static_cast<char>(part)};
  constexpr std::string_view kHex = "0123456789abcdef";
  return {'#', kHex[part >> 4], kHex[part & 15]};
}

std::uint8_t ReadPart(Words& words) {
  const std::string word = words.Word("a part of a table");
  if (word.size() == 1 && word[0] >= 'a' && word[0] <= 'z') {
    return static_cast<std::uint8_t>(word[0]);
  }
  std::uint8_t part = 0;
  const char* const end = word.data() + word.size();
  if (word.size() != 3 || word[0] != '#' ||
      std::from_chars(word.data() + 1, end, part, 16).ptr != end) {
    words.Fail("'" + word + "' is no part of a table: a letter, or two digits like #1f");
  }
  return part;
}

// --- Ranges --------------------------------------------------------------------------------------

std::string ShowRange(const Cast& cast, const Range& range) {
  std::string text = ShowPeer(range.stream.origin) + " " + std::to_string(range.stream.epoch) +
                     " " + cast.Channel(range.stream.channel) + " ";
  text += range.first == range.next ? "next " + std::to_string(range.next)
                                    : ShowNumbers(range.first, range.next - 1);
  return range.hops == 0 ? text : text + " hops " + std::to_string(range.hops);
}

std::string ShowRanges(const Cast& cast, const std::vector<Range>& ranges) {
  std::vector<std::string> parts;
  for (const Range& range : ranges) parts.push_back(ShowRange(cast, range));
  return parts.empty() ? "nothing" : Join(parts, ", ");
}

std::vector<Range> ReadRanges(Cast& cast, Words& words) {
  std::vector<Range> ranges;
  if (words.Take("nothing")) return ranges;
  do {
    Range range;
    range.stream.origin = ReadPeer(words);
    range.stream.epoch = words.Number("an epoch");
    range.stream.channel = cast.ReadChannel(words);
    if (words.Take("next")) {
      range.first = range.next = words.Number("the number that comes next");
    } else {
      const Numbers numbers = words.Range("numbers of messages");
      range.first = numbers.from;
      range.next = numbers.to + 1;
    }
    if (words.Take("hops")) range.hops = static_cast<std::uint32_t>(words.Number("hops"));
    ranges.push_back(range);
  } while (words.Take(","));
  return ranges;
}

// --- Shown ---------------------------------------------------------------------------------------

struct OverlayText {
  std::string operator()(const overlay::Join&) const { return "join"; }
  std::string operator()(const overlay::ForwardJoin& join) const {
    return "forward join " + ShowPeer(join.joiner) + " ttl " + std::to_string(join.ttl);
  }
  std::string operator()(const overlay::Neighbor& neighbor) const {
    return "neighbor " + NameOf(kUrgencyNames, neighbor.urgency) +
           (neighbor.neighbors.empty() ? "" : " of " + ShowPeers(neighbor.neighbors));
  }
  std::string operator()(const overlay::NeighborReply& reply) const {
    return std::string("neighbor ") + (reply.accepted ? "accepted" : "refused") +
           ShowCandidates(reply.candidates);
  }
  std::string operator()(const overlay::Disconnect& disconnect) const {
    return "disconnect" + ShowCandidates(disconnect.candidates);
  }
  std::string operator()(const overlay::Shuffle& shuffle) const {
    return "shuffle " + std::to_string(shuffle.walk) + " ttl " + std::to_string(shuffle.ttl) +
           " of " + ShowPeers(shuffle.sample);
  }
  std::string operator()(const overlay::ShuffleReply& reply) const {
    return "shuffle reply " + std::to_string(reply.walk) + " of " + ShowPeers(reply.sample);
  }
};

struct BroadcastText {
  const Cast& cast;

  std::string operator()(const broadcast::IHave& have) const {
    return "have " + ShowRanges(cast, have.ranges);
  }
  std::string operator()(const broadcast::Graft& graft) const {
    return "graft " + ShowRanges(cast, graft.ranges);
  }
  std::string operator()(const broadcast::Prune& prune) const {
    return "prune " + ShowChannels(cast, prune.channels);
  }
  std::string operator()(const broadcast::Positions& positions) const {
    return (positions.last ? "positions " : "positions next: ") +
           ShowRanges(cast, positions.ranges);
  }
};

// --- Said ----------------------------------------------------------------------------------------

ControlFrame ReadStatements(Words& words) {
  Statements frame;
  const bool past = words.Take("past");
  do {
    membership::Statement statement = ReadStatement(words);
    statement.past = past;
    frame.statements.push_back(std::make_shared<const membership::Statement>(std::move(statement)));
  } while (words.Take(","));
  return frame;
}

ControlFrame ReadHashes(Words& words) {
  TableHashes frame;
  frame.hashes.resize(kTableParts);
  if (words.Take("nothing")) return frame;
  do {
    const std::uint8_t part = ReadPart(words);
    frame.hashes[part] = ReadHash(words);
  } while (words.Take(","));
  return frame;
}

ControlFrame ReadRows(Words& words) {
  TableRows frame;
  words.Expect("of");
  if (words.Take("all")) {
    for (std::size_t part = 0; part < kTableParts; ++part) {
      frame.parts.push_back(static_cast<std::uint8_t>(part));
    }
  } else if (!words.Take("none")) {
    ReadEach(words, "parts of a table", [&](Words& one) { frame.parts.push_back(ReadPart(one)); });
  }
  words.Expect(":");
  if (words.Take("nothing")) return frame;
  do {
    TableRow row;
    row.id = ReadPeer(words);
    row.version = words.Number("a version");
    frame.rows.push_back(row);
  } while (words.Take(","));
  return frame;
}

overlay::Message ReadNeighbor(Words& words) {
  const bool accepted = words.Take("accepted");
  if (accepted || words.Take("refused")) {
    return overlay::NeighborReply{accepted, ReadCandidates(words)};
  }
  overlay::Neighbor question{words.OneOf("an urgency, accepted or refused", kUrgencyNames), {}};
  if (words.Take("of")) question.neighbors = ReadPeers(words);
  return question;
}

overlay::Message ReadShuffle(Words& words) {
  const bool reply = words.Take("reply");
  const std::uint64_t walk = words.Number("the number of a walk");
  std::uint8_t ttl = 0;
  if (!reply) {
    words.Expect("ttl");
    ttl = static_cast<std::uint8_t>(words.Number("hops left"));
  }
  words.Expect("of");
  std::vector<PeerId> sample = ReadPeers(words);
  if (reply) return overlay::ShuffleReply{walk, std::move(sample)};
  return overlay::Shuffle{walk, ttl, std::move(sample)};
}

overlay::Message ReadForwardJoin(Words& words) {
  words.Expect("join");
  overlay::ForwardJoin join;
  join.joiner = ReadPeer(words);
  words.Expect("ttl");
  join.ttl = static_cast<std::uint8_t>(words.Number("hops left"));
  return join;
}

broadcast::Message ReadPositions(Cast& cast, Words& words) {
  broadcast::Positions positions;
  positions.last = !words.Take("next");
  if (!positions.last) words.Expect(":");
  positions.ranges = ReadRanges(cast, words);
  return positions;
}

}  // namespace

std::string ShowFrame(const Cast&, const Statements& frame) {
  std::vector<std::string> parts;
  for (const auto& statement : frame.statements) parts.push_back(ShowStatement(*statement));
  const bool past = !frame.statements.empty() && frame.statements.front()->past;
  return std::string("statements ") + (past ? "past " : "") + Join(parts, ", ");
}

std::string ShowFrame(const Cast&, const TableHashes& frame) {
  std::vector<std::string> parts;
  for (std::size_t part = 0; part < frame.hashes.size(); ++part) {
    if (frame.hashes[part] == 0) continue;
    parts.push_back(ShowPart(static_cast<std::uint8_t>(part)) + " " + ShowHash(frame.hashes[part]));
  }
  return "hashes " + (parts.empty() ? "nothing" : Join(parts, ", "));
}

std::string ShowFrame(const Cast&, const TableRows& frame) {
  std::vector<std::string> parts, rows;
  for (const std::uint8_t part : frame.parts) parts.push_back(ShowPart(part));
  for (const TableRow& row : frame.rows) {
    rows.push_back(ShowPeer(row.id) + " " + std::to_string(row.version));
  }
  const std::string told = parts.empty()                 ? "none"
                           : parts.size() == kTableParts ? "all"
                                                         : Join(parts, "+");
  return "rows of " + told + ": " + (rows.empty() ? "nothing" : Join(rows, ", "));
}

std::string ShowFrame(const Cast&, const RecordsWanted& frame) {
  return "want " + ShowPeers(frame.ids);
}

std::string ShowFrame(const Cast&, const overlay::Message& frame) {
  return std::visit(OverlayText{}, frame);
}

std::string ShowFrame(const Cast& cast, const broadcast::Message& frame) {
  return std::visit(BroadcastText{cast}, frame);
}

std::optional<ControlFrame> ReadLargeFrame(Cast& cast, Words& words) {
  if (words.Take("statements")) return ReadStatements(words);
  if (words.Take("hashes")) return ReadHashes(words);
  if (words.Take("rows")) return ReadRows(words);
  if (words.Take("want")) return RecordsWanted{ReadPeers(words)};
  if (words.Take("join")) return overlay::Message(overlay::Join{});
  if (words.Take("forward")) return ReadForwardJoin(words);
  if (words.Take("neighbor")) return ReadNeighbor(words);
  if (words.Take("disconnect")) {
    return overlay::Message(overlay::Disconnect{ReadCandidates(words)});
  }
  if (words.Take("shuffle")) return ReadShuffle(words);
  if (words.Take("have")) return broadcast::Message(broadcast::IHave{ReadRanges(cast, words)});
  if (words.Take("graft")) return broadcast::Message(broadcast::Graft{ReadRanges(cast, words)});
  if (words.Take("prune")) return broadcast::Message(broadcast::Prune{ReadChannels(cast, words)});
  if (words.Take("positions")) return ReadPositions(cast, words);
  return std::nullopt;
}

std::string ShowStatement(const membership::Statement& statement) {
  const std::string reason = membership::ToString(statement.reason);
  return ShowPeer(statement.observer) + " " + std::to_string(statement.number) + " calls " +
         ShowPeer(statement.subject) + " " + std::to_string(statement.incarnation) + " " +
         NameOf(kClaimNames, statement.claim) + (reason.empty() ? "" : " " + reason);
}

membership::Statement ReadStatement(Words& words) {
  membership::Statement statement;
  statement.observer = ReadPeer(words);
  statement.number = words.Number("the observer's count of its statements");
  words.Expect("calls");
  statement.subject = ReadPeer(words);
  statement.incarnation = words.Number("an incarnation");
  statement.claim = words.OneOf("a claim", kClaimNames);
  using membership::StateReason;
  for (int i = 1; i <= static_cast<int>(StateReason::kProtocolError); ++i) {
    const auto reason = static_cast<StateReason>(i);
    if (words.Take(membership::ToString(reason))) statement.reason = reason;
  }
  statement.encoded = "signed: " + ShowStatement(statement);
  return statement;
}

std::string ShowObserved(const Cast& cast, std::uint64_t channels,
                         const std::vector<std::uint64_t>& observers, std::uint64_t published) {
  std::string text;
  if (channels != 0) text += " channels " + ShowChannels(cast, channels);
  const std::string version = published == 0 ? "" : " published " + std::to_string(published);
  if (observers.empty()) return text + version;
  std::vector<PeerId> peers;
  for (const std::uint64_t key : observers) {
    PeerId& peer = peers.emplace_back();
    for (std::size_t at = 0; at < 8; ++at) {
      peer.bytes[at] = static_cast<std::uint8_t>(key >> (56 - 8 * at));
    }
  }
  return text + " observers " + ShowPeers(peers) + version;
}

void ReadObserved(Cast& cast, Words& words, PeerRecord& record) {
  if (words.Take("channels")) record.channels = ReadChannels(cast, words);
  if (words.Take("observers")) {
    for (const PeerId& peer : ReadPeers(words)) {
      record.observers.push_back(membership::ObserverKey(peer));
    }
    std::sort(record.observers.begin(), record.observers.end());
  }
  if (words.Take("published")) record.published = words.Number("an incarnation");
}

std::string ShowCandidates(const std::vector<PeerId>& peers) {
  return peers.empty() ? "" : " try " + ShowPeers(peers);
}

std::vector<PeerId> ReadCandidates(Words& words) {
  return words.Take("try") ? ReadPeers(words) : std::vector<PeerId>{};
}

std::string ShowPiece(const broadcast::Piece& piece, const std::string& hops) {
  std::vector<flow::Item> items;
  for (std::size_t i = 0; i < piece.rows.size(); ++i) {
    items.push_back({piece.rows[i], piece.first + i});
  }
  std::string text = ShowPeer(piece.stream.origin) + " " + std::to_string(piece.stream.epoch);
  if (piece.after != piece.first) text += " after " + std::to_string(piece.after);
  return text + hops + ": " + Join(ShowItems(piece.batch, items), ", ");
}

Relayed ReadRelayed(Cast& cast, Words& words) {
  broadcast::Piece piece;
  Relayed relayed;
  relayed.hops = 1;
  piece.stream.origin = ReadPeer(words);
  piece.stream.epoch = words.Number("an epoch");
  const bool after = words.Take("after");
  if (after) piece.after = words.Number("the number that the piece comes after");
  if (words.Take("hops")) relayed.hops = static_cast<std::uint32_t>(words.Number("hops"));
  words.Expect(":");
  std::vector<Messages> messages;
  std::uint64_t at = 0;
  do {
    Messages some{words.Word("a subject"), 1, 0};
    if (words.ok() && !IsValidSubject(some.subject)) {
      words.Fail("'" + some.subject + "' is no subject");
    }
    const Numbers numbers = words.Range("the numbers of messages");
    some.size = words.Size("the size of a message");
    if (!words.ok()) break;
    some.count = numbers.to - numbers.from + 1;
    cast.Learn(some.subject);
    if (messages.empty()) {
      piece.stream.channel = routing::ChannelOf(some.subject);
      at = piece.first = numbers.from;
    }
    if (numbers.from != at) words.Fail("a piece has no holes: " + std::to_string(at) + " is next");
    if (routing::ChannelOf(some.subject) != piece.stream.channel) {
      words.Fail("'" + some.subject + "' is no subject of channel " +
                 cast.Channel(piece.stream.channel));
    }
    at = numbers.to + 1;
    messages.push_back(std::move(some));
  } while (words.Take(","));
  if (!after) piece.after = piece.first;
  if (!words.ok() || at - piece.first > kMaxBatchMessages) {
    words.Fail("a piece has 1024 messages at most");
    return relayed;
  }
  piece.batch = MakeBatch(messages);
  for (std::uint32_t row = 0; row < piece.batch->rows.size(); ++row) piece.rows.push_back(row);
  piece.signature = "signed by " + ShowPeer(piece.stream.origin);
  if (!piece.IsWellFormed()) words.Fail("no peer signs such a piece");
  relayed.piece = std::make_shared<const broadcast::Piece>(std::move(piece));
  return relayed;
}

std::string ShowHash(std::uint64_t hash) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) text += kHex[hash >> shift & 15];
  return text;
}

std::uint64_t ReadHash(Words& words) {
  const std::string word = words.Word("a hash");
  std::uint64_t hash = 0;
  const char* const end = word.data() + word.size();
  if (word.empty() || std::from_chars(word.data(), end, hash, 16).ptr != end) {
    words.Fail("'" + word + "' is no hash: up to 16 of 0-9 and a-f");
  }
  return hash;
}

}  // namespace peermesh::node
