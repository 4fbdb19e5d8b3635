// What the command line prints: data on stdout, messages on stderr, colours only for a terminal
// without NO_COLOR.
#ifndef PEERMESH_CLIENT_CLI_OUTPUT_H_
#define PEERMESH_CLIENT_CLI_OUTPUT_H_

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "mesh/base/time.h"

namespace google::protobuf {
class Message;
}

namespace peermesh::cli {

enum class Style { kPlain, kGood, kWarning, kBad, kDim };

struct Cell {
  Cell(std::string t, Style s = Style::kPlain)
      : text(std::move(t)), style(s) {}  // NOLINT: implicit by design
  Cell(const char* t) : text(t) {}       // NOLINT: implicit by design
  std::string text;
  Style style = Style::kPlain;
};

// Left-aligned columns, two blanks between them. Cells hold ASCII, or text whose width is its
// length.
class Table {
 public:
  explicit Table(std::vector<std::string> headers);
  void Add(std::vector<Cell> row);
  std::string Render(bool colour) const;

 private:
  std::vector<std::string> headers_;
  std::vector<std::vector<Cell>> rows_;
};

bool WantsColour(std::FILE* stream);
std::string Paint(std::string_view text, Style style, bool colour);

enum class Json { kIndented, kOneLine };
// Protobuf JSON with every field, names in lowerCamelCase, after {"schema": `schema`}. Without a
// schema for a part of something larger.
std::string ToJson(std::string_view schema, const google::protobuf::Message& message, Json form);

// Writes all of it to standard output. If nobody reads it any more: Interrupted(SIGPIPE).
absl::Status WriteOut(std::string_view text);
absl::Status FlushOut();
// Whether nobody reads standard output any more, for a command that has nothing to write now; to be
// asked every kOutputCheck.
bool OutputGone();
inline constexpr Duration kOutputCheck = std::chrono::milliseconds(500);

// "peermesh: ..." on stderr; the reason in brackets if the error has one.
void PrintError(const absl::Status& status);
// The same as an object with --json: {"schema", "error": {"code", "reason", "message"}},
// "retryDelay" if known.
std::string JsonOf(const absl::Status& status);
// A message that is no error.
void Note(std::string_view text);

// Printable on any terminal: control characters and broken UTF-8 become \xNN.
std::string Escape(std::string_view bytes);

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_OUTPUT_H_
