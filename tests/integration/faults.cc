// Linked into peermeshd_faults alone, which forgets to release: PEERMESH_FAULT=KIND,KIND ... Of
// each kind named, the first one that is to be released stays. Of a descriptor (fd_...) that is the
// first to be closed, and it stays open, too; one that is given away is not forgotten.
//
// The linker sends the calls of the daemon's own code here (--wrap): the sites are the real ones,
// and the daemon that people run has nothing of it.
#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "metrics/ledger/fd.h"

using peermesh::ledger::Item;
using peermesh::ledger::Kind;
using peermesh::ledger::Ledger;
using peermesh::ledger::Outcome;
using peermesh::ledger::Site;
using peermesh::ledger::UniqueFd;

namespace {

// Whether it is this kind's turn to be forgotten; once.
bool Forget(Kind kind) {
  static std::mutex mutex;
  static std::set<std::string> left = [] {
    std::set<std::string> kinds;
    const char* const text = std::getenv("PEERMESH_FAULT");
    std::string rest = text == nullptr ? "" : text;
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      kinds.insert(rest.substr(0, comma));
      rest.erase(0, comma + 1);
    }
    return kinds;
  }();
  const std::lock_guard lock(mutex);
  return left.erase(Ledger::Process().spec(kind).name) > 0;
}

}  // namespace

// The names are those of Ledger::Release and UniqueFd::Close.
extern "C" {
void __real_PM_RELEASE(Ledger*, const void*, Kind, Outcome, Site) __asm__("__real_" PM_RELEASE);
void __wrap_PM_RELEASE(Ledger*, const void*, Kind, Outcome, Site) __asm__("__wrap_" PM_RELEASE);
void __real_PM_CLOSE(UniqueFd*, Site) __asm__("__real_" PM_CLOSE);
void __wrap_PM_CLOSE(UniqueFd*, Site) __asm__("__wrap_" PM_CLOSE);
}

void __wrap_PM_RELEASE(Ledger* ledger, const void* booking, Kind kind, Outcome outcome, Site site) {
  const bool descriptor = std::string_view(ledger->spec(kind).name).starts_with("fd_");
  if (descriptor || !Forget(kind)) __real_PM_RELEASE(ledger, booking, kind, outcome, site);
}

void __wrap_PM_CLOSE(UniqueFd* fd, Site site) {
  bool forget = false;
  Ledger::Process().Walk([&](const Item& item) {
    forget = forget || (item.id == fd->handle().id() && *fd && Forget(item.kind));
  });
  if (forget) {
    new UniqueFd(std::move(*fd));
  } else {
    __real_PM_CLOSE(fd, site);
  }
}
