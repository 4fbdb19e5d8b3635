#include "server/net/acceptor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>

#include "mesh/base/check.h"
#include "server/net/acceptor_impl.h"
#include "server/net/kinds.h"

namespace peermesh::net {
namespace {

// Accepts in a row before other events get their turn.
constexpr int kAcceptBatch = 64;
// Pause after an accept error that another try at once would only repeat.
constexpr Duration kBackOff = std::chrono::milliseconds(50);
// What an epoll event belongs to: the top bit marks listeners, 0 is the wake-up, the rest are
// connection ids.
constexpr std::uint64_t kListenerBit = std::uint64_t{1} << 63;
constexpr std::uint64_t kWakeKey = 0;

ledger::UniqueFd OpenReserve() {
  return {open("/dev/null", O_RDONLY | O_CLOEXEC), ledger::kProcessFd, ledger::Scope{}};
}

}  // namespace

Instant SteadyNow() {
  return Instant(
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

absl::StatusOr<std::string> Acceptor::Impl::Listen(ListenOptions options, Handler handler) {
  auto socket = OpenListener(options.address, options.unix_mode);
  if (!socket.ok()) return socket.status();
  const std::lock_guard<std::mutex> lock(mutex_);
  PM_CHECK(!stopping_ && handler);
  listeners_.push_back(
      std::make_unique<Listener>(std::move(options), std::move(handler), *std::move(socket)));
  SetListening(*listeners_.back(), started_ && !paused_, EPOLL_CTL_ADD);
  TellLimits();
  return listeners_.back()->socket.address;
}

void Acceptor::Impl::SetListening(Listener& listener, bool on, int operation) {
  const auto place = std::find_if(listeners_.begin(), listeners_.end(), [&](const auto& candidate) {
    return candidate.get() == &listener;
  });
  epoll_event event{};
  event.events = on ? EPOLLIN : 0u;
  event.data.u64 = kListenerBit | static_cast<std::uint64_t>(place - listeners_.begin());
  PM_CHECK(epoll_ctl(epoll_.get(), operation, listener.socket.fd.get(), &event) == 0);
}

void Acceptor::Impl::Start(const std::string& thread_name) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    PM_CHECK(!started_ && !stopping_);
    started_ = true;
    for (const auto& listener : listeners_) {
      if (listener->socket.fd) SetListening(*listener, true, EPOLL_CTL_MOD);
    }
  }
  thread_ = ledger::Thread(thread_name, ledger::kThread, ledger::Scope{}, [this] { Run(); });
}

void Acceptor::Impl::SetCaps(const std::string& name, const Caps& caps) {
  const std::lock_guard lock(mutex_);
  for (const auto& listener : listeners_) {
    if (listener->options.name == name) listener->admission.SetCaps(caps);
  }
  TellLimits();
}

void Acceptor::Impl::TellLimits() const {
  constexpr std::uint64_t kDescriptorsOfOurs = 2;  // of each connection: see kConnectionFd
  std::uint64_t connections = 0;
  for (const auto& listener : listeners_) connections += listener->admission.caps().max_connections;
  std::uint64_t descriptors = kDescriptorsOfOurs * connections;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    descriptors = std::min<std::uint64_t>(descriptors, limit.rlim_cur);
  ledger::Ledger& ledger = ledger::Ledger::Process();
  ledger.SetSoftLimit(kConnection, connections);
  ledger.SetSoftLimit(kHandedOverFd, connections);
  ledger.SetSoftLimit(kConnectionFd, descriptors);
}

void Acceptor::Impl::StopListening() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (const auto& listener : listeners_) {
    if (!listener->socket.fd) continue;
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener->socket.fd.get(), nullptr);
    CloseListener(listener->socket);
  }
  for (auto it = connections_.begin(); it != connections_.end();) {
    const auto held = it++;
    if (held->second.held) Forget(held);
  }
  if (!OnAcceptThread()) idle_.wait(lock, [this] { return !in_handler_; });
}

void Acceptor::Impl::Stop() {
  StopListening();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) return;
    PM_CHECK(!OnAcceptThread());
    stopping_ = true;
  }
  const std::uint64_t one = 1;
  PM_CHECK(write(wake_.get(), &one, sizeof one) == sizeof one);
  thread_.Join();
  const std::lock_guard<std::mutex> lock(mutex_);
  while (!connections_.empty()) Forget(connections_.begin());
}

void Acceptor::Impl::Run() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    accept_thread_ = std::this_thread::get_id();
  }
  std::array<epoll_event, 64> events;
  for (;;) {
    int wait = -1;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (stopping_) return;
      const Instant now = SteadyNow();
      FireTimers(now);
      wait = WaitMs(now);
    }
    const int count =
        epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait);
    for (int i = 0; i < count; ++i) {
      const std::uint64_t key = events[static_cast<std::size_t>(i)].data.u64;
      if (key == kWakeKey) continue;
      if ((key & kListenerBit) == 0) {
        std::unique_lock<std::mutex> lock(mutex_);
        OnConnectionEvent(lock, ConnectionId{key}, events[static_cast<std::size_t>(i)].events);
        continue;
      }
      Listener* listener = nullptr;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        listener = listeners_[key & ~kListenerBit].get();
      }
      AcceptFrom(*listener);
    }
  }
}

int Acceptor::Impl::WaitMs(Instant now) const {
  Instant next = timers_.empty() ? kNever : timers_.begin()->first;
  if (paused_) next = std::min(next, paused_until_);
  if (next == kNever) return -1;
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - now).count();
  return static_cast<int>(std::clamp<std::int64_t>(wait, 0, INT_MAX));
}

void Acceptor::Impl::FireTimers(Instant now) {
  if (paused_ && now >= paused_until_) {
    paused_ = false;
    for (const auto& listener : listeners_) {
      if (listener->socket.fd) SetListening(*listener, true, EPOLL_CTL_MOD);
    }
  }
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const auto it = connections_.find(timers_.begin()->second);
    PM_CHECK(it != connections_.end());
    if (it->second.held) {
      it->second.end = Unproven::kTimeout;
      Forget(it);
    } else if (it->second.handshaking) {
      EndHandshake(it->second);
      SetDeadline(it->first, it->second, kNever);
    } else {
      shutdown(it->second.dup.get(), SHUT_RDWR);
      Forget(it);
    }
  }
}

void Acceptor::Impl::Pause(Instant now) {
  paused_until_ = now + kBackOff;
  paused_ = true;
  for (const auto& listener : listeners_) {
    if (listener->socket.fd) SetListening(*listener, false, EPOLL_CTL_MOD);
  }
}

void Acceptor::Impl::AcceptFrom(Listener& listener) {
  std::unique_lock<std::mutex> lock(mutex_);
  for (int i = 0; i < kAcceptBatch; ++i) {
    const Next next = AcceptOne(lock, listener);
    if (next == Next::kPause) Pause(SteadyNow());
    if (next != Next::kMore) return;
  }
}

// Called and left with the lock held, as HandOver is.
Acceptor::Impl::Next Acceptor::Impl::AcceptOne(std::unique_lock<std::mutex>& lock,
                                               Listener& listener) {
  if (!listener.socket.fd) return Next::kEmpty;  // StopListening came first
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  ledger::UniqueFd fd(accept4(listener.socket.fd.get(), reinterpret_cast<sockaddr*>(&address),
                              &length, SOCK_NONBLOCK | SOCK_CLOEXEC),
                      kConnectionFd, listener.scope);
  if (!fd) return AfterError(listener, errno);
  std::string cap_key = CapKey(address);
  Admission::Verdict verdict = listener.admission.TryAdmit(cap_key, SteadyNow());
  if (!verdict.admitted && verdict.refusal == Refusal::kHandshakes && PushOut(listener, cap_key)) {
    verdict = listener.admission.TryAdmit(cap_key, SteadyNow());
  }
  if (!verdict.admitted) {
    ++listener.stats.refused[static_cast<std::size_t>(verdict.refusal)];
    Refuse(std::move(fd));
    return Next::kMore;
  }
  SetConnectionOptions(fd.get(), address.ss_family);
  Accepted accepted;
  accepted.peer = PeerText(address, length);
  if (!Register(listener, fd, std::move(cap_key), accepted)) {
    ++listener.stats.refused[static_cast<std::size_t>(Refusal::kNoDescriptors)];
    Refuse(std::move(fd));
    return Next::kPause;
  }
  if (!listener.options.tls) HandOver(lock, listener, std::move(accepted));
  return Next::kMore;
}

// Called and left with the lock held; lets go of it while the handler runs.
void Acceptor::Impl::HandOver(std::unique_lock<std::mutex>& lock, Listener& listener,
                              Accepted accepted) {
  Connection& connection = connections_.at(accepted.id);
  connection.handed_over_fd = ledger::Handle(kHandedOverFd, connection.scope);
  in_handler_ = true;
  lock.unlock();
  listener.handler(std::move(accepted));
  lock.lock();
  in_handler_ = false;
  idle_.notify_all();
}

Acceptor::Impl::Next Acceptor::Impl::AfterError(Listener& listener, int error) {
  if (error == EAGAIN || error == EWOULDBLOCK) return Next::kEmpty;
  if (error == EMFILE || error == ENFILE) {
    reserve_.Close();
    ledger::UniqueFd fd(accept4(listener.socket.fd.get(), nullptr, nullptr, SOCK_CLOEXEC),
                        kConnectionFd, listener.scope);
    const bool taken = static_cast<bool>(fd);
    if (taken) {
      ++listener.stats.refused[static_cast<std::size_t>(Refusal::kNoDescriptors)];
      Refuse(std::move(fd));
    }
    reserve_ = OpenReserve();
    return taken && reserve_ ? Next::kMore : Next::kPause;
  }
  if (error == ENOBUFS || error == ENOMEM) return Next::kPause;
  // All others are errors of the one connection that was taken off the queue with them.
  return Next::kMore;
}

bool Acceptor::Impl::PushOut(Listener& listener, const std::string& newcomer) {
  const auto address = listener.admission.Busiest(newcomer);
  if (!address) return false;
  for (const auto& [deadline, id] : timers_) {  // every handshake has one, the oldest first
    const auto it = connections_.find(id);
    Connection& connection = it->second;
    if (connection.listener != &listener || !connection.handshaking) continue;
    if (connection.cap_key != *address) continue;
    connection.end = Unproven::kCrowdedOut;
    shutdown(connection.dup.get(), SHUT_RDWR);
    Forget(it);
    return true;
  }
  return false;
}

Acceptor::Acceptor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Create(AcceptorTimes times) {
  const ledger::Scope process;
  ledger::UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC), ledger::kProcessFd, process);
  ledger::UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), ledger::kProcessFd, process);
  ledger::UniqueFd reserve = OpenReserve();
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeKey;
  if (!epoll || !wake || !reserve ||
      epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
    return absl::ResourceExhaustedError(fmt::format(
        "Cannot prepare to accept connections: {}. Raise the limit of open files (ulimit -n).",
        std::strerror(errno)));
  }
  return std::unique_ptr<Acceptor>(new Acceptor(
      std::make_unique<Impl>(times, std::move(epoll), std::move(wake), std::move(reserve))));
}

Acceptor::~Acceptor() { Stop(); }

absl::StatusOr<std::string> Acceptor::Listen(ListenOptions options, Handler handler) {
  return impl_->Listen(std::move(options), std::move(handler));
}
void Acceptor::Start(const std::string& thread_name) { impl_->Start(thread_name); }
void Acceptor::SetCaps(const std::string& listener, const Caps& caps) {
  impl_->SetCaps(listener, caps);
}
void Acceptor::StopListening() { impl_->StopListening(); }
void Acceptor::Stop() { impl_->Stop(); }
bool Acceptor::Established(ConnectionId id, WallTime expires) {
  return impl_->Established(id, expires);
}
std::size_t Acceptor::CutExpired(WallTime now) { return impl_->CutExpired(now); }
bool Acceptor::Cut(ConnectionId id) { return impl_->Cut(id); }
std::optional<ConnectionId> Acceptor::FindByPeer(const std::string& peer) const {
  return impl_->FindByPeer(peer);
}
void Acceptor::Identify(ConnectionId id, ledger::ScopeType type, std::string label) {
  impl_->Identify(id, type, std::move(label));
}
ledger::Scope Acceptor::ScopeFor(const std::string& listener, const std::string& peer,
                                 ledger::ScopeType type, std::string label) const {
  return impl_->ScopeFor(listener, peer, type, std::move(label));
}
std::vector<ConnectionInfo> Acceptor::Connections() const { return impl_->Connections(); }
std::vector<ListenerStats> Acceptor::Stats() const { return impl_->Stats(); }

}  // namespace peermesh::net
