// The teller of stories itself: what it must refuse, and how it says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "mesh/routing/subject.h"
#include "tests/mesh/node/story_driver.h"
#include "tests/mesh/node/story_effects.h"
#include "tests/mesh/node/story_facts.h"
#include "tests/mesh/node/story_frames.h"
#include "tests/mesh/node/story_text.h"
#include "tests/mesh/node/story_words.h"

namespace peermesh::node {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::string_view kGood = R"(# A good story.
node alpha epoch 1000
----
SignRecord 1000

given app shop opens

# News is numbered.
app shop publishes 2 news
----
Answer shop publish: OK as news 1..2; 0 interested
)";

// What the file should be; the complaint if the story cannot be told.
std::string Told(std::string_view content) {
  const auto story = ParseStory("a.txt", content);
  if (!story.ok()) return std::string(story.status().message());
  const auto effects = TellStory(*story);
  if (!effects.ok()) return std::string(effects.status().message());
  return RenderStory(*story, *effects);
}

std::string Replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result(text);
  return result.replace(result.find(from), from.size(), to);
}

TEST(StoryTest, AGoodStoryIsToldAsItStands) {
  EXPECT_EQ(Told(kGood), kGood);
  EXPECT_EQ(DiffLines("a.txt", kGood, Told(kGood)), "");
}

TEST(StoryTest, TheExampleOfTheReadmeIsTrue) {
  std::ifstream file(PEERMESH_SOURCE_DIR "/tests/scenarios/README.md");
  std::string example;
  for (std::string line; std::getline(file, line) && !line.starts_with("## ");) {
    if (line.starts_with("    ")) example += line.substr(4) + "\n";
    if (line.empty() && !example.empty()) example += "\n";
  }
  while (example.ends_with("\n\n")) example.pop_back();
  EXPECT_EQ(DiffLines("README.md", example, Told(example)), "");
  EXPECT_THAT(example, HasSubstr("SendData"));
}

TEST(StoryTest, AWrongExpectationFailsAndTheDifferenceSaysWhere) {
  const std::string wrong = Replaced(kGood, "news 1..2", "news 1..3");
  EXPECT_EQ(DiffLines("a.txt", wrong, Told(wrong)),
            "--- a.txt (expected)\n"
            "+++ a.txt (what the node did)\n"
            "@@ -8,4 +8,4 @@\n"
            " # News is numbered.\n"
            " app shop publishes 2 news\n"
            " ----\n"
            "-Answer shop publish: OK as news 1..3; 0 interested\n"
            "+Answer shop publish: OK as news 1..2; 0 interested\n");
}

TEST(StoryTest, AMissingEffectAndOneTooManyFail) {
  const std::string missing = Replaced(kGood, "SignRecord 1000\n", "");
  EXPECT_THAT(DiffLines("a.txt", missing, Told(missing)), HasSubstr("+SignRecord 1000\n"));
  const std::string more = Replaced(kGood, "SignRecord 1000\n", "SignRecord 1000\nDrained\n");
  EXPECT_THAT(DiffLines("a.txt", more, Told(more)), HasSubstr("-Drained\n"));
}

TEST(StoryTest, FactsAloneAreEnoughToBeginWith) {
  EXPECT_EQ(Told("# A good story.\nnode alpha epoch 1000\n\ngiven app shop opens\n\n"
                 "# News is numbered.\napp shop publishes 2 news\n"),
            kGood);
}

TEST(StoryTest, ALastLineThatDoesNotEndIsNoted) {
  const std::string cut(kGood.substr(0, kGood.size() - 1));
  EXPECT_THAT(DiffLines("a.txt", cut, Told(cut)), HasSubstr("the last line does not end"));
}

TEST(StoryTest, DifferencesThatLieFarApartAreToldApart) {
  const std::string a = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n";
  const std::string b = "1\ntwo\n3\n4\n5\n6\n7\n8\n9\n10\n12\n";
  EXPECT_EQ(DiffLines("x", a, b),
            "--- x (expected)\n+++ x (what the node did)\n"
            "@@ -1,5 +1,5 @@\n 1\n-2\n+two\n 3\n 4\n 5\n"
            "@@ -8,5 +8,4 @@\n 8\n 9\n 10\n-11\n 12\n");
}

struct Bad {
  std::string_view line;  // third line of a story, after a node
  std::string_view complaint;
};

class BadLine : public testing::TestWithParam<Bad> {};

TEST_P(BadLine, IsNamedWithItsPlace) {
  const std::string story =
      "# A bad story.\ngiven node alpha epoch 1000\n" + std::string(GetParam().line) + "\n";
  EXPECT_THAT(Told(story), AllOf(StartsWith("a.txt:3: "), HasSubstr(GetParam().complaint)));
}

INSTANTIATE_TEST_SUITE_P(
    StoryTest, BadLine,
    testing::Values(
        Bad{"nod alpha", "'nod' begins no fact; there are node, limit"},
        Bad{"node alpha epoch 1000", "the epoch of a process is larger than that of its last"},
        Bad{"node alpha", "the line ends where 'epoch' is expected"},
        Bad{"node Alpha epoch 2000", "'Alpha' is no name of a peer"},
        Bad{" at +1s", "a fact begins at the left margin"},
        Bad{"at +1s ", "the line ends with a space"},
        Bad{"at +1", "'+1' is no time, like +500ms or 10s"},
        Bad{"at +1s sharp", "nobody understands 'sharp' here"},
        Bad{"limit peer_bytes 5 per minute", "second"},
        Bad{"beta/1 says ready", "there is no link beta/1"},
        Bad{"beta/x up", "'beta/x' is no link, like beta/1"},
        Bad{"beta/1 up answers dial 1", "there is no dial 1 that waits for its end"},
        Bad{"dial 3 failed refused", "there is no dial 3 that waits for its end"},
        Bad{"app chat reads", "there is no application 'chat' open"},
        Bad{"show everything", "'everything' is not something to show; there are peers, queues"},
        Bad{"----", "there is no fact above this ----"}));

struct BadAct {
  std::string_view act;  // on an open link and in an open application
  std::string_view complaint;
};

class BadActTest : public testing::TestWithParam<BadAct> {};

TEST_P(BadActTest, IsNamedWithItsPlace) {
  const std::string story =
      "# A bad story.\ngiven node alpha epoch 1000\ngiven beta/1 up epoch 5\n"
      "given app chat opens\n" +
      std::string(GetParam().act) + "\n";
  EXPECT_THAT(Told(story), AllOf(StartsWith("a.txt:5: "), HasSubstr(GetParam().complaint)));
}

INSTANTIATE_TEST_SUITE_P(
    StoryTest, BadActTest,
    testing::Values(
        BadAct{"beta/1 up", "there was a link 1 before"}, BadAct{"gamma/1 says ready", "no link"},
        BadAct{"beta/1 sings", "a link is up, says, brings"},
        BadAct{"beta/1 says hello", "'hello' is nothing a peer says; there are heartbeat"},
        BadAct{"beta/1 says change 2: news", "a change begins with + or -"},
        BadAct{"beta/1 says goodbye forever",
               "there are leaving, duplicate, replaced, misbehaved, surplus"},
        BadAct{"beta/1 says prune news+..", "'..' is no channel"},
        BadAct{"beta/1 says rows of x+yz: nothing", "'yz' is no part of a table"},
        BadAct{"beta/1 says hashes a xyz", "'xyz' is no hash"},
        BadAct{"beta/1 says neighbor soon", "'soon' is not an urgency, accepted or refused"},
        BadAct{"beta/1 says statements beta 3 calls gamma 5 late", "there are gone, back, left"},
        BadAct{"beta/1 says have gamma 5 news 0", "'0' is not numbers of messages"},
        BadAct{"beta/1 says neighbor low of Gamma", "'Gamma' is no name of a peer"},
        BadAct{"beta/1 brings relayed gamma 5: news 1..3 9B, news 5 9B", "has no holes: 4 is next"},
        BadAct{"beta/1 brings relayed gamma 5: news 1 9B, orders 2 9B", "no subject of channel"},
        BadAct{"beta/1 brings relayed gamma 0: news 1 9B", "no peer signs such a piece"},
        BadAct{"beta/1 brings relayed gamma 5 after 3: news 1 9B", "no peer signs such a piece"},
        BadAct{"beta/1 brings relayed gamma 5: news 1..2000 9B", "1024 messages at most"},
        BadAct{"beta/1 brings relayed gamma 5: news 1 9B; news 1 9B", "comes behind the runs"},
        BadAct{"beta/1 writes", "nothing is being written to beta/1"},
        BadAct{"beta/1 brings news 1..3", "the line ends where ':' is expected"},
        BadAct{"beta/1 brings news 0 100B", "'0' is not the numbers of messages"},
        BadAct{"beta/1 brings news 1..3: news 1..2 100B", "nobody says what became of 3"},
        BadAct{"beta/1 brings news 1..3: news 2..3 100B", "goes on at 1, not with 2..3"},
        BadAct{"beta/1 brings news 1..3: skipped 1..2, lost 3 missing", "what is lost comes first"},
        BadAct{"beta/1 brings news 1: orders 1 100B", "'orders' is no subject of channel news"},
        BadAct{"app chat opens", "'chat' is open already"},
        BadAct{"app chat subscribes 1 news..a", "'news..a' is no pattern"},
        BadAct{"app chat subscribes 1 news or wait", "there are gap, block, close"},
        BadAct{"app chat publishes *.a", "'*.a' is no subject"},
        BadAct{"app chat publishes 9 news of 1MiB", "1 to 1024 messages and at most 2MiB"},
        BadAct{"app chat reads", "nothing is being delivered to chat"}));

TEST(StoryTest, AStoryBeginsWithTheRule) {
  EXPECT_THAT(Told("node alpha epoch 1000\n"),
              StartsWith("a.txt:1: a story begins with a comment"));
  EXPECT_THAT(Told("# No node.\nat +1s\n"), HasSubstr("a.txt:2: a story begins with a node"));
  EXPECT_THAT(Told("# Two.\nnode alpha epoch 1\n----\nSignRecord 1\n----\n"),
              StartsWith("a.txt:5: a block has one ----"));
}

TEST(StoryTest, DataComesOnlyWhenReadIsGranted) {
  EXPECT_THAT(Told("# Two links; the second one is not read yet.\ngiven node alpha epoch 1000\n"
                   "given beta/1 up\ngiven beta/2 up\nbeta/2 brings news 1 100B\n"),
              HasSubstr("a.txt:5: beta/2 may bring nothing now: no ReadNext is outstanding"));
}

TEST(StoryTest, WhatIsShownCanBeSaid) {
  for (const std::string text :
       {"ready",
        "ack 3",
        "ask interest",
        "goodbye leaving",
        "interest 3: nothing",
        "interest 3: news.>, orders block 5s",
        "interest 3 first: a, b",
        "interest 3 next: c",
        "interest 3 last: d",
        "change 4: +news.*, +a block 10ms, -orders",
        "records beta 5 at beta:7443 at [::1]:7443, gamma 2 epoch 1",
        "beliefs gamma 5 linked, delta 0 unlinked, echo 1 left",
        "records beta 5 at beta:7443 channels news+orders observers delta+gamma published 4, gamma "
        "2 channels "
        "all",
        "goodbye surplus",
        "statements beta 3 calls gamma 5 gone HEARTBEAT_TIMEOUT, gamma 9 calls gamma 5 left",
        "hashes nothing",
        "hashes #1f fedcba9876543210, a 00000000000000ff",
        "rows of a+#00: alpha 5, beta 6",
        "rows of all: nothing",
        "rows of none: nothing",
        "want beta+gamma",
        "want nobody",
        "join",
        "forward join gamma ttl 3",
        "neighbor high",
        "neighbor low",
        "neighbor low of gamma+delta",
        "neighbor accepted",
        "neighbor refused try gamma+delta",
        "disconnect",
        "disconnect try gamma",
        "shuffle 18446744073709551615 ttl 6 of gamma+delta",
        "shuffle reply 7 of nobody",
        "have gamma 5 news 1..3 hops 2, gamma 5 orders 4",
        "graft gamma 5 news 2",
        "prune none",
        "prune news+orders",
        "prune all",
        "positions nothing",
        "positions next: gamma 5 news 1..3, echo 9 news next 4"}) {
    Cast cast;
    Words words(text);
    const Said said = ReadControl(cast, words);
    EXPECT_TRUE(words.Finish().ok()) << text;
    EXPECT_EQ(ShowControl(cast, said.frame), std::vector{text});
  }
  for (const std::string text :
       {"news.a 1..3 100B", "end", "mark news next 4", "mark news 1..3: lost 1..3 link_lost",
        "news 1..9: lost 1..2 slow_link, news.a 3..4 100B, skipped 5..8, news.b 9 2KiB",
        "mark news 1..2: skipped 1..2", "orders 7 1MiB; news 2 10B; end",
        "relayed gamma 5: news.a 2..3 100B, news.b 4 10B",
        "news 1 10B; relayed gamma 5 after 1 hops 3: news 2 10B; relayed echo 1: news 1 9B; end"}) {
    Cast cast;
    Words words(text);
    const DataFrame frame = ReadData(cast, words);
    EXPECT_TRUE(words.Finish().ok()) << text;
    EXPECT_EQ(Join(ShowData(cast, frame), "; "), text);
  }
}

TEST(StoryTest, AHeartbeatMaySayTheHashOfATable) {
  Cast cast;
  Words words("heartbeat 3 asks table 1f, interest 2: nothing");
  const Said said = ReadControl(cast, words);
  ASSERT_TRUE(words.Finish().ok());
  EXPECT_EQ(std::get<Heartbeat>(said.frame).table_hash, 0x1fu);
  EXPECT_EQ(
      ShowControl(cast, said.frame),
      std::vector<std::string>{"heartbeat 3 asks table 000000000000001f, interest 2 hash 0000"});
}

TEST(StoryTest, WishesToSignAreShown) {
  const Cast cast;
  broadcast::Piece piece;
  piece.stream = {PeerNamed("alpha"), 1000, routing::ChannelOf("news")};
  piece.after = 2;
  piece.first = 4;
  piece.batch = MakeBatch({{"news", 2, 10}});
  piece.rows = {0, 1};
  EXPECT_EQ(ShowEffect(cast, SignPiece{piece}), "SignPiece alpha 1000 after 2: news 4..5 10B");
  EXPECT_EQ(ShowEffect(cast, SignRecord{7, 1u << 17, {}, 6}),
            "SignRecord 7 channels #17 published 6");
  membership::Statement statement;
  statement.observer = PeerNamed("alpha");
  statement.subject = PeerNamed("beta");
  statement.incarnation = 5;
  statement.number = 1;
  EXPECT_EQ(ShowEffect(cast, SignStatement{statement}), "SignStatement alpha 1 calls beta 5 gone");
}

TEST(StoryTest, TimesAndSizesAreExact) {
  for (const std::string text :
       {"0s", "1us", "999us", "1.5ms", "800ms", "4.2s", "1m2.000001s", "24h", "25h0.8s", "1h1m"}) {
    const auto time = ReadTime(text);
    ASSERT_TRUE(time) << text;
    EXPECT_EQ(ShowTime(*time), text);
  }
  EXPECT_EQ(ReadTime("90s"), 90s);
  for (const std::string_view text : {"", "5", "s", "1.s", "0.5us", "1x", "1s2", "-1s"}) {
    EXPECT_FALSE(ReadTime(text)) << text;
  }
  for (const std::string text : {"0B", "100B", "64KiB", "2MiB", "1025B"}) {
    const auto size = ReadSize(text);
    ASSERT_TRUE(size) << text;
    EXPECT_EQ(ShowSize(*size), text);
  }
  for (const std::string_view text : {"", "5", "B", "1GiB", "-1B"}) EXPECT_FALSE(ReadSize(text));
}

class ContractTest : public testing::Test {
 protected:
  ContractTest() {
    for (const std::string_view line : {"node alpha epoch 1000", "beta/1 up", "app chat opens"}) {
      EXPECT_TRUE(TellFact(driver, line).ok()) << line;
    }
  }
  // What the driver complains of when the node wishes for this.
  std::string Complaint(const Effects& wishes) {
    driver.Collect(wishes);
    return std::string(driver.contract().message());
  }
  StoryDriver driver;
};

TEST_F(ContractTest, APromiseThatTheNodeBreaksEndsTheStory) {
  EXPECT_TRUE(driver.contract().ok());
  driver.links.at(LinkId{1}).data_stalled = true;
  EXPECT_THAT(Complaint({SendData{LinkId{1}, {}}, SendData{LinkId{1}, {}}}),
              EndsWith("at 0s: two data writes at once on beta/1"));
}

TEST_F(ContractTest, ALinkIsReadOnceForEachGrant) {
  EXPECT_THAT(Complaint({ReadNext{LinkId{1}}}), EndsWith("two reads of beta/1"));
}

TEST_F(ContractTest, NothingIsWrittenToALinkThatIsGone) {
  EXPECT_THAT(Complaint({Close{LinkId{1}}, SendControl{LinkId{1}, LinkReady{}}}),
              EndsWith("wrote to beta/1, which is gone"));
}

TEST_F(ContractTest, ARequestIsAnsweredOnce) {
  const RequestId request = driver.NewRequest(SessionId{1}, "publish");
  Answer answer;
  answer.request = request;
  EXPECT_EQ(Complaint({answer}), "");
  EXPECT_THAT(Complaint({answer}), EndsWith("answered chat publish twice"));
}

}  // namespace
}  // namespace peermesh::node
