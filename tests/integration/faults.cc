#include "faults.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <utility>

#include "metrics/ledger/excess.h"
#include "metrics/ledger/fd.h"

// The linker sends the calls of the program's own code here (--wrap): the places are the real ones.
// PM_... are the names of the functions for the linker.
namespace peermesh::faults {

using ledger::Excess;
using ledger::Item;
using ledger::Kind;
using ledger::Ledger;
using ledger::Outcome;
using ledger::Site;
using ledger::Time;
using ledger::UniqueFd;

// Under the linker's names; a booking and an entry are private to the ledger.
void RealRelease(Ledger*, const void*, Kind, Outcome, Site) __asm__("__real_" PM_RELEASE);
void Release(Ledger*, const void*, Kind, Outcome, Site) __asm__("__wrap_" PM_RELEASE);
void RealClose(UniqueFd*, Site) __asm__("__real_" PM_CLOSE);
void Close(UniqueFd*, Site) __asm__("__wrap_" PM_CLOSE);
void RealTouch(void*, Time) __asm__("__real_" PM_TOUCH);
void Touch(void*, Time) __asm__("__wrap_" PM_TOUCH);
bool RealAdd(Excess*, Time, std::uint64_t) __asm__("__real_" PM_EXCESS_ADD);
bool Add(Excess*, Time, std::uint64_t) __asm__("__wrap_" PM_EXCESS_ADD);
std::optional<std::uint64_t> RealFound(const Excess*, Time) __asm__("__real_" PM_EXCESS_FOUND);
std::optional<std::uint64_t> Found(const Excess*, Time) __asm__("__wrap_" PM_EXCESS_FOUND);

namespace {

struct Registry {
  std::mutex mutex;
  std::vector<Armed> all;
  std::atomic<bool> unused{false};

  Registry() {
    const char* const text = std::getenv("PEERMESH_FAULT");
    for (std::string_view rest = text == nullptr ? "" : text; !rest.empty();) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      Add(rest.substr(0, comma));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  void Add(std::string_view word) {
    constexpr std::pair<std::string_view, Fault> kWords[] = {
        {"twice:", Fault::kTwice}, {"close:", Fault::kForeignClose}, {"unused:", Fault::kUnused}};
    for (const auto& [prefix, fault] : kWords) {
      if (word.starts_with(prefix)) {
        all.push_back({fault, std::string(word.substr(prefix.size())), {}});
        unused = unused || fault == Fault::kUnused;
        return;
      }
    }
    all.push_back({Fault::kForget, std::string(word), {}});
  }
};

Registry& Faults() {
  static auto* const registry = new Registry;  // threads may end after main
  return *registry;
}

// Whether it is this kind's turn; each that was armed strikes once.
bool Strike(Fault fault, Kind kind) {
  Registry& registry = Faults();
  const std::lock_guard lock(registry.mutex);
  for (Armed& one : registry.all) {
    if (one.fault != fault || one.struck || one.kind != Ledger::Process().spec(kind).name) continue;
    one.struck = Ledger::Process().now();
    return true;
  }
  return false;
}

// Held by a UniqueFd. What was handed over is booked without one.
bool IsDescriptor(Kind kind) {
  const std::string_view name = Ledger::Process().spec(kind).name;
  return name.starts_with("fd_") && name != "fd_handed_over";
}

std::optional<Kind> KindOf(std::uint64_t id) {
  std::optional<Kind> kind;
  Ledger::Process().Walk([&](const Item& item) {
    if (item.id == id) kind = item.kind;
  });
  return kind;
}

}  // namespace

// --- Instead of the ledger's own -----------------------------------------------------------------

void Release(Ledger* ledger, const void* booking, Kind kind, Outcome outcome, Site site) {
  if (!IsDescriptor(kind) && Strike(Fault::kForget, kind)) return;
  RealRelease(ledger, booking, kind, outcome, site);
  if (Strike(Fault::kTwice, kind)) RealRelease(ledger, booking, kind, outcome, site);
}

void Close(UniqueFd* fd, Site site) {
  const std::optional<Kind> kind = *fd ? KindOf(fd->handle().id()) : std::nullopt;
  if (kind && Strike(Fault::kForget, *kind)) {
    new UniqueFd(std::move(*fd));
    return;
  }
  if (kind && Strike(Fault::kForeignClose, *kind)) ::close(fd->get());
  RealClose(fd, site);
}

void Touch(void* entry, Time now) {
  if (!Faults().unused) RealTouch(entry, now);
}

// Learning and watching take 25 minutes; PEERMESH_FAULT_HASTE=60 makes that 25 seconds. Both
// windows are proved in full by tests/metrics/ledger, in virtual time.
static Time Hastened(Time now) {
  static const int haste = [] {
    const char* const text = std::getenv("PEERMESH_FAULT_HASTE");
    return text == nullptr ? 1 : std::max(1, std::atoi(text));
  }();
  static const Time begin = now;  // the first sweep: when the auditor began, too
  return begin + (now - begin) * haste;
}

bool Add(Excess* excess, Time now, std::uint64_t unclaimed) {
  return RealAdd(excess, Hastened(now), unclaimed);
}

std::optional<std::uint64_t> Found(const Excess* excess, Time now) {
  return RealFound(excess, Hastened(now));
}

void Arm(Fault fault, std::string kind) {
  Registry& registry = Faults();
  const std::lock_guard lock(registry.mutex);
  registry.all.push_back({fault, std::move(kind), {}});
  if (fault != Fault::kUnused) return;
  registry.all.back().struck = Ledger::Process().now();
  registry.unused = true;
}

std::vector<Armed> All() {
  Registry& registry = Faults();
  const std::lock_guard lock(registry.mutex);
  return registry.all;
}

}  // namespace peermesh::faults
