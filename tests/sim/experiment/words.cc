#include "tests/sim/experiment/words.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <sstream>

namespace peermesh::sim::experiment {

Words::Words(const std::string& line) {
  std::istringstream words(line);
  for (std::string word; words >> word;) words_.push_back(word);
}

std::string Words::Take(const char* what) {
  if (empty()) {
    Wrong(std::string(what) + " is missing");
    return "";
  }
  return words_[at_++];
}

bool Words::TakeIf(std::string_view word) {
  if (peek() != word) return false;
  ++at_;
  return true;
}

void Words::Expect(const std::string& word) {
  if (!TakeIf(word))
    Wrong("'" + word + "' is missing" + (empty() ? "" : " before '" + peek() + "'"));
}

void Words::Wrong(std::string what) {
  if (!wrong_) wrong_ = std::move(what);
}

bool Words::PeeksNumber() const {
  const std::string word = peek();
  return !word.empty() && word[0] >= '0' && word[0] <= '9';
}

std::uint64_t Words::TakeCount(const char* what) {
  const std::string word = Take(what);
  std::uint64_t number = 0, unit = 1;
  const char* const last = word.data() + word.size();
  const auto [end, error] = std::from_chars(word.data(), last, number);
  if (end == last - 1) unit = *end == 'k' ? 1'000 : *end == 'M' ? 1'000'000 : 0;
  if (error != std::errc() || (end != last && unit <= 1)) {
    Wrong(std::string(what) + " is not a number: '" + word + "'");
  }
  return number * unit;
}

std::uint64_t Words::TakeAtLeastOne(const char* what) {
  const std::uint64_t count = TakeCount(what);
  if (count == 0) Wrong(std::string(what) + ": at least 1");
  return count;
}

Span Words::TakeSpan(const char* what) {
  const std::string word = Take(what);
  const auto span = ParseSpan(word);
  if (!span.ok()) Wrong(std::string(what) + " is not a time such as 500ms or 3s: '" + word + "'");
  return span.ok() ? *span : Span{};
}

Duration Words::TakeTime(const char* what) {
  const std::string word = peek();
  const Span span = TakeSpan(what);
  if (span.from != span.to) Wrong(std::string(what) + " is one time, not '" + word + "'");
  return span.from;
}

Duration Words::TakePositive(const char* what) {
  const Duration time = TakeTime(what);
  if (time <= Duration{}) Wrong(std::string(what) + ": more than 0");
  return time;
}

double Words::Value(const std::string& word, const char* what) {
  const bool percent = word.ends_with("%");
  const char* const last = word.data() + word.size() - (percent ? 1 : 0);
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), last, value);
  if (error != std::errc() || end != last || !std::isfinite(value)) {
    Wrong(std::string(what) + " is not a number: '" + word + "'");
    return 0;
  }
  return percent ? value / 100 : value;
}

double Words::TakeValue(const char* what) { return Value(Take(what), what); }

double Words::TakeShare(const char* what) {
  const std::string word = Take(what);
  const double share = Value(word, what);
  if (!word.ends_with("%") || share < 0 || share > 1) {
    Wrong(std::string(what) + " is 0% to 100%, not '" + word + "'");
  }
  return share;
}

std::pair<double, double> Words::TakeRange(const char* what) {
  constexpr double kEndless = std::numeric_limits<double>::infinity();
  if (TakeIf("at")) {
    if (TakeIf("most")) return {-kEndless, TakeValue(what)};
    if (TakeIf("least")) return {TakeValue(what), kEndless};
    Wrong("after 'at': most, least; not '" + peek() + "'");
    return {0, 0};
  }
  const std::string word = Take(what);
  const auto dots = word.find("..");
  if (dots == std::string::npos) {
    const double value = Value(word, what);
    return {value, value};
  }
  const std::string from = word.substr(0, dots), to = word.substr(dots + 2);
  const std::pair<double, double> range{Value(from, what), Value(to, what)};
  if (range.first > range.second) Wrong("'" + word + "' ends before it begins");
  return range;
}

}  // namespace peermesh::sim::experiment
