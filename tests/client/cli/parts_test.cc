// The parts of the command line that need no process: units, lines, tables, exit codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "client/cli/exit_code.h"
#include "client/cli/lines.h"
#include "client/cli/output.h"
#include "client/cli/units.h"
#include "client/errors.h"

namespace peermesh::cli {
namespace {

using namespace std::chrono_literals;

TEST(ParseDuration, TakesWhatPeopleWrite) {
  EXPECT_EQ(ParseDuration("250ms"), Duration(250ms));
  EXPECT_EQ(ParseDuration("30s"), Duration(30s));
  EXPECT_EQ(ParseDuration("5m"), Duration(5min));
  EXPECT_EQ(ParseDuration("1h30m"), Duration(90min));
  EXPECT_EQ(ParseDuration("7d"), Duration(168h));
  EXPECT_EQ(ParseDuration("10"), Duration(10s));
  EXPECT_EQ(ParseDuration("0s"), Duration(0s));
}

TEST(ParseDuration, RefusesEverythingElse) {
  for (const char* bad : {"", "s", "-1s", "1.5s", "1x", "1h30", "5 m", "+3s", "99999999999d",
                          "99999999999999999999s", "4000d"}) {
    EXPECT_EQ(ParseDuration(bad), std::nullopt) << bad;
  }
}

TEST(FormatDuration, ShowsTheTwoLargestUnits) {
  EXPECT_EQ(FormatDuration(80us), "80 us");
  EXPECT_EQ(FormatDuration(12'340us), "12.3 ms");
  EXPECT_EQ(FormatDuration(59s), "59s");
  EXPECT_EQ(FormatDuration(200s), "3m 20s");
  EXPECT_EQ(FormatDuration(3600s), "1h");
  EXPECT_EQ(FormatDuration(167h + 59min), "6d 23h");
  EXPECT_EQ(FormatDuration(-61s), "-1m 1s");
}

TEST(FormatBytes, ScalesByPowersOf1024) {
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(std::uint64_t{3} << 30), "3.0 GiB");
}

TEST(LineSplitter, JoinsLinesAcrossReads) {
  LineSplitter splitter(100);
  std::vector<std::string> lines;
  ASSERT_TRUE(splitter.Feed("one\ntw", lines).ok());
  EXPECT_THAT(lines, testing::ElementsAre("one")) << "a complete line is there at once";
  ASSERT_TRUE(splitter.Feed("o\n\nlast", lines).ok());
  splitter.End(lines);
  EXPECT_THAT(lines, testing::ElementsAre("one", "two", "", "last"));
}

TEST(LineSplitter, ANewlineAtTheEndMakesNoEmptyLine) {
  LineSplitter splitter(100);
  std::vector<std::string> lines;
  ASSERT_TRUE(splitter.Feed("one\n", lines).ok());
  splitter.End(lines);
  EXPECT_THAT(lines, testing::ElementsAre("one"));
}

TEST(LineSplitter, RefusesALineThatIsTooLongBeforeItHasEnded) {
  LineSplitter splitter(4);
  std::vector<std::string> lines;
  EXPECT_TRUE(splitter.Feed("1234\n12", lines).ok());
  const absl::Status refused = splitter.Feed("345", lines);
  EXPECT_EQ(client::ReasonOf(refused), "MESSAGE_TOO_LARGE");
  EXPECT_THAT(std::string(refused.message()), testing::StartsWith("Line 2 of the input"));
  EXPECT_THAT(lines, testing::ElementsAre("1234")) << "what came before it is still published";
}

TEST(ReadAll, StopsAtItsLimit) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(write(ends[1], "12345", 5), 5);
  close(ends[1]);
  EXPECT_EQ(client::ReasonOf(ReadAll(ends[0], 4).status()), "MESSAGE_TOO_LARGE");
  close(ends[0]);
}

TEST(Table, AlignsColumnsAndLeavesNoBlanksAtTheEnd) {
  Table table({"NAME", "STATE"});
  table.Add({"alpha", {"alive", Style::kGood}});
  table.Add({"b", "dead"});
  EXPECT_EQ(table.Render(false), "NAME   STATE\nalpha  alive\nb      dead\n");
}

TEST(Table, ColoursDoNotMoveColumns) {
  Table table({"A", "B"});
  table.Add({{"x", Style::kBad}, "y"});
  EXPECT_EQ(table.Render(true), "A  B\n\033[31mx\033[0m  y\n");
}

TEST(Escape, LetsNothingReachTheTerminalButText) {
  EXPECT_EQ(Escape("plain \t text"), "plain \t text");
  EXPECT_EQ(Escape("\033[31m\r\n"), "\\x1b[31m\\x0d\\x0a");
  EXPECT_EQ(Escape("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
            "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(Escape("\xff\xc3(\xc2\x9b\xe2\x82"), "\\xff\\xc3(\\xc2\\x9b\\xe2\\x82");
}

TEST(ExitCode, FollowsFromTheError) {
  using absl::StatusCode;
  const auto code = [](StatusCode status, std::string_view reason) {
    return ExitCodeOf(client::MakeError(status, reason, ""));
  };
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeOf(absl::InternalError("")), 1);
  EXPECT_EQ(ExitCodeOf(UsageError("")), 2);
  EXPECT_EQ(code(StatusCode::kInvalidArgument, "INVALID_SUBJECT"), 2);
  EXPECT_EQ(ExitCodeOf(absl::UnavailableError("no details: gRPC itself")), 3);
  EXPECT_EQ(code(StatusCode::kUnavailable, "NOT_CONNECTED"), 3);
  EXPECT_EQ(code(StatusCode::kUnavailable, "CONNECTION_LOST"), 3);
  EXPECT_EQ(code(StatusCode::kPermissionDenied, "ROLE_REQUIRED"), 4);
  EXPECT_EQ(code(StatusCode::kUnauthenticated, "TOKEN_REFUSED"), 4);
  EXPECT_EQ(code(StatusCode::kNotFound, "UNKNOWN_PEER"), 5);
  EXPECT_EQ(ExitCodeOf(absl::DeadlineExceededError("")), 6);
  EXPECT_EQ(code(StatusCode::kUnavailable, "DRAINING"), 7);
  EXPECT_EQ(code(StatusCode::kUnavailable, "PEER_UNREACHABLE"), 7);
  EXPECT_EQ(code(StatusCode::kResourceExhausted, "RATE_LIMITED"), 8);
  EXPECT_EQ(code(StatusCode::kResourceExhausted, "MESSAGE_TOO_LARGE"), 1);
  EXPECT_EQ(ExitCodeOf(Interrupted(SIGINT)), 130);
  EXPECT_EQ(ExitCodeOf(Interrupted(SIGTERM)), 143);
  EXPECT_EQ(ExitCodeOf(Interrupted(SIGPIPE)), 141);
  EXPECT_EQ(code(StatusCode::kCancelled, "SESSION_CLOSED"), 1);
}

}  // namespace
}  // namespace peermesh::cli
