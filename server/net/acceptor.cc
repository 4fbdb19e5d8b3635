#include "server/net/acceptor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>
#include <utility>

#include "mesh/base/check.h"
#include "server/net/client_hello.h"
#include "server/net/sockets.h"

namespace peermesh::net {
namespace {

// Accepts in a row before other events get their turn.
constexpr int kAcceptBatch = 64;
// Pause after an accept error that another try at once would only repeat.
constexpr Duration kBackOff = std::chrono::milliseconds(50);
// gRPC's own deadline for a handshake is as long as ours, but it comes a little before or after it.
constexpr Duration kDeadlineEarly = std::chrono::milliseconds(200);
constexpr Duration kDeadlineLate = std::chrono::seconds(1);
// What an epoll event belongs to: the top bit marks listeners, 0 is the wake-up, the rest are
// connection ids.
constexpr std::uint64_t kListenerBit = std::uint64_t{1} << 63;
constexpr std::uint64_t kWakeKey = 0;

Instant SteadyNow() {
  return Instant(
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

int OpenReserve() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

}  // namespace

const char* ToString(Unproven how) {
  switch (how) {
    case Unproven::kEnded: return "ended";
    case Unproven::kTimeout: return "timeout";
    case Unproven::kNotTls: return "not_tls";
    case Unproven::kOldTls: return "old_tls";
    case Unproven::kCrowdedOut: return "crowded_out";
  }
  return "";
}

class Acceptor::Impl {
 public:
  Impl(AcceptorTimes times, int epoll, int wake, int reserve)
      : times_(times), epoll_(epoll), wake_(wake), reserve_(reserve) {}
  ~Impl();

  absl::StatusOr<std::string> Listen(ListenOptions options, Handler handler);
  void Start(const std::string& thread_name);
  void StopListening();
  void Stop();

  void Established(ConnectionId id, WallTime expires);
  bool Cut(ConnectionId id);
  std::size_t CutExpired(WallTime now);
  std::optional<ConnectionId> FindByPeer(const std::string& peer) const;
  std::vector<ConnectionInfo> Connections() const;
  std::vector<ListenerStats> Stats() const;

 private:
  struct Listener {
    Listener(ListenOptions o, Handler h, ListeningSocket s)
        : options(std::move(o)),
          handler(std::move(h)),
          socket(std::move(s)),
          admission(options.caps) {
      stats.name = options.name;
      stats.address = socket.address;
    }
    const ListenOptions options;
    const Handler handler;
    ListeningSocket socket;
    Admission admission;
    ListenerStats stats;
  };
  struct Connection {
    Listener* listener = nullptr;
    int dup = -1;
    int held = -1;  // what will be handed over when its first bytes are there
    Unproven end = Unproven::kEnded;
    std::string peer;
    std::string cap_key;
    Instant opened{};
    Instant handed_over{};
    WallTime expires = WallTime::max();  // of its certificate, once that is known
    Instant deadline = kNever;  // of the handshake, or of the time after the other side closed
    bool handshaking = true;
    bool established = false;
    bool cut = false;
  };
  using Connections_ = std::map<ConnectionId, Connection>;
  enum class Next : std::uint8_t { kMore, kEmpty, kPause };

  void Run();
  int WaitMs(Instant now) const;
  void FireTimers(Instant now);
  void SetListening(Listener& listener, bool on, int operation);
  void Pause(Instant now);
  void AcceptFrom(Listener& listener);
  Next AcceptOne(std::unique_lock<std::mutex>& lock, Listener& listener);
  Next AfterError(Listener& listener, int error);
  bool PushOut(Listener& listener, const std::string& newcomer);
  bool Register(Listener& listener, int fd, std::string cap_key, Accepted& accepted);
  void HandOver(std::unique_lock<std::mutex>& lock, Listener& listener, Accepted accepted);
  void OnConnectionEvent(std::unique_lock<std::mutex>& lock, ConnectionId id, std::uint32_t events);
  void OnFirstBytes(std::unique_lock<std::mutex>& lock, Connections_::iterator it, bool last);
  bool Watch(ConnectionId id, const Connection& connection, int operation);
  void SetDeadline(ConnectionId id, Connection& connection, Instant deadline);
  void EndHandshake(Connection& connection);
  static bool Shut(Connection& connection);
  std::optional<Unproven> HowItFailed(const Connection& connection) const;
  void Forget(Connections_::iterator it);
  bool OnAcceptThread() const { return std::this_thread::get_id() == accept_thread_; }

  const AcceptorTimes times_;
  const int epoll_;
  const int wake_;
  std::thread thread_;  // set once, by Start

  mutable std::mutex mutex_;  // guards all below; never held while a handler runs
  std::condition_variable idle_;
  int reserve_;  // given up for a moment when there is no other descriptor
  bool started_ = false;
  bool stopping_ = false;
  bool in_handler_ = false;
  std::thread::id accept_thread_;
  Instant paused_until_ = Instant::min();
  bool paused_ = false;
  std::vector<std::unique_ptr<Listener>> listeners_;
  Connections_ connections_;
  // A pure look-up, never iterated.
  std::unordered_map<std::string, ConnectionId> by_peer_;
  std::set<std::pair<Instant, ConnectionId>> timers_;
  std::uint64_t last_id_ = 0;
};

Acceptor::Impl::~Impl() {
  close(epoll_);
  close(wake_);
  if (reserve_ >= 0) close(reserve_);
}

absl::StatusOr<std::string> Acceptor::Impl::Listen(ListenOptions options, Handler handler) {
  auto socket = OpenListener(options.address, options.unix_mode);
  if (!socket.ok()) return socket.status();
  const std::lock_guard<std::mutex> lock(mutex_);
  PM_CHECK(!stopping_ && handler);
  listeners_.push_back(
      std::make_unique<Listener>(std::move(options), std::move(handler), *std::move(socket)));
  SetListening(*listeners_.back(), started_ && !paused_, EPOLL_CTL_ADD);
  return listeners_.back()->socket.address;
}

void Acceptor::Impl::SetListening(Listener& listener, bool on, int operation) {
  const auto place = std::find_if(listeners_.begin(), listeners_.end(), [&](const auto& candidate) {
    return candidate.get() == &listener;
  });
  epoll_event event{};
  event.events = on ? EPOLLIN : 0u;
  event.data.u64 = kListenerBit | static_cast<std::uint64_t>(place - listeners_.begin());
  PM_CHECK(epoll_ctl(epoll_, operation, listener.socket.fd, &event) == 0);
}

void Acceptor::Impl::Start(const std::string& thread_name) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    PM_CHECK(!started_ && !stopping_);
    started_ = true;
    for (const auto& listener : listeners_) {
      if (listener->socket.fd >= 0) SetListening(*listener, true, EPOLL_CTL_MOD);
    }
  }
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), thread_name.c_str());
}

void Acceptor::Impl::StopListening() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (const auto& listener : listeners_) {
    if (listener->socket.fd < 0) continue;
    epoll_ctl(epoll_, EPOLL_CTL_DEL, listener->socket.fd, nullptr);
    CloseListener(listener->socket);
  }
  for (auto it = connections_.begin(); it != connections_.end();) {
    const auto held = it++;
    if (held->second.held >= 0) Forget(held);
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
  PM_CHECK(write(wake_, &one, sizeof one) == sizeof one);
  if (thread_.joinable()) thread_.join();
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
    const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), wait);
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
      if (listener->socket.fd >= 0) SetListening(*listener, true, EPOLL_CTL_MOD);
    }
  }
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const auto it = connections_.find(timers_.begin()->second);
    PM_CHECK(it != connections_.end());
    if (it->second.held >= 0) {
      it->second.end = Unproven::kTimeout;
      Forget(it);
    } else if (it->second.handshaking) {
      EndHandshake(it->second);
      SetDeadline(it->first, it->second, kNever);
    } else {
      shutdown(it->second.dup, SHUT_RDWR);
      Forget(it);
    }
  }
}

void Acceptor::Impl::Pause(Instant now) {
  paused_until_ = now + kBackOff;
  paused_ = true;
  for (const auto& listener : listeners_) {
    if (listener->socket.fd >= 0) SetListening(*listener, false, EPOLL_CTL_MOD);
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
  if (listener.socket.fd < 0) return Next::kEmpty;  // StopListening came first
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  const int fd = accept4(listener.socket.fd, reinterpret_cast<sockaddr*>(&address), &length,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return AfterError(listener, errno);
  std::string cap_key = CapKey(address);
  Admission::Verdict verdict = listener.admission.TryAdmit(cap_key, SteadyNow());
  if (!verdict.admitted && verdict.refusal == Refusal::kHandshakes && PushOut(listener, cap_key)) {
    verdict = listener.admission.TryAdmit(cap_key, SteadyNow());
  }
  if (!verdict.admitted) {
    ++listener.stats.refused[static_cast<std::size_t>(verdict.refusal)];
    Refuse(fd);
    return Next::kMore;
  }
  SetConnectionOptions(fd);
  Accepted accepted;
  accepted.peer = PeerText(address, length);
  if (!Register(listener, fd, std::move(cap_key), accepted)) {
    ++listener.stats.refused[static_cast<std::size_t>(Refusal::kNoDescriptors)];
    Refuse(fd);
    return Next::kPause;
  }
  if (!listener.options.tls) HandOver(lock, listener, std::move(accepted));
  return Next::kMore;
}

// Called and left with the lock held; lets go of it while the handler runs.
void Acceptor::Impl::HandOver(std::unique_lock<std::mutex>& lock, Listener& listener,
                              Accepted accepted) {
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
    if (reserve_ >= 0) close(reserve_);
    const int fd = accept4(listener.socket.fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) {
      ++listener.stats.refused[static_cast<std::size_t>(Refusal::kNoDescriptors)];
      Refuse(fd);
    }
    reserve_ = OpenReserve();
    return fd >= 0 && reserve_ >= 0 ? Next::kMore : Next::kPause;
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
    shutdown(connection.dup, SHUT_RDWR);
    Forget(it);
    return true;
  }
  return false;
}

bool Acceptor::Impl::Register(Listener& listener, int fd, std::string cap_key, Accepted& accepted) {
  const ConnectionId id{++last_id_};
  Connection connection;
  connection.listener = &listener;
  connection.dup = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (listener.options.tls) connection.held = fd;
  if (connection.dup < 0 || !Watch(id, connection, EPOLL_CTL_ADD)) {
    if (connection.dup >= 0) close(connection.dup);
    listener.admission.HandshakeOver(cap_key);
    listener.admission.Release(cap_key);
    return false;
  }
  accepted.fd = fd;
  accepted.id = id;
  connection.peer = accepted.peer;
  connection.cap_key = std::move(cap_key);
  connection.opened = connection.handed_over = SteadyNow();
  if (listener.socket.unix_path.empty()) by_peer_[accepted.peer] = id;
  Connection& kept = connections_.emplace(id, std::move(connection)).first->second;
  SetDeadline(id, kept, kept.opened + times_.handshake);
  ++listener.stats.accepted;
  return true;
}

// Edge-triggered: an error queue entry, which is gRPC's to read, must not wake us again and again.
bool Acceptor::Impl::Watch(ConnectionId id, const Connection& connection, int operation) {
  epoll_event event{};
  event.events = EPOLLRDHUP | EPOLLET | (connection.held >= 0 ? EPOLLIN : 0u);
  event.data.u64 = id.value;
  return epoll_ctl(epoll_, operation, connection.dup, &event) == 0;
}

void Acceptor::Impl::OnConnectionEvent(std::unique_lock<std::mutex>& lock, ConnectionId id,
                                       std::uint32_t events) {
  const auto it = connections_.find(id);
  if (it == connections_.end()) return;
  const bool half_closed = (events & EPOLLRDHUP) != 0;
  if ((events & EPOLLHUP) != 0) return Forget(it);
  // Handing over arms the watch anew, so an end that came with the bytes is told again.
  if (it->second.held >= 0) return OnFirstBytes(lock, it, half_closed);
  if (!half_closed) return;
  EndHandshake(it->second);
  SetDeadline(id, it->second, SteadyNow() + times_.half_closed);
}

// `last`: no more bytes will come. Called and left with the lock held, as HandOver is.
void Acceptor::Impl::OnFirstBytes(std::unique_lock<std::mutex>& lock, Connections_::iterator it,
                                  bool last) {
  Connection& connection = it->second;
  std::array<char, kMaxFirstRecord> bytes;
  const ssize_t got = recv(connection.held, bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
  const std::size_t size = got > 0 ? static_cast<std::size_t>(got) : 0;
  switch (Classify({bytes.data(), size})) {
    case FirstBytes::kIncomplete:
      if (last) Forget(it);
      return;
    case FirstBytes::kNotTls:
      connection.end = Unproven::kNotTls;
      Refuse(std::exchange(connection.held, -1));
      return Forget(it);
    case FirstBytes::kOldTls: {
      connection.end = Unproven::kOldTls;
      const std::string_view alert = ProtocolVersionAlert();
      // Read first: closing a socket with unread bytes resets it, and the alert would be lost.
      (void)recv(connection.held, bytes.data(), bytes.size(), MSG_DONTWAIT);
      (void)send(connection.held, alert.data(), alert.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      return Forget(it);
    }
    case FirstBytes::kTls: break;
  }
  Accepted accepted{std::exchange(connection.held, -1), it->first, connection.peer};
  connection.handed_over = SteadyNow();
  SetDeadline(it->first, connection, connection.handed_over + times_.handshake);
  PM_CHECK(Watch(it->first, connection, EPOLL_CTL_MOD));
  HandOver(lock, *connection.listener, std::move(accepted));
}

void Acceptor::Impl::SetDeadline(ConnectionId id, Connection& connection, Instant deadline) {
  if (connection.deadline != kNever) timers_.erase({connection.deadline, id});
  connection.deadline = deadline;
  if (deadline != kNever) timers_.insert({deadline, id});
}

void Acceptor::Impl::EndHandshake(Connection& connection) {
  if (!connection.handshaking) return;
  connection.handshaking = false;
  connection.listener->admission.HandshakeOver(connection.cap_key);
}

std::optional<Unproven> Acceptor::Impl::HowItFailed(const Connection& connection) const {
  if (connection.established || !connection.listener->socket.unix_path.empty()) return std::nullopt;
  if (connection.end != Unproven::kEnded || connection.held >= 0) return connection.end;
  const Duration lived = SteadyNow() - connection.handed_over;
  // gRPC would have ended it by now if it had not proved itself: it was content never to call.
  if (lived > times_.handshake + kDeadlineLate) return std::nullopt;
  return lived + kDeadlineEarly >= times_.handshake ? Unproven::kTimeout : Unproven::kEnded;
}

void Acceptor::Impl::Forget(Connections_::iterator it) {
  Connection& connection = it->second;
  EndHandshake(connection);
  SetDeadline(it->first, connection, kNever);
  connection.listener->admission.Release(connection.cap_key);
  ++connection.listener->stats.closed;
  if (connection.cut) ++connection.listener->stats.cut;
  if (const auto how = HowItFailed(connection)) {
    ++connection.listener->stats.unproven[static_cast<std::size_t>(*how)];
  }
  // epoll watches the connection, not the descriptor: closing the dup alone would leave it watched.
  epoll_ctl(epoll_, EPOLL_CTL_DEL, connection.dup, nullptr);
  close(connection.dup);
  if (connection.held >= 0) close(connection.held);
  const auto named = by_peer_.find(connection.peer);
  if (named != by_peer_.end() && named->second == it->first) by_peer_.erase(named);
  connections_.erase(it);
}

void Acceptor::Impl::Established(ConnectionId id, WallTime expires) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto it = connections_.find(id);
  if (it == connections_.end() || it->second.established) return;
  it->second.established = true;
  it->second.expires = expires;
  if (!it->second.handshaking) return;
  EndHandshake(it->second);
  SetDeadline(id, it->second, kNever);
}

bool Acceptor::Impl::Cut(ConnectionId id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto it = connections_.find(id);
  return it != connections_.end() && Shut(it->second);
}

std::size_t Acceptor::Impl::CutExpired(WallTime now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::size_t cut = 0;
  for (auto& [id, connection] : connections_) cut += connection.expires <= now && Shut(connection);
  return cut;
}

bool Acceptor::Impl::Shut(Connection& connection) {
  if (std::exchange(connection.cut, true)) return false;
  shutdown(connection.dup, SHUT_RDWR);  // epoll tells when it has ended
  return true;
}

std::optional<ConnectionId> Acceptor::Impl::FindByPeer(const std::string& peer) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto it = by_peer_.find(peer);
  if (it == by_peer_.end()) return std::nullopt;
  return it->second;
}

std::vector<ConnectionInfo> Acceptor::Impl::Connections() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<ConnectionInfo> result;
  result.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) {
    result.push_back({id, connection.peer, connection.listener->options.name, connection.opened,
                      connection.established});
  }
  return result;
}

std::vector<ListenerStats> Acceptor::Impl::Stats() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<ListenerStats> result;
  for (const auto& listener : listeners_) {
    ListenerStats& stats = result.emplace_back(listener->stats);
    stats.open = listener->admission.open();
    stats.handshakes = listener->admission.handshakes();
  }
  return result;
}

Acceptor::Acceptor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Create(AcceptorTimes times) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  const int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const int reserve = OpenReserve();
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeKey;
  if (epoll < 0 || wake < 0 || reserve < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, wake, &event) != 0) {
    const int error = errno;
    for (const int fd : {epoll, wake, reserve}) {
      if (fd >= 0) close(fd);
    }
    return absl::ResourceExhaustedError(fmt::format(
        "Cannot prepare to accept connections: {}. Raise the limit of open files (ulimit -n).",
        std::strerror(error)));
  }
  return std::unique_ptr<Acceptor>(
      new Acceptor(std::make_unique<Impl>(times, epoll, wake, reserve)));
}

Acceptor::~Acceptor() { Stop(); }

absl::StatusOr<std::string> Acceptor::Listen(ListenOptions options, Handler handler) {
  return impl_->Listen(std::move(options), std::move(handler));
}
void Acceptor::Start(const std::string& thread_name) { impl_->Start(thread_name); }
void Acceptor::StopListening() { impl_->StopListening(); }
void Acceptor::Stop() { impl_->Stop(); }
void Acceptor::Established(ConnectionId id, WallTime expires) { impl_->Established(id, expires); }
std::size_t Acceptor::CutExpired(WallTime now) { return impl_->CutExpired(now); }
bool Acceptor::Cut(ConnectionId id) { return impl_->Cut(id); }
std::optional<ConnectionId> Acceptor::FindByPeer(const std::string& peer) const {
  return impl_->FindByPeer(peer);
}
std::vector<ConnectionInfo> Acceptor::Connections() const { return impl_->Connections(); }
std::vector<ListenerStats> Acceptor::Stats() const { return impl_->Stats(); }

}  // namespace peermesh::net
