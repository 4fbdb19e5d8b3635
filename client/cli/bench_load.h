// What `peermesh bench` sends through the mesh, and who answers it.
//
// A BenchAnswerer subscribes to one subject. A BenchAsker publishes to it: echoes, which come back
// as they are, one under way at a time; data, which is counted; and last a question, which is
// answered with the count. So both figures are of the whole way from one application to another:
// how long a message takes there and back on an otherwise idle session, and how many arrive in a
// second. What arrives is counted where it arrives, and the numbers in the messages show a loss.
//
// Whoever may publish may use an answerer: it remembers at most kMaxBenchRuns runs and sends back
// no more than it is sent. Nobody is flooded with what he did not ask for: answers go to the
// subject in `reply_to`, one for each echo or question.
//
// Stop may be called from any thread; everything else from the one that opened the object.
#ifndef PEERMESH_CLIENT_CLI_BENCH_LOAD_H_
#define PEERMESH_CLIENT_CLI_BENCH_LOAD_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/peermesh.h"
#include "mesh/base/time.h"

namespace peermesh::cli {

// Kind, run and number are in every payload.
inline constexpr std::size_t kMinBenchPayload = 32;
// Runs under way at one answerer: more than a few at a time measure each other.
inline constexpr std::size_t kMaxBenchRuns = 16;
// For an answer on an idle mesh, and for what is still on its way at the end.
inline constexpr Duration kBenchPatience = std::chrono::seconds(10);
// Of every answerer that was started by hand; the one of a run alone adds the run's number.
inline constexpr char kBenchSubject[] = "peermesh-bench";

// A session, and one thread that waits for what its handler notes.
class BenchParty {
 public:
  virtual ~BenchParty() = default;
  BenchParty(const BenchParty&) = delete;
  BenchParty& operator=(const BenchParty&) = delete;

  // Ends the session and makes every call return CANCELLED.
  void Stop();

 protected:
  using SteadyClock = std::chrono::steady_clock;

  BenchParty() = default;
  // Opens a session and subscribes to `subject`; both are in force when it returns OK.
  absl::Status Open(client::Client& client, const std::string& subject);
  // Ends the session, and so every call of Take. For the destructor of the class that has Take.
  void End();
  // On the session's thread.
  virtual void Take(client::Received& received) = 0;
  // Waits for `done`, which is asked under the lock, for the end of the session, or for the time.
  absl::Status WaitFor(const std::function<bool()>& done, Duration patience);
  client::Session& session() { return *session_; }

  std::mutex mutex_;
  std::condition_variable changed_;

 private:
  void OnEvents(std::span<client::Event> events);

  bool subscribed_ = false;
  std::optional<absl::Status> end_;
  std::unique_ptr<client::Session> session_;
};

class BenchAnswerer final : public BenchParty {
 public:
  static absl::StatusOr<std::unique_ptr<BenchAnswerer>> Open(client::Client& client,
                                                             const std::string& subject);
  ~BenchAnswerer() override { End(); }

  // Until Stop, or the end of the session, which it returns.
  absl::Status Wait();

 private:
  struct Run {
    std::uint64_t received = 0, next = 0, missing = 0;
    SteadyClock::time_point first, last;
  };
  BenchAnswerer() = default;
  void Take(client::Received& received) override;

  std::map<std::uint64_t, Run> runs_;  // by number; at most kMaxBenchRuns; the session's thread
};

class BenchAsker final : public BenchParty {
 public:
  struct Options {
    std::string subject;
    std::string target;  // empty: whoever subscribes
    std::size_t bytes = 128;
    std::uint64_t rate = 0;  // messages a second; 0: as fast as it goes
    std::uint64_t run = 0;   // a random number
  };
  struct Carried {
    std::uint64_t received = 0, missing = 0;
    Duration took{};  // from the first to the last that arrived
  };
  // How long it goes on, and how many messages were published so far.
  using Progress = std::function<void(Duration, std::uint64_t)>;

  static absl::StatusOr<std::unique_ptr<BenchAsker>> Open(client::Client& client, Options options);
  ~BenchAsker() override { End(); }

  // Times of `count` round trips, sorted; fewer if they take longer than `most`, but one at least.
  absl::StatusOr<std::vector<Duration>> RoundTrips(std::size_t count, Duration most);
  // Publishes for so long; `progress` is called ten times a second.
  absl::StatusOr<Carried> Carry(Duration duration, const Progress& progress);

 private:
  explicit BenchAsker(Options options) : options_(std::move(options)) {}

  void Take(client::Received& received) override;
  absl::Status Ask(char kind, std::uint64_t number, std::size_t bytes);
  // Until `done` or a refusal of what was asked.
  absl::Status AwaitAnswer(const std::function<bool()>& done);

  const Options options_;

  // Under mutex_.
  std::size_t wanted_ = 0;
  SteadyClock::time_point deadline_, asked_at_;
  std::vector<Duration> samples_;
  absl::Status asked_;  // why the handler could not ask again
  std::optional<Carried> carried_;
};

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_BENCH_LOAD_H_
