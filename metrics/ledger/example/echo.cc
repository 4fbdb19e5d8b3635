// A service that books what it holds, and says every two seconds what looks leaked.
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <thread>
#include <vector>

#include "echo.grpc.pb.h"
#include "metrics/ledger/auditor.h"
#include "metrics/ledger/handle.h"

namespace ledger = peermesh::ledger;

// What a call holds goes with the call.
const ledger::Kind kBuffer = ledger::Ledger::Process().Register(ledger::Owned("buffer"));

class Echo final : public example::Echo::Service {
  grpc::Status Say(grpc::ServerContext* call, const example::Text* said, example::Text* answer) override {
    const ledger::Scope scope({}, ledger::ScopeType::kClient, call->peer());
    ledger::Handle buffer(kBuffer, scope);
    buffer.Note(said->words());
    answer->set_words(said->words());
    if (said->words() == "keep") kept_.push_back(std::move(buffer));  // what should not happen
    return grpc::Status::OK;
  }
  std::vector<ledger::Handle> kept_;
};

int main(int, char** arguments) {
  Echo echo;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(arguments[1], grpc::InsecureServerCredentials()).RegisterService(&echo);
  const auto server = builder.BuildAndStart();
  ledger::Auditor auditor(ledger::Ledger::Process(), {.kernel = &ledger::ReadKernel});
  for (;; std::this_thread::sleep_for(ledger::kSweepEvery)) {
    auditor.Sweep();
    for (const ledger::Verdict& one : auditor.verdicts())
      std::printf("%s %s: %zu, born at %s, of %s\n", one.kind.c_str(), ToString(one.rule),
                  static_cast<std::size_t>(one.count), one.site.c_str(), one.owner.c_str());
    std::fflush(stdout);
  }
}
