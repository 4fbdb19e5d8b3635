#include "metrics/export/debug_pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "metrics/export/html.h"
#include "tests/metrics/export/books.h"
#include "tests/metrics/export/http.h"

namespace peermesh::metrics {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

const std::string kEvil[] = {
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</title></style><script>",
    "&lt;script&gt;",
    "<!--",
    "javascript:alert(1)",
    "{}{0}%s%n",
    "\xff<b>\xc3",
};

// The names of all elements, and every attribute's name, of what is written in a page.
struct Markup {
  std::set<std::string> elements, attributes;
};
Markup Read(const std::string& html) {
  Markup markup;
  const std::regex element("<([a-zA-Z!/][a-zA-Z0-9]*)([^<>]*)>");
  const std::regex attribute(" ([a-zA-Z-]+)(=(\"[^\"]*\"|[^ \"'>]+))?");
  for (std::sregex_iterator it(html.begin(), html.end(), element), end; it != end; ++it) {
    if ((*it)[1].str().front() != '/') markup.elements.insert((*it)[1]);
    const std::string rest = (*it)[2];
    for (std::sregex_iterator a(rest.begin(), rest.end(), attribute); a != end; ++a)
      markup.attributes.insert((*a)[1]);
  }
  return markup;
}

class DebugPagesTest : public testing::Test {
 protected:
  void SetUp() override {
    AddDebugPages(exporter_, world_.books, world_.auditor, "peer alpha");
    const absl::Status started = exporter_.Start("127.0.0.1:0");
    ASSERT_TRUE(started.ok()) << started;
  }
  std::string Get(const std::string& path) {
    const Reply reply = Fetch(exporter_.address(), path);
    EXPECT_EQ(reply.code, 200) << path;
    return reply.body;
  }

  Books world_;
  Exporter exporter_;
};

TEST_F(DebugPagesTest, WithoutFindingsThePageSaysSo) {
  world_.Pass(4s);
  const std::string page = Get("/debug/resources");
  EXPECT_THAT(page, HasSubstr("<strong>No findings</strong><small>after 2 sweeps</small>"));
  EXPECT_THAT(page, HasSubstr("peer alpha"));
  EXPECT_THAT(page, Not(HasSubstr("<section")));
}

TEST_F(DebugPagesTest, AVerdictIsShownWithAllThatHelps) {
  world_.books.SetLevel(ledger::Level::kStacks);
  world_.LeakTimers(4, "beta", "heartbeat");
  world_.Pass(20s);
  const std::string page = Get("/debug/resources");
  EXPECT_THAT(page, HasSubstr("<strong>1 leak</strong>"));
  EXPECT_THAT(page, HasSubstr("<section class=\"verdict alert\"><h3>4 timer: orphan "
                              "<span class=tag>proof, confirmed</span><span>#1, first seen 14 s "
                              "ago</span></h3><p>Their scope ended more than 5 s ago.</p>"));
  EXPECT_THAT(page, HasSubstr("<b>peer beta</b> <span class=dim>4 of 4</span>"));
  EXPECT_THAT(page, HasSubstr("<code>tests/metrics/export/books.h:")) << "from the top of the tree";
  EXPECT_THAT(page, HasSubstr("LeakTimers"));
  EXPECT_THAT(page, HasSubstr("<td class=n>20 s<td class=n>20 s<td>heartbeat"
                              "<td>peer beta &gt; stream Exchange<details>"));
}

TEST_F(DebugPagesTest, TheTierDecidesHowAVerdictLooks) {
  ledger::Verdict verdict{.rule = ledger::Rule::kOrphan, .state = ledger::State::kConfirmed};
  const auto look = [&] {
    const std::string page = ResourcesHtml({}, {verdict}, ledger::virtual_now, "");
    const std::size_t at = page.find("<section class=\"");
    return page.substr(at + 16, page.find('"', at + 16) - at - 16);
  };
  EXPECT_EQ(look(), "verdict alert");
  verdict.rule = ledger::Rule::kOverdue;
  EXPECT_EQ(look(), "verdict alert");
  verdict.rule = ledger::Rule::kCohort;
  EXPECT_EQ(look(), "verdict watch") << "statistics raise no alert";
  verdict.rule = ledger::Rule::kOrphan;
  verdict.state = ledger::State::kSuspected;
  EXPECT_EQ(look(), "verdict watch");
  verdict.state = ledger::State::kCleared;
  EXPECT_EQ(look(), "verdict cleared");
  verdict.state = ledger::State::kConfirmed;
  verdict.suppressed = "known";
  EXPECT_EQ(look(), "verdict ");
}

TEST_F(DebugPagesTest, WhatAPeerChoseCanBeNothingButText) {
  for (const std::string& name : kEvil) {
    world_.LeakTimers(1, name, name);
    world_.LeakSession(name);
  }
  world_.Pass(2min);
  ledger::KernelReading reading{.descriptors = {{3, "/tmp/" + kEvil[0] + kEvil[1], 0}},
                                .threads = {{.id = 9, .name = "<b>\"x'"}}};
  std::vector<std::string> pages = {DescriptorsHtml(reading, kEvil[1]),
                                    ThreadsHtml(reading, kEvil[1])};
  for (const char* path : {"/debug/resources", "/debug/resources?by=each",
                           "/debug/resources?by=peer", "/debug/resources?by=scope&older=60"})
    pages.push_back(Get(path));
  const std::set<std::string> elements = {
      "!doctype", "html", "meta", "title", "style", "header",  "div", "b",    "small",  "nav",
      "a",        "main", "h1",   "h2",    "h3",    "section", "p",   "span", "strong", "dl",
      "dt",       "dd",   "code", "table", "thead", "tr",      "th",  "td",   "tbody",  "i"};
  const std::set<std::string> attributes = {"html",  "lang",         "charset", "name", "content",
                                            "class", "aria-current", "href",    "style"};
  for (const std::string& page : pages) {
    const Markup markup = Read(page);
    EXPECT_THAT(markup.elements, testing::IsSubsetOf(elements)) << page;
    EXPECT_THAT(markup.attributes, testing::IsSubsetOf(attributes)) << page;
    EXPECT_THAT(page, Not(HasSubstr("<script")));
    EXPECT_THAT(page, Not(HasSubstr("href=\"javascript")));
    EXPECT_THAT(page, Not(HasSubstr("\xff"))) << "is valid UTF-8";
  }
  EXPECT_THAT(pages[3], HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_THAT(pages[3], HasSubstr("&amp;lt;script&amp;gt;")) << "text that is escaped already";
}

TEST_F(DebugPagesTest, AnAddressCannotBringMarkupIntoItsPage) {
  const std::string attack = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E%27";
  for (const std::string& path :
       {"/debug/resources?by=each&kind=" + attack, "/debug/resources?by=" + attack,
        "/debug/resources?by=each&older=" + attack, "/debug/fds?format=" + attack,
        "/debug/resources?" + attack + "=" + attack}) {
    const std::string page = Get(path);
    EXPECT_THAT(page, Not(HasSubstr("<script"))) << path;
    EXPECT_THAT(page, HasSubstr("</html>")) << path;
  }
  EXPECT_THAT(Get("/debug/resources?by=each&kind=" + attack),
              HasSubstr("<b>&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&#39;</b>"));
}

TEST_F(DebugPagesTest, AListingIsFilteredByKindAndAge) {
  world_.LeakTimers(2, "beta", "");
  ledger::virtual_now += 10min;
  world_.LeakSession("edge-app");
  EXPECT_THAT(Get("/debug/resources?by=peer"), HasSubstr("client edge-app"));
  EXPECT_THAT(Get("/debug/resources?by=peer&older=300"), Not(HasSubstr("client edge-app")));
  EXPECT_THAT(Get("/debug/resources?by=peer&older=300"), HasSubstr("peer beta"));
  EXPECT_THAT(Get("/debug/resources?by=peer&kind=session"), Not(HasSubstr("peer beta")));
  EXPECT_THAT(Get("/debug/resources?by=peer&kind=none"), HasSubstr("Nothing of that kind or age"));
  EXPECT_THAT(Get("/debug/resources?by=site&kind=timer"),
              HasSubstr("<a href=\"/debug/resources?by=peer&amp;kind=timer\">peer</a>"))
      << "another grouping keeps the filter";
}

TEST_F(DebugPagesTest, EveryPageHasAFormForPrograms) {
  world_.LeakTimers(1, "beta", "");
  world_.Pass(10s);
  const std::pair<const char*, const char*> pages[] = {
      {"/debug/resources?format=json", "peermesh.debug.resources.v1"},
      {"/debug/resources?by=each&format=json", "peermesh.debug.listing.v1"},
      {"/debug/fds?format=json", "peermesh.debug.fds.v1"},
      {"/debug/threads?format=json", "peermesh.debug.threads.v1"}};
  for (const auto& [path, schema] : pages) {
    const Reply reply = Fetch(exporter_.address(), path);
    EXPECT_THAT(reply.head, HasSubstr("Content-Type: application/json")) << path;
    const auto json = nlohmann::json::parse(reply.body, nullptr, false);
    ASSERT_FALSE(json.is_discarded()) << path;
    EXPECT_EQ(json["schema"], schema);
  }
}

TEST_F(DebugPagesTest, ScriptsAreForbiddenByTheHeaderToo) {
  const Reply reply = Fetch(exporter_.address(), "/debug/resources");
  EXPECT_THAT(reply.head, HasSubstr("Content-Security-Policy: default-src 'none'; "
                                    "style-src 'unsafe-inline'"));
  EXPECT_THAT(reply.head, HasSubstr("X-Content-Type-Options: nosniff"));
}

TEST(HtmlTest, TextBecomesText) {
  EXPECT_EQ(Escape("<a href=\"x\">'&"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
  EXPECT_EQ(Escape("Größe, 名前"), "Größe, 名前");
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(Escape("a\x1b[31m"), "a" + bad + "[31m");
  EXPECT_EQ(Escape(std::string_view("a\0b", 3)), "a" + bad + "b");
  EXPECT_EQ(Escape("\xe2\x80\xae"
                   "gnp"),
            bad + "gnp")
      << "right to left";
  EXPECT_EQ(Escape("\xc0\xbc"), bad + bad) << "a long form of <";
  EXPECT_EQ(Escape("\xe0\x80\xbc"), bad + bad + bad);
  EXPECT_EQ(Escape("\xed\xa0\x80"), bad + bad + bad) << "half of a pair";
  EXPECT_EQ(Escape("\xf4\x90\x80\x80"), bad + bad + bad + bad) << "beyond Unicode";
  EXPECT_EQ(Escape("x\xe2\x82"), "x" + bad + bad) << "cut off";
}

TEST(HtmlTest, AnAddressHasNothingButPlainCharacters) {
  EXPECT_EQ(EscapeUrl("fd_brief"), "fd_brief");
  EXPECT_EQ(EscapeUrl("a b&c=\"<\xff"), "a%20b%26c%3D%22%3C%FF");
}

TEST(HtmlTest, FiguresHaveCommas) {
  EXPECT_EQ(Figure(0), "0");
  EXPECT_EQ(Figure(999), "999");
  EXPECT_EQ(Figure(1000), "1,000");
  EXPECT_EQ(Figure(18446744073709551615u), "18,446,744,073,709,551,615");
}

}  // namespace
}  // namespace peermesh::metrics
