#include "client/cli/output.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "client/cli/exit_code.h"
#include "client/errors.h"
#include "mesh/base/check.h"

namespace peermesh::cli {
namespace {

const char* CodeOf(Style style) {
  switch (style) {
    case Style::kPlain: return "";
    case Style::kGood: return "\033[32m";
    case Style::kWarning: return "\033[33m";
    case Style::kBad: return "\033[31m";
    case Style::kDim: return "\033[2m";
  }
  return "";
}

absl::Status OutputError() {
  if (errno == EPIPE) return Interrupted(SIGPIPE);  // as if the signal were not ignored
  return absl::UnknownError(
      fmt::format("Standard output cannot be written: {}.", std::strerror(errno)));
}

// Length of the UTF-8 character that `bytes` begins with; 0 if it is none.
std::size_t Utf8Length(std::string_view bytes) {
  const auto lead = static_cast<unsigned char>(bytes[0]);
  std::size_t length = 0;
  if (lead >= 0xc2 && lead <= 0xdf) length = 2;
  if (lead >= 0xe0 && lead <= 0xef) length = 3;
  if (lead >= 0xf0 && lead <= 0xf4) length = 4;
  if (length == 0 || length > bytes.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(bytes[i]) & 0xc0) != 0x80) return 0;
  }
  // U+0080 to U+009F are control characters too.
  if (lead == 0xc2 && static_cast<unsigned char>(bytes[1]) < 0xa0) return 0;
  return length;
}

// The sentences for people.
std::string Explain(const absl::Status& status) {
  std::string text(status.message());
  if (text.empty()) text = absl::StatusCodeToString(status.code());
  if (absl::IsUnavailable(status) && client::ReasonOf(status).empty()) {
    text = fmt::format(
        "The connection to the peer broke ({}). See whether it runs: \"peermesh health\".", text);
  }
  const auto wait = client::RetryAfter(status);
  if (wait && *wait < client::kLongestRetry) {
    text += fmt::format(" Try again in {} ms.", (wait->count() + 999) / 1000);
  }
  return text;
}

}  // namespace

Table::Table(std::vector<std::string> headers) : headers_(std::move(headers)) {}

void Table::Add(std::vector<Cell> row) {
  PM_CHECK(row.size() == headers_.size());
  rows_.push_back(std::move(row));
}

std::string Table::Render(bool colour) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < headers_.size(); ++i) {
    widths.push_back(headers_[i].size());
    for (const auto& row : rows_) widths[i] = std::max(widths[i], row[i].text.size());
  }
  std::string out;
  const auto add_line = [&](const std::vector<Cell>& row) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += Paint(row[i].text, row[i].style, colour);
      if (i + 1 < row.size()) out.append(widths[i] - row[i].text.size() + 2, ' ');
    }
    out += '\n';
  };
  add_line({headers_.begin(), headers_.end()});
  for (const auto& row : rows_) add_line(row);
  return out;
}

bool WantsColour(std::FILE* stream) {
  const char* no_colour = std::getenv("NO_COLOR");
  return (no_colour == nullptr || *no_colour == '\0') && isatty(fileno(stream)) == 1;
}

std::string Paint(std::string_view text, Style style, bool colour) {
  if (!colour || style == Style::kPlain) return std::string(text);
  return fmt::format("{}{}\033[0m", CodeOf(style), text);
}

std::string ToJson(std::string_view schema, const google::protobuf::Message& message, Json form) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = form == Json::kIndented;
  options.always_print_primitive_fields = true;
  std::string out;
  PM_CHECK(google::protobuf::util::MessageToJsonString(message, &out, options).ok());
  if (!schema.empty()) {
    const bool empty = out.find('"') == std::string::npos;
    const std::string_view separator = empty ? "" : form == Json::kIndented ? "," : ", ";
    const std::string_view indent = form == Json::kIndented ? "\n " : "";
    out.insert(1, fmt::format("{}\"schema\": \"{}\"{}", indent, schema, separator));
    if (empty && form == Json::kIndented) out += '\n';
  }
  if (form == Json::kOneLine) out += '\n';
  return out;
}

absl::Status WriteOut(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) return OutputError();
  return absl::OkStatus();
}

absl::Status FlushOut() { return std::fflush(stdout) == 0 ? absl::OkStatus() : OutputError(); }

bool OutputGone() {
  pollfd output{STDOUT_FILENO, 0, 0};
  return poll(&output, 1, 0) == 1 && (output.revents & (POLLERR | POLLHUP)) != 0;
}

void PrintError(const absl::Status& status) {
  const std::string reason = client::ReasonOf(status);
  const bool colour = WantsColour(stderr);
  Note(
      fmt::format("{} {}{}", Paint("peermesh:", Style::kBad, colour), Escape(Explain(status)),
                  reason.empty() || reason == "USAGE" ? "" : fmt::format(" [{}]", Escape(reason))));
}

std::string JsonOf(const absl::Status& status) {
  nlohmann::ordered_json error = {{"code", absl::StatusCodeToString(status.code())},
                                  {"reason", client::ReasonOf(status)},
                                  {"message", Explain(status)}};
  if (const auto wait = client::RetryAfter(status)) {
    error["retryDelay"] =
        fmt::format("{}.{:06}s", wait->count() / 1'000'000, wait->count() % 1'000'000);
  }
  const nlohmann::ordered_json json = {{"schema", "peermesh.error.v1"},
                                       {"error", std::move(error)}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

void Note(std::string_view text) {
  // In one piece, and no error if it cannot be written: there is nowhere left to say so.
  std::string line(text);
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
}

std::string Escape(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    std::size_t take = 1;
    const auto c = static_cast<unsigned char>(bytes[0]);
    if (c >= 0x80) take = Utf8Length(bytes);
    if (take == 0 || (c < 0x20 && c != '\t') || c == 0x7f) {
      out += fmt::format("\\x{:02x}", c);
      take = 1;
    } else {
      out += bytes.substr(0, take);
    }
    bytes.remove_prefix(take);
  }
  return out;
}

}  // namespace peermesh::cli
