// The commands and options of the program, read from the parser itself: what completion knows can
// not differ from what the program takes.
#ifndef PEERMESH_CLIENT_CLI_COMMAND_TREE_H_
#define PEERMESH_CLIENT_CLI_COMMAND_TREE_H_

#include <deque>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace peermesh::cli {

// What may stand where a value is expected.
struct ValueKind {
  enum class Kind { kText, kFile, kDirectory, kPeer, kContext, kChoice };
  Kind kind = Kind::kText;
  std::vector<std::string> choices;  // of kChoice
};

struct OptionModel {
  std::vector<std::string> names;  // "--format", "-o"; of an argument none
  std::string help;
  bool takes_value = false;
  ValueKind value;
};

struct CommandModel {
  std::string path;  // "peers show"; empty: the program
  std::string help;
  std::vector<const CommandModel*> commands;  // into the same tree
  std::vector<OptionModel> options;
  std::vector<OptionModel> arguments;  // in order; the last may repeat
};

class CommandTree {
 public:
  explicit CommandTree(const CLI::App& app);
  CommandTree(const CommandTree&) = delete;  // models point at each other
  CommandTree& operator=(const CommandTree&) = delete;

  // The program first, every command before those of its own.
  const std::deque<CommandModel>& all() const { return all_; }
  const CommandModel& program() const { return all_.front(); }
  // "--format", "-o": those that are followed by a value, wherever they stand.
  std::vector<std::string> ValueOptions() const;

 private:
  const CommandModel* Add(const CLI::App& app, const std::string& path);
  std::deque<CommandModel> all_;
};

// One each. The text of a script.
std::string BashCompletion(const CommandTree& tree);
std::string ZshCompletion(const CommandTree& tree);
std::string FishCompletion(const CommandTree& tree);

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_COMMAND_TREE_H_
