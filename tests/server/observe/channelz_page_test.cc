#include "server/observe/channelz_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace peermesh {
namespace {

using testing::HasSubstr;
using testing::Not;

link::Channelz Sample() {
  link::ChannelzGroup server{.id = 1, .calls = {1204, 1200, 1, "2026-11-21T12:24:36.920985790Z"}};
  server.sockets.push_back({.id = 5,
                            .remote = "ipv4:10.0.0.7:4711",
                            .streams = {3, 1, 1, ""},
                            .messages_sent = 7,
                            .messages_received = 8,
                            .keepalives = 2});
  server.left_off = 12;
  link::ChannelzGroup channel{.id = 2,
                              .target = "ipv4:10.0.0.8:7443",
                              .state = "TRANSIENT_FAILURE",
                              .calls = {1, 0, 0, ""}};
  return {.servers = {server}, .channels = {channel}};
}

TEST(ChannelzPageTest, ServersChannelsAndConnectionsAreShown) {
  const std::string page = ChannelzHtml(Sample(), "peer alpha");
  for (const char* shown : {"peer alpha", "ipv4:10.0.0.7:4711", "ipv4:10.0.0.8:7443",
                            "TRANSIENT_FAILURE", "1,204", "2026-11-21 12:24:36", "and 12 more"})
    EXPECT_THAT(page, HasSubstr(shown));
  EXPECT_THAT(page, HasSubstr("<td class=n>3<td class=n>1,204<td class=n>1,200<td class=n>1<td>"))
      << "three are open";
  EXPECT_THAT(page, HasSubstr("<td class=n>13<td")) << "connections, those left off included";
  EXPECT_THAT(page, HasSubstr("href=\"/debug/channelz\" aria-current=\"page\""));
}

TEST(ChannelzPageTest, WhatSomebodyElseChoseIsText) {
  link::Channelz evil = Sample();
  evil.channels[0].target = evil.channels[0].state = "<script>alert(1)</script>";
  evil.servers[0].sockets[0].remote = "\"><img src=x onerror=alert(1)>\xff";
  evil.servers[0].calls.last_started = "<b>long enough to be a time</b>";
  const std::string page = ChannelzHtml(evil, "<title>");
  for (const char* element : {"<script", "<img", "<b>l", "<title><"})
    EXPECT_THAT(page, Not(HasSubstr(element)));
  EXPECT_TRUE(nlohmann::json::accept(ChannelzJson(evil)));
}

TEST(ChannelzPageTest, ProgramsGetJsonWithASchema) {
  const auto json = nlohmann::json::parse(ChannelzJson(Sample()));
  EXPECT_EQ(json["schema"], "peermesh.debug.channelz.v1");
  EXPECT_EQ(json["servers"][0]["calls"]["open"], 3);
  EXPECT_EQ(json["servers"][0]["sockets"][0]["messages_received"], 8);
  EXPECT_EQ(json["servers"][0]["sockets_left_off"], 12);
  EXPECT_EQ(json["channels"][0]["target"], "ipv4:10.0.0.8:7443");
  EXPECT_FALSE(json["channels"][0]["calls"].contains("last_started"));
}

TEST(ChannelzPageTest, NothingAtAllIsAPageToo) {
  EXPECT_THAT(ChannelzHtml({}, "x"), HasSubstr("<h2>Servers</h2>"));
  EXPECT_EQ(nlohmann::json::parse(ChannelzJson({}))["servers"].size(), 0u);
}

}  // namespace
}  // namespace peermesh
