// What peers of a large mesh say to each other, in the words of a story: see story_frames.h.
#ifndef PEERMESH_TESTS_MESH_NODE_STORY_LARGE_H_
#define PEERMESH_TESTS_MESH_NODE_STORY_LARGE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mesh/node/frame.h"
#include "tests/mesh/node/story_cast.h"
#include "tests/mesh/node/story_words.h"

namespace peermesh::node {

std::string ShowFrame(const Cast& cast, const Statements& frame);
std::string ShowFrame(const Cast& cast, const TableHashes& frame);
std::string ShowFrame(const Cast& cast, const TableRows& frame);
std::string ShowFrame(const Cast& cast, const RecordsWanted& frame);
std::string ShowFrame(const Cast& cast, const overlay::Message& frame);
std::string ShowFrame(const Cast& cast, const broadcast::Message& frame);

// Nothing, and no word is read, if the line says something else.
std::optional<ControlFrame> ReadLargeFrame(Cast& cast, Words& words);

// "beta 3 calls gamma 5 gone HEARTBEAT_TIMEOUT"
std::string ShowStatement(const membership::Statement& statement);
membership::Statement ReadStatement(Words& words);

// " channels news+orders observers beta+gamma published 4": what a record says in a large mesh, if
// anything.
std::string ShowObserved(const Cast& cast, std::uint64_t channels,
                         const std::vector<std::uint64_t>& observers, std::uint64_t published);
void ReadObserved(Cast& cast, Words& words, PeerRecord& record);

// " try gamma+delta", or nothing.
std::string ShowCandidates(const std::vector<PeerId>& peers);
std::vector<PeerId> ReadCandidates(Words& words);

// "gamma 5 after 1: news.a 1..3 100B"; `hops` are not part of a piece.
std::string ShowPiece(const broadcast::Piece& piece, const std::string& hops = "");
Relayed ReadRelayed(Cast& cast, Words& words);

// 16 digits.
std::string ShowHash(std::uint64_t hash);
std::uint64_t ReadHash(Words& words);

}  // namespace peermesh::node

#endif  // PEERMESH_TESTS_MESH_NODE_STORY_LARGE_H_
