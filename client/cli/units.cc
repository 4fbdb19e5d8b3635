#include "client/cli/units.h"

#include <fmt/format.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <array>
#include <charconv>

namespace peermesh::cli {
namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kLongest = kLongestDuration.count();

struct Unit {
  std::string_view name;
  std::int64_t microseconds;
};
// "ms" before "m": the first that fits is taken.
constexpr std::array kUnits = {
    Unit{"us", 1},           Unit{"ms", 1000},          Unit{"s", kSecond},
    Unit{"m", 60 * kSecond}, Unit{"h", 3600 * kSecond}, Unit{"d", 86'400 * kSecond}};

}  // namespace

std::optional<Duration> ParseDuration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::int64_t total = 0;
  bool first = true;
  for (; !text.empty(); first = false) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || text.front() == '-' || number > kLongest) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    const Unit* unit = nullptr;
    for (const Unit& candidate : kUnits) {
      if (!unit && text.substr(0, candidate.name.size()) == candidate.name) unit = &candidate;
    }
    if (!unit && first && text.empty()) unit = &kUnits[2];
    if (!unit || number > kLongest / unit->microseconds) return std::nullopt;
    if (!text.empty()) text.remove_prefix(unit->name.size());
    total += number * unit->microseconds;
    if (total > kLongest) return std::nullopt;
  }
  return Duration(total);
}

std::string FormatDuration(Duration duration) {
  const std::int64_t us = duration.count();
  if (us < 0) return "-" + FormatDuration(-duration);
  if (us == 0) return "0s";
  if (us < 1000) return fmt::format("{} us", us);
  if (us < kSecond) return fmt::format("{:.1f} ms", static_cast<double>(us) / 1000);
  for (std::size_t i = kUnits.size() - 1; i > 2; --i) {
    const auto& [name, size] = kUnits[i];
    if (us < size) continue;
    const auto& [next_name, next_size] = kUnits[i - 1];
    const std::int64_t rest = us % size / next_size;
    if (rest == 0) return fmt::format("{}{}", us / size, name);
    return fmt::format("{}{} {}{}", us / size, name, rest, next_name);
  }
  return fmt::format("{}s", us / kSecond);
}

std::string FormatBytes(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  constexpr std::array kNames = {"KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kNames.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kNames[unit]);
}

google::protobuf::Duration ToProto(Duration duration) {
  google::protobuf::Duration out;
  out.set_seconds(duration.count() / kSecond);
  out.set_nanos(static_cast<std::int32_t>(duration.count() % kSecond * 1000));
  return out;
}

Duration FromProto(const google::protobuf::Duration& duration) {
  return std::chrono::seconds(duration.seconds()) +
         std::chrono::microseconds(duration.nanos() / 1000);
}

WallTime FromProto(const google::protobuf::Timestamp& timestamp) {
  return WallTime(std::chrono::seconds(timestamp.seconds()) +
                  std::chrono::microseconds(timestamp.nanos() / 1000));
}

}  // namespace peermesh::cli
