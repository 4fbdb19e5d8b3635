// An application on the C++ library that leaks what PEERMESH_FAULT says (faults.h), under an
// auditor of its own: fault_client SOCKET. Ends when what was asked for is found, in a minute at
// the latest.
#include <chrono>
#include <cstdio>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "client/peermesh.h"
#include "faults.h"
#include "metrics/ledger/auditor.h"
#include "nlohmann/json.hpp"
#include "server/tls/process.h"

namespace peermesh {
namespace {

constexpr int kMostSweeps = 30;

// Uses everything that the library books, and lets go of it.
absl::Status Use(const char* socket) {
  auto client = client::Client::Connect({.socket = socket, .label = "fault-client"});
  if (!client.ok()) return client.status();
  auto session = (*client)->Subscribe({"fault.>"}, [](const client::Received&) {});
  if (!session.ok()) return session.status();
  return (*client)->Publish("fault.a", "1").status();
}

std::set<std::string> Missing(const std::vector<ledger::Verdict>& verdicts) {
  std::set<std::string> missing;
  for (const faults::Armed& one : faults::All()) missing.insert(one.kind);
  for (const ledger::Verdict& one : verdicts)
    if (one.state == ledger::State::kConfirmed) missing.erase(one.kind);
  return missing;
}

// One line of JSON for each that is confirmed, on standard error.
void Print(const std::vector<ledger::Verdict>& verdicts) {
  for (const ledger::Verdict& one : verdicts) {
    if (one.state != ledger::State::kConfirmed) continue;
    nlohmann::json line = {{"rule", ToString(one.rule)},
                           {"tier", ToString(one.tier())},
                           {"kind", one.kind},
                           {"site", one.site},
                           {"count", one.count},
                           {"owner", one.owner},
                           {"oldest_ms", one.oldest.count()}};
    for (const ledger::Example& example : one.examples) {
      line["examples"].push_back({{"scope", example.scope}, {"note", example.note}});
    }
    std::fprintf(stderr, "LEAK %s\n", line.dump().c_str());
  }
}

int Main(const char* socket) {
  if (const absl::Status used = Use(socket); !used.ok()) {
    std::fprintf(stderr, "%s\n", std::string(used.message()).c_str());
    return 1;
  }
  ledger::Auditor auditor(ledger::Ledger::Process(), {});
  std::set<std::string> missing = {"-"};
  // A channel belongs to the program: it is told at its end.
  for (int i = 0; i < kMostSweeps && !missing.empty(); ++i) {
    std::this_thread::sleep_for(ledger::kSweepEvery);  // lint:allow(sleep): an auditor's beat
    auditor.Sweep();
    missing = Missing(auditor.verdicts());
    missing.erase("client_channel");
  }
  Print(auditor.verdicts());
  auditor.SweepAtExit();  // which clears what was no residue
  const auto verdicts = auditor.verdicts();
  Print(verdicts);
  return Missing(verdicts).empty() ? 0 : 1;
}

}  // namespace
}  // namespace peermesh

int main(int argc, char** argv) {
  const absl::Status ready = peermesh::tls::InitProcess(peermesh::tls::Signals::kLeave);
  return argc == 2 && ready.ok() ? peermesh::Main(argv[1]) : 2;
}
