#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <vector>

#include "server/config/config.h"
#include "server/config/value.h"

namespace peermesh::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Where the documents of a text begin, two at most. YAML::LoadAll will not do: after a comma at the
// start of a document yaml-cpp 0.7 reads nothing and finds one more document there, without end.
class DocumentStarts : public YAML::EventHandler {
 public:
  explicit DocumentStarts(const std::string& text) {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (starts_.size() < 2 && parser.HandleNextDocument(*this)) {
    }
  }
  const std::vector<YAML::Mark>& starts() const { return starts_; }

 private:
  using Style = YAML::EmitterStyle::value;
  void OnDocumentStart(const YAML::Mark& mark) override { starts_.push_back(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, Style) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, Style) override {}
  void OnMapEnd() override {}

  std::vector<YAML::Mark> starts_;
};

// Walks a YAML document and the schema side by side.
class Reader {
 public:
  Reader(std::string_view file, Lines* lines) : file_(file), lines_(lines) {}

  absl::Status ReadSection(const YAML::Node& node, const std::string& path, Message& message) {
    if (node.IsNull()) return absl::OkStatus();  // a section whose lines are all commented out
    if (!node.IsMap()) {
      return Error(
          node.Mark(),
          fmt::format(
              "{} holds settings and not {}. Write its settings on lines of their own, indented.",
              path.empty() ? "a configuration" : "'" + path + "'", Kind(node)));
    }
    std::set<std::string> seen;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar())
        return Error(entry.first.Mark(),
                     "the name of a setting must be a word. Take the brackets away.");
      const std::string& key = entry.first.Scalar();
      if (!seen.insert(key).second) {
        return Error(entry.first.Mark(), fmt::format("'{}' is set twice. Keep one of them.", key));
      }
      const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(key);
      if (field == nullptr) return Unknown(entry.first.Mark(), key, path, *message.GetDescriptor());
      const std::string inner = path.empty() ? key : path + "." + key;
      if (lines_ != nullptr && IsValue(*field)) (*lines_)[inner] = entry.first.Mark().line + 1;
      if (auto status = ReadField(entry.second, inner, *field, message); !status.ok())
        return status;
    }
    return absl::OkStatus();
  }

  absl::Status Error(const YAML::Mark& mark, std::string_view what) const {
    if (mark.is_null()) return absl::InvalidArgumentError(fmt::format("{}: {}", file_, what));
    return absl::InvalidArgumentError(fmt::format("{}:{}: {}", file_, mark.line + 1, what));
  }

 private:
  absl::Status ReadField(const YAML::Node& node, const std::string& path,
                         const FieldDescriptor& field, Message& message) {
    if (field.is_repeated()) {
      if (!node.IsSequence()) {
        return Error(
            node.Mark(),
            fmt::format("'{}' is a list and not {}. Write [one, two], or one `- entry` a line.",
                        path, Kind(node)));
      }
      for (const auto& entry : node) {
        if (auto status = ReadValue(entry, path, field, message); !status.ok()) return status;
      }
      return absl::OkStatus();
    }
    if (IsValue(field)) return ReadValue(node, path, field, message);
    return ReadSection(node, path, *message.GetReflection()->MutableMessage(&message, &field));
  }

  absl::Status ReadValue(const YAML::Node& node, const std::string& path,
                         const FieldDescriptor& field, Message& message) {
    if (!node.IsScalar()) {
      return Error(node.Mark(),
                   fmt::format("'{}' takes one value and not {}. Write it behind the colon.", path,
                               Kind(node)));
    }
    const absl::Status status = SetValue(message, field, node.Scalar());
    if (status.ok()) return status;
    return At(fmt::format("{}:{}: {}", file_, node.Mark().line + 1, path), status);
  }

  absl::Status Unknown(const YAML::Mark& mark, const std::string& key, const std::string& path,
                       const Descriptor& section) const {
    std::vector<std::string> names;
    names.reserve(static_cast<std::size_t>(section.field_count()));
    for (int i = 0; i < section.field_count(); ++i) names.push_back(section.field(i)->name());
    const std::string nearest = Nearest(key, names);
    const std::string advice = nearest.empty()
                                   ? fmt::format("Known here: {}.", fmt::join(names, ", "))
                                   : fmt::format("Did you mean '{}'?", nearest);
    return Error(mark, fmt::format("there is no setting '{}'{}. {}", key,
                                   path.empty() ? "" : " in '" + path + "'", advice));
  }

  static std::string_view Kind(const YAML::Node& node) {
    if (node.IsMap()) return "a section";
    if (node.IsSequence()) return "a list";
    return node.IsNull() ? "nothing" : "a value";
  }

  std::string_view file_;
  Lines* const lines_;
};

}  // namespace

absl::StatusOr<v1::Config> ParseYaml(std::string_view text, std::string_view name, Lines* lines) {
  Reader reader(name, lines);
  try {
    const std::string whole(text);
    const std::vector<YAML::Mark> starts = DocumentStarts(whole).starts();
    if (starts.size() > 1 && starts[0].pos == starts[1].pos) {
      return reader.Error(starts[0],
                          "this is not YAML: nothing can begin with a comma. Take it out.");
    }
    if (starts.size() > 1) {
      return reader.Error(starts[1], "a configuration is one document. Take the line '---' out.");
    }
    v1::Config config;
    if (!starts.empty()) {
      if (auto status = reader.ReadSection(YAML::Load(whole), "", config); !status.ok()) {
        return status;
      }
    }
    return config;
  } catch (const YAML::Exception& error) {
    return reader.Error(
        error.mark,
        fmt::format("this is not YAML: {}. Look at the indentation, quotes and brackets "
                    "on this line and the one before.",
                    error.msg));
  }
}

absl::StatusOr<v1::Config> ReadFile(const std::string& path, Lines* lines) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  // Reading a whole file ends at its end; anything else was no readable file.
  if (!file.eof() && text.size() <= kMaxFileBytes) {
    return absl::NotFoundError(fmt::format(
        "the configuration {} cannot be read. Check the path and who may read it.", path));
  }
  if (text.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(
        fmt::format("{} is larger than {} bytes and so no configuration. Check the path.", path,
                    kMaxFileBytes));
  }
  return ParseYaml(text, path, lines);
}

}  // namespace peermesh::config
