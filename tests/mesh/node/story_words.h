// One line of a story, word by word.
//
// Reading never fails half-way: the first complaint sticks, later reads return something harmless,
// and Finish() tells. So a line is read whole before anything is done about it.
//
// Words are separated by spaces; a comma, colon or semicolon at the end of a word is a word.
#ifndef PEERMESH_TESTS_MESH_NODE_STORY_WORDS_H_
#define PEERMESH_TESTS_MESH_NODE_STORY_WORDS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "mesh/base/time.h"

namespace peermesh::node {

// Both ends included.
struct Numbers {
  std::uint64_t from = 1;
  std::uint64_t to = 1;
};

// "4.2s", "1m2.5s", "24h": as short as it gets and exact.
std::string ShowTime(Duration time);
std::optional<Duration> ReadTime(std::string_view text);
// "100B", "64KiB", "2MiB".
std::string ShowSize(std::uint64_t bytes);
std::optional<std::uint64_t> ReadSize(std::string_view text);
// "3" or "3..7".
std::string ShowNumbers(std::uint64_t from, std::uint64_t to);
std::optional<Numbers> ReadNumbers(std::string_view text);
std::optional<std::uint64_t> ReadNumber(std::string_view text);

class Words {
 public:
  explicit Words(std::string_view line);

  bool empty() const { return at_ == words_.size(); }
  std::string_view Peek(std::size_t ahead = 0) const;
  // Consumes the next word if it is this one.
  bool Take(std::string_view word);

  // `what` says what is missing: "the name of a peer".
  std::string Word(std::string_view what);
  void Expect(std::string_view word);
  std::uint64_t Number(std::string_view what);
  Duration Time(std::string_view what);
  std::uint64_t Size(std::string_view what);
  Numbers Range(std::string_view what);
  // One of the texts of a table of {text, value}.
  template <class Table>
  auto OneOf(std::string_view what, const Table& table) {
    const std::string word = Word(what);
    std::string all;
    for (const auto& [text, value] : table) {
      if (word == text) return value;
      all += (all.empty() ? "" : ", ") + std::string(text);
    }
    Fail("'" + word + "' is not " + std::string(what) + "; there are " + all);
    return table[0].value;
  }

  void Fail(std::string message);
  bool ok() const { return complaint_.empty(); }
  // The first complaint, or words that nobody read.
  absl::Status Finish();

 private:
  std::vector<std::string> words_;
  std::size_t at_ = 0;
  std::string complaint_;
};

// A row of the tables above.
template <class T>
struct Named {
  std::string_view text;
  T value;
};

}  // namespace peermesh::node

#endif  // PEERMESH_TESTS_MESH_NODE_STORY_WORDS_H_
