// One entry of the ledger, held by whatever holds the resource: made with it, gone with it.
//
//   ledger::Handle booking_{kStream, connection_scope};
//   booking_.Touch();                       // every time it is used
//   booking_.End(ledger::Outcome::kError);  // before the destructor, if it ended badly
//
// Where this is written is its place of birth: write it out, also for a container; emplace_back
// would be born in the standard library. Movable, 40 bytes. Thread-safe as far as Touch; the rest
// belongs to one thread at a time.
#ifndef PEERMESH_METRICS_LEDGER_HANDLE_H_
#define PEERMESH_METRICS_LEDGER_HANDLE_H_

#include <cstdint>
#include <string_view>
#include <utility>

#include "metrics/ledger/ledger.h"

namespace peermesh::ledger {

class Handle {
 public:
  Handle() = default;
  Handle(Kind kind, const Scope& owner, Site birth = Site::Here())
      : Handle(Ledger::Process(), kind, owner, 1, birth) {}
  // `amount`: bytes held, or another quantity the kind is measured by.
  Handle(Ledger& ledger, Kind kind, const Scope& owner, std::uint64_t amount = 1,
         Site birth = Site::Here())
      : ledger_(&ledger), booking_(ledger.Acquire(kind, owner, birth, amount)), kind_(kind) {}
  Handle(Handle&& other) noexcept
      : ledger_(std::exchange(other.ledger_, nullptr)),
        booking_(std::exchange(other.booking_, {})),
        kind_(other.kind_) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      End();
      ledger_ = std::exchange(other.ledger_, nullptr);
      booking_ = std::exchange(other.booking_, {});
      kind_ = other.kind_;
    }
    return *this;
  }
  ~Handle() { End(); }

  explicit operator bool() const { return ledger_ != nullptr; }
  // 0: none, or counted alone.
  std::uint64_t id() const { return booking_.entry == nullptr ? 0 : booking_.id; }

  // It is being used.
  void Touch() {
    if (booking_.entry != nullptr) Ledger::Touch(*booking_.entry, ledger_->now());
  }
  // Leased: it ends, or is renewed, before then.
  void SetDeadline(Time deadline) {
    if (booking_.entry != nullptr) Ledger::SetDeadline(*booking_.entry, deadline);
  }
  void Resize(std::uint64_t amount) {
    if (ledger_ != nullptr) ledger_->Resize(booking_, kind_, amount);
  }
  // What helps to find the culprit: a method, a client library. kMaxNoteBytes at most.
  void Note(std::string_view note) {
    if (booking_.entry != nullptr) ledger_->Note(booking_, note);
  }
  void End(Outcome outcome = Outcome::kNormal, Site site = Site::Here()) {
    if (ledger_ != nullptr)
      std::exchange(ledger_, nullptr)->Release(std::exchange(booking_, {}), kind_, outcome, site);
  }

 private:
  Ledger* ledger_ = nullptr;
  Ledger::Booking booking_;
  Kind kind_;
};

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_HANDLE_H_
