// The commands and options of the program, read from the parser itself: what completion, --help and
// the manual know can not differ from what the program takes.
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
// As the scripts of bash and zsh are told: "peer", "choice a b"; nothing for any text.
std::string WordsFor(const ValueKind& value);

struct OptionModel {
  std::vector<std::string> names;  // "--format", "-o"; of an argument none
  std::string help;
  std::string heading;     // among options: "Where the peer is"; empty for most
  std::string value_name;  // "DURATION", "gap|block|close"; of an argument its name
  bool takes_value = false;
  bool required = false;
  bool repeats = false;
  ValueKind value;
};

struct CommandModel {
  std::string path;  // "peers show"; empty: the program
  std::string help;
  std::string heading;  // among commands: "Messages"
  std::string notes;    // paragraphs between empty lines; lines that begin with a blank stay lines
  std::vector<const CommandModel*> commands;  // into the same tree
  bool needs_command = false;                 // one of these
  std::vector<OptionModel> options;
  std::vector<OptionModel> arguments;  // in order; the last may repeat

  // "show" of "peers show".
  std::string name() const { return path.substr(path.rfind(' ') + 1); }
  // "peermesh peers ping [OPTIONS] PEER"
  std::string Usage() const;
};

class CommandTree {
 public:
  // From `app` on, which is the program or one of its commands.
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
