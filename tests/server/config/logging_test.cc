#include "server/config/logging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

namespace peermesh::config {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::MatchesRegex;

constexpr Logger kLog("test");

// The lines written while `body` runs.
template <class Body>
std::vector<std::string> Lines(Level level, Format format, Body body) {
  testing::internal::CaptureStderr();
  StartLogging(level, format);
  body();
  StopLogging();
  std::istringstream text(testing::internal::GetCapturedStderr());
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

TEST(LoggingTest, TextIsForPeople) {
  const auto lines = Lines(Level::kInfo, Format::kText, [] {
    kLog.Warning(
        "link lost",
        {{"peer", "aaaqeaye"}, {"reason", "no heartbeat"}, {"after_ms", 5500}, {"first", true}});
  });
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0],
              MatchesRegex(
                  "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}Z WARNING test: "
                  "link lost peer=aaaqeaye reason=\"no heartbeat\" after_ms=5500 first=true"));
}

TEST(LoggingTest, JsonIsOneObjectALine) {
  const auto lines = Lines(Level::kInfo, Format::kJson, [] {
    kLog.Info("link up", {{"peer", std::string("a\"b")},
                          {"count", std::uint64_t{18446744073709551615ull}},
                          {"delta", -3},
                          {"share", 0.5},
                          {"first", false}});
  });
  ASSERT_EQ(lines.size(), 1u);
  const json line = json::parse(lines[0]);
  EXPECT_THAT(line["ts"].get<std::string>(), MatchesRegex("....-..-..T..:..:..\\.......Z"));
  EXPECT_EQ(line["level"], "info");
  EXPECT_EQ(line["logger"], "test");
  EXPECT_EQ(line["msg"], "link up");
  EXPECT_EQ(line["peer"], "a\"b");
  EXPECT_EQ(line["count"], 18446744073709551615ull);
  EXPECT_EQ(line["delta"], -3);
  EXPECT_EQ(line["share"], 0.5);
  EXPECT_EQ(line["first"], false);
}

TEST(LoggingTest, NoValueCanForgeALine) {
  const std::string evil = "x\n2026-01-01T00:00:00Z ERROR test: forged\x1b[2J \xff";
  for (const Format format : {Format::kText, Format::kJson}) {
    const auto lines = Lines(Level::kInfo, format, [&] {
      kLog.Info("name refused",
                {{"name", evil}, {"nan", std::numeric_limits<double>::quiet_NaN()}});
    });
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_THAT(lines[0], HasSubstr("\\n2026"));
    EXPECT_THAT(lines[0], testing::Not(HasSubstr("\x1b")));
    EXPECT_EQ(json::accept(lines[0]), format == Format::kJson) << lines[0];
  }
}

TEST(LoggingTest, TheLevelCanBeChangedWhileRunning) {
  const auto lines = Lines(Level::kInfo, Format::kText, [] {
    kLog.Debug("one");
    SetLogLevel(Level::kDebug);
    EXPECT_TRUE(LogEnabled(Level::kDebug));
    EXPECT_FALSE(LogEnabled(Level::kTrace));
    kLog.Debug("two");
    SetLogLevel(Level::kError);
    kLog.Warning("three");
    kLog.Error("four");
  });
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_THAT(lines[0], HasSubstr("DEBUG test: two"));
  EXPECT_THAT(lines[1], HasSubstr("ERROR test: four"));
}

TEST(LoggingTest, BeforeItIsStartedWarningsAreWrittenAtOnce) {
  testing::internal::CaptureStderr();
  kLog.Info("quiet");
  kLog.Warning("loud");
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("WARNING test: loud"));
  EXPECT_THAT(text, testing::Not(HasSubstr("quiet")));
}

TEST(LoggingTest, LevelNamesAreThoseOfTheConfiguration) {
  for (const char* name : {"trace", "debug", "info", "warning", "error"}) {
    ASSERT_TRUE(ParseLevel(name)) << name;
    EXPECT_EQ(ToString(*ParseLevel(name)), name);
  }
  EXPECT_EQ(ParseLevel("INFO"), std::nullopt);
}

TEST(LoggingTest, LinesOfManyThreadsStayWhole) {
  const auto lines = Lines(Level::kInfo, Format::kJson, [] {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([t] {
        for (int i = 0; i < 100; ++i) kLog.Info("busy", {{"thread", t}, {"i", i}});
      });
    }
    for (auto& thread : threads) thread.join();
  });
  EXPECT_EQ(lines.size(), 400u);
  for (const auto& line : lines) EXPECT_TRUE(json::accept(line)) << line;
}

TEST(LoggingTest, AReaderWhoStopsDoesNotStopThePeer) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const int saved = dup(STDERR_FILENO);
  dup2(ends[1], STDERR_FILENO);
  StartLogging(Level::kInfo, Format::kText);
  const std::string filler(1000, 'x');
  for (std::size_t i = 0; i < kQueueLines * 3; ++i)
    kLog.Info("nobody reads this", {{"filler", filler}});
  const std::uint64_t dropped = DroppedLogLines();
  // The pipe holds 64 KiB, the queue its lines; all else is dropped and counted. Reading lets
  // StopLogging finish.
  std::thread reader([&] {
    char buffer[65536];
    while (read(ends[0], buffer, sizeof buffer) > 0) {
    }
  });
  StopLogging();
  dup2(saved, STDERR_FILENO);
  close(saved);
  close(ends[1]);
  reader.join();
  close(ends[0]);
  EXPECT_GT(dropped, kQueueLines);
  EXPECT_LE(dropped, kQueueLines * 2);
}

TEST(LoggingDeathTest, AReservedKeyIsABug) {
  for (const char* key : {"msg", "ts", "level", "logger", "", "Peer", "a b"}) {
    EXPECT_DEATH(kLog.Error("x", {{key, 1}}), "broken invariant") << key;
  }
}

}  // namespace
}  // namespace peermesh::config
