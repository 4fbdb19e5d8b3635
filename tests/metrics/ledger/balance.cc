// Linked into a test program: every test of it ends with the process's ledger where it began, kind
// by kind, and without a violation. What ends a moment after a test (gRPC closes a connection on a
// thread of its own) has kPatience.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>

#include "metrics/ledger/ledger.h"

namespace peermesh::ledger {
namespace {

constexpr std::chrono::seconds kPatience{20};

class Balance final : public testing::EmptyTestEventListener {
 public:
  void OnTestStart(const testing::TestInfo&) override {
    before_ = Ledger::Process().TakeCounts();
    violations_before_ = Ledger::Process().violation_count();
  }

  void OnTestEnd(const testing::TestInfo&) override {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock(mutex);
    while (!Difference().empty() && std::chrono::steady_clock::now() < deadline)
      never.wait_for(lock, std::chrono::milliseconds(1));
    EXPECT_EQ(Difference(), "") << "of the ledger, since the beginning of the test";
    EXPECT_EQ(Ledger::Process().violation_count(), violations_before_)
        << Ledger::Process().violations().back().detail;
  }

 private:
  // "timer +2 (server/link/queue.cc:101 in process) ".
  std::string Difference() const {
    Ledger& ledger = Ledger::Process();
    const auto now = ledger.TakeCounts();
    std::string text;
    for (std::uint8_t i = 0; i < ledger.kinds(); ++i) {
      const auto change =
          static_cast<std::int64_t>(now[i].live()) - static_cast<std::int64_t>(before_[i].live());
      if (change == 0) continue;
      text += ledger.spec(Kind{i}).name + std::string(change > 0 ? " +" : " ") +
              std::to_string(change) + Newest(Kind{i}) + " ";
    }
    return text;
  }

  static std::string Newest(Kind kind) {
    std::string newest;
    Time born{};
    Ledger::Process().Walk([&](const Item& item) {
      if (item.kind != kind || item.born < born) return;
      born = item.born;
      newest = " (" + item.site.ToText() + " in " +
               (item.scope == nullptr ? "process" : item.scope->Path()) + ")";
    });
    return newest;
  }

  std::array<Counts, kMaxKinds> before_{};
  std::uint64_t violations_before_ = 0;
};

// Owned by the framework.
[[maybe_unused]] const bool kInstalled = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new Balance);
  return true;
}();

}  // namespace
}  // namespace peermesh::ledger
