#include "metrics/ledger/suppressions.h"

#include <charconv>
#include <sstream>
#include <utility>

#include "absl/status/status.h"

namespace peermesh::ledger {
namespace {

bool Matches(std::string_view pattern, std::string_view text) {
  if (!pattern.ends_with('*')) return pattern == text;
  return text.starts_with(pattern.substr(0, pattern.size() - 1));
}

std::optional<std::chrono::year_month_day> ParseDate(std::string_view text) {
  int year = 0;
  unsigned month = 0, day = 0;
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const auto number = [&](std::size_t from, std::size_t size, auto& out) {
    const char* const end = text.data() + from + size;
    const auto read = std::from_chars(text.data() + from, end, out);
    return read.ec == std::errc() && read.ptr == end;
  };
  if (!number(0, 4, year) || !number(5, 2, month) || !number(8, 2, day)) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  return date.ok() ? std::optional(date) : std::nullopt;
}

}  // namespace

absl::StatusOr<Suppressions> Suppressions::Parse(std::string_view text) {
  Suppressions all;
  std::istringstream lines{std::string(text)};
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::istringstream words(line);
    Suppression one;
    std::string until;
    if (!(words >> one.kind) || one.kind.starts_with('#')) continue;
    words >> one.site >> one.rule >> until >> std::ws;
    std::getline(words, one.reason);
    const auto date = ParseDate(until);
    if (!date || one.reason.empty()) {
      return absl::InvalidArgumentError(
          "line " + std::to_string(number) +
          ": expected kind, site, rule, the day it ends as 2027-01-31, and a reason");
    }
    one.until = *date;
    all.entries_.push_back(std::move(one));
  }
  return all;
}

std::optional<std::string> Suppressions::ReasonFor(const Verdict& verdict,
                                                   std::chrono::year_month_day today) const {
  for (const Suppression& one : entries_) {
    if (today <= one.until && Matches(one.kind, verdict.kind) && Matches(one.site, verdict.site) &&
        Matches(one.rule, ToString(verdict.rule)))
      return one.reason;
  }
  return std::nullopt;
}

}  // namespace peermesh::ledger
