// Who is who in a story: names instead of ids.
//
// A peer's id is its name followed by zeros, so the order of ids is that of the alphabet: alpha is
// smaller than beta. A link is `beta/1`: its peer and its number. A channel is called by the first
// token that the story sent through it; by `#17` if there was none.
#ifndef PEERMESH_TESTS_MESH_NODE_STORY_CAST_H_
#define PEERMESH_TESTS_MESH_NODE_STORY_CAST_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mesh/base/batch.h"
#include "mesh/base/id.h"
#include "tests/mesh/node/story_words.h"

namespace peermesh::node {

struct Cast {
  std::map<LinkId, std::string> links;        // "beta/1"
  std::map<SessionId, std::string> apps;      // "chat"
  std::map<RequestId, std::string> requests;  // "chat publish"
  std::map<std::uint32_t, std::string> channels;

  std::string Link(LinkId id) const;
  std::string App(SessionId id) const;
  std::string Request(RequestId id) const;
  std::string Channel(std::uint32_t channel) const;
  // A subject or pattern appeared: its channel gets a name, if it has none.
  void Learn(std::string_view subject);
  // "news" or "#17".
  std::uint32_t ReadChannel(Words& words);
};

std::string ShowPeer(const PeerId& id);
PeerId ReadPeer(Words& words);
PeerId PeerNamed(std::string_view name);  // of 1 to 32 bytes

// `count` messages of `size` bytes on each subject, in this order.
struct Messages {
  std::string subject;
  std::size_t count = 1;
  std::uint64_t size = 100;
};
BatchRef MakeBatch(const std::vector<Messages>& messages);

// Head and parts on one line, or each part on a line of its own if they are long.
std::string Layout(std::string head, const std::vector<std::string>& parts);
std::string Join(const std::vector<std::string>& parts, std::string_view between);

}  // namespace peermesh::node

#endif  // PEERMESH_TESTS_MESH_NODE_STORY_CAST_H_
