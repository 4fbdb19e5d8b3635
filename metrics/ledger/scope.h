// Scopes: who owns resources, as a tree. process > peer or client > connection > stream >
// operation.
//
// A scope that ends takes with it, by contract, everything booked in it and in the scopes below it.
// What is still there after a grace is an orphan, and the scope's path says whose it was: records
// of ended scopes stay until the last resource in them is gone.
//
// Thread-safe.
#ifndef PEERMESH_METRICS_LEDGER_SCOPE_H_
#define PEERMESH_METRICS_LEDGER_SCOPE_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "metrics/ledger/time.h"

namespace peermesh::ledger {

enum class ScopeType : std::uint8_t { kProcess, kPeer, kClient, kConnection, kStream, kOperation };
const char* ToString(ScopeType type);

// Shared by a Scope, the scopes below it and everything booked in it. References are counted.
class ScopeRecord {
 public:
  ScopeRecord(ScopeRecord* parent, ScopeType type, std::string label);

  void Ref() { references_.fetch_add(1, std::memory_order_relaxed); }
  void Unref();
  void End(Time now);
  void Describe(ScopeType type, std::string label);

  ScopeType type() const;
  ScopeRecord* parent() const { return parent_; }
  std::string label() const;
  // When it or one above it ended, whichever was first.
  std::optional<Time> ended() const;
  // "peer beta > connection 10.0.0.4:7443 > stream Exchange"; "process" for none.
  std::string Path() const;
  // The outermost scope below the process, as text: whom to ask.
  std::string Owner() const;

 private:
  ~ScopeRecord() = default;
  static std::string TextOf(const ScopeRecord& record);

  ScopeRecord* const parent_;  // holds a reference
  std::atomic<std::uint32_t> references_{1};
  std::atomic<Duration::rep> ended_{0};  // 0: not yet
  // Guarded by a mutex of all records: they hardly change.
  ScopeType type_;
  std::string label_;
};

class Scope {
 public:
  // None: what is booked in it belongs to the process.
  Scope() = default;
  Scope(const Scope& parent, ScopeType type, std::string label, Time (*now)() = &CoarseNow);
  Scope(Scope&& other) noexcept { *this = std::move(other); }
  Scope& operator=(Scope&& other) noexcept {
    std::swap(record_, other.record_);
    std::swap(now_, other.now_);
    return *this;
  }
  ~Scope() { End(); }

  // Once: the end of life of everything in it.
  void End();
  // A better label: what is known only later, such as who is at the other end ...
  void Describe(std::string label);
  // ... and what: a peer, or an application.
  void Describe(ScopeType type, std::string label);
  bool open() const { return record_ != nullptr; }
  std::string Path() const { return record_ == nullptr ? "process" : record_->Path(); }
  ScopeRecord* record() const { return record_; }

 private:
  ScopeRecord* record_ = nullptr;
  Time (*now_)() = &CoarseNow;
};

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_SCOPE_H_
