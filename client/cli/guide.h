// What --help and the manual say of a command beyond what the parser knows of it: examples, a
// description, files. Texts alone; tests parse every example, and find one for every command.
#ifndef PEERMESH_CLIENT_CLI_GUIDE_H_
#define PEERMESH_CLIENT_CLI_GUIDE_H_

#include <string_view>
#include <vector>

namespace peermesh::cli {

struct Example {
  std::string_view line;     // of a shell
  std::string_view meaning;  // "Make a token that lets one peer in"
};

struct FileNote {
  std::string_view path, meaning;
};

struct Guide {
  std::string_view path;  // "peers show"; empty: the program
  std::vector<Example> examples;
  // Of the manual alone; paragraphs between empty lines.
  std::string_view description = "";
  std::vector<FileNote> files = {};
  std::vector<std::string_view> see_also = {};  // "peermesh-leaks(1)"
};

// An empty one if there is nothing to say.
const Guide& GuideOf(std::string_view path);
// In the order of the commands.
const std::vector<Guide>& Guides();

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_GUIDE_H_
