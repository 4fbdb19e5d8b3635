#include "tests/bench/compare/load.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace peermesh::bench {
namespace {

constexpr std::uint64_t kMix = 0x9e3779b97f4a7c15;  // odd, so that different numbers stay different

// At the front of a payload.
struct Front {
  std::uint32_t publisher;
  std::uint32_t bytes;
  std::uint64_t sequence;
};
static_assert(sizeof(Front) + sizeof(std::uint64_t) <= kMinPayload);

std::uint64_t TailOf(const Front& front) {
  return (front.sequence + 1) * kMix ^ (std::uint64_t{front.publisher} << 32);
}

double Quantile(const std::vector<double>& sorted, double quantile) {
  return sorted[static_cast<std::size_t>(quantile * static_cast<double>(sorted.size() - 1))];
}

}  // namespace

void Fail(std::string_view what) {
  std::fprintf(stderr, "bench: %.*s\n", static_cast<int>(what.size()), what.data());
  std::_Exit(1);
}

Options ParseOptions(int argc, char** argv) {
  Options options;
  CLI::App app("A load program of tests/bench/compare; see load.h");
  app.add_option("role", options.role)->required();
  app.add_option("--target", options.targets)->required();
  app.add_option("--identity", options.identity);
  app.add_option("--connections", options.connections);
  app.add_option("--publishers", options.publishers);
  app.add_option("--warm-up", options.warm_up);
  app.add_option("--messages", options.messages);
  app.add_option("--bytes", options.bytes);
  app.add_option("--rate", options.rate);
  app.add_option("--subjects", options.subjects);
  app.add_option("--batch", options.batch);
  app.add_option("--window", options.window);
  app.add_option("--window-file", options.window_file);
  app.add_option("--first-slot", options.first_slot);
  app.add_option("--slots", options.slots);
  app.add_option("--delay-us", options.delay_us);
  app.add_option("--io-buffer", options.io_buffer);
  app.add_flag("--lossy", options.lossy);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  options.bytes = std::max(options.bytes, kMinPayload);
  if (options.publishers < 1 || options.publishers > Window::kMaxPublishers) {
    Fail("--publishers is 1 to 16");
  }
  return options;
}

// --- Payloads ---

std::string MakePayload(std::uint32_t publisher, std::size_t bytes) {
  std::string payload(bytes, '\0');
  std::uint64_t state = kMix * (publisher + 1);
  for (char& byte : payload) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<char>(state >> 56);
  }
  const Front front{publisher, static_cast<std::uint32_t>(bytes), 0};
  std::memcpy(payload.data(), &front, sizeof(front));
  Number(payload, 0);
  return payload;
}

void Number(std::string& payload, std::uint64_t sequence) {
  Front front;
  std::memcpy(&front, payload.data(), sizeof(front));
  front.sequence = sequence;
  std::memcpy(payload.data(), &front, sizeof(front));
  const std::uint64_t tail = TailOf(front);
  std::memcpy(payload.data() + payload.size() - sizeof(tail), &tail, sizeof(tail));
}

bool DeliveryCheck::Refuse(std::string fault) {
  fault_ = std::move(fault);
  return false;
}

bool DeliveryCheck::Take(std::string_view payload) {
  if (payload.size() != bytes_) {
    return Refuse(fmt::format("{} bytes arrived where {} were sent", payload.size(), bytes_));
  }
  Front front;
  std::memcpy(&front, payload.data(), sizeof(front));
  std::uint64_t tail;
  std::memcpy(&tail, payload.data() + payload.size() - sizeof(tail), sizeof(tail));
  if (front.bytes != bytes_ || front.publisher >= next_.size() || tail != TailOf(front)) {
    return Refuse("a message arrived damaged");
  }
  std::uint64_t& next = next_[front.publisher];
  if (front.sequence < next || (front.sequence > next && !lossy_)) {
    return Refuse(fmt::format("message {} of publisher {} arrived where {} was due", front.sequence,
                              front.publisher, next));
  }
  next = front.sequence + 1;
  publisher_ = front.publisher;
  ++taken_;
  return true;
}

std::string SubjectOf(int index, int subjects) {
  if (subjects == 1) return "bench.topic";
  return index % 10 == 0 ? fmt::format("bench.wild{}.any.thing", index)
                         : fmt::format("bench.plain{}.one.thing", index);
}

std::string PatternOf(int index, int subjects) {
  if (subjects == 1 || index % 10 != 0) return SubjectOf(index, subjects);
  return index % 20 == 0 ? fmt::format("bench.wild{}.>", index)
                         : fmt::format("bench.wild{}.*.thing", index);
}

// --- Flow control ---

Window::Window(const Options& options)
    : messages_(std::max<std::uint64_t>(options.window / options.bytes, 2)), slots_(options.slots) {
  if (options.window_file.empty() || options.window == 0) return;
  if (slots_ > kMaxSubscribers) Fail("--slots is at most 64");
  constexpr std::size_t kBytes = sizeof(std::uint64_t) * kMaxSubscribers * kMaxPublishers;
  const int fd = ::open(options.window_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ::ftruncate(fd, kBytes) != 0) Fail("the file of the window cannot be made");
  void* memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (memory == MAP_FAILED) Fail("the file of the window cannot be mapped");
  counts_ = static_cast<std::atomic<std::uint64_t>*>(memory);
}

std::uint64_t Window::Wait(int publisher, std::uint64_t sent, std::uint64_t taken) const {
  // Well below the time that half a window takes.
  constexpr std::chrono::microseconds kLook(100);
  if (counts_ == nullptr || sent - taken < messages_) return taken;
  const auto slowest = [&] {
    std::uint64_t least = ~std::uint64_t{0};
    for (int slot = 0; slot < slots_; ++slot) {
      least = std::min(
          least, At(slot, static_cast<std::uint32_t>(publisher)).load(std::memory_order_acquire));
    }
    return least;
  };
  for (taken = slowest(); sent - taken >= messages_; taken = slowest()) {
    while (sent - slowest() > messages_ / 2) {
      // Flow control of the bench: lint:allow(sleep): nothing is waited for that could wake it
      std::this_thread::sleep_for(kLook);
    }
  }
  return taken;
}

// --- Reports ---

double CpuSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void Ready() {
  std::puts("ready");
  std::fflush(stdout);
  int next = std::getchar();
  while (next != '\n' && next != EOF) next = std::getchar();
}

void AwaitEnd() {
  while (std::getchar() != EOF) continue;
}

Report& Report::Add(std::string_view name, double value) {
  line_ += fmt::format("{}\"{}\": {:.9g}", line_.empty() ? "" : ", ", name, value);
  return *this;
}

Report& Report::Add(std::string_view name, std::string_view text) {
  line_ += fmt::format("{}\"{}\": \"{}\"", line_.empty() ? "" : ", ", name, text);
  return *this;
}

void Report::Print() {
  std::printf("{%s}\n", line_.c_str());
  std::fflush(stdout);
}

void AddQuantiles(Report& report, std::vector<double>& microseconds) {
  if (microseconds.empty()) return;
  std::sort(microseconds.begin(), microseconds.end());
  report.Add("p50_us", Quantile(microseconds, 0.5))
      .Add("p90_us", Quantile(microseconds, 0.9))
      .Add("p99_us", Quantile(microseconds, 0.99))
      .Add("p999_us", Quantile(microseconds, 0.999))
      .Add("max_us", microseconds.back());
}

void Connection::PublishAll(const std::string& subject, const std::vector<std::string>& payloads) {
  for (const std::string& payload : payloads) Publish(subject, payload);
}

}  // namespace peermesh::bench
