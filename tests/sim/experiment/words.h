// The words of one line of an experiment, taken from the front. The first thing wrong is kept, and
// all else is moot.
#ifndef PEERMESH_TESTS_SIM_EXPERIMENT_WORDS_H_
#define PEERMESH_TESTS_SIM_EXPERIMENT_WORDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mesh/base/time.h"
#include "tests/sim/script.h"

namespace peermesh::sim::experiment {

class Words {
 public:
  explicit Words(const std::string& line);

  bool empty() const { return at_ == words_.size(); }
  std::string peek() const { return empty() ? "" : words_[at_]; }
  std::string Take(const char* what);
  bool TakeIf(std::string_view word);
  void Expect(const std::string& word);
  void Wrong(std::string what);
  const std::optional<std::string>& wrong() const { return wrong_; }

  std::uint64_t TakeCount(const char* what);  // "10k", "3M"
  std::uint64_t TakeAtLeastOne(const char* what);
  Duration TakeTime(const char* what);      // "500ms"
  Duration TakePositive(const char* what);  // a time of at least 1us
  Span TakeSpan(const char* what);          // "2s..8s"
  double TakeShare(const char* what);       // "50%" is 0.5
  double TakeValue(const char* what);       // "0.25"; "50%" is 0.5
  // "1..2"; "at most 2"; "at least 1"; "1": exactly that.
  std::pair<double, double> TakeRange(const char* what);
  bool PeeksShare() const { return peek().ends_with("%"); }
  bool PeeksNumber() const;

 private:
  double Value(const std::string& word, const char* what);

  std::vector<std::string> words_;
  std::size_t at_ = 0;
  std::optional<std::string> wrong_;
};

}  // namespace peermesh::sim::experiment

#endif  // PEERMESH_TESTS_SIM_EXPERIMENT_WORDS_H_
