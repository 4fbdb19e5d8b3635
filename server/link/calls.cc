#include "server/link/calls.h"

#include <algorithm>

#include "mesh/base/check.h"

namespace peermesh::link {
namespace {

constexpr const char* kOther = "other";
constexpr std::size_t kUnknownCode = 2;

constexpr std::array<const char*, kCallCodes> kCodeNames = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};

}  // namespace

const char* ToString(CallType type) {
  switch (type) {
    case CallType::kUnary: return "unary";
    case CallType::kClientStream: return "client_stream";
    case CallType::kServerStream: return "server_stream";
    case CallType::kBidiStream: return "bidi_stream";
  }
  return "";
}

const char* CodeName(std::size_t code) {
  return kCodeNames[code < kCallCodes ? code : kUnknownCode];
}

CallBook::CallBook() { methods_[0].path = kOther; }

CallBook& CallBook::Served() {
  static auto* const book = new CallBook;  // threads may end after main
  return *book;
}

CallBook& CallBook::Made() {
  static auto* const book = new CallBook;
  return *book;
}

void CallBook::Register(std::string_view path, CallType type) {
  PM_CHECK(path.starts_with('/') && path.rfind('/') > 0);
  const std::lock_guard lock(register_mutex_);
  Method& found = Find(path);
  if (&found != &methods_[0]) {
    PM_CHECK(found.type == type);
    return;
  }
  const std::size_t count = count_.load(std::memory_order_relaxed);
  PM_CHECK(count < kMaxMethods);
  methods_[count].path = path;
  methods_[count].type = type;
  count_.store(count + 1, std::memory_order_release);
}

CallBook::Method& CallBook::Find(std::string_view path) {
  const std::size_t count = count_.load(std::memory_order_acquire);
  for (std::size_t i = 1; i < count; ++i)
    if (methods_[i].path == path) return methods_[i];
  return methods_[0];
}

std::vector<CallFigures> CallBook::Figures() const {
  const auto read = [](const auto& from, auto& to) {
    std::transform(from.begin(), from.end(), to.begin(),
                   [](const auto& value) { return value.load(std::memory_order_relaxed); });
  };
  std::vector<CallFigures> all(count_.load(std::memory_order_acquire));
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Method& from = methods_[i];
    CallFigures& to = all[i];
    const std::size_t slash = from.path.rfind('/');
    to.service = i == 0 ? kOther : from.path.substr(1, slash - 1);
    to.method = i == 0 ? kOther : from.path.substr(slash + 1);
    to.type = from.type;
    // What ended before what began: nobody may see more ends than beginnings.
    read(from.handled, to.handled);
    read(from.took, to.took);
    to.seconds = static_cast<double>(from.nanoseconds.load(std::memory_order_relaxed)) / 1e9;
    to.received = from.received.load(std::memory_order_relaxed);
    to.sent = from.sent.load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    to.started = from.started.load(std::memory_order_relaxed);
  }
  return all;
}

CallCount::CallCount(CallBook& book, std::string_view path)
    : method_(&book.Find(path)), begun_(std::chrono::steady_clock::now()) {
  method_->started.fetch_add(1, std::memory_order_relaxed);
}

void CallCount::Received() const {
  if (method_ != nullptr) method_->received.fetch_add(1, std::memory_order_relaxed);
}

void CallCount::Sent() const {
  if (method_ != nullptr) method_->sent.fetch_add(1, std::memory_order_relaxed);
}

void CallCount::End(int code) const {
  if (method_ == nullptr) return;
  const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::steady_clock::now() - begun_);
  const double seconds = static_cast<double>(took.count()) / 1e9;
  const auto bucket = static_cast<std::size_t>(
      std::lower_bound(kHandlingBounds.begin(), kHandlingBounds.end(), seconds) -
      kHandlingBounds.begin());
  const auto known = static_cast<std::size_t>(code) < kCallCodes;
  method_->took[bucket].fetch_add(1, std::memory_order_relaxed);
  method_->nanoseconds.fetch_add(static_cast<std::uint64_t>(took.count()),
                                 std::memory_order_relaxed);
  method_->handled[known ? static_cast<std::size_t>(code) : kUnknownCode].fetch_add(
      1, std::memory_order_release);
}

}  // namespace peermesh::link
