// history_load: an application that publishes and subscribes at one peer for as long as it is let,
// comes back when the peer does, and writes down all it does and sees.
//
//   history_load --socket PATH | --address HOST:PORT --identity DIR
//                --directory DIR --writer NAME --actor-base N
//                [--publish SUBJECT]... [--rate MESSAGES_PER_SECOND] [--bytes MOST]
//                [--subscribe PATTERN]... [--target PEER_ID --direct-every N]
//                [--drain-seconds N]
//
// Each session is an actor of its own, numbered from --actor-base on: leave a thousand between two
// programs. Every N-th message goes to --target alone. SIGTERM ends the publishing; what is under
// way may arrive for --drain-seconds (default 5), or until another SIGTERM, then the session ends
// in good order. Prints `open ACTOR` for each session, and at the end what it counted.
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/tls/process.h"
#include "tests/history/names.h"
#include "tests/history/visitor.h"
#include "tests/history/writer.h"

namespace peermesh::history {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kTick(5);
constexpr milliseconds kRetry(20);
constexpr seconds kPatience(5);
constexpr int kFlushTicks = 100;
constexpr int kUsage = 2;

struct Options {
  Visitor::Options visit;
  std::string directory, writer, target;
  std::vector<std::string> subjects;
  std::uint32_t actor_base = 0;
  std::uint64_t rate = 0, direct_every = 0, drain_seconds = 5;
};

bool Parse(int argc, char** argv, Options& options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    const char* value = argv[i + 1];
    const std::uint64_t number = std::strtoull(value, nullptr, 10);
    if (flag == "--socket") {
      options.visit.socket = value;
    } else if (flag == "--address") {
      options.visit.address = value;
    } else if (flag == "--identity") {
      options.visit.identity = value;
    } else if (flag == "--directory") {
      options.directory = value;
    } else if (flag == "--writer") {
      options.writer = value;
    } else if (flag == "--actor-base") {
      options.actor_base = static_cast<std::uint32_t>(number);
    } else if (flag == "--publish") {
      options.subjects.emplace_back(value);
    } else if (flag == "--rate") {
      options.rate = number;
    } else if (flag == "--bytes") {
      options.visit.most_bytes = number;
    } else if (flag == "--subscribe") {
      options.visit.patterns.emplace_back(value);
    } else if (flag == "--target") {
      options.target = value;
    } else if (flag == "--direct-every") {
      options.direct_every = number;
    } else if (flag == "--drain-seconds") {
      options.drain_seconds = number;
    } else {
      return false;
    }
  }
  const bool somewhere = options.visit.socket.empty() != options.visit.address.empty();
  return argc % 2 == 1 && somewhere && !options.directory.empty() && !options.writer.empty() &&
         options.actor_base != 0;
}

sigset_t Terms() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

class Load {
 public:
  Load(Options options, Names& names, Writer& writer)
      : options_(std::move(options)), names_(names), writer_(writer) {}

  void Run() {
    while (terms_ == 0) {
      if (!Visit()) Wait(kRetry);
      writer_.Flush();  // the next visit may be long in coming
    }
    writer_.Flush();
    std::printf(
        "sessions %llu invoked %llu accepted %llu refused %llu unknown %llu delivered %llu "
        "gaps %llu held %llu\n",
        Of(counts_.sessions), Of(counts_.invoked), Of(counts_.accepted), Of(counts_.refused),
        Of(counts_.unknown), Of(counts_.delivered), Of(counts_.gaps), Of(counts_.held));
  }

 private:
  static unsigned long long Of(std::uint64_t count) { return count; }

  // Sleeps, but for a signal.
  void Wait(milliseconds time) {
    const timespec patience{time / seconds(1), (time % seconds(1)).count() * 1'000'000};
    static const sigset_t kTerms = Terms();
    if (sigtimedwait(&kTerms, nullptr, &patience) > 0) ++terms_;
  }

  // One session, to its end. False if there was none.
  bool Visit() {
    const std::uint32_t actor = options_.actor_base + visits_++;
    Visitor visitor(options_.visit, actor, names_, writer_, counts_);
    if (!visitor.Enter(kPatience).ok()) return false;
    std::printf("open %u\n", actor);
    std::fflush(stdout);
    std::int64_t begun = NowNs();
    std::uint64_t published = 0;
    for (std::uint64_t tick = 1; terms_ == 0; ++tick) {
      Wait(kTick);
      if (!visitor.Ended().ok()) return true;
      if (visitor.AskedToLeave()) begun = NowNs(), published = 0;
      const auto due =
          static_cast<std::uint64_t>((NowNs() - begun) / 1000) * options_.rate / 1'000'000;
      while (!options_.subjects.empty() && published < due) {
        if (!PublishNext(visitor)) {  // what cannot be sent in time is not made up for
          published = due;
          break;
        }
        ++published;
      }
      if (tick % kFlushTicks == 0) writer_.Flush();
    }
    const std::int64_t end =
        NowNs() + static_cast<std::int64_t>(options_.drain_seconds) * 1'000'000'000;
    while (terms_ == 1 && NowNs() < end) Wait(kTick);
    visitor.Leave(kPatience);
    return true;
  }

  bool PublishNext(Visitor& visitor) {
    const std::string& subject = options_.subjects[turn_ % options_.subjects.size()];
    const bool direct = options_.direct_every > 0 && turn_ % options_.direct_every == 0;
    ++turn_;
    return visitor.Publish(subject, direct ? std::string_view(options_.target) : "");
  }

  const Options options_;
  Names& names_;
  Writer& writer_;
  Counts counts_;
  std::uint32_t visits_ = 0;
  std::uint64_t turn_ = 0;
  int terms_ = 0;
};

int Main(int argc, char** argv) {
  Options options;
  if (!Parse(argc, argv, options)) {
    std::fputs("history_load: see the head of tests/history/load.cc for its flags\n", stderr);
    return kUsage;
  }
  const sigset_t terms = Terms();
  pthread_sigmask(SIG_BLOCK, &terms, nullptr);  // before any other thread
  if (!tls::InitProcess(tls::Signals::kLeave).ok()) return 1;
  auto names = Names::Open(options.directory);
  auto writer = Writer::Create(options.directory, options.writer);
  if (!names.ok() || !writer.ok()) {
    std::fprintf(stderr, "history_load: %s %s\n", names.status().ToString().c_str(),
                 writer.status().ToString().c_str());
    return 1;
  }
  Load(std::move(options), **names, **writer).Run();
  return 0;
}

}  // namespace
}  // namespace peermesh::history

int main(int argc, char** argv) { return peermesh::history::Main(argc, argv); }
