#include "server/config/value.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>
#include <numeric>
#include <optional>

#include "mesh/base/check.h"

namespace peermesh::config {
namespace {

using google::protobuf::Duration;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr Unit kTimeUnits[] = {
    {"us", 1},         {"ms", 1'000},           {"s", 1'000'000},
    {"m", 60'000'000}, {"h", 3'600'000'000ull}, {"d", 86'400'000'000ull},
};
constexpr Unit kSizeUnits[] = {
    {"", 1},
    {"KiB", 1ull << 10},
    {"MiB", 1ull << 20},
    {"GiB", 1ull << 30},
    {"TiB", 1ull << 40},
    {"k", 1'000},
    {"M", 1'000'000},
    {"G", 1'000'000'000},
};

// Takes the digits at the front; nullopt if there are none or they do not fit.
std::optional<std::uint64_t> TakeDigits(std::string_view& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

// Takes what stands before the next digit and looks it up.
template <std::size_t n>
std::optional<std::uint64_t> TakeUnit(std::string_view& text, const Unit (&units)[n]) {
  const std::string_view name = text.substr(0, text.find_first_of("0123456789"));
  for (const Unit& unit : units) {
    if (unit.name == name) {
      text.remove_prefix(name.size());
      return unit.factor;
    }
  }
  return std::nullopt;
}

absl::Status Wrong(std::string_view text, std::string_view what, std::string_view example) {
  return absl::InvalidArgumentError(fmt::format("'{}' is not {}. Write {}.", text, what, example));
}

absl::Status SetDuration(Message& message, const FieldDescriptor& field, std::string_view text) {
  const auto duration = ParseDuration(text);
  if (!duration.ok()) return duration.status();
  auto* target = static_cast<Duration*>(message.GetReflection()->MutableMessage(&message, &field));
  target->set_seconds(duration->count() / 1'000'000);
  target->set_nanos(static_cast<std::int32_t>(duration->count() % 1'000'000 * 1000));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::chrono::microseconds> ParseDuration(std::string_view text) {
  const absl::Status wrong =
      Wrong(text, "a duration", "a number and its unit, such as 250ms, 30s, 5m, 12h or 7d");
  const auto most = static_cast<std::uint64_t>(kMaxDuration.count());
  std::uint64_t total = 0;
  std::string_view rest = text;
  do {
    const auto number = TakeDigits(rest);
    if (!number) return wrong;
    if (*number == 0 && rest.empty() && total == 0) break;  // a plain 0 needs no unit
    const auto factor = TakeUnit(rest, kTimeUnits);
    if (!factor) return wrong;
    if (*number > (most - total) / *factor) {
      return absl::InvalidArgumentError(
          fmt::format("'{}' is longer than 100 years. Write a shorter duration.", text));
    }
    total += *number * *factor;
  } while (!rest.empty());
  return std::chrono::microseconds(total);
}

std::string FormatDuration(std::chrono::microseconds duration) {
  std::string text;
  auto rest = static_cast<std::uint64_t>(duration.count());
  for (auto unit = std::rbegin(kTimeUnits); unit != std::rend(kTimeUnits); ++unit) {
    if (rest >= unit->factor) text += fmt::format("{}{}", rest / unit->factor, unit->name);
    rest %= unit->factor;
  }
  return text.empty() ? "0s" : text;
}

absl::StatusOr<std::uint64_t> ParseNumber(std::string_view text) {
  std::string_view rest = text;
  const auto number = TakeDigits(rest);
  const auto factor = number ? TakeUnit(rest, kSizeUnits) : std::nullopt;
  if (!factor || !rest.empty() || *number > std::numeric_limits<std::uint64_t>::max() / *factor) {
    return Wrong(text, "a whole number that fits 64 bits",
                 "digits, with KiB, MiB, GiB, k or M behind them if you like");
  }
  return *number * *factor;
}

std::vector<std::string> ParseList(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    part.remove_prefix(std::min(part.size(), part.find_first_not_of(" \t")));
    part = part.substr(0, part.find_last_not_of(" \t") + 1);
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

bool IsValue(const FieldDescriptor& field) {
  return field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
         field.message_type() == Duration::descriptor();
}

absl::Status SetValue(Message& message, const FieldDescriptor& field, std::string_view text) {
  const auto* reflection = message.GetReflection();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    if (field.is_repeated()) {
      reflection->AddString(&message, &field, std::string(text));
    } else {
      reflection->SetString(&message, &field, std::string(text));
    }
    return absl::OkStatus();
  }
  PM_CHECK(!field.is_repeated());  // lists in the schema are lists of text
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64: {
      const auto number = ParseNumber(text);
      if (!number.ok()) return number.status();
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64) {
        reflection->SetUInt64(&message, &field, *number);
      } else if (*number <= std::numeric_limits<std::uint32_t>::max()) {
        reflection->SetUInt32(&message, &field, static_cast<std::uint32_t>(*number));
      } else {
        return Wrong(text, "a number that fits 32 bits", "at most 4294967295");
      }
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      if (text != "true" && text != "false") return Wrong(text, "a switch", "true or false");
      reflection->SetBool(&message, &field, text == "true");
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_MESSAGE:
      PM_CHECK(IsValue(field));
      return SetDuration(message, field, text);
    default: PM_CHECK(!"a type of field that the schema does not use yet");
  }
  return absl::OkStatus();
}

absl::Status At(std::string_view where, const absl::Status& status) {
  const auto message = status.message();
  return {status.code(),
          fmt::format("{}: {}", where, std::string_view(message.data(), message.size()))};
}

std::string Nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string nearest;
  // One slip in three characters: more is another word.
  std::size_t best = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    // Levenshtein distance, one row at a time.
    std::vector<std::size_t> row(candidate.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < word.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i + 1;
      for (std::size_t j = 0; j < candidate.size(); ++j) {
        const std::size_t change = diagonal + (word[i] == candidate[j] ? 0 : 1);
        diagonal = row[j + 1];
        row[j + 1] = std::min({change, row[j] + 1, row[j + 1] + 1});
      }
    }
    if (row.back() < best) {
      best = row.back();
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace peermesh::config
