// A descriptor that is booked, closed by whoever holds it, and by nobody else.
//
// Its number carries a tag while it is held. A close behind its owner's back is seen when the owner
// closes it, or when the kernel gives the number to the next one: a violation, and what is there
// then is left alone. Not thread-safe.
#ifndef PEERMESH_METRICS_LEDGER_FD_H_
#define PEERMESH_METRICS_LEDGER_FD_H_

#include "metrics/ledger/handle.h"

namespace peermesh::ledger {

class UniqueFd {
 public:
  UniqueFd() = default;
  // Takes over `fd`; -1 is none.
  UniqueFd(int fd, Kind kind, const Scope& owner, Site birth = Site::Here())
      : UniqueFd(Ledger::Process(), fd, kind, owner, birth) {}
  UniqueFd(Ledger& ledger, int fd, Kind kind, const Scope& owner, Site birth = Site::Here());
  UniqueFd(UniqueFd&& other) noexcept;
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd() { Close(); }

  explicit operator bool() const { return fd_ >= 0; }
  int get() const { return fd_; }
  // Gives it away: somebody else closes it.
  [[nodiscard]] int Release(Site site = Site::Here());
  void Close(Site site = Site::Here());
  void Touch() { handle_.Touch(); }
  Handle& handle() { return handle_; }

 private:
  // Gives up the claim; false if the number is not ours any more.
  bool Disown(Site site);

  Ledger* ledger_ = nullptr;
  int fd_ = -1;
  Kind kind_;
  std::uint64_t claim_ = 0;
  Handle handle_;
};

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_FD_H_
