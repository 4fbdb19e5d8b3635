// Values as people write them, and the fields of a message they go into.
//
//   duration   30s, 5m, 1h30m, 250ms, 7d: whole numbers, each with its unit
//   number     4096, 64KiB, 10MiB, 1GiB, 10k, 2M: powers of 1024 for bytes, of 1000 for counts
//   list       a,b,c
//
// Pure; thread-safe.
#ifndef PEERMESH_SERVER_CONFIG_VALUE_H_
#define PEERMESH_SERVER_CONFIG_VALUE_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace google::protobuf {
class FieldDescriptor;
class Message;
}  // namespace google::protobuf

namespace peermesh::config {

// Enough for anything that is ever configured, and far from overflow.
inline constexpr std::chrono::microseconds kMaxDuration = std::chrono::hours(24) * 36500;

absl::StatusOr<std::chrono::microseconds> ParseDuration(std::string_view text);
std::string FormatDuration(std::chrono::microseconds duration);  // 1h30m
absl::StatusOr<std::uint64_t> ParseNumber(std::string_view text);
// Parts without the spaces around them; empty parts are left out.
std::vector<std::string> ParseList(std::string_view text);

// True for a message field that holds one value (a duration) and not a section of settings.
bool IsValue(const google::protobuf::FieldDescriptor& field);

// Sets a singular field, or adds to a repeated one. `field` is a string, an integer, a bool or a
// duration.
absl::Status SetValue(google::protobuf::Message& message,
                      const google::protobuf::FieldDescriptor& field, std::string_view text);

// The same error, with the place where it was made in front: "where: message".
absl::Status At(std::string_view where, const absl::Status& status);

// The candidate that was probably meant; empty if none comes near.
std::string Nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace peermesh::config

#endif  // PEERMESH_SERVER_CONFIG_VALUE_H_
