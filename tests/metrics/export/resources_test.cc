#include "metrics/export/resources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>
#include <string>

#include "tests/metrics/export/books.h"

namespace peermesh::metrics {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

class ResourcesTest : public testing::Test {
 protected:
  std::string Text() const {
    Page page;
    CollectResources(world_.auditor.TakeSnapshot(), world_.books.level(), page);
    return page.Text();
  }
  // Series with their values.
  std::map<std::string, double> Series() const {
    std::map<std::string, double> series;
    std::istringstream lines(Text());
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with('#')) continue;
      const std::size_t blank = line.rfind(' ');
      EXPECT_TRUE(series.emplace(line.substr(0, blank), std::stod(line.substr(blank))).second)
          << "twice: " << line;
    }
    return series;
  }
  static std::set<std::string> NamesOf(const std::map<std::string, double>& series) {
    std::set<std::string> names;
    for (const auto& [name, value] : series) names.insert(name);
    return names;
  }
  // acquired - released - live, per kind.
  std::map<std::string, double> Imbalances() const {
    std::map<std::string, double> sums;
    for (const auto& [name, value] : Series()) {
      const std::size_t at = name.find("kind=\"");
      if (at == std::string::npos) continue;
      const std::string kind = name.substr(at + 6, name.find('"', at + 6) - at - 6);
      if (name.starts_with("peermesh_resource_acquired_total{")) sums[kind] += value;
      if (name.starts_with("peermesh_resource_released_total{")) sums[kind] -= value;
      if (name.starts_with("peermesh_resource_live{")) sums[kind] -= value;
    }
    return sums;
  }

  Books world_;
};

TEST_F(ResourcesTest, TheSeriesAreTheSameWhateverIsLiveAndWhateverIsFound) {
  world_.kernel.emplace();
  world_.Pass(4s);
  const auto before = NamesOf(Series());
  world_.kernel->descriptors = {{.number = 5, .target = "socket:[1]"},
                                {.number = 6, .target = "anon_inode:[io_uring]"}};
  world_.kernel->threads = {{.id = 7, .name = "stray"}};
  world_.LeakTimers(3, "beta", "heartbeat");
  world_.LeakSession("edge-app");
  world_.Pass(2min);
  ASSERT_NE(world_.Find(ledger::Rule::kOrphan), nullptr);
  ASSERT_NE(world_.Find(ledger::Rule::kIdle), nullptr);
  EXPECT_EQ(NamesOf(Series()), before);
  world_.leaked.clear();
  world_.kernel->descriptors.clear();
  world_.Pass(4s);
  EXPECT_EQ(NamesOf(Series()), before) << "with everything released and cleared";
}

TEST_F(ResourcesTest, AKindHasAsManySeriesAsTheHeaderSays) {
  std::map<std::string, int> of_kind, of_rules;
  for (const auto& [name, value] : Series()) {
    if (name.find("kind=\"session\"") == std::string::npos) continue;
    ++(name.find("rule=\"") == std::string::npos ? of_kind : of_rules)["session"];
  }
  EXPECT_EQ(of_kind["session"], static_cast<int>(kSeriesPerKind));
  EXPECT_EQ(of_rules["session"], 3 * 7) << "orphan, violation, imbalance, exit residue, idle, "
                                           "cohort, Little's law; three series each";
}

TEST_F(ResourcesTest, AcquiredLessReleasedIsLiveOnEveryPage) {
  const auto expect_balanced = [&](const char* when) {
    for (const auto& [kind, difference] : Imbalances()) EXPECT_EQ(difference, 0) << kind << when;
  };
  expect_balanced(" at first");
  for (int i = 0; i < 40; ++i) {
    world_.leaked.push_back(ledger::Handle(world_.books, world_.call, ledger::Scope{}));
    if (i % 3 == 0)
      world_.leaked[static_cast<std::size_t>(i)].End(static_cast<ledger::Outcome>(i % 5));
    if (i == 20) world_.books.SetLevel(ledger::Level::kOff);  // counted alone from now on
    expect_balanced(" on the way");
  }
  EXPECT_EQ(Series().at("peermesh_resource_live{kind=\"call\"}"), 26);
  world_.leaked.clear();
  expect_balanced(" at the end");
  EXPECT_EQ(Series().at("peermesh_resource_live{kind=\"call\"}"), 0);
}

TEST_F(ResourcesTest, HowTheyEndedAndHowOldTheyBecameIsTold) {
  ledger::Handle call(world_.books, world_.call, ledger::Scope{});
  ledger::virtual_now += 5s;
  call.End(ledger::Outcome::kExpired);
  const auto series = Series();
  EXPECT_EQ(series.at("peermesh_resource_released_total{kind=\"call\",outcome=\"expired\"}"), 1);
  EXPECT_EQ(series.at("peermesh_resource_released_total{kind=\"call\",outcome=\"normal\"}"), 0);
  EXPECT_EQ(series.at("peermesh_resource_age_seconds_bucket{kind=\"call\",le=\"1\"}"), 0);
  EXPECT_EQ(series.at("peermesh_resource_age_seconds_bucket{kind=\"call\",le=\"10\"}"), 1);
  EXPECT_EQ(series.at("peermesh_resource_age_seconds_sum{kind=\"call\"}"), 5);
}

TEST_F(ResourcesTest, SuspectsAreCountedWhenConfirmedAndNotWhenSuppressed) {
  const std::string orphans =
      "peermesh_resource_leak_suspects{kind=\"timer\",rule=\"orphan\",tier=\"proof\"}";
  world_.LeakTimers(3, "beta", "");
  world_.Pass(6s);  // suspected by one sweep
  EXPECT_EQ(Series().at(orphans), 0);
  world_.Pass(4s);
  EXPECT_EQ(Series().at(orphans), 3);
  EXPECT_EQ(Series().at("peermesh_resource_leaks_confirmed_total{kind=\"timer\",rule=\"orphan\"}"),
            1);
  auto suppressions = ledger::Suppressions::Parse("timer * orphan 2099-01-01 known\n");
  ASSERT_TRUE(suppressions.ok());
  world_.auditor.SetSuppressions(*std::move(suppressions));
  world_.Pass(2s);
  EXPECT_EQ(Series().at(orphans), 0);
  world_.leaked.clear();
  world_.Pass(2s);
  EXPECT_EQ(Series().at("peermesh_resource_leaks_cleared_total{kind=\"timer\",rule=\"orphan\"}"),
            1);
}

TEST_F(ResourcesTest, NothingThatAPeerChoseIsALabel) {
  world_.LeakTimers(2, "evil\"} 1\n", "evil");
  world_.LeakSession("evil");
  world_.Pass(2min);
  EXPECT_THAT(Text(), Not(HasSubstr("evil")));
  EXPECT_THAT(Text(), Not(HasSubstr(".cc:"))) << "sites are in the verdicts";
}

TEST_F(ResourcesTest, TheLimitOfAKindIsToldAndMayChange) {
  const std::string limit = "peermesh_resource_limit{kind=\"bounded\"}";
  const ledger::Kind bounded = world_.books.Register(ledger::AtMost(7, ledger::Owned("bounded")));
  EXPECT_EQ(Series().at(limit), 7);
  world_.books.SetSoftLimit(bounded, 9);
  EXPECT_EQ(Series().at(limit), 9);
  EXPECT_EQ(Series().at("peermesh_resource_limit{kind=\"session\"}"), 0) << "any number";
}

TEST_F(ResourcesTest, TheLevelIsToldAsANumber) {
  world_.books.SetLevel(ledger::Level::kParanoid);
  EXPECT_EQ(Series().at("peermesh_ledger_level"), 3);
}

}  // namespace
}  // namespace peermesh::metrics
