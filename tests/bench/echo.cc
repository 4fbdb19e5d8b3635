// echo: round trips from an application on one peer to an application on another and back, over
// Exchange.
//
//   echo ASK_SOCKET ANSWER_SOCKET [COUNT]
//
// One message is under way at a time, so this is latency on an idle mesh, not throughput. Prints
// one line: `median_us N p99_us N min_us N count N`. tests/integration/latency_test.py starts the
// peers and judges.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "client/peermesh.h"
#include "server/tls/process.h"

namespace peermesh::client {
namespace {

constexpr int kWarmUp = 200;  // connections, caches and branch predictors settle
constexpr int kDefaultCount = 1000;
constexpr std::chrono::seconds kPatience(60);
constexpr char kRequest[] = "echo.request";
constexpr char kReply[] = "echo.reply";
constexpr std::size_t kPayloadBytes = 64;

using Clock = std::chrono::steady_clock;

// Asks, waits for the answer, asks again: each from the handler of the answer before.
class Asker {
 public:
  explicit Asker(int count) {
    samples_.reserve(static_cast<std::size_t>(count));
    wanted_ = count;
  }

  void Begin(Session& session) {
    session_ = &session;
    Ask();
  }

  void Take(std::span<Event> events) {
    for (const Event& event : events) {
      const auto* received = std::get_if<Received>(&event);
      if (received == nullptr) continue;
      if (asked_++ >= kWarmUp) samples_.push_back(Clock::now() - sent_at_);
      if (static_cast<int>(samples_.size()) < wanted_) {
        Ask();
        continue;
      }
      const std::lock_guard lock(mutex_);
      done_ = true;
      changed_.notify_all();
    }
  }

  bool Wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [this] { return done_; });
  }

  // After Wait.
  double Microseconds(double quantile) {
    std::sort(samples_.begin(), samples_.end());
    const auto at = static_cast<std::size_t>(quantile * static_cast<double>(samples_.size() - 1));
    return std::chrono::duration<double, std::micro>(samples_[at]).count();
  }

 private:
  void Ask() {
    Message message;
    message.subject = kRequest;
    message.payload.assign(kPayloadBytes, 'x');
    message.reply_to = kReply;
    sent_at_ = Clock::now();
    std::vector<Message> batch;
    batch.push_back(std::move(message));
    if (!session_->Publish(std::move(batch)).ok()) std::abort();
  }

  Session* session_ = nullptr;
  int wanted_ = 0;
  int asked_ = 0;
  Clock::time_point sent_at_;
  std::vector<Clock::duration> samples_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
};

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "echo: %s\n", status.ToString().c_str());
  return 1;
}

int Run(const std::string& ask_socket, const std::string& answer_socket, int count) {
  Options options;
  options.socket = answer_socket;
  const auto answering = Client::Connect(options);
  if (!answering.ok()) return Fail(answering.status());
  options.socket = ask_socket;
  const auto asking = Client::Connect(options);
  if (!asking.ok()) return Fail(asking.status());

  Session* answers = nullptr;
  SessionOptions answer_options;
  answer_options.subjects = {kRequest};
  answer_options.on_events = [&answers](std::span<Event> events) {
    for (Event& event : events) {
      auto* received = std::get_if<Received>(&event);
      if (received == nullptr) continue;
      const auto sent =
          answers->Publish(received->message.reply_to, std::move(received->message.payload));
      if (!sent.ok()) std::abort();
    }
  };
  const auto answer_session = (*answering)->OpenSession(std::move(answer_options));
  if (!answer_session.ok()) return Fail(answer_session.status());
  answers = answer_session->get();

  Asker asker(count);
  SessionOptions ask_options;
  ask_options.subjects = {kReply};
  ask_options.on_events = [&asker](std::span<Event> events) { asker.Take(events); };
  const auto ask_session = (*asking)->OpenSession(std::move(ask_options));
  if (!ask_session.ok()) return Fail(ask_session.status());
  asker.Begin(**ask_session);
  if (!asker.Wait()) return Fail(absl::DeadlineExceededError("answers are missing"));
  std::printf("median_us %.1f p99_us %.1f min_us %.1f count %d\n", asker.Microseconds(0.5),
              asker.Microseconds(0.99), asker.Microseconds(0), count);
  return 0;
}

}  // namespace
}  // namespace peermesh::client

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) {
    std::fprintf(stderr, "usage: echo ASK_SOCKET ANSWER_SOCKET [COUNT]\n");
    return 2;
  }
  if (const auto status = peermesh::tls::InitProcess(peermesh::tls::Signals::kLeave);
      !status.ok()) {
    return peermesh::client::Fail(status);
  }
  const int count = argc == 4 ? std::atoi(argv[3]) : peermesh::client::kDefaultCount;
  return peermesh::client::Run(argv[1], argv[2], std::max(count, 1));
}
