// Who wants what, against plain sets: subscriptions of applications and the interest of peers.
//
// An input is steps: a byte for what is done, one for who does it, and a pattern or a subject on a
// line.
#include "mesh/routing/interest.h"

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/routing/subject.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/naive.h"

namespace peermesh::fuzz {
namespace {

using routing::Interest;
using routing::LocalSubscription;

constexpr std::size_t kMostSteps = 400;  // each looks at everything

PeerId PeerOf(std::uint8_t who) {
  PeerId id;
  id.bytes[0] = static_cast<std::uint8_t>(1 + who % 4);
  return id;
}

// The same in sets, which are searched from one end to the other.
class Model {
 public:
  void Step(std::uint8_t what, std::uint8_t who, std::string_view text) {
    const PeerId peer = PeerOf(who);
    const LocalSubscription local{SessionId{1 + who % 3ull}, 1 + who / 3u % 4, who / 12u * 100};
    const std::uint32_t block_ms = who / 4u * 10;
    if (!IsNaivePattern(text)) return;
    switch (what % 6) {
      case 0:
        // The node gives no id out twice.
        if (!ids_.emplace(local.session, local.id).second) return;
        PM_CHECK(interest_.Add(text, local) == Interest::Added::kOk);
        local_.emplace(local, text);
        break;
      case 1:
        interest_.Remove(text, local);
        if (local_.erase({local, std::string(text)}) > 0) ids_.erase({local.session, local.id});
        break;
      case 2:
        PM_CHECK(interest_.SetRemote(peer, text, block_ms));
        remote_[peer][std::string(text)] = block_ms;
        break;
      case 3:
        interest_.UnsetRemote(peer, text);
        if (remote_.contains(peer)) remote_[peer].erase(std::string(text));
        break;
      case 4:
        if (who % 16 == 0) {
          interest_.ClearRemote(peer);
          remote_.erase(peer);
        }
        break;
      default: Told();
    }
    if (IsNaiveSubject(text)) Match(text);
  }

  void CheckAll() {
    Told();
    interest_.CheckInvariants();
    PM_CHECK(interest_.local_subscriptions() == local_.size());
    std::set<std::string> patterns;
    for (const auto& [subscription, pattern] : local_) patterns.insert(pattern);
    for (const auto& [peer, wanted] : remote_) {
      std::uint64_t hash = 0;
      std::vector<std::string> names;
      for (const auto& [pattern, block_ms] : wanted) {
        patterns.insert(pattern);
        names.push_back(pattern);
        hash += routing::InterestShare(pattern, block_ms);
      }
      PM_CHECK(interest_.RemotePatterns(peer) == names && interest_.RemoteHash(peer) == hash);
    }
    PM_CHECK(interest_.patterns() == patterns.size());
    // Others that applied every change hold what a snapshot says.
    std::uint64_t hash = 0;
    std::map<std::string, std::uint32_t> snapshot;
    for (const auto& change : interest_.Snapshot()) {
      snapshot.emplace(change.pattern, change.block_ms);
      hash += routing::InterestShare(change.pattern, change.block_ms);
    }
    PM_CHECK(snapshot == told_ && hash == interest_.hash());
  }

 private:
  void Told() {
    for (auto changes = interest_.TakeChanges(3); !changes.empty();
         changes = interest_.TakeChanges(3)) {
      PM_CHECK(changes.size() <= 3);
      for (const auto& change : changes) {
        if (change.removed) {
          PM_CHECK(told_.erase(change.pattern) == 1);
        } else {
          told_[change.pattern] = change.block_ms;
        }
      }
    }
  }

  void Match(std::string_view subject) {
    Interest::Matched matched;
    interest_.Match(subject, matched);
    std::multiset<LocalSubscription> local;
    for (const auto& [subscription, pattern] : local_) {
      if (NaiveMatches(pattern, subject)) local.insert(subscription);
    }
    PM_CHECK(std::multiset<LocalSubscription>(matched.local.begin(), matched.local.end()) == local);
    const std::uint32_t channel = routing::ChannelOf(subject);
    const auto sessions = interest_.SessionsOnChannel(channel);
    const std::set<SessionId> listening(sessions.begin(), sessions.end());
    for (std::size_t i = 0; i < matched.local.size(); ++i) {
      PM_CHECK(listening.contains(matched.local[i].session));
      PM_CHECK(i == 0 || matched.local[i - 1].session <= matched.local[i].session);
    }
    std::map<PeerId, std::uint32_t> remote;
    for (const auto& [peer, wanted] : remote_) {
      for (const auto& [pattern, block_ms] : wanted) {
        if (!NaiveMatches(pattern, subject)) continue;
        std::uint32_t& most = remote.try_emplace(peer, 0).first->second;
        most = std::max(most, block_ms);
      }
    }
    std::map<PeerId, std::uint32_t> found;
    for (const auto& target : matched.remote) {
      PM_CHECK(found.emplace(target.peer, target.block_ms).second);
    }
    PM_CHECK(found == remote);
  }

  Interest interest_;
  std::set<std::pair<LocalSubscription, std::string>> local_;
  std::set<std::pair<SessionId, std::uint32_t>> ids_;  // of them
  std::map<PeerId, std::map<std::string, std::uint32_t>> remote_;
  std::map<std::string, std::uint32_t> told_;
};

}  // namespace

void Try(std::string_view input) {
  Parts parts(input);
  Model model;
  for (std::size_t step = 0; step < kMostSteps && !parts.empty(); ++step) {
    const std::uint8_t what = parts.Byte();
    const std::uint8_t who = parts.Byte();
    model.Step(what, who, parts.Line());
  }
  model.CheckAll();
}

}  // namespace peermesh::fuzz
