#include "metrics/export/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "tests/metrics/export/books.h"

namespace peermesh::metrics {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using testing::Contains;
using testing::HasSubstr;

Json Parse(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(json.is_discarded()) << text;
  return json;
}

class ReportTest : public testing::Test {
 protected:
  Json Report() {
    return Parse(ResourcesJson(world_.auditor.TakeSnapshot(), world_.auditor.verdicts(),
                               world_.books.now()));
  }
  Books world_;
};

TEST_F(ReportTest, AVerdictComesWithAllItsEvidence) {
  world_.books.SetLevel(ledger::Level::kStacks);
  world_.LeakTimers(4, "beta", "heartbeat");
  world_.Pass(20s);
  const Json report = Report();
  EXPECT_EQ(report["schema"], "peermesh.debug.resources.v1");
  EXPECT_EQ(report["sweeps"], 10);
  ASSERT_EQ(report["verdicts"].size(), 1u);
  const Json& verdict = report["verdicts"][0];
  EXPECT_EQ(verdict["number"], 1);
  EXPECT_EQ(verdict["tier"], "proof");
  EXPECT_EQ(verdict["state"], "confirmed");
  EXPECT_EQ(verdict["rule"], "orphan");
  EXPECT_EQ(verdict["kind"], "timer");
  EXPECT_EQ(verdict["count"], 4);
  EXPECT_THAT(verdict["site"].get<std::string>(), HasSubstr("books.h:"));
  EXPECT_THAT(verdict["function"].get<std::string>(), HasSubstr("LeakTimers"));
  EXPECT_EQ(verdict["owner"], "peer beta");
  EXPECT_EQ(verdict["owner_count"], 4);
  EXPECT_EQ(verdict["because"], "their scope ended more than 5 s ago");
  EXPECT_EQ(verdict["oldest_seconds"], 20);
  EXPECT_EQ(verdict["first_seen_seconds_ago"], 14);
  EXPECT_EQ(verdict["last_seen_seconds_ago"], 0);
  EXPECT_EQ(verdict["alerts"], true);
  EXPECT_FALSE(verdict.contains("suppressed"));
  ASSERT_EQ(verdict["examples"].size(), ledger::kExamples);
  const Json& example = verdict["examples"][0];
  EXPECT_EQ(example["scope"], "peer beta > stream Exchange");
  EXPECT_EQ(example["age_seconds"], 20);
  EXPECT_EQ(example["idle_seconds"], 20);
  EXPECT_EQ(example["amount"], 1);
  EXPECT_EQ(example["note"], "heartbeat");
  EXPECT_GT(example["id"], 0);
  EXPECT_GE(example["stack"].size(), 2u);
}

TEST_F(ReportTest, ASuppressedVerdictSaysWhy) {
  auto suppressions = ledger::Suppressions::Parse("timer * * 2099-01-01 see issue 12\n");
  ASSERT_TRUE(suppressions.ok());
  world_.auditor.SetSuppressions(*std::move(suppressions));
  world_.LeakTimers(1, "beta", "");
  world_.Pass(10s);
  const Json verdict = Report()["verdicts"][0];
  EXPECT_EQ(verdict["suppressed"], "see issue 12");
  EXPECT_EQ(verdict["alerts"], false);
}

TEST_F(ReportTest, AKindHasItsContractAndItsBooks) {
  ledger::Handle one(world_.books, world_.call, ledger::Scope{}, 4096);
  { const ledger::Handle gone(world_.books, world_.call, ledger::Scope{}); }
  ledger::virtual_now += 3s;
  const Json report = Report();
  for (const Json& kind : report["kinds"]) {
    if (kind["kind"] != "call") continue;
    EXPECT_EQ(kind["contract"], "short_lived");
    EXPECT_EQ(kind["live"], 1);
    EXPECT_EQ(kind["acquired"], 2);
    EXPECT_EQ(kind["amount"], 4096);
    EXPECT_EQ(kind["released"]["normal"], 1);
    EXPECT_EQ(kind["released"]["reaped"], 0);
    EXPECT_EQ(kind["oldest_seconds"], 3);
    EXPECT_EQ(kind["idle_seconds"], 3);
    return;
  }
  FAIL() << "no calls";
}

TEST_F(ReportTest, WhatAPeerCallsItselfCannotBreakTheDocument) {
  const std::string evil[] = {"\"}],\"alerts\":false,\"x\":[{\"",
                              "\\",
                              "\n\r\t\b",
                              "\xff\xfe broken",
                              std::string("nul\0nul", 7),
                              "</script><script>",
                              "\xe2\x80\xa8"};
  for (const std::string& name : evil) world_.LeakTimers(1, name, name);
  world_.Pass(10s);
  const Json report = Report();
  ASSERT_EQ(report["verdicts"].size(), 1u);
  EXPECT_EQ(report["verdicts"][0]["count"], std::size(evil));
  EXPECT_EQ(report["verdicts"][0]["alerts"], true);
  EXPECT_EQ(report["verdicts"][0]["examples"][0]["note"], evil[0]);

  const ledger::ListingOptions options{.by = ledger::GroupBy::kEach};
  const Json listing = Parse(ListingJson(List(world_.books, options), options));
  ASSERT_EQ(listing["rows"].size(), std::size(evil));
  std::set<std::string> owners;
  for (const Json& row : listing["rows"]) owners.insert(row["owner"]);
  EXPECT_THAT(owners, Contains("peer " + evil[0]));
  EXPECT_THAT(owners, Contains("peer " + evil[4])) << "a NUL is no end";
  EXPECT_THAT(owners, Contains("peer \xef\xbf\xbd\xef\xbf\xbd broken")) << "is valid UTF-8";
}

TEST_F(ReportTest, AListingLeavesOutWhatAGroupHasSeveralOf) {
  world_.LeakTimers(2, "beta", "");
  world_.LeakSession("edge-app");
  const ledger::ListingOptions options{.by = ledger::GroupBy::kOwner, .older = 0s, .limit = 1};
  const Json listing = Parse(ListingJson(List(world_.books, options), options));
  EXPECT_EQ(listing["schema"], "peermesh.debug.listing.v1");
  EXPECT_EQ(listing["by"], "peer");
  EXPECT_EQ(listing["left_off"], 1);
  ASSERT_EQ(listing["rows"].size(), 1u);
  EXPECT_EQ(listing["rows"][0]["key"], "peer beta");
  EXPECT_EQ(listing["rows"][0]["live"], 2);
  EXPECT_FALSE(listing["rows"][0].contains("note")) << "empty";
}

TEST_F(ReportTest, DescriptorsAndThreadsAreJsonWhateverTheyAreCalled) {
  ledger::KernelReading reading{.descriptors = {{3, "socket:[17]", 42}, {4, "/tmp/\"\xff", 0}},
                                .threads = {{.id = 9, .name = "pm-\"audit", .claimed = true}},
                                .descriptor_limit = 1024};
  const Json fds = Parse(DescriptorsJson(reading));
  EXPECT_EQ(fds["schema"], "peermesh.debug.fds.v1");
  EXPECT_EQ(fds["limit"], 1024);
  EXPECT_EQ(fds["descriptors"][0]["class"], "socket");
  EXPECT_EQ(fds["descriptors"][0]["claimed_by"], 42);
  EXPECT_EQ(fds["descriptors"][1]["target"], "/tmp/\"\xef\xbf\xbd");
  const Json threads = Parse(ThreadsJson(reading));
  EXPECT_EQ(threads["schema"], "peermesh.debug.threads.v1");
  EXPECT_EQ(threads["threads"][0]["name"], "pm-\"audit");
  EXPECT_EQ(threads["threads"][0]["claimed"], true);
}

TEST_F(ReportTest, WhenDescriptorsRunOutIsTold) {
  ledger::Snapshot snapshot;
  snapshot.descriptors = {.used = 900, .limit = 1024, .left = 2h};
  const Json report = Parse(ResourcesJson(snapshot, {}, world_.books.now()));
  EXPECT_EQ(report["descriptors"]["used"], 900);
  EXPECT_EQ(report["descriptors"]["exhausted_in_seconds"], 7200);
}

}  // namespace
}  // namespace peermesh::metrics
