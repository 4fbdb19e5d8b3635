#include "client/cli/bench_load.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <variant>

#include "mesh/base/limits.h"

namespace peermesh::cli {
namespace {

constexpr char kEcho = 'e', kData = 'd', kQuestion = 'q', kAnswer = 'a';
// Handed to the session in one call: what its own batching would gather anyway.
constexpr std::size_t kMessagesInCall = 64;
constexpr std::size_t kBytesInCall = 64 << 10;
constexpr Duration kProgressEvery = std::chrono::milliseconds(100);

// Kind, run, number, and in answers two more: little-endian, 8 bytes each.
constexpr std::size_t kPlaces = 4;
static_assert(kMinBenchPayload >= 1 + (kPlaces - 1) * 8);

void Put(std::string& payload, std::size_t place, std::uint64_t value) {
  for (std::size_t i = 0; i < 8; ++i) {
    payload[1 + place * 8 + i] = static_cast<char>(value >> (8 * i));
  }
}

std::uint64_t Get(std::string_view payload, std::size_t place) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    value |= std::uint64_t{static_cast<unsigned char>(payload[1 + place * 8 + i])} << (8 * i);
  }
  return value;
}

std::string Payload(char kind, std::uint64_t run, std::uint64_t number, std::size_t bytes) {
  std::string payload(std::max(bytes, kMinBenchPayload), 'x');
  payload[0] = kind;
  Put(payload, 0, run);
  Put(payload, 1, number);
  return payload;
}

std::string ReplyTo(std::uint64_t run) { return fmt::format("{}.answer-{:x}", kBenchSubject, run); }

}  // namespace

// --- Both ---

absl::Status BenchParty::Open(client::Client& client, const std::string& subject) {
  client::SessionOptions options;
  options.reconnect = false;  // what is measured has ended
  options.on_overflow = OnOverflow::kBlock;
  options.on_events = [this](std::span<client::Event> events) { OnEvents(events); };
  options.on_end = [this](const absl::Status& end) {
    const std::lock_guard lock(mutex_);
    end_ = end;
    changed_.notify_all();
  };
  auto opened = client.OpenSession(std::move(options));
  if (!opened.ok()) return opened.status();
  session_ = *std::move(opened);
  // Not with the options: the handler answers through session_, which is there only now.
  if (auto id = session_->Subscribe(subject); !id.ok()) return id.status();
  return WaitFor([this] { return subscribed_; }, kBenchPatience);
}

void BenchParty::OnEvents(std::span<client::Event> events) {
  for (client::Event& event : events) {
    if (auto* received = std::get_if<client::Received>(&event)) {
      if (received->message.payload.size() >= kMinBenchPayload) Take(*received);
    } else if (std::holds_alternative<client::Subscribed>(event)) {
      const std::lock_guard lock(mutex_);
      subscribed_ = true;
      changed_.notify_all();
    }
  }
}

absl::Status BenchParty::WaitFor(const std::function<bool()>& done, Duration patience) {
  std::unique_lock lock(mutex_);
  const bool there = changed_.wait_for(lock, patience, [&] { return end_ || done(); });
  if (there && done()) return absl::OkStatus();
  if (end_) return end_->ok() ? absl::CancelledError("The session has ended.") : *end_;
  return absl::DeadlineExceededError("");
}

void BenchParty::Stop() { session_->Cancel(); }

void BenchParty::End() {
  // Not reset(), which forgets it first: until its thread has ended, the handler may use it.
  delete session_.get();
  static_cast<void>(session_.release());
}

// --- Answering ---

absl::StatusOr<std::unique_ptr<BenchAnswerer>> BenchAnswerer::Open(client::Client& client,
                                                                   const std::string& subject) {
  std::unique_ptr<BenchAnswerer> answerer(new BenchAnswerer);
  if (auto status = answerer->BenchParty::Open(client, subject); !status.ok()) return status;
  return answerer;
}

absl::Status BenchAnswerer::Wait() {
  for (;;) {
    const absl::Status status = WaitFor([] { return false; }, std::chrono::hours(1));
    if (!absl::IsDeadlineExceeded(status)) return status;
  }
}

void BenchAnswerer::Take(client::Received& received) {
  client::Message& message = received.message;
  const char kind = message.payload[0];
  const std::uint64_t number = Get(message.payload, 1);
  if (kind == kEcho) {
    // Not waited for, and no harm if it fails: whoever asked asks again or says so.
    session().Publish(std::move(message.reply_to), std::move(message.payload)).IgnoreError();
    return;
  }
  const std::uint64_t id = Get(message.payload, 0);
  if (kind == kQuestion) {
    const auto found = runs_.find(id);
    const Run run = found == runs_.end() ? Run{} : found->second;
    std::string answer = Payload(kAnswer, id, run.received, 1 + kPlaces * 8);
    Put(answer, 2, run.missing + (number > run.next ? number - run.next : 0));
    const auto took = std::chrono::duration_cast<Duration>(run.last - run.first);
    Put(answer, 3, static_cast<std::uint64_t>(took.count()));
    if (found != runs_.end()) runs_.erase(found);
    session().Publish(std::move(message.reply_to), std::move(answer)).IgnoreError();
    return;
  }
  if (kind != kData) return;
  if (!runs_.contains(id) && runs_.size() == kMaxBenchRuns) {
    runs_.erase(std::min_element(runs_.begin(), runs_.end(), [](const auto& a, const auto& b) {
      return a.second.last < b.second.last;
    }));
  }
  Run& run = runs_[id];
  run.last = SteadyClock::now();
  if (run.received++ == 0) run.first = run.last;
  if (number > run.next) run.missing += number - run.next;
  run.next = std::max(run.next, number + 1);
}

// --- Asking ---

absl::StatusOr<std::unique_ptr<BenchAsker>> BenchAsker::Open(client::Client& client,
                                                             Options options) {
  std::unique_ptr<BenchAsker> asker(new BenchAsker(std::move(options)));
  const std::string subject = ReplyTo(asker->options_.run);
  if (auto status = asker->BenchParty::Open(client, subject); !status.ok()) return status;
  return asker;
}

absl::Status BenchAsker::Ask(char kind, std::uint64_t number, std::size_t bytes) {
  std::vector<client::Message> messages(1);
  messages[0].subject = options_.subject;
  messages[0].payload = Payload(kind, options_.run, number, bytes);
  messages[0].reply_to = ReplyTo(options_.run);
  return session().Publish(std::move(messages), options_.target).status();
}

void BenchAsker::Take(client::Received& received) {
  const auto now = SteadyClock::now();
  const std::string& payload = received.message.payload;
  if (Get(payload, 0) != options_.run) return;
  const std::lock_guard lock(mutex_);
  if (payload[0] == kAnswer && payload.size() >= 1 + kPlaces * 8) {
    if (!carried_) carried_ = {Get(payload, 1), Get(payload, 2), Duration(Get(payload, 3))};
    changed_.notify_all();
  }
  // A second answerer on that peer answers as well: the first counts.
  if (payload[0] != kEcho || Get(payload, 1) != samples_.size()) return;
  samples_.push_back(std::chrono::duration_cast<Duration>(now - asked_at_));
  if (samples_.size() >= wanted_ || now >= deadline_) {
    wanted_ = samples_.size();
    changed_.notify_all();
    return;
  }
  asked_at_ = SteadyClock::now();
  asked_ = Ask(kEcho, samples_.size(), options_.bytes);
  if (!asked_.ok()) changed_.notify_all();
}

absl::Status BenchAsker::AwaitAnswer(const std::function<bool()>& done) {
  // A refusal comes at once, an answer may never.
  if (auto status = session().Flush(kBenchPatience); !status.ok()) return status;
  const absl::Status status =
      WaitFor([&] { return done() || !asked_.ok(); }, kBenchPatience + kMaxBlockTimeout);
  if (!absl::IsDeadlineExceeded(status)) {
    const std::lock_guard lock(mutex_);
    return asked_.ok() ? status : asked_;
  }
  return client::MakeError(absl::StatusCode::kDeadlineExceeded, "NO_ANSWER",
                           "No answer came. See whether \"peermesh bench --answer\" still runs "
                           "there, and \"peermesh peers\".");
}

absl::StatusOr<std::vector<Duration>> BenchAsker::RoundTrips(std::size_t count, Duration most) {
  {
    const std::lock_guard lock(mutex_);
    samples_.clear();
    samples_.reserve(count);
    wanted_ = count;
    asked_at_ = SteadyClock::now();
    deadline_ = asked_at_ + most;
  }
  if (auto status = Ask(kEcho, 0, options_.bytes); !status.ok()) return status;
  if (auto status = AwaitAnswer([this] { return samples_.size() >= wanted_; }); !status.ok())
    return status;
  const std::lock_guard lock(mutex_);
  std::vector<Duration> sorted = samples_;
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

absl::StatusOr<BenchAsker::Carried> BenchAsker::Carry(Duration duration, const Progress& progress) {
  const std::size_t in_call =
      std::clamp<std::size_t>(kBytesInCall / options_.bytes, 1, kMessagesInCall);
  const auto start = SteadyClock::now();
  auto told = start;
  std::uint64_t sent = 0;
  for (auto now = start; now < start + duration; now = SteadyClock::now()) {
    std::uint64_t due = sent + in_call;
    if (options_.rate != 0) {
      const std::chrono::duration<double> passed = now - start;
      due = std::min(
          due, static_cast<std::uint64_t>(passed.count() * static_cast<double>(options_.rate)) + 1);
    }
    if (now - told >= kProgressEvery) {
      progress(std::chrono::duration_cast<Duration>(now - start), sent);
      told = now;
    }
    if (due <= sent) {
      // Ahead of the rate. What ends the wait early is the end of the session.
      const absl::Status ended = WaitFor([] { return false; }, std::chrono::milliseconds(1));
      if (!absl::IsDeadlineExceeded(ended)) return ended;
      continue;
    }
    std::vector<client::Message> messages(due - sent);
    for (client::Message& message : messages) {
      message.subject = options_.subject;
      message.payload = Payload(kData, options_.run, sent++, options_.bytes);
    }
    const auto queued = session().Publish(std::move(messages), options_.target);
    if (!queued.ok()) return queued.status();
  }
  progress(duration, sent);
  if (auto status = session().Flush(kBenchPatience + kMaxBlockTimeout); !status.ok()) return status;
  if (auto status = Ask(kQuestion, sent, kMinBenchPayload); !status.ok()) return status;
  if (auto status = AwaitAnswer([this] { return carried_.has_value(); }); !status.ok())
    return status;
  const std::lock_guard lock(mutex_);
  return *carried_;
}

}  // namespace peermesh::cli
