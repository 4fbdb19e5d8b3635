#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/config/config.h"

namespace peermesh::config {
namespace {

using testing::HasSubstr;

class ValidateTest : public testing::Test {
 protected:
  ValidateTest() {
    FillDefaults(config_, {.root = true,
                           .name = "alpha",
                           .working_directory = "/",
                           .home = "/root",
                           .xdg_state_home = "",
                           .xdg_runtime_dir = ""});
  }

  // The verdict on the defaults with one setting changed.
  absl::Status With(const std::string& path, const std::string& value) {
    v1::Config config = config_;
    if (auto status = Set(config, {path, value}); !status.ok()) return status;
    return Validate(config);
  }
  void Accepts(const std::string& path, const std::string& value) {
    EXPECT_TRUE(With(path, value).ok()) << path << ": " << With(path, value);
  }
  void Refuses(const std::string& path, const std::string& value) {
    const absl::Status status = With(path, value);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << path << " = " << value;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path.substr(0, path.rfind('.')))) << value;
    EXPECT_THAT(std::string(status.message()), HasSubstr(". ")) << "no advice: " << status;
  }

  v1::Config config_;
};

TEST_F(ValidateTest, NamesAreDnsLabels) {
  for (const char* name : {"a", "alpha-1", "1a"}) Accepts("name", name);
  for (const char* name : {"Alpha", "-a", "a-", "a.b", "a_b", "a b", "\xc3\xa4"})
    Refuses("name", name);
  Accepts("name", std::string(63, 'x'));
  Refuses("name", std::string(64, 'x'));
}

TEST_F(ValidateTest, ListenAddressesHaveAHostAndAPort) {
  for (const char* path : {"listen", "metrics.listen", "ca.listen"}) {
    for (const char* good : {"[::]:7443", "127.0.0.1:0", "localhost:65535", "[fe80::1%eth0]:1",
                             "db_1.mesh.svc:7443"}) {
      Accepts(path, good);
    }
    for (const char* bad : {"7443", "[::]", "::1:7443", ":7443", "host:", "host:x", "host:65536",
                            "host:-1", "host:-0", "[zz]:1", "[::1]7443", "[::1", "a b:1", "a..b:1",
                            "host:1 ", "host: 1", "-a:1", "[fe80::1%]:1", "[fe80::1%a b]:1"}) {
      Refuses(path, bad);
    }
  }
  Accepts("metrics.listen", "off");
  Refuses("listen", "off");
}

TEST_F(ValidateTest, AdvertisedAddressesNeedNoPort) {
  for (const char* good :
       {"alpha", "alpha:7443", "10.0.0.1", "::1", "[::1]", "[::1]:7443", "a.b.c.,d"})
    Accepts("advertise", good);
  for (const char* bad : {"alpha:0", "alpha:x", "al pha", "[::1"}) Refuses("advertise", bad);
  Accepts("advertise", "a,b,c,d,e,f,g,h");
  Refuses("advertise", "a,b,c,d,e,f,g,h,i");
}

TEST_F(ValidateTest, SeedsNeedAPort) {
  Accepts("seeds", "beta:7443,[::1]:7443");
  for (const char* bad : {"beta", "beta:0", "::1"}) Refuses("seeds", bad);
  std::string many = "s0:1";
  for (int i = 1; i < 64; ++i) many += ",s" + std::to_string(i) + ":1";
  Accepts("seeds", many);
  Refuses("seeds", many + ",x:1");
}

TEST_F(ValidateTest, DirectoriesAreAbsoluteAndSocketsFit) {
  Refuses("data_dir", "relative");
  Refuses("run_dir", "relative");
  Accepts("run_dir", "/" + std::string(95, 'r'));
  Refuses("run_dir", "/" + std::string(96, 'r'));
}

TEST_F(ValidateTest, LogSettingsAreFromAList) {
  for (const char* level : {"trace", "debug", "info", "warning", "error"})
    Accepts("log.level", level);
  Refuses("log.level", "verbose");
  Accepts("log.format", "json");
  Refuses("log.format", "xml");
}

TEST_F(ValidateTest, DurationsAreWithinReason) {
  Accepts("drain_timeout", "1h");
  Refuses("drain_timeout", "0");
  Refuses("drain_timeout", "61m");
  Accepts("ca.certificate_lifetime", "1s");
  Refuses("ca.certificate_lifetime", "0");
  Refuses("ca.certificate_lifetime", "999ms");
  Accepts("ca.certificate_lifetime", "365d");
  Refuses("ca.certificate_lifetime", "365d1s");
}

TEST_F(ValidateTest, RatesCanBeKept) {
  Refuses("limits.application_messages.burst", "5");  // no rate
  Refuses("limits.peer_bytes.per_second", "1k");  // no burst: 0 is less than the largest message
  config_.mutable_limits()->mutable_application_bytes()->set_burst(1u << 20);
  Accepts("limits.application_bytes.per_second", "1k");
  config_.mutable_limits()->mutable_application_bytes()->set_burst((1u << 20) - 1);
  Refuses("limits.application_bytes.per_second", "1k");
  config_.mutable_limits()->clear_application_bytes();
  Refuses("limits.handshakes.per_second", "1000000000001");
  Refuses("limits.handshakes.burst", "1000000000000001");
}

TEST_F(ValidateTest, ConnectionCapsAreOrdered) {
  Refuses("limits.connections", "0");
  Refuses("limits.connections", "65537");
  Refuses("limits.connections", "63");  // fewer than 64 per address
  Refuses("limits.connections_per_address", "257");
  Accepts("limits.connections_per_address", "256");
}

TEST_F(ValidateTest, EveryProblemIsNamedAtOnce) {
  v1::Config config = config_;
  config.set_name("A");
  config.set_listen("x");
  const std::string message(Validate(config).message());
  EXPECT_THAT(message, HasSubstr("name is 'A'"));
  EXPECT_THAT(message, HasSubstr("\nlisten is 'x'"));
}

}  // namespace
}  // namespace peermesh::config
