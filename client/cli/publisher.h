// Sends payloads in order, one batch at a time: a batch leaves when the one before was accepted.
//
// So what was accepted is always the first part of the input, whatever refuses or breaks, and
// `pub` can say at which line to go on. A batch is as large as the mesh's own (1,024 messages or
// 512 KiB): what it costs is a round trip to the peer for each.
//
// A refusal for the rate is waited out, up to kLongestRateWait without progress, in smaller batches
// if this one can never pass. Whatever else ends the session (the peer drains or is gone, a signal)
// stops it within kLastAnswer.
//
// One thread publishes; Stop may be called by any.
#ifndef PEERMESH_CLIENT_CLI_PUBLISHER_H_
#define PEERMESH_CLIENT_CLI_PUBLISHER_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/peermesh.h"
#include "mesh/base/limits.h"
#include "metrics/ledger/fd.h"

namespace peermesh::cli {

inline constexpr Duration kLongestRateWait = std::chrono::seconds(60);
// For the answer to a batch: blocked subscribers may hold it up as long.
inline constexpr Duration kAnswerTimeout = kMaxBlockTimeout + std::chrono::seconds(5);
// The same once there is a reason to stop.
inline constexpr Duration kLastAnswer = std::chrono::seconds(1);

class Publisher {
 public:
  struct Options {
    std::string subject;
    std::string target;      // empty: everybody
    std::uint64_t rate = 0;  // messages a second; 0: as fast as it goes
  };
  struct Counts {
    std::uint64_t accepted = 0;  // always the first ones
    std::uint64_t unknown = 0;   // the next ones: sent, but the answer never came
    std::uint64_t bytes = 0;     // of accepted payloads
    std::uint32_t most_interested = 0;
    bool unreachable = false;
  };
  using PayloadOf = std::function<const std::string&(std::uint64_t index)>;

  static absl::StatusOr<std::unique_ptr<Publisher>> Open(client::Client& client, Options options);
  ~Publisher();

  // Publishes payloads 0 to count - 1. An error says why it stopped early; counts() how far it got.
  absl::Status Publish(std::uint64_t count, const PayloadOf& payload_of);

  // Returns when `fd` can be read; an error: there is no point in reading on.
  absl::Status AwaitInput(int fd);

  // Makes the calls above end with `why`, or with an earlier reason.
  void Stop(const absl::Status& why);

  // Ends the session in good order, once all is published.
  void Close();

  const Counts& counts() const { return counts_; }

 private:
  using SteadyClock = std::chrono::steady_clock;

  explicit Publisher(Options options);

  void OnEvents(std::span<client::Event> events);
  void OnPublished(const client::Published& answer);
  void OnEnd(const absl::Status& end);

  std::vector<client::Message> TakeBatch(std::uint64_t first, std::uint64_t count,
                                         const PayloadOf& payload_of) const;
  absl::Status Send(std::vector<client::Message> batch);
  absl::Status Book(const client::Published& answer, std::uint64_t bytes);
  absl::Status AwaitRate(absl::Status refusal, std::size_t messages);
  absl::Status WaitUntil(SteadyClock::time_point time);

  const Options options_;
  const ledger::UniqueFd wake_;  // an eventfd, for poll; written once, by Stop

  // The publishing thread.
  Counts counts_;
  const SteadyClock::time_point start_ = SteadyClock::now();
  std::size_t largest_batch_;
  Duration rate_waited_{};
  bool rate_told_ = false;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<client::Published> answer_;  // to the batch on its way
  absl::Status stop_;                        // the first reason to stop
  SteadyClock::time_point stopped_;
  bool ended_ = false;  // no answer can come any more

  std::unique_ptr<client::Session> session_;  // last: its thread uses the members above
};

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_PUBLISHER_H_
