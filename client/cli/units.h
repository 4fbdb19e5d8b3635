// Durations and sizes as people write and read them.
#ifndef PEERMESH_CLIENT_CLI_UNITS_H_
#define PEERMESH_CLIENT_CLI_UNITS_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mesh/base/time.h"

namespace google::protobuf {
class Duration;
class Timestamp;
}  // namespace google::protobuf

namespace peermesh::cli {

inline constexpr Duration kLongestDuration = std::chrono::hours(24 * 3650);

// "250ms", "30s", "5m", "1h30m", "7d"; a number alone is seconds. Nullopt for anything else, for
// negative values and for more than kLongestDuration.
std::optional<Duration> ParseDuration(std::string_view text);

// The two largest units: "6d 23h", "3m 20s"; below a second "12.3 ms" or "80 us".
std::string FormatDuration(Duration duration);

// "512 B", "12.3 KiB", "4.0 MiB".
std::string FormatBytes(std::uint64_t bytes);

google::protobuf::Duration ToProto(Duration duration);
Duration FromProto(const google::protobuf::Duration& duration);
WallTime FromProto(const google::protobuf::Timestamp& timestamp);

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_UNITS_H_
