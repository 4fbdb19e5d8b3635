#include "metrics/export/exporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>
#include <vector>

#include "metrics/export/process.h"
#include "tests/metrics/export/http.h"

namespace peermesh::metrics {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

class ExporterTest : public testing::Test {
 protected:
  void SetUp() override {
    const absl::Status started = exporter_.Start("127.0.0.1:0");
    ASSERT_TRUE(started.ok()) << started;
  }
  Reply Get(const std::string& path) { return Fetch(exporter_.address(), path); }

  Exporter exporter_;
};

TEST_F(ExporterTest, ReportsTheAddressItReallyHas) {
  EXPECT_THAT(exporter_.address(), MatchesRegex("127.0.0.1:[0-9]+"));
  EXPECT_NE(exporter_.address(), "127.0.0.1:0");
}

TEST_F(ExporterTest, AScrapeAsksEverySourceOnce) {
  std::atomic<int> calls = 0;
  exporter_.AddSource([&](Page& page) { page.Gauge("peermesh_links", "Links.").Add(++calls); });
  exporter_.AddSource([](Page& page) { page.Gauge("peermesh_peers", "Peers.").Add(2); });
  for (int i = 1; i <= 2; ++i) {
    const Reply reply = Get("/metrics");
    EXPECT_EQ(reply.code, 200);
    EXPECT_THAT(reply.head, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8"));
    EXPECT_THAT(reply.head, HasSubstr("Content-Length: " + std::to_string(reply.body.size())));
    EXPECT_THAT(reply.body, HasSubstr("peermesh_links " + std::to_string(i) + "\n"));
    EXPECT_THAT(reply.body, HasSubstr("peermesh_peers 2\n"));
    EXPECT_THAT(reply.body, HasSubstr("# TYPE peermesh_metrics_scrape_duration_seconds gauge"));
  }
}

TEST_F(ExporterTest, APageWithoutAnAnswerSaysSo) {
  exporter_.AddPage("/targets", [](const Query&) {
    return Document{.type = kJsonType, .body = "", .code = 503};
  });
  EXPECT_EQ(Get("/targets").code, 503);
}

// An address of this machine that is not loopback; empty if it has none.
std::string OtherAddress() {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return "";
  std::string found;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    std::array<char, NI_MAXHOST> text{};
    getnameinfo(one->ifa_addr, sizeof(sockaddr_in), text.data(), text.size(), nullptr, 0,
                NI_NUMERICHOST);
    const std::string address = text.data();
    if (!address.starts_with("127.")) found = address;
  }
  freeifaddrs(all);
  return found;
}

TEST_F(ExporterTest, PagesThatNameWhoIsConnectedAreForTheHostItselfOnly) {
  const std::string host = OtherAddress();
  if (host.empty()) GTEST_SKIP() << "this machine has no address but loopback";
  Exporter everywhere;
  everywhere.AddPage("/debug/resources", [](const Query&) { return Document{.body = "secret"}; });
  everywhere.AddPage("/targets", [](const Query&) { return Document{.body = "[]"}; });
  ASSERT_TRUE(everywhere.Start("0.0.0.0:0").ok());
  const std::string port = everywhere.address().substr(everywhere.address().rfind(':'));
  EXPECT_EQ(Fetch("127.0.0.1" + port, "/debug/resources").body, "secret");
  const Reply refused = Fetch(host + port, "/debug/resources");
  EXPECT_EQ(refused.code, 403);
  EXPECT_THAT(refused.body, Not(HasSubstr("secret")));
  EXPECT_EQ(Fetch(host + port, "/debug/none").code, 403);
  EXPECT_EQ(Fetch(host + port, "/targets").body, "[]");
}

TEST_F(ExporterTest, WithoutQuestionsItIsLiveAndNotReady) {
  EXPECT_EQ(Get("/livez").code, 200);
  EXPECT_EQ(Get("/readyz").code, 503);
  EXPECT_EQ(Get("/readyz").body, "starting\n");
}

TEST_F(ExporterTest, HealthIsAskedAtEveryRequest) {
  std::atomic<bool> draining = false;
  exporter_.SetHealth([] { return Health{.ok = true, .reason = ""}; },
                      [&] {
                        return draining ? Health{.ok = false, .reason = "draining"}
                                        : Health{.ok = true, .reason = ""};
                      });
  EXPECT_EQ(Get("/readyz").code, 200);
  EXPECT_EQ(Get("/readyz").body, "ok\n");
  draining = true;
  EXPECT_EQ(Get("/readyz").code, 503);
  EXPECT_EQ(Get("/readyz").body, "draining\n");
  EXPECT_EQ(Get("/livez").code, 200);
}

TEST_F(ExporterTest, AScrapeThatHangsDoesNotMakeThePeerUnhealthy) {
  std::promise<void> entered;
  std::promise<void> release;
  exporter_.AddSource([&](Page&) {
    entered.set_value();
    release.get_future().wait();
  });
  std::thread scrape([&] { Get("/metrics"); });
  entered.get_future().wait();
  EXPECT_EQ(Get("/livez").code, 200);
  release.set_value();
  scrape.join();
}

TEST_F(ExporterTest, OnlyGetIsServed) {
  for (const char* method : {"POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"}) {
    for (const char* path : {"/metrics", "/readyz", "/", "/none"}) {
      const Reply reply = Fetch(exporter_.address(), path, method);
      EXPECT_EQ(reply.code, 405) << method << " " << path;
      EXPECT_THAT(reply.head, HasSubstr("Allow: GET")) << method;
    }
  }
}

TEST_F(ExporterTest, ThereAreNoFilesBehindIt) {
  for (const char* path : {"/etc/passwd", "/../../../../etc/passwd", "/%2e%2e/etc/passwd",
                           "/metrics/", "/metrics/x"}) {
    const Reply reply = Get(path);
    EXPECT_GE(reply.code, 400) << path;
    EXPECT_LT(reply.code, 500) << path;
  }
}

TEST_F(ExporterTest, TheIndexNamesThePages) {
  const Reply reply = Get("/");
  EXPECT_EQ(reply.code, 200);
  EXPECT_THAT(reply.head, HasSubstr("text/html"));
  for (const char* page : {"metrics", "livez", "readyz"})
    EXPECT_THAT(reply.body, HasSubstr("href=\"" + std::string(page) + "\""));
}

TEST_F(ExporterTest, AQueryDoesNotChangeThePage) { EXPECT_EQ(Get("/livez?verbose=1").code, 200); }

TEST_F(ExporterTest, RubbishIsRefusedAndTheNextRequestServed) {
  for (const std::string& rubbish :
       {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), std::string("GET\r\n\r\n"),
        std::string("GET /metrics HTTP/9.9\r\n\r\n"),
        "GET /" + std::string(20'000, 'x') + " HTTP/1.1\r\n\r\n", std::string(64, '\0')}) {
    Exchange(exporter_.address(), rubbish + "\r\n\r\n");
  }
  EXPECT_EQ(Get("/livez").code, 200);
}

TEST_F(ExporterTest, ManyScrapesAtOnceAreAllAnswered) {
  exporter_.AddSource([](Page& page) { CollectProcess(page); });
  std::atomic<int> answered = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      if (Get("/metrics").code == 200) ++answered;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(answered, 16);
}

TEST_F(ExporterTest, StoppingClosesThePortAndStartingOpensOneAgain) {
  const std::string address = exporter_.address();
  exporter_.Stop();
  EXPECT_EQ(exporter_.address(), "");
  EXPECT_EQ(Fetch(address, "/livez").code, 0);
  exporter_.Stop();
  ASSERT_TRUE(exporter_.Start(address).ok());
  EXPECT_EQ(Get("/livez").code, 200);
}

TEST_F(ExporterTest, APortInUseIsSaidSo) {
  Exporter second;
  const absl::Status status = second.Start(exporter_.address());
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(exporter_.address() + " cannot be listened on"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("metrics.listen"));
  EXPECT_EQ(second.address(), "");
  EXPECT_TRUE(second.Start("127.0.0.1:0").ok());
}

TEST(ExporterStartTest, AnAddressWithoutPortIsRefused) {
  Exporter exporter;
  for (const char* listen : {"", "9464", ":9464", "nonsense:port"}) {
    EXPECT_FALSE(exporter.Start(listen).ok()) << listen;
  }
}

TEST(ExporterStartTest, NamesAndAllAddressesWork) {
  for (const std::string listen : {"localhost:0", "0.0.0.0:0"}) {
    Exporter exporter;
    const absl::Status status = exporter.Start(listen);
    ASSERT_TRUE(status.ok()) << listen << ": " << status;
    EXPECT_EQ(Fetch(exporter.address(), "/livez").code, 200) << exporter.address();
  }
}

TEST(ExporterStartTest, AnIpv6AddressIsRefusedWithAdvice) {
  Exporter exporter;
  const absl::Status status = exporter.Start("[::1]:0");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("Use an IPv4 address"));
}

TEST_F(ExporterTest, PromtoolFindsNothingToComplainAbout) {
#ifdef PEERMESH_PROMTOOL
  exporter_.AddSource([](Page& page) {
    CollectProcess(page);
    CollectBuild({.version = "1.2.3", .grpc_version = "1.51.1"}, page);
    static constexpr double kBounds[] = {0.001, 0.01};
    page.Histogram("peermesh_peer_round_trip_seconds", "Round trips.", kBounds)
        .Add({}, std::vector<std::uint64_t>{1, 2, 3}, 1);
  });
  const std::string path = testing::TempDir() + "promtool_" + std::to_string(getpid());
  std::ofstream(path) << Get("/metrics").body;
  FILE* promtool =
      popen((std::string(PEERMESH_PROMTOOL " check metrics < ") + path + " 2>&1").c_str(), "r");
  ASSERT_NE(promtool, nullptr);
  std::string said;
  for (int c; (c = std::fgetc(promtool)) != EOF;) said.push_back(static_cast<char>(c));
  EXPECT_EQ(pclose(promtool), 0) << said;
  EXPECT_EQ(said, "");
  std::filesystem::remove(path);
#else
  std::puts("SKIP: promtool is not there; deploy/install-deps test unpacks it");
  GTEST_SKIP() << "promtool is not there; deploy/install-deps test unpacks it";
#endif
}

}  // namespace
}  // namespace peermesh::metrics
