// The channels of subjects and patterns.
//
// A channel is one of 64 shards of the first token: numbers count per channel, so a receiver that
// wants one subject is told of skips on its own channel only. Every peer computes the same shard.
#ifndef PEERMESH_MESH_ROUTING_SUBJECT_H_
#define PEERMESH_MESH_ROUTING_SUBJECT_H_

#include <cstdint>
#include <string_view>

#include "mesh/base/subject.h"

namespace peermesh::routing {

// `subject` must be valid.
std::uint32_t ChannelOf(std::string_view subject);

// Channels a pattern can match on, one bit each: one bit, or all 64 for a leading wildcard.
std::uint64_t ChannelsOf(std::string_view pattern);

bool HasLeadingWildcard(std::string_view pattern);

}  // namespace peermesh::routing

#endif  // PEERMESH_MESH_ROUTING_SUBJECT_H_
