// What the resource ledger costs. Required, on a machine with nothing else to do (ledger.md): a
// count alone 30 ns, an acquire with its release 200 ns, a touch 20 ns, a sweep of 100,000 live
// 10 ms, a page of metrics with 10,000 live 20 ms.
#include <benchmark/benchmark.h>

#include <vector>

#include "metrics/export/resources.h"
#include "metrics/ledger/auditor.h"
#include "metrics/ledger/handle.h"

namespace peermesh::ledger {
namespace {

constexpr int kPeers = 50;  // owners of what is live

struct Books {
  Ledger ledger;
  const Kind timer = ledger.Register(Owned("timer"));
  const Kind session = ledger.Register(Active("session", std::chrono::hours(1)));
  const Scope peer{Scope{}, ScopeType::kPeer, "beta"};
  const Scope stream{peer, ScopeType::kStream, "Exchange"};
};

// Counter and handle: with an owner, as all of them have.
void AcquireAndRelease(benchmark::State& state) {
  Books books;
  books.ledger.SetLevel(static_cast<Level>(state.range(0)));
  for (auto _ : state) {
    Handle handle(books.ledger, books.timer, books.stream);
    benchmark::DoNotOptimize(handle);
  }
  state.SetLabel(ToString(static_cast<Level>(state.range(0))));
}
BENCHMARK(AcquireAndRelease)->DenseRange(0, 2);

void Touch(benchmark::State& state) {
  Books books;
  Handle handle(books.ledger, books.session, books.stream);
  for (auto _ : state) handle.Touch();
}
BENCHMARK(Touch);

struct Full : Books {
  explicit Full(std::int64_t live) {
    for (int i = 0; i < kPeers; ++i) {
      const Scope& owner = peers.emplace_back(Scope{}, ScopeType::kPeer, std::to_string(i));
      streams.emplace_back(owner, ScopeType::kStream, "Exchange");
    }
    for (std::int64_t i = 0; i < live; ++i) {
      const Scope& owner = streams[static_cast<std::size_t>(i) % streams.size()];
      handles.push_back(i % 2 == 0 ? Handle(ledger, timer, owner) : Handle(ledger, session, owner));
    }
  }
  std::vector<Scope> peers, streams;
  std::vector<Handle> handles;
};

void Sweep(benchmark::State& state) {
  const Full books(state.range(0));
  Auditor auditor(books.ledger, {.kernel = &ReadKernel, .rpcs = {}, .today = {}});
  for (auto _ : state) auditor.Sweep();
}
BENCHMARK(Sweep)->Arg(10'000)->Arg(100'000)->Unit(benchmark::kMillisecond);

void Scrape(benchmark::State& state) {
  const Full books(state.range(0));
  Auditor auditor(books.ledger, {});
  auditor.Sweep();
  for (auto _ : state) {
    metrics::Page page;
    metrics::CollectResources(auditor.TakeSnapshot(), books.ledger.level(), page);
    benchmark::DoNotOptimize(page.Text());
  }
}
BENCHMARK(Scrape)->Arg(10'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace peermesh::ledger

BENCHMARK_MAIN();
