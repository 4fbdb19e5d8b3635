#include "tests/mesh/node/story_cast.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "mesh/base/limits.h"
#include "mesh/routing/subject.h"

namespace peermesh::node {
namespace {

constexpr std::size_t kLineWidth = 100;

template <class Map, class Key>
std::string Find(const Map& map, Key key) {
  const auto it = map.find(key);
  return it == map.end() ? "unknown#" + std::to_string(key.value) : it->second;
}

}  // namespace

std::string Cast::Link(LinkId id) const { return Find(links, id); }
std::string Cast::App(SessionId id) const { return Find(apps, id); }
std::string Cast::Request(RequestId id) const { return Find(requests, id); }

std::string Cast::Channel(std::uint32_t channel) const {
  const auto it = channels.find(channel);
  return it == channels.end() ? "#" + std::to_string(channel) : it->second;
}

void Cast::Learn(std::string_view subject) {
  if (!IsValidPattern(subject) || routing::HasLeadingWildcard(subject)) return;
  const std::uint32_t channel = routing::ChannelOf(subject);
  channels.try_emplace(channel, TakeToken(subject));
}

std::uint32_t Cast::ReadChannel(Words& words) {
  const std::string word = words.Word("the name of a channel");
  if (!words.ok()) return 0;
  if (word.starts_with('#')) {
    const auto number = ReadNumber(std::string_view(word).substr(1));
    if (!number || *number >= kChannels) words.Fail("'" + word + "' is no channel: #0 to #63");
    return static_cast<std::uint32_t>(number.value_or(0) % kChannels);
  }
  if (!IsValidSubject(word) || word.find('.') != std::string::npos) {
    words.Fail("'" + word + "' is no channel: the first token of a subject is meant");
    return 0;
  }
  Learn(word);
  return routing::ChannelOf(word);
}

std::string ShowPeer(const PeerId& id) {
  const auto end = std::find(id.bytes.begin(), id.bytes.end(), 0);
  return {id.bytes.begin(), end};
}

PeerId PeerNamed(std::string_view name) {
  PeerId id;
  std::copy_n(name.begin(), std::min(name.size(), id.bytes.size()), id.bytes.begin());
  return id;
}

PeerId ReadPeer(Words& words) {
  const std::string name = words.Word("the name of a peer");
  const bool plain =
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
  if (words.ok() && (!plain || name.size() > PeerId{}.bytes.size())) {
    words.Fail("'" + name + "' is no name of a peer: at most 32 of a-z, 0-9 and -");
  }
  return PeerNamed(name);
}

BatchRef MakeBatch(const std::vector<Messages>& messages) {
  auto batch = std::make_shared<Batch>();
  std::string buffer;
  for (const Messages& some : messages) {
    // The subject stands for the whole record; equal messages share one.
    const Row row{static_cast<std::uint32_t>(buffer.size()),
                  static_cast<std::uint32_t>(some.subject.size()),
                  static_cast<std::uint32_t>(buffer.size()),
                  static_cast<std::uint32_t>(std::max(some.size, some.subject.size()))};
    buffer += some.subject;
    buffer.resize(row.record_offset + row.record_length, '.');
    batch->rows.insert(batch->rows.end(), some.count, row);
    batch->bytes += some.count * row.record_length;
  }
  batch->buffer = std::make_shared<const std::string>(std::move(buffer));
  return batch;
}

std::string Join(const std::vector<std::string>& parts, std::string_view between) {
  std::string text;
  for (const std::string& part : parts) {
    if (!text.empty()) text += between;
    text += part;
  }
  return text;
}

std::string Layout(std::string head, const std::vector<std::string>& parts) {
  const std::string line = head + " " + Join(parts, "; ");
  if (parts.size() < 2 || line.size() <= kLineWidth) return line;
  for (const std::string& part : parts) head += "\n  " + part;
  return head;
}

}  // namespace peermesh::node
