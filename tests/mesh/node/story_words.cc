#include "tests/mesh/node/story_words.h"

#include <array>
#include <charconv>
#include <utility>

namespace peermesh::node {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::pair<std::string_view, Duration>, 5> kTimeUnits = {
    {{"us", 1us}, {"ms", 1ms}, {"s", 1s}, {"m", 1min}, {"h", 1h}}};

std::optional<Duration> UnitOf(std::string_view text) {
  for (const auto& [name, unit] : kTimeUnits) {
    if (name == text) return unit;
  }
  return std::nullopt;
}

// "2.5" of `unit`, without the last zeros.
std::string Decimal(std::int64_t value, std::int64_t unit) {
  std::string text = std::to_string(value / unit);
  std::int64_t rest = value % unit;
  if (rest != 0) text += '.';
  for (; rest != 0; rest %= unit) {
    rest *= 10;
    text += std::to_string(rest / unit);
  }
  return text;
}

}  // namespace

std::string ShowTime(Duration time) {
  if (time < Duration{}) return "-" + ShowTime(-time);
  if (time < 1ms && time > 0us) return std::to_string(time.count()) + "us";
  if (time < 1s && time > 0us) return Decimal(time.count(), 1'000) + "ms";
  std::string text;
  if (const auto hours = time / 1h; hours > 0) text += std::to_string(hours) + "h";
  if (const auto minutes = time % 1h / 1min; minutes > 0) text += std::to_string(minutes) + "m";
  const Duration seconds = time % 1min;
  if (seconds > 0us || text.empty()) text += Decimal(seconds.count(), 1'000'000) + "s";
  return text;
}

std::optional<Duration> ReadTime(std::string_view text) {
  if (text.empty()) return std::nullopt;
  Duration sum{};
  while (!text.empty()) {
    const std::size_t digits = text.find_first_not_of("0123456789.");
    if (digits == 0 || digits == std::string_view::npos) return std::nullopt;
    const std::size_t end = std::min(text.find_first_of("0123456789.", digits), text.size());
    const auto unit = UnitOf(text.substr(digits, end - digits));
    const std::string_view number = text.substr(0, digits);
    const std::size_t dot = number.find('.');
    const auto whole = ReadNumber(number.substr(0, dot));
    if (!unit || !whole || *whole > 1'000'000) return std::nullopt;
    sum += static_cast<std::int64_t>(*whole) * *unit;
    if (dot != std::string_view::npos) {
      Duration part = *unit;
      if (dot + 1 == number.size()) return std::nullopt;
      for (const char digit : number.substr(dot + 1)) {
        if (digit == '.' || part % 10 != 0us) return std::nullopt;
        part /= 10;
        sum += (digit - '0') * part;
      }
    }
    text.remove_prefix(end);
  }
  return sum;
}

std::string ShowSize(std::uint64_t bytes) {
  constexpr std::uint64_t kKibi = 1u << 10, kMebi = 1u << 20;
  if (bytes > 0 && bytes % kMebi == 0) return std::to_string(bytes / kMebi) + "MiB";
  if (bytes > 0 && bytes % kKibi == 0) return std::to_string(bytes / kKibi) + "KiB";
  return std::to_string(bytes) + "B";
}

std::optional<std::uint64_t> ReadSize(std::string_view text) {
  for (const auto& [unit, factor] :
       {std::pair<std::string_view, std::uint64_t>{"MiB", 1u << 20}, {"KiB", 1u << 10}, {"B", 1}}) {
    if (!text.ends_with(unit)) continue;
    const auto number = ReadNumber(text.substr(0, text.size() - unit.size()));
    if (!number || *number > (1u << 30) / factor) return std::nullopt;
    return *number * factor;
  }
  return std::nullopt;
}

std::string ShowNumbers(std::uint64_t from, std::uint64_t to) {
  return from == to ? std::to_string(from) : std::to_string(from) + ".." + std::to_string(to);
}

std::optional<Numbers> ReadNumbers(std::string_view text) {
  const std::size_t dots = text.find("..");
  const auto from = ReadNumber(text.substr(0, dots));
  const auto to = dots == std::string_view::npos ? from : ReadNumber(text.substr(dots + 2));
  if (!from || !to || *from == 0 || *to < *from) return std::nullopt;
  return Numbers{*from, *to};
}

std::optional<std::uint64_t> ReadNumber(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Words::Words(std::string_view line) {
  while (!line.empty()) {
    const std::size_t start = line.find_first_not_of(' ');
    if (start == std::string_view::npos) return;
    line.remove_prefix(start);
    std::string word(line.substr(0, line.find(' ')));
    line.remove_prefix(word.size());
    std::string mark;
    if (word.size() > 1 && std::string_view(",:;").find(word.back()) != std::string_view::npos) {
      mark = word.substr(word.size() - 1);
      word.pop_back();
    }
    words_.push_back(std::move(word));
    if (!mark.empty()) words_.push_back(std::move(mark));
  }
}

std::string_view Words::Peek(std::size_t ahead) const {
  return at_ + ahead < words_.size() ? std::string_view(words_[at_ + ahead]) : std::string_view();
}

bool Words::Take(std::string_view word) {
  if (!ok() || Peek() != word || empty()) return false;
  ++at_;
  return true;
}

std::string Words::Word(std::string_view what) {
  if (!ok()) return {};
  if (empty()) {
    Fail("the line ends where " + std::string(what) + " is expected");
    return {};
  }
  return words_[at_++];
}

void Words::Expect(std::string_view word) {
  const std::string wanted = "'" + std::string(word) + "'";
  const std::string found = Word(wanted);
  if (ok() && found != word) Fail("'" + found + "' stands where " + wanted + " is expected");
}

std::uint64_t Words::Number(std::string_view what) {
  const std::string word = Word(what);
  const auto number = ReadNumber(word);
  if (ok() && !number) Fail("'" + word + "' is not " + std::string(what) + ": a number is meant");
  return number.value_or(0);
}

Duration Words::Time(std::string_view what) {
  const std::string word = Word(what);
  const auto time = ReadTime(word);
  if (ok() && !time) {
    Fail("'" + word + "' is not " + std::string(what) + ": a time is meant, like 500ms or 4.2s");
  }
  return time.value_or(Duration{});
}

std::uint64_t Words::Size(std::string_view what) {
  const std::string word = Word(what);
  const auto size = ReadSize(word);
  if (ok() && !size) {
    Fail("'" + word + "' is not " + std::string(what) + ": a size is meant, like 100B or 64KiB");
  }
  return size.value_or(0);
}

Numbers Words::Range(std::string_view what) {
  const std::string word = Word(what);
  const auto range = ReadNumbers(word);
  if (ok() && !range) {
    Fail("'" + word + "' is not " + std::string(what) + ": numbers are meant, like 3 or 3..7");
  }
  return range.value_or(Numbers{});
}

void Words::Fail(std::string message) {
  if (ok()) complaint_ = std::move(message);
}

absl::Status Words::Finish() {
  if (ok() && !empty()) Fail("nobody understands '" + words_[at_] + "' here");
  return ok() ? absl::OkStatus() : absl::InvalidArgumentError(complaint_);
}

}  // namespace peermesh::node
