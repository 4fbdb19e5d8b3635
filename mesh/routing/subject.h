// Subjects and patterns.
//
// A subject is 1 to 16 tokens of [A-Za-z0-9_-] joined by dots, at most 256 bytes. A pattern is a
// subject in which `*` stands for exactly one token and a final `>` for one or more.
//
// A channel is one of 64 shards of the first token: numbers count per channel, so a receiver that
// wants one subject is told of skips on its own channel only. Every peer computes the same shard.
#ifndef PEERMESH_MESH_ROUTING_SUBJECT_H_
#define PEERMESH_MESH_ROUTING_SUBJECT_H_

#include <cstdint>
#include <string_view>

namespace peermesh::routing {

bool IsValidSubject(std::string_view subject);
bool IsValidPattern(std::string_view pattern);

// `subject` must be valid.
std::uint32_t ChannelOf(std::string_view subject);

// Channels a pattern can match on, one bit each: one bit, or all 64 for a leading wildcard.
std::uint64_t ChannelsOf(std::string_view pattern);

bool HasLeadingWildcard(std::string_view pattern);

// Splits off the first token: returns it and advances `rest` behind the dot.
std::string_view TakeToken(std::string_view& rest);

}  // namespace peermesh::routing

#endif  // PEERMESH_MESH_ROUTING_SUBJECT_H_
