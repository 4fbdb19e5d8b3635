// What applications do: "app chat ...".
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "mesh/base/limits.h"
#include "mesh/routing/subject.h"
#include "tests/mesh/node/story_facts.h"

namespace peermesh::node {
namespace {

using Driver = StoryDriver;

absl::Status TellAppOpens(Driver& driver, Words& words, const std::string& name) {
  std::string principal = name;
  if (words.Take("as")) principal = words.Word("whom it belongs to");
  if (absl::Status status = words.Finish(); !status.ok()) return status;
  const SessionId id{driver.cast.apps.size() + 1};
  driver.cast.apps[id] = name;
  driver.apps[id] = {};
  std::uint64_t number = 0;  // the same for the same name, in every story
  for (const char c : principal) number = number * 131 + static_cast<unsigned char>(c);
  driver.Tell(SessionOpened{id, PrincipalId{number}});
  return absl::OkStatus();
}

absl::Status TellSubscribes(Driver& driver, Words& words, SessionId id) {
  constexpr std::array<Named<OnOverflow>, 3> kPolicies = {
      {{"gap", OnOverflow::kGap}, {"block", OnOverflow::kBlock}, {"close", OnOverflow::kClose}}};
  Subscribe subscribe;
  subscribe.session = id;
  do {
    Subscription wanted;
    wanted.id = static_cast<std::uint32_t>(words.Number("the id of a subscription"));
    wanted.pattern = words.Word("a pattern");
    if (words.ok() && !IsValidPattern(wanted.pattern)) {
      words.Fail("'" + wanted.pattern + "' is no pattern");
    }
    if (words.Take("or")) wanted.on_overflow = words.OneOf("an overflow policy", kPolicies);
    if (wanted.on_overflow == OnOverflow::kBlock && ReadTime(words.Peek())) {
      wanted.block_timeout = words.Time("the time to block");
    }
    subscribe.subscriptions.push_back(std::move(wanted));
  } while (words.Take(","));
  if (absl::Status status = words.Finish(); !status.ok()) return status;
  for (const Subscription& wanted : subscribe.subscriptions) driver.cast.Learn(wanted.pattern);
  subscribe.request = driver.NewRequest(id, "subscribe");
  driver.Tell(std::move(subscribe));
  return absl::OkStatus();
}

absl::Status TellPublishes(Driver& driver, Words& words, SessionId id) {
  std::vector<Messages> messages;
  Publish publish;
  do {
    Messages some;
    if (const auto count = ReadNumber(words.Peek())) some.count = words.Number("how many");
    some.subject = words.Word("a subject");
    if (words.ok() && !IsValidSubject(some.subject)) {
      words.Fail("'" + some.subject + "' is no subject");
    }
    if (words.Take("of")) some.size = words.Size("the size of a message");
    messages.push_back(std::move(some));
  } while (words.Take(","));
  if (words.Take("to")) publish.target = words.Word("a peer");
  std::size_t count = 0;
  std::uint64_t bytes = 0;
  for (const Messages& some : messages) count += some.count, bytes += some.count * some.size;
  if (count == 0 || count > kMaxBatchMessages || bytes > kMaxPublishBytes) {
    words.Fail("a publish has 1 to 1024 messages and at most 2MiB");
  }
  if (driver.apps.at(id).publishing) {
    words.Fail(driver.cast.App(id) + " waits for the answer to its last publish");
  }
  if (absl::Status status = words.Finish(); !status.ok()) return status;
  for (const Messages& some : messages) driver.cast.Learn(some.subject);
  publish.session = id;
  publish.request = driver.NewRequest(id, "publish");
  publish.batch = MakeBatch(messages);
  driver.apps.at(id).publishing = true;
  driver.Tell(std::move(publish));
  return absl::OkStatus();
}

absl::Status TellAppReads(Driver& driver, Words& words, SessionId id) {
  const bool on = words.Take("on");
  Driver::App& app = driver.apps.at(id);
  if (!app.busy && !on) words.Fail("nothing is being delivered to " + driver.cast.App(id));
  if (absl::Status status = words.Finish(); !status.ok()) return status;
  if (on) app.stalled = false;
  if (app.busy) driver.Read(id);
  return absl::OkStatus();
}

}  // namespace

absl::Status TellApp(Driver& driver, Words& words) {
  const std::string name = words.Word("the name of an application");
  SessionId id;
  for (const auto& [open, app] : driver.apps) {
    if (driver.cast.App(open) == name) id = open;
  }
  if (words.Take("opens")) {
    if (id) words.Fail("'" + name + "' is open already");
    return TellAppOpens(driver, words, name);
  }
  if (words.ok() && !id) words.Fail("there is no application '" + name + "' open");
  if (!words.ok()) return words.Finish();
  if (words.Take("subscribes")) return TellSubscribes(driver, words, id);
  if (words.Take("publishes")) return TellPublishes(driver, words, id);
  if (words.Take("reads")) return TellAppReads(driver, words, id);
  if (words.Take("unsubscribes")) {
    Unsubscribe unsubscribe{id, {}};
    do {
      unsubscribe.ids.push_back(
          static_cast<std::uint32_t>(words.Number("the id of a subscription")));
    } while (words.Take(","));
    if (absl::Status status = words.Finish(); !status.ok()) return status;
    driver.Tell(std::move(unsubscribe));
  } else if (words.Take("stalls")) {
    if (absl::Status status = words.Finish(); !status.ok()) return status;
    driver.apps.at(id).stalled = true;
  } else if (words.Take("closes")) {
    if (absl::Status status = words.Finish(); !status.ok()) return status;
    driver.apps.erase(id);
    driver.Tell(SessionClosed{id});
  } else {
    return absl::InvalidArgumentError(
        "an application opens, subscribes, unsubscribes, publishes, stalls, reads or closes");
  }
  return absl::OkStatus();
}

}  // namespace peermesh::node
