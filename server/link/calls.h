// Calls by method, as Prometheus' dashboards for gRPC count them: begun, messages each way, ended
// by code, and how long they took.
//
// Two books for the process: calls that others make here, and calls that we make. Stream writes to
// both; a stub of gRPC's own is counted by hand (CallCount). What arrives and is no method that was
// registered is "other": names from outside are never labels.
//
// A message costs one relaxed addition, a call one look through the table and two readings of the
// clock. No lock but in Register. Thread-safe; a figure may be a message ahead of another one.
//
// Bounds: kMaxMethods, for which Register stops the process: they are ours.
#ifndef PEERMESH_SERVER_LINK_CALLS_H_
#define PEERMESH_SERVER_LINK_CALLS_H_

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace peermesh::link {

enum class CallType : std::uint8_t { kUnary, kClientStream, kServerStream, kBidiStream };
const char* ToString(CallType type);  // "unary", "bidi_stream"

inline constexpr std::size_t kCallCodes = 17;
// As Go spells them, and so the dashboards: "OK", "Canceled", "InvalidArgument".
const char* CodeName(std::size_t code);

// In seconds: Prometheus' own, and three below, because a call on one host takes a tenth of a
// millisecond.
inline constexpr std::array<double, 14> kHandlingBounds = {
    0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

// One method, at one moment.
struct CallFigures {
  std::string service, method;  // "peermesh.v1.MessagingService", "Publish"
  CallType type{};
  std::uint64_t started = 0, received = 0, sent = 0;
  std::array<std::uint64_t, kCallCodes> handled{};
  std::array<std::uint64_t, kHandlingBounds.size() + 1> took{};  // bucket by bucket
  double seconds = 0;                                            // of all that ended
};

class CallBook {
 public:
  static constexpr std::size_t kMaxMethods = 32;  // PeerMesh has half as many each way

  CallBook();
  // What others call here, and what we call elsewhere.
  static CallBook& Served();
  static CallBook& Made();

  // "/service/method". The same one twice is the same.
  void Register(std::string_view path, CallType type);
  // "other" first, then in the order of their registration.
  std::vector<CallFigures> Figures() const;

 private:
  friend class CallCount;
  struct alignas(64) Method {
    std::string path;
    CallType type{};
    std::atomic<std::uint64_t> started{0}, received{0}, sent{0}, nanoseconds{0};
    std::array<std::atomic<std::uint64_t>, kCallCodes> handled{};
    std::array<std::atomic<std::uint64_t>, kHandlingBounds.size() + 1> took{};
  };
  Method& Find(std::string_view path);

  std::array<Method, kMaxMethods> methods_;  // the first is "other"
  std::atomic<std::size_t> count_{1};
  std::mutex register_mutex_;
};

// One call, from its start. Its methods may be called by several threads, End once.
class CallCount {
 public:
  CallCount() = default;  // of no call: counts nothing
  CallCount(CallBook& book, std::string_view path);

  void Received() const;
  void Sent() const;
  void End(int code) const;

 private:
  CallBook::Method* method_ = nullptr;
  std::chrono::steady_clock::time_point begun_{};
};

}  // namespace peermesh::link

#endif  // PEERMESH_SERVER_LINK_CALLS_H_
