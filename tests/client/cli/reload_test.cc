// peermesh reload, against a peer that answers what it is told to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/client/cli/against_peer.h"

namespace peermesh::client {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;

class ReloadTest : public ProgramTest {
 protected:
  ReloadTest() {
    peer_.on_reload = [this](v1::ReloadResponse& response) {
      response = report_;
      return grpc::Status::OK;
    };
    report_.set_unchanged(40);
    peer_.Start();
  }
  static void Set(v1::SettingChange& change, const char* setting, const char* old_value,
                  const char* new_value) {
    change.set_setting(setting);
    change.set_old_value(old_value);
    change.set_new_value(new_value);
  }

  v1::ReloadResponse report_;
};

TEST_F(ReloadTest, SaysWhatIsInForceAndWhatNeedsARestart) {
  Set(*report_.add_changed(), "drain_timeout", "5s", "7s");
  Set(*report_.add_needs_restart(), "listen", "[::]:7443", "[::]:1\x1b[31m");
  const Outcome outcome = Run({"reload"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, ContainsRegex("\ndrain_timeout +5s +7s +now\n"));
  EXPECT_THAT(outcome.out, ContainsRegex("\nlisten +\\S+ +\\S+ +after a restart\n"));
  EXPECT_EQ(outcome.out.find('\x1b'), std::string::npos) << "a file colours no terminal";
  EXPECT_THAT(outcome.err,
              HasSubstr("Reloaded: 1 setting changed; 1 setting needs a restart; 40 settings as "
                        "before."));
}

TEST_F(ReloadTest, SaysSoWhenNothingHasChanged) {
  const Outcome outcome = Run({"reload"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("Nothing has changed; 40 settings as before."));
}

TEST_F(ReloadTest, WithJsonItIsTheAnswerOfThePeer) {
  Set(*report_.add_changed(), "drain_timeout", "5s", "7s");
  const Outcome outcome = Run({"reload", "--json"});
  EXPECT_EQ(outcome.code, 0);
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["schema"], "peermesh.reload.v1");
  EXPECT_EQ(json["changed"][0]["newValue"], "7s");
  EXPECT_EQ(json["needsRestart"].size(), 0u);
  EXPECT_EQ(json["unchanged"], 40);
}

TEST_F(ReloadTest, ARefusalIsAnErrorWithItsReason) {
  peer_.on_reload = [](v1::ReloadResponse&) {
    return RefusalOf(grpc::StatusCode::FAILED_PRECONDITION, "RELOAD_REFUSED",
                     "alpha.yaml:3: 'lisen' is not known.");
  };
  const Outcome outcome = Run({"reload"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("alpha.yaml:3: 'lisen' is not known. [RELOAD_REFUSED]"));
}

}  // namespace
}  // namespace peermesh::client
