#include "server/peer/serving.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "metrics/ledger/fd.h"
#include "metrics/ledger/kinds.h"
#include "nlohmann/json.hpp"
#include "server/peer/child_ca.h"
#include "server/peer/command_line.h"
#include "server/config/logging.h"
#include "server/peer/enrolment.h"
#include "server/process/memory.h"
#include "server/process/notify.h"
#include "server/peer/peer.h"
#include "server/peer/reload.h"

namespace peermesh {
namespace {

constexpr config::Logger kLog("peermeshd");

// What ends after the drain: calls under way, links, the CA beside this peer.
constexpr Duration kStopSlack = std::chrono::seconds(10);

void Announce(const Peer::Facts& facts, const ChildCa* ca, int ready_fd) {
  std::string text = fmt::format("peer {} ({}) is up in mesh {}\n  mesh     {}\n", facts.name,
                                 facts.id.substr(0, 8), facts.mesh_id, facts.listen);
  if (!facts.metrics.empty()) text += fmt::format("  metrics  http://{}/metrics\n", facts.metrics);
  if (ca != nullptr) text += "  add a peer: peermesh token create --name NAME\n";
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
  if (ready_fd < 0) return;
  const nlohmann::json ready = {{"peer_id", facts.id},
                                {"name", facts.name},
                                {"mesh_id", facts.mesh_id},
                                {"listen", facts.listen},
                                {"metrics", facts.metrics},
                                {"app_socket", facts.app_socket},
                                {"admin_socket", facts.admin_socket},
                                {"pid", ::getpid()}};
  const std::string line = ready.dump() + "\n";
  if (::write(ready_fd, line.data(), line.size()) < 0)
    kLog.Warning("nobody reads the ready descriptor");
  ::close(ready_fd);
}

std::string StatusLine(const Peer::Facts& facts) {
  return fmt::format("peer {} ({}) of mesh {}, mesh port {}", facts.name, facts.id.substr(0, 8),
                     facts.mesh_id, facts.listen);
}

// What operators ask for over the network, handed from a queue's thread to main.
class Requests {
 public:
  using OnReloaded = api::AdminService::OnReloaded;

  Requests()
      : event_(ledger::UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), ledger::kProcessFd,
                                ledger::Scope{})) {}

  void AskDrain(std::optional<Duration> grace) {
    const std::lock_guard lock(mutex_);
    drain_ = true;
    grace_ = grace;
    Wake();
  }
  void AskReload(OnReloaded on_reloaded) {
    {
      const std::lock_guard lock(mutex_);
      if (!closed_) {
        reloads_.push_back(std::move(on_reloaded));
        return Wake();
      }
    }
    on_reloaded(absl::UnavailableError("This peer is leaving the mesh"));
  }

  // Readable when there is something to take.
  int fd() const { return event_.get(); }
  struct Taken {
    bool drain = false;
    std::optional<Duration> grace;
    std::vector<OnReloaded> reloads;
  };
  Taken Take() {
    const std::lock_guard lock(mutex_);
    std::uint64_t count = 0;
    (void)!::read(event_.get(), &count, sizeof(count));
    return {drain_, grace_, std::exchange(reloads_, {})};
  }
  // Whoever asks from now on, or asked and waits, is told that it is too late.
  void Close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    for (const OnReloaded& late : Take().reloads)
      late(absl::UnavailableError("This peer is leaving the mesh"));
  }

 private:
  void Wake() {
    const std::uint64_t one = 1;
    (void)!::write(event_.get(), &one, sizeof(one));
  }

  const ledger::UniqueFd event_;
  std::mutex mutex_;
  bool drain_ = false, closed_ = false;
  std::optional<Duration> grace_;
  std::vector<OnReloaded> reloads_;
};

Duration Configured(const config::v1::Config& config) {
  return std::chrono::seconds(config.drain_timeout().seconds()) +
         std::chrono::microseconds(config.drain_timeout().nanos() / 1000);
}

// Reads the configuration again; whoever asked for it is told what came of it.
void Reload(Reloader& reloader, Peer& peer, Notifier& manager,
            const std::vector<Requests::OnReloaded>& asked) {
  manager.Reloading();
  const auto report = reloader.Reload();
  peer.Reloaded(report.status());
  manager.Ready(StatusLine(peer.facts()));
  for (const auto& answer : asked) {
    if (report.ok()) {
      answer(report->SerializeAsString());
    } else {
      answer(report.status());
    }
  }
}

// What main waits for; blocked since the start of the process.
class Signals {
 public:
  Signals() {
    sigemptyset(&wanted_);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&wanted_, signal);
    fd_ = ledger::UniqueFd(::signalfd(-1, &wanted_, SFD_CLOEXEC | SFD_NONBLOCK), ledger::kProcessFd,
                           ledger::Scope{});
  }
  int fd() const { return fd_.get(); }
  const sigset_t& wanted() const { return wanted_; }

 private:
  sigset_t wanted_;
  ledger::UniqueFd fd_;
};

// Until somebody wants us to stop; says how long that may take.
Duration WaitForEnd(Peer& peer, Reloader& reloader, Requests& requests, const Signals& signals,
                    const ChildCa* ca, Notifier& manager) {
  constexpr int kSweepMs = 5000;
  constexpr int kSettleMs = 2000;  // by then a peer that finds others has shaken hands with them
  bool ca_lost = ca == nullptr, settled = false;
  for (;;) {
    pollfd wait[] = {{signals.fd(), POLLIN, 0},
                     {requests.fd(), POLLIN, 0},
                     {ca_lost ? -1 : ca->pidfd(), POLLIN, 0},
                     {manager.due(), POLLIN, 0}};
    const int ready = ::poll(wait, 4, settled ? kSweepMs : kSettleMs);
    if (!manager.Feed([&] { return peer.Answers(kProofPatience); }))
      kLog.Error("this peer does not answer itself; its service manager is not told it lives");
    if (ready == 0 || wait[3].revents != 0) {
      if (!std::exchange(settled, true)) ReleaseStartUpCode();
      peer.Sweep();
    }
    if (ready <= 0) continue;
    if (wait[2].revents != 0) {
      ca_lost = true;
      kLog.Error("the CA beside this peer has ended; restart this peer to have it back");
    }
    if (wait[1].revents != 0) {
      const Requests::Taken taken = requests.Take();
      if (!taken.reloads.empty()) Reload(reloader, peer, manager, taken.reloads);
      if (taken.drain) return taken.grace.value_or(Configured(reloader.running()));
    }
    signalfd_siginfo taken{};
    if (wait[0].revents != 0 && ::read(signals.fd(), &taken, sizeof(taken)) == sizeof(taken)) {
      if (taken.ssi_signo == SIGHUP) {
        Reload(reloader, peer, manager, {});
        continue;
      }
      if (taken.ssi_signo == SIGUSR1) {
        peer.LogLeaks();
        continue;
      }
      // `timeout` signals a program and then its group: what comes together is one signal.
      constexpr timespec kTogether{.tv_sec = 0, .tv_nsec = 50'000'000};
      ::sigtimedwait(&signals.wanted(), nullptr, &kTogether);
      kLog.Info("stopping", {{"signal", taken.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM"}});
      return Configured(reloader.running());
    }
  }
}

// A second signal during the drain means now.
void EndAtOnceOnSignal() {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  ::signal(SIGTERM, SIG_DFL);
  ::signal(SIGINT, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &wanted, nullptr);
}

}  // namespace

int Serve(const ServeOptions& options, const tls::Material& material, const ChildCa* ca,
          Notifier& manager) {
  const config::v1::Config complete = WithStoredSeeds(options.config);
  const Signals signals;
  Requests requests;
  if (signals.fd() < 0 || requests.fd() < 0) {  // it could never be told to end
    return Fail(absl::ResourceExhaustedError(
        "signals cannot be received: too many files are open; raise the limit: ulimit -n 65536"));
  }
  auto started = Peer::Start(
      complete, material,
      {.drain = [&](std::optional<Duration> grace) { requests.AskDrain(grace); },
       .reload = [&](Requests::OnReloaded answer) { requests.AskReload(std::move(answer)); }});
  if (!started.ok()) return Fail(started.status());
  Peer& peer = **started;
  // Outlives the drain, which must not wait for a call to the CA.
  Renewal renewal(complete.data_dir(), material, options.hosts,
                  [&](const auto& renewed) { return peer.Rotate(renewed); });
  const auto adopt = [&](const identity::Certificate& certificate) {
    const absl::Status status = peer.Adopt(certificate);
    if (status.ok()) renewal.Adopt(certificate);
    return status;
  };
  Reloader reloader(options.sources, complete, material, [&] { return peer.certificate(); },
                    {.adopt = adopt, .reconfigure = [&](const config::v1::Config& fresh) {
                       peer.Reconfigure(fresh);
                     }});
  Announce(peer.facts(), ca, options.ready_fd);
  kLog.Info(
      "ready",
      {{"peer", peer.facts().id}, {"name", peer.facts().name}, {"listen", peer.facts().listen}});
  manager.Ready(StatusLine(peer.facts()));
  const Duration grace = WaitForEnd(peer, reloader, requests, signals, ca, manager);
  requests.Close();
  EndAtOnceOnSignal();
  manager.Stopping(grace + kStopSlack);
  const bool clean = peer.Stop(grace);
  kLog.Info("stopped", {{"clean", clean}});
  return kOk;
}

}  // namespace peermesh
