// What the load programs of tests/bench/compare share, so that every system carries the same bytes,
// is checked by the same rule and is timed at the same places.
//
// A program gives `Main` a way to connect to its system; the roles (roles.cc) are the same for all:
//
//   sub     --connections subscribers, each of which must get every message of every publisher once
//           and in the order it was published; one that does not makes the run void
//   pub     --publishers connections, each publishing --warm-up, then --messages, then once more
//           --warm-up messages, so that nothing is timed while it starts or runs empty
//   ask     one request at a time, answered by `answer`: round trips
//   answer  sends every payload back
//   churn   connect, subscribe, publish to oneself, receive, close: once for each of --messages
//
// A program prints `ready` when it is connected and its subscriptions are made, begins at a line on
// its standard input, prints one line of JSON when it is done, and stays until its input ends, so
// that the driver can look at it. Time is measured where messages arrive: from the last message of
// the warm-up to the last of --messages.
//
// NATS holds nobody back, so its publishers are paced by a `Window` in memory that publisher and
// subscriber map: flow control that costs NATS no message, no byte and no wake-up.
//
// A mistake ends the program with a sentence on stderr. Thread notes are with the classes.
#ifndef PEERMESH_TESTS_BENCH_COMPARE_LOAD_H_
#define PEERMESH_TESTS_BENCH_COMPARE_LOAD_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace peermesh::bench {

using Clock = std::chrono::steady_clock;  // the same in all processes of a host

[[noreturn]] void Fail(std::string_view what);

struct Options {
  std::string role;
  std::vector<std::string> targets;  // connection i uses targets[i % size]
  std::string identity;              // directory with ca.pem, cert.pem, key.pem; empty: no TLS
  int connections = 1;               // subscribers in this process
  int publishers = 1;                // in `pub`: connections; in `sub`: publishers to be heard
  std::uint64_t warm_up = 0, messages = 0;  // of each publisher
  std::uint64_t all() const { return 2 * warm_up + messages; }
  std::size_t bytes = 0;     // of a payload
  std::uint64_t rate = 0;    // messages a second of each publisher; 0: no limit
  int subjects = 1;          // distinct subjects, used in turn
  int batch = 1;             // messages handed over in one call
  std::uint64_t window = 0;  // bytes under way of each publisher; 0: no window
  std::string window_file;   // shared by publishers and subscribers
  int first_slot = 0;        // of this process's subscribers in that file
  int slots = 1;             // subscribers in that file
  bool lossy = false;        // `sub`: may miss messages, never twice or back
  int delay_us = 0;          // `sub`: what it takes the application to use one
  int io_buffer = 0;         // bytes; of a library that lets one choose; 0: its default
};
Options ParseOptions(int argc, char** argv);

// --- Payloads ---

// Who sent it and its number, twice: in the first bytes and, mixed, in the last. Between them bytes
// that do not compress.
inline constexpr std::size_t kMinPayload = 32;
std::string MakePayload(std::uint32_t publisher, std::size_t bytes);
void Number(std::string& payload, std::uint64_t sequence);

// What arrives at one subscriber. One thread at a time.
class DeliveryCheck {
 public:
  DeliveryCheck(int publishers, std::size_t bytes, bool lossy)
      : next_(static_cast<std::size_t>(publishers)), bytes_(bytes), lossy_(lossy) {}

  // False, and `fault` says why, if this message is not the next one of its publisher, whole.
  bool Take(std::string_view payload);

  std::uint64_t taken() const { return taken_; }
  // Of the message taken last.
  std::uint32_t publisher() const { return publisher_; }
  const std::string& fault() const { return fault_; }

 private:
  bool Refuse(std::string fault);

  std::vector<std::uint64_t> next_;
  std::size_t bytes_;
  bool lossy_;
  std::uint64_t taken_ = 0;
  std::uint32_t publisher_ = 0;
  std::string fault_;
};

// The subject of message i, of `subjects` distinct ones, and the pattern that is subscribed to for
// it. Of many every tenth is a wildcard; each message matches one.
std::string SubjectOf(int index, int subjects);
std::string PatternOf(int index, int subjects);

// --- Flow control for a system that has none ---

// Counts, in a mapped file, what each subscriber has taken from each publisher. Any thread of any
// process; a count has one writer.
class Window {
 public:
  static constexpr int kMaxSubscribers = 64, kMaxPublishers = 16;

  // An empty name: no window, and both calls below return at once.
  explicit Window(const Options& options);

  void Took(int slot, std::uint32_t publisher, std::uint64_t count) {
    if (counts_ != nullptr) At(slot, publisher).store(count, std::memory_order_release);
  }
  // Until fewer than the window are under way to the slowest subscriber; once it is full, until it
  // is half empty. Returns how many have been taken by all.
  std::uint64_t Wait(int publisher, std::uint64_t sent, std::uint64_t taken) const;

 private:
  std::atomic<std::uint64_t>& At(int slot, std::uint32_t publisher) const {
    return counts_[static_cast<std::size_t>(slot) * kMaxPublishers + publisher];
  }

  std::atomic<std::uint64_t>* counts_ = nullptr;
  std::uint64_t messages_ = 0;  // of the window
  int slots_ = 0;
};

// --- Systems ---

using Handler = std::function<void(std::string_view payload)>;

struct Wish {
  std::string target;
  std::string identity;
  std::vector<std::string> patterns;  // subscriptions, in force or on their way when it returns
  Handler on_message;                 // on a thread of the library
  bool low_latency = false;           // what the library's documentation advises for round trips
  bool lossy = false;                 // a slow subscriber may lose messages
  int io_buffer = 0;                  // as in Options
};

// One connection of an application. Publish and Flush: one thread, or the handler.
class Connection {
 public:
  virtual ~Connection() = default;
  virtual void Publish(const std::string& subject, std::string_view payload) = 0;
  // Hands over several in one call where the library has such a call.
  virtual void PublishAll(const std::string& subject, const std::vector<std::string>& payloads);
  // Until everything published has been taken by the server.
  virtual void Flush() = 0;
};

using Connect = std::function<std::unique_ptr<Connection>(Wish)>;

// --- What is reported ---

// CPU time of this process.
double CpuSeconds();

// Prints `ready`, and waits for a line.
void Ready();
// Waits for the end of standard input.
void AwaitEnd();

// One line of JSON; numbers and texts by name.
class Report {
 public:
  Report& Add(std::string_view name, double value);
  Report& Add(std::string_view name, std::string_view text);
  void Print();

 private:
  std::string line_;
};

// Sorts `microseconds` and adds p50, p90, p99, p999 and max.
void AddQuantiles(Report& report, std::vector<double>& microseconds);

// What subscribers of one process have taken, and when. One thread a subscriber calls Take; any
// other waits.
class Arrivals {
 public:
  explicit Arrivals(const Options& options);
  ~Arrivals();

  void Take(int subscriber, std::string_view payload);
  // Until all is there, something is wrong, or nothing has come for a while.
  void Await();
  Report Result() const;

 private:
  struct Subscriber;
  const Options& options_;
  Window window_;
  const std::uint64_t begin_, end_, all_;  // messages to one subscriber
  std::vector<std::unique_ptr<Subscriber>> subscribers_;
  std::atomic<int> unfinished_;
  std::atomic<bool> void_{false};
};

// Runs the role that the command line asks for.
int Main(int argc, char** argv, const Connect& connect);

}  // namespace peermesh::bench

#endif  // PEERMESH_TESTS_BENCH_COMPARE_LOAD_H_
