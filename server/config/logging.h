// Logging: one event a line, on standard error, as text for people or JSON for machines.
//
//   constexpr config::Logger kLog("link");
//   kLog.Info("link up", {{"peer", id.ToShortText()}, {"rtt_us", rtt.count()}});
//
//   2026-11-20T10:11:12.123456Z INFO link: link up peer=aaaqeaye rtt_us=412
//   {"ts":"2026-11-20T10:11:12.123456Z","level":"info","logger":"link","msg":"link
//   up","peer":"aaaqeaye","rtt_us":412}
//
// Rules: the message is a constant, what varies is a field, so that logs can be searched and
// counted; keys are snake_case and never ts, level, logger or msg; no payload, key, token or other
// secret is ever logged. Values are escaped: nothing a peer sends can forge a line.
//
// A line is formatted by its caller and written by one thread, so that a reader of standard error
// who stops does not stop the peer: when kQueueLines wait, the oldest are dropped and counted.
// Before StartLogging (in tests, early in main) lines from warning up are written at once.
//
// Thread-safe, but for StartLogging and StopLogging, which belong to main.
#ifndef PEERMESH_SERVER_CONFIG_LOGGING_H_
#define PEERMESH_SERVER_CONFIG_LOGGING_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <variant>

namespace peermesh::config {

inline constexpr std::size_t kQueueLines = 1024;  // 0.5 MB, allocated once

enum class Level : std::uint8_t { kTrace, kDebug, kInfo, kWarning, kError };
enum class Format : std::uint8_t { kText, kJson };

// "trace" to "error", as in peermesh.yaml.
std::optional<Level> ParseLevel(std::string_view name);
std::string_view ToString(Level level);

// A key and its value; refers to both, and lives no longer than the call it is made for.
struct Field {
  using Value = std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool>;

  template <class T>
  Field(std::string_view field_key, const T& field_value)
      : key(field_key), value(Convert(field_value)) {}

  std::string_view key;
  Value value;

 private:
  template <class T>
  static Value Convert(const T& value) {
    if constexpr (std::same_as<T, bool>) {
      return value;
    } else if constexpr (std::signed_integral<T>) {
      return static_cast<std::int64_t>(value);
    } else if constexpr (std::unsigned_integral<T>) {
      return static_cast<std::uint64_t>(value);
    } else if constexpr (std::floating_point<T>) {
      return static_cast<double>(value);
    } else {
      return std::string_view(value);
    }
  }
};

using Fields = std::initializer_list<Field>;

void StartLogging(Level level, Format format);
// Writes what waits and goes back to the state before StartLogging.
void StopLogging();
// May be called at any time.
void SetLogLevel(Level level);
bool LogEnabled(Level level);
// Lines dropped since the start because standard error took none.
std::uint64_t DroppedLogLines();

void Log(std::string_view logger, Level level, std::string_view message, Fields fields = {});

class Logger {
 public:
  explicit constexpr Logger(std::string_view name) : name_(name) {}

  void Trace(std::string_view message, Fields fields = {}) const {
    Log(name_, Level::kTrace, message, fields);
  }
  void Debug(std::string_view message, Fields fields = {}) const {
    Log(name_, Level::kDebug, message, fields);
  }
  void Info(std::string_view message, Fields fields = {}) const {
    Log(name_, Level::kInfo, message, fields);
  }
  void Warning(std::string_view message, Fields fields = {}) const {
    Log(name_, Level::kWarning, message, fields);
  }
  void Error(std::string_view message, Fields fields = {}) const {
    Log(name_, Level::kError, message, fields);
  }

 private:
  std::string_view name_;
};

}  // namespace peermesh::config

#endif  // PEERMESH_SERVER_CONFIG_LOGGING_H_
