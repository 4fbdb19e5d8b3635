#include "server/observe/audit.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "metrics/ledger/findings.h"
#include "server/config/logging.h"

namespace peermesh {
namespace {

constexpr config::Logger kLog("ledger");

std::chrono::year_month_day Today() {
  return std::chrono::year_month_day(
      std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now()));
}

void Log(config::Level level, std::string_view message, const ledger::Verdict& verdict) {
  config::Log("ledger", level, message,
              {{"number", verdict.number},
               {"tier", ToString(verdict.tier())},
               {"rule", ToString(verdict.rule)},
               {"kind", verdict.kind},
               {"count", verdict.count},
               {"site", verdict.site},
               {"owner", verdict.owner},
               {"oldest", ledger::ToText(verdict.oldest)},
               {"because", verdict.because},
               {"suppressed", verdict.suppressed}});
}

}  // namespace

Audit::Audit(std::function<std::vector<ledger::RpcCounts>()> rpcs)
    : auditor_(ledger::Ledger::Process(), {.kernel = &ledger::ReadKernel,
                                           .rpcs =
                                               [this, rpcs = std::move(rpcs)] {
                                                 auto counts = grpc_.Compare();
                                                 if (rpcs == nullptr) return counts;
                                                 for (ledger::RpcCounts& count : rpcs())
                                                   counts.push_back(std::move(count));
                                                 return counts;
                                               },
                                           .today = &Today}) {}

absl::Status Audit::Start(const std::string& suppressions) {
  std::error_code ignored;
  if (!suppressions.empty() && std::filesystem::exists(suppressions, ignored)) {
    std::ifstream file(suppressions);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    auto parsed = ledger::Suppressions::Parse(text);
    if (!parsed.ok()) {
      return absl::InvalidArgumentError(suppressions + ", " +
                                        std::string(parsed.status().message()));
    }
    auditor_.SetSuppressions(*std::move(parsed));
  }
  static const ledger::Kind kThread =
      ledger::Ledger::Process().Register(ledger::ForProcess("thread"));
  thread_ = ledger::Thread("pm-audit", kThread, ledger::Scope{}, [this] { Run(); });
  return absl::OkStatus();
}

void Audit::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.Join();
}

void Audit::Run() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, ledger::kSweepEvery, [this] { return stopping_; })) {
    lock.unlock();
    auditor_.Sweep();
    LogChanges();
    lock.lock();
  }
}

void Audit::LogChanges() {
  std::map<std::uint64_t, ledger::State> now;
  for (const ledger::Verdict& verdict : auditor_.verdicts()) {
    if (verdict.state == ledger::State::kSuspected) continue;
    now[verdict.number] = verdict.state;
    const auto before = logged_.find(verdict.number);
    if (before != logged_.end() && before->second == verdict.state) continue;
    if (verdict.state == ledger::State::kCleared) {
      Log(config::Level::kInfo, "leak cleared", verdict);
    } else {
      Log(verdict.alerts() ? config::Level::kWarning : config::Level::kInfo, "leak found", verdict);
    }
  }
  logged_ = std::move(now);
}

void Audit::LogAll() const {
  const auto verdicts = auditor_.verdicts();
  kLog.Info("report", {{"verdicts", verdicts.size()}});
  for (const ledger::Verdict& verdict : verdicts)
    Log(config::Level::kInfo, ToString(verdict.state), verdict);
}

void Audit::LogResidue() {
  for (const ledger::Verdict& verdict : auditor_.SweepAtExit())
    Log(config::Level::kWarning, "left behind", verdict);
}

}  // namespace peermesh
