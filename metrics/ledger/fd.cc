#include "metrics/ledger/fd.h"

#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "metrics/ledger/claims.h"

namespace peermesh::ledger {
namespace {

constexpr std::uint64_t kUnlisted = ~0ull;  // held, by an entry that is counted alone

}  // namespace

UniqueFd::UniqueFd(Ledger& ledger, int fd, Kind kind, const Scope& owner, Site birth)
    : ledger_(&ledger), fd_(fd), kind_(kind) {
  if (fd < 0) return;
  handle_ = Handle(ledger, kind, owner, 1, birth);
  claim_ = handle_.id() == 0 ? kUnlisted : handle_.id();
  // The kernel gave us a number that somebody believes to hold.
  if (const std::uint64_t before = Claim(fd, claim_); before != 0) {
    ledger.Report(
        ViolationType::kForeignClose, kind, birth,
        "descriptor " + std::to_string(fd) + " was closed under entry " + std::to_string(before));
  }
}

UniqueFd::UniqueFd(UniqueFd&& other) noexcept { *this = std::move(other); }

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this == &other) return *this;
  Close();
  ledger_ = other.ledger_;
  fd_ = std::exchange(other.fd_, -1);
  kind_ = other.kind_;
  claim_ = std::exchange(other.claim_, 0);
  handle_ = std::move(other.handle_);
  return *this;
}

bool UniqueFd::Disown(Site site) {
  handle_.End(Outcome::kNormal, site);
  if (Unclaim(fd_, std::exchange(claim_, 0))) return true;
  ledger_->Report(ViolationType::kForeignClose, kind_, site,
                  "descriptor " + std::to_string(fd_) + " is another one's by now");
  return false;
}

int UniqueFd::Release(Site site) {
  if (fd_ < 0 || !Disown(site)) return -1;
  return std::exchange(fd_, -1);
}

void UniqueFd::Close(Site site) {
  if (fd_ < 0) return;
  if (Disown(site) && ::close(fd_) != 0 && errno == EBADF) {
    ledger_->Report(ViolationType::kForeignClose, kind_, site,
                    "descriptor " + std::to_string(fd_) + " was closed already");
  }
  fd_ = -1;
}

}  // namespace peermesh::ledger
