// The roles of a load program: the same for every system.
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>

#include "tests/bench/compare/load.h"

namespace peermesh::bench {
namespace {

// Without a single message for this long, a run is void: longer than any hiccup of a loaded
// machine.
constexpr std::chrono::seconds kPatience(30);
constexpr char kAskSubject[] = "echo.request";
constexpr char kAnswerSubject[] = "echo.answer";

Wish WishOf(const Options& options, int connection) {
  Wish wish;
  wish.target = options.targets[static_cast<std::size_t>(connection) % options.targets.size()];
  wish.identity = options.identity;
  wish.lossy = options.lossy;
  wish.io_buffer = options.io_buffer;
  return wish;
}

// Lets `rate` messages a second pass, counted from the first call, in steps of at most a
// millisecond.
class Pace {
 public:
  explicit Pace(std::uint64_t rate) : rate_(rate) {}

  void Await(std::uint64_t sent) {
    if (rate_ == 0) return;
    const auto now = Clock::now();
    if (!begin_) begin_ = now;
    if (now < next_look_ && sent < due_) return;
    for (;;) {
      const std::chrono::duration<double> passed = Clock::now() - *begin_;
      due_ = static_cast<std::uint64_t>(passed.count() * static_cast<double>(rate_)) + 1;
      next_look_ = Clock::now() + kStep;
      if (sent < due_) return;
      // Pacing is what this is for: lint:allow(sleep): a rate is made of pauses
      std::this_thread::sleep_for(kStep);
    }
  }

 private:
  static constexpr std::chrono::microseconds kStep{1000};
  std::uint64_t rate_;
  std::optional<Clock::time_point> begin_;
  Clock::time_point next_look_{};
  std::uint64_t due_ = 0;
};

// One publisher, from its first message to its flush.
void PublishOne(const Options& options, const Window& window, Connection& connection, int index) {
  const std::uint64_t all = options.all();
  std::vector<std::string> subjects;
  subjects.reserve(static_cast<std::size_t>(options.subjects));
  for (int i = 0; i < options.subjects; ++i) subjects.push_back(SubjectOf(i, options.subjects));
  std::vector<std::string> payloads(static_cast<std::size_t>(options.batch),
                                    MakePayload(static_cast<std::uint32_t>(index), options.bytes));
  Pace pace(options.rate);
  std::uint64_t taken = 0;
  std::size_t subject = 0;
  for (std::uint64_t sent = 0; sent < all;) {
    taken = window.Wait(index, sent, taken);
    pace.Await(sent);
    if (all - sent < payloads.size()) payloads.resize(all - sent);
    for (std::string& payload : payloads) Number(payload, sent++);
    if (payloads.size() == 1) {
      connection.Publish(subjects[subject], payloads.front());
    } else {
      connection.PublishAll(subjects[subject], payloads);
    }
    if (++subject == subjects.size()) subject = 0;
  }
  connection.Flush();
}

void Pub(const Options& options, const Connect& connect) {
  const Window window(options);
  std::vector<std::unique_ptr<Connection>> connections;
  connections.reserve(static_cast<std::size_t>(options.publishers));
  for (int i = 0; i < options.publishers; ++i) {
    connections.push_back(connect(WishOf(options, i)));
  }
  Ready();
  const double cpu = CpuSeconds();
  const auto begin = Clock::now();
  std::vector<std::thread> threads;
  threads.reserve(connections.size());
  for (int i = 0; i < options.publishers; ++i) {
    threads.emplace_back(
        [&, i] { PublishOne(options, window, *connections[static_cast<std::size_t>(i)], i); });
  }
  for (std::thread& thread : threads) thread.join();
  const std::chrono::duration<double> took = Clock::now() - begin;
  Report().Add("role", "pub").Add("seconds", took.count()).Add("cpu_s", CpuSeconds() - cpu).Print();
  AwaitEnd();
}

void Sub(const Options& options, const Connect& connect) {
  Arrivals arrivals(options);
  std::vector<std::unique_ptr<Connection>> connections;
  for (int i = 0; i < options.connections; ++i) {
    Wish wish = WishOf(options, i);
    for (int s = 0; s < options.subjects; ++s) {
      wish.patterns.push_back(PatternOf(s, options.subjects));
    }
    wish.on_message = [&arrivals, i](std::string_view payload) { arrivals.Take(i, payload); };
    connections.push_back(connect(std::move(wish)));
  }
  Ready();
  const double cpu = CpuSeconds();
  if (options.lossy) {
    AwaitEnd();
    connections.clear();
    arrivals.Result().Add("cpu_s", CpuSeconds() - cpu).Print();
    return;
  }
  arrivals.Await();
  arrivals.Result().Add("cpu_s", CpuSeconds() - cpu).Print();
  AwaitEnd();
}

void Answer(const Options& options, const Connect& connect) {
  Connection* back = nullptr;
  Wish wish = WishOf(options, 0);
  wish.patterns = {kAskSubject};
  wish.low_latency = true;
  wish.on_message = [&back](std::string_view payload) { back->Publish(kAnswerSubject, payload); };
  const auto connection = connect(std::move(wish));
  back = connection.get();
  Ready();
  const double cpu = CpuSeconds();
  AwaitEnd();
  Report().Add("role", "answer").Add("cpu_s", CpuSeconds() - cpu).Print();
}

void Ask(const Options& options, const Connect& connect) {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  std::uint64_t answered = 0;
  std::vector<double> samples;
  samples.reserve(options.messages);
  std::string payload = MakePayload(0, options.bytes);
  Clock::time_point sent_at;
  Connection* ask = nullptr;
  DeliveryCheck check(1, options.bytes, false);
  // Called once by this thread, then by the handler: one at a time.
  const auto next = [&] {
    Number(payload, answered);
    sent_at = Clock::now();
    ask->Publish(kAskSubject, payload);
  };
  const auto finish = [&] {
    const std::lock_guard lock(mutex);
    done = true;
    changed.notify_all();
  };
  Wish wish = WishOf(options, 0);
  wish.patterns = {kAnswerSubject};
  wish.low_latency = true;
  wish.on_message = [&](std::string_view arrived) {
    const std::chrono::duration<double, std::micro> took = Clock::now() - sent_at;
    if (!check.Take(arrived)) return finish();
    if (++answered > options.warm_up) samples.push_back(took.count());
    if (answered == options.warm_up + options.messages) return finish();
    next();
  };
  const auto connection = connect(std::move(wish));
  ask = connection.get();
  Ready();
  const double cpu = CpuSeconds();
  next();
  {
    std::unique_lock lock(mutex);
    if (!changed.wait_for(lock, kPatience * 4, [&] { return done; })) Fail("answers are missing");
  }
  Report report;
  report.Add("role", "ask").Add("messages", static_cast<double>(samples.size()));
  AddQuantiles(report, samples);
  report.Add("fault", check.fault()).Add("cpu_s", CpuSeconds() - cpu).Print();
  AwaitEnd();
}

void Churn(const Options& options, const Connect& connect) {
  Ready();
  const double cpu = CpuSeconds();
  std::vector<double> samples;
  const std::string payload = MakePayload(0, options.bytes);
  const auto begin = Clock::now();
  for (std::uint64_t i = 0; i < options.messages; ++i) {
    const auto at = Clock::now();
    std::mutex mutex;
    std::condition_variable changed;
    int arrived = 0;
    Wish wish = WishOf(options, 0);
    const std::string subject = "churn.n" + std::to_string(i);
    wish.patterns = {subject};
    wish.low_latency = true;
    wish.on_message = [&](std::string_view) {
      const std::lock_guard lock(mutex);
      ++arrived;
      changed.notify_all();
    };
    const auto connection = connect(std::move(wish));
    connection->Publish(subject, payload);
    std::unique_lock lock(mutex);
    if (!changed.wait_for(lock, kPatience, [&] { return arrived > 0; })) Fail("nothing came back");
    if (arrived != 1) Fail("a message arrived twice");
    lock.unlock();
    const std::chrono::duration<double, std::micro> took = Clock::now() - at;
    samples.push_back(took.count());
  }
  const std::chrono::duration<double> took = Clock::now() - begin;
  Report report;
  report.Add("role", "churn")
      .Add("messages", static_cast<double>(options.messages))
      .Add("seconds", took.count());
  AddQuantiles(report, samples);
  report.Add("cpu_s", CpuSeconds() - cpu).Print();
  AwaitEnd();
}

}  // namespace

// --- Arrivals ---

struct Arrivals::Subscriber {
  explicit Subscriber(const Options& options)
      : check(options.publishers, options.bytes, options.lossy),
        taken(static_cast<std::size_t>(options.publishers)) {}

  DeliveryCheck check;
  std::vector<std::uint64_t> taken;  // by publisher
  std::atomic<std::uint64_t> total{0};
  Clock::time_point begin, end;
};

Arrivals::Arrivals(const Options& options)
    : options_(options),
      window_(options),
      begin_(options.warm_up * static_cast<std::uint64_t>(options.publishers)),
      end_(begin_ + options.messages * static_cast<std::uint64_t>(options.publishers)),
      all_(end_ + begin_),
      unfinished_(options.connections) {
  for (int i = 0; i < options.connections; ++i) {
    subscribers_.push_back(std::make_unique<Subscriber>(options));
  }
}

Arrivals::~Arrivals() = default;

void Arrivals::Take(int subscriber, std::string_view payload) {
  Subscriber& at = *subscribers_[static_cast<std::size_t>(subscriber)];
  // After the last one, too: a duplicate that comes late is one.
  if (!at.check.Take(payload)) {
    void_ = true;
    return;
  }
  const std::uint64_t total = at.check.taken();
  const std::uint32_t publisher = at.check.publisher();
  window_.Took(options_.first_slot + subscriber, publisher, ++at.taken[publisher]);
  if (total == std::max<std::uint64_t>(begin_, 1)) at.begin = Clock::now();
  if (total == end_) at.end = Clock::now();
  at.total.store(total, std::memory_order_relaxed);
  if (total == all_) unfinished_.fetch_sub(1);
  if (options_.delay_us > 0) {
    // A slow application: lint:allow(sleep): what it is busy with
    std::this_thread::sleep_for(std::chrono::microseconds(options_.delay_us));
  }
}

void Arrivals::Await() {
  constexpr std::chrono::milliseconds kLook(2);
  std::uint64_t before = 0;
  auto moved = Clock::now();
  while (!void_ && unfinished_ > 0) {
    std::uint64_t total = 0;
    for (const auto& subscriber : subscribers_) total += subscriber->total;
    if (total != before) moved = Clock::now();
    before = total;
    if (Clock::now() - moved > kPatience) return;
    // Not by a condition variable, which every message would have to look at.
    // lint:allow(sleep): polls a condition
    std::this_thread::sleep_for(kLook);
  }
}

Report Arrivals::Result() const {
  std::uint64_t total = 0;
  std::string fault;
  auto begin = Clock::time_point::max(), end = Clock::time_point::min();
  for (const auto& subscriber : subscribers_) {
    total += subscriber->total;
    if (fault.empty()) fault = subscriber->check.fault();
    if (subscriber->total < all_) continue;
    begin = std::min(begin, subscriber->begin);
    end = std::max(end, subscriber->end);
  }
  const std::uint64_t wanted = all_ * subscribers_.size();
  if (fault.empty() && total != wanted && !options_.lossy) {
    fault = "only " + std::to_string(total) + " of " + std::to_string(wanted) + " arrived";
  }
  const std::chrono::duration<double> took = end - begin;
  Report report;
  report.Add("role", "sub").Add("total", static_cast<double>(total)).Add("fault", fault);
  if (total == wanted) {
    report.Add("messages", static_cast<double>((end_ - begin_) * subscribers_.size()))
        .Add("seconds", took.count());
  }
  return report;
}

int Main(int argc, char** argv, const Connect& connect) {
  const Options options = ParseOptions(argc, argv);
  if (options.role == "pub") {
    Pub(options, connect);
  } else if (options.role == "sub") {
    Sub(options, connect);
  } else if (options.role == "ask") {
    Ask(options, connect);
  } else if (options.role == "answer") {
    Answer(options, connect);
  } else if (options.role == "churn") {
    Churn(options, connect);
  } else {
    Fail("roles are pub, sub, ask, answer and churn");
  }
  return 0;
}

}  // namespace peermesh::bench
