#include "metrics/ledger/scope.h"

#include <algorithm>
#include <mutex>
#include <vector>

namespace peermesh::ledger {
namespace {

std::mutex& LabelMutex() {
  static auto* const mutex = new std::mutex;  // outlives every scope
  return *mutex;
}

}  // namespace

const char* ToString(ScopeType type) {
  switch (type) {
    case ScopeType::kProcess: return "process";
    case ScopeType::kPeer: return "peer";
    case ScopeType::kClient: return "client";
    case ScopeType::kConnection: return "connection";
    case ScopeType::kStream: return "stream";
    case ScopeType::kOperation: return "operation";
  }
  return "scope";
}

ScopeRecord::ScopeRecord(ScopeRecord* parent, ScopeType type, std::string label)
    : parent_(parent), type_(type), label_(std::move(label)) {
  if (parent_ != nullptr) parent_->Ref();
}

void ScopeRecord::Unref() {
  for (ScopeRecord* record = this; record != nullptr;) {
    if (record->references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    ScopeRecord* const parent = record->parent_;
    delete record;
    record = parent;
  }
}

void ScopeRecord::End(Time now) {
  ended_.store(std::max<Duration::rep>(1, now.time_since_epoch().count()),
               std::memory_order_release);
}

void ScopeRecord::Describe(ScopeType type, std::string label) {
  const std::lock_guard lock(LabelMutex());
  type_ = type;
  label_ = std::move(label);
}

ScopeType ScopeRecord::type() const {
  const std::lock_guard lock(LabelMutex());
  return type_;
}

std::string ScopeRecord::label() const {
  const std::lock_guard lock(LabelMutex());
  return label_;
}

std::optional<Time> ScopeRecord::ended() const {
  Duration::rep first = 0;
  for (const ScopeRecord* record = this; record != nullptr; record = record->parent_) {
    const Duration::rep at = record->ended_.load(std::memory_order_acquire);
    if (at != 0 && (first == 0 || at < first)) first = at;
  }
  return first == 0 ? std::nullopt : std::optional(Time(Duration(first)));
}

std::string ScopeRecord::TextOf(const ScopeRecord& record) {
  const std::lock_guard lock(LabelMutex());
  std::string text = ToString(record.type_);
  if (!record.label_.empty()) text.append(" ").append(record.label_);
  return text;
}

std::string ScopeRecord::Path() const {
  std::string path;
  for (const ScopeRecord* record = this; record != nullptr; record = record->parent_)
    path = path.empty() ? TextOf(*record) : TextOf(*record) + " > " + path;
  return path;
}

std::string ScopeRecord::Owner() const {
  const ScopeRecord* outermost = this;
  while (outermost->parent_ != nullptr) outermost = outermost->parent_;
  return TextOf(*outermost);
}

Scope::Scope(const Scope& parent, ScopeType type, std::string label, Time (*now)())
    : record_(new ScopeRecord(parent.record_, type, std::move(label))), now_(now) {}

void Scope::End() {
  if (record_ == nullptr) return;
  record_->End(now_());
  std::exchange(record_, nullptr)->Unref();
}

void Scope::Describe(std::string label) {
  if (record_ != nullptr) record_->Describe(record_->type(), std::move(label));
}

void Scope::Describe(ScopeType type, std::string label) {
  if (record_ != nullptr) record_->Describe(type, std::move(label));
}

}  // namespace peermesh::ledger
