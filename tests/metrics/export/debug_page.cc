// Writes /debug/resources as it looks with verdicts of every tier: for eyes, and for
// docs/images/debug-resources.png (docs/leaks.md says how).
#include <cstdio>

#include "metrics/export/debug_pages.h"
#include "tests/metrics/export/books.h"

namespace peermesh::metrics {
namespace {

using namespace std::chrono_literals;

// Verdicts of two hours need two hours: made by hand, as the auditor words them.
ledger::Verdict Cohort(ledger::Time now) {
  return {.number = 3,
          .rule = ledger::Rule::kCohort,
          .state = ledger::State::kConfirmed,
          .kind = "timer",
          .site = "server/link/stream.cc:235",
          .function = "Arm",
          .count = 37,
          .oldest = 131min,
          .because =
              "some of every ten minutes stay behind: 12 ages are alive, ever more for two "
              "hours",
          .first_seen = now - 12min,
          .last_seen = now};
}

ledger::Verdict Cleared(ledger::Time now) {
  return {.number = 4,
          .rule = ledger::Rule::kOverdue,
          .state = ledger::State::kCleared,
          .kind = "lease",
          .site = "server/store/lease.cc:41",
          .function = "Renew",
          .count = 2,
          .owner = "peer gamma",
          .owner_count = 2,
          .because = "past their deadline",
          .first_seen = now - 41min,
          .last_seen = now - 33min};
}

void Write() {
  Books world;
  world.books.SetLevel(ledger::Level::kStacks);
  const ledger::Scope beta = world.Scope(ledger::ScopeType::kPeer, "beta");
  for (int i = 0; i < 12; ++i)
    world.leaked.push_back(ledger::Handle(world.books, world.pool, ledger::Scope{}));
  for (int i = 0; i < 37; ++i)
    world.leaked.push_back(ledger::Handle(world.books, world.timer, beta));
  world.LeakSession("edge-app");
  world.Pass(3min);
  world.LeakTimers(398, "beta", "heartbeat");
  world.Pass(70s);
  const ledger::Time now = ledger::virtual_now;
  std::vector<ledger::Verdict> verdicts = world.auditor.verdicts();
  verdicts.push_back(Cohort(now));
  verdicts.push_back(Cleared(now));
  ledger::Snapshot snapshot = world.auditor.TakeSnapshot();
  snapshot.descriptors = {.used = 214, .limit = 1024, .left = {}};
  snapshot.unclaimed = {{"fd_eventfd", 6}, {"fd_file", 3}, {"fd_socket", 1}, {"thread", 9}};
  snapshot.baseline = {{"fd_eventfd", 6}, {"fd_file", 3}, {"fd_socket", 1}, {"thread", 8}};
  std::fputs(ResourcesHtml(snapshot, verdicts, now, "peer alpha").c_str(), stdout);
}

}  // namespace
}  // namespace peermesh::metrics

int main() { peermesh::metrics::Write(); }
