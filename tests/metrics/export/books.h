// A process with leaks of every tier in virtual time: for the tests of what shows them, and to look
// at the pages with a browser (debug_pages_demo.cc).
#ifndef PEERMESH_TESTS_METRICS_EXPORT_BOOKS_H_
#define PEERMESH_TESTS_METRICS_EXPORT_BOOKS_H_

#include <optional>
#include <string>
#include <vector>

#include "metrics/ledger/auditor.h"
#include "metrics/ledger/handle.h"
#include "metrics/ledger/kernel.h"
#include "tests/metrics/ledger/virtual_time.h"

namespace peermesh::metrics {

struct Books {
  // Sweeps at its pace for so long.
  void Pass(ledger::Duration time) {
    const ledger::Time end = ledger::virtual_now + time;
    while (ledger::virtual_now < end) {
      ledger::virtual_now += ledger::kSweepEvery;
      auditor.Sweep();
    }
  }
  ledger::Scope Scope(ledger::ScopeType type, std::string label) const {
    return {ledger::Scope{}, type, std::move(label), &ledger::VirtualNow};
  }
  const ledger::Verdict* Find(ledger::Rule rule) {
    verdicts = auditor.verdicts();
    for (const ledger::Verdict& verdict : verdicts)
      if (verdict.rule == rule) return &verdict;
    return nullptr;
  }

  // Proof: timers of a stream that has ended, of `owner`; each with `note`.
  void LeakTimers(int count, const std::string& owner, const std::string& note) {
    const ledger::Scope peer = Scope(ledger::ScopeType::kPeer, owner);
    const ledger::Scope stream(peer, ledger::ScopeType::kStream, "Exchange", &ledger::VirtualNow);
    for (int i = 0; i < count; ++i) {
      leaked.push_back(ledger::Handle(books, timer, stream));
      leaked.back().Note(note);
    }
  }
  // Strong: a session that nobody uses any more.
  void LeakSession(const std::string& owner) {
    owners.push_back(Scope(ledger::ScopeType::kClient, owner));
    leaked.push_back(ledger::Handle(books, session, owners.back()));
  }

  ledger::Ledger books{&ledger::VirtualNow};
  std::optional<ledger::KernelReading> kernel;
  std::chrono::year_month_day today{std::chrono::year(2026), std::chrono::month(11),
                                    std::chrono::day(21)};
  ledger::Auditor auditor{
      books, {.kernel = [this] { return kernel; }, .rpcs = {}, .today = [this] { return today; }}};
  const ledger::Kind timer = books.Register(ledger::Owned("timer"));
  const ledger::Kind session = books.Register(ledger::Active("session", std::chrono::seconds(30)));
  const ledger::Kind call = books.Register(ledger::ShortLived("call", std::chrono::seconds(60)));
  const ledger::Kind lease = books.Register(ledger::Leased("lease"));
  const ledger::Kind pool = books.Register(ledger::ForProcess("pool"));
  std::vector<ledger::Scope> owners;
  std::vector<ledger::Handle> leaked;
  std::vector<ledger::Verdict> verdicts;
};

}  // namespace peermesh::metrics

#endif  // PEERMESH_TESTS_METRICS_EXPORT_BOOKS_H_
