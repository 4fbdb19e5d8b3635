#include "server/config/logging.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iterator>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <shared_mutex>

#include "mesh/base/check.h"

namespace peermesh::config {
namespace {

constexpr std::string_view kLevelNames[] = {"trace", "debug", "info", "warning", "error"};
constexpr spdlog::level::level_enum kSpdlogLevels[] = {spdlog::level::trace, spdlog::level::debug,
                                                       spdlog::level::info, spdlog::level::warn,
                                                       spdlog::level::err};

struct State {
  std::atomic<Level> level{Level::kWarning};
  std::atomic<Format> format{Format::kText};
  // Readers log, the writer starts and stops.
  std::shared_mutex mutex;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::logger> logger;
};

std::shared_ptr<spdlog::logger> Prepared(std::shared_ptr<spdlog::logger> logger) {
  logger->set_pattern("%v");
  logger->set_level(spdlog::level::trace);  // ours decides
  logger->flush_on(spdlog::level::trace);
  return logger;
}

std::shared_ptr<spdlog::logger> Synchronous() {
  return Prepared(std::make_shared<spdlog::logger>(
      "stderr", std::make_shared<spdlog::sinks::stderr_sink_mt>()));
}

// Never destroyed: threads of libraries may log until the very end.
State& TheState() {
  static State* const state = [] {
    auto* fresh = new State;
    fresh->logger = Synchronous();
    return fresh;
  }();
  return *state;
}

std::string Timestamp() {
  const auto now = std::chrono::system_clock::now();
  const auto since_epoch =
      std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z",
                     fmt::gmtime(static_cast<std::time_t>(since_epoch / 1'000'000)),
                     since_epoch % 1'000'000);
}

std::string Quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool IsKey(std::string_view key) {
  return !key.empty() && key != "ts" && key != "level" && key != "logger" && key != "msg" &&
         std::all_of(key.begin(), key.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

// A word that a reader cannot take for anything else stays as it is.
std::string TextOf(std::string_view text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
  });
  return plain ? std::string(text) : Quoted(text);
}

std::string ValueOf(const Field::Value& value, Format format) {
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    return format == Format::kJson ? Quoted(*text) : TextOf(*text);
  }
  // JSON has no NaN and no infinity; nlohmann writes null.
  return std::visit([](const auto& number) { return nlohmann::json(number).dump(); }, value);
}

std::string TextLine(std::string_view logger, Level level, std::string_view message,
                     Fields fields) {
  std::string name(ToString(level));
  for (char& c : name) c = static_cast<char>(c - 'a' + 'A');
  std::string line = fmt::format("{} {} {}: {}", Timestamp(), name, logger, message);
  for (const Field& field : fields) {
    fmt::format_to(std::back_inserter(line), " {}={}", field.key,
                   ValueOf(field.value, Format::kText));
  }
  return line;
}

std::string JsonLine(std::string_view logger, Level level, std::string_view message,
                     Fields fields) {
  std::string line = fmt::format(R"({{"ts":"{}","level":"{}","logger":{},"msg":{})", Timestamp(),
                                 ToString(level), Quoted(logger), Quoted(message));
  for (const Field& field : fields) {
    fmt::format_to(std::back_inserter(line), R"(,"{}":{})", field.key,
                   ValueOf(field.value, Format::kJson));
  }
  line += '}';
  return line;
}

}  // namespace

std::optional<Level> ParseLevel(std::string_view name) {
  const auto* const found = std::find(std::begin(kLevelNames), std::end(kLevelNames), name);
  if (found == std::end(kLevelNames)) return std::nullopt;
  return static_cast<Level>(found - std::begin(kLevelNames));
}

std::string_view ToString(Level level) { return kLevelNames[static_cast<std::size_t>(level)]; }

void StartLogging(Level level, Format format) {
  StopLogging();
  State& state = TheState();
  const std::unique_lock lock(state.mutex);
  state.pool = std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1);
  state.logger = Prepared(std::make_shared<spdlog::async_logger>(
      "stderr", std::make_shared<spdlog::sinks::stderr_sink_mt>(), state.pool,
      spdlog::async_overflow_policy::overrun_oldest));
  state.level = level;
  state.format = format;
}

void StopLogging() {
  State& state = TheState();
  const std::unique_lock lock(state.mutex);
  state.logger = Synchronous();
  state.pool.reset();  // writes what waits, then joins its thread
  state.level = Level::kWarning;
  state.format = Format::kText;
}

void SetLogLevel(Level level) { TheState().level = level; }

bool LogEnabled(Level level) { return level >= TheState().level.load(std::memory_order_relaxed); }

std::uint64_t DroppedLogLines() {
  State& state = TheState();
  const std::shared_lock lock(state.mutex);
  return state.pool ? state.pool->overrun_counter() : 0;
}

void Log(std::string_view logger, Level level, std::string_view message, Fields fields) {
  if (!LogEnabled(level)) return;
  for (const Field& field : fields) PM_CHECK(IsKey(field.key));
  State& state = TheState();
  const std::string line = state.format == Format::kJson ? JsonLine(logger, level, message, fields)
                                                         : TextLine(logger, level, message, fields);
  const std::shared_lock lock(state.mutex);
  state.logger->log(kSpdlogLevels[static_cast<std::size_t>(level)], spdlog::string_view_t(line));
}

}  // namespace peermesh::config
