// What becomes of each connection: held until its first bytes are there, handed over, forgotten.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "mesh/base/check.h"
#include "server/net/acceptor_impl.h"
#include "server/net/client_hello.h"
#include "server/net/kinds.h"

namespace peermesh::net {
namespace {

// gRPC's own deadline for a handshake is as long as ours, but it comes a little before or after it.
constexpr Duration kDeadlineEarly = std::chrono::milliseconds(200);
constexpr Duration kDeadlineLate = std::chrono::seconds(1);

// Who may be at the other end until it has proved it; on a unix socket the system knows.
std::string OwnerOf(int fd, bool local) {
  ucred process{};
  socklen_t length = sizeof process;
  if (!local || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &process, &length) != 0) return "unproven";
  return fmt::format("process {}", process.pid);
}

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

// Takes `fd` unless it fails.
bool Acceptor::Impl::Register(Listener& listener, ledger::UniqueFd& fd, std::string cap_key,
                              Accepted& accepted) {
  const ConnectionId id{++last_id_};
  const bool local = !listener.socket.unix_path.empty();
  Connection connection;
  connection.listener = &listener;
  connection.owner =
      ledger::Scope(ledger::Scope{}, ledger::ScopeType::kClient, OwnerOf(fd.get(), local));
  connection.scope = ledger::Scope(connection.owner, ledger::ScopeType::kConnection,
                                   listener.options.name + " " + accepted.peer);
  connection.booking = ledger::Handle(kConnection, connection.scope);
  connection.dup =
      ledger::UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0), kConnectionFd, connection.scope);
  if (!connection.dup || !Watch(id, connection, EPOLL_CTL_ADD, listener.options.tls)) {
    listener.admission.HandshakeOver(cap_key);
    listener.admission.Release(cap_key);
    return false;
  }
  ledger::UniqueFd& keeper = listener.options.tls ? connection.held : accepted.fd;
  keeper = ledger::UniqueFd(fd.Release(), kConnectionFd, connection.scope);
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
bool Acceptor::Impl::Watch(ConnectionId id, const Connection& connection, int operation,
                           bool bytes) {
  epoll_event event{};
  event.events = EPOLLRDHUP | EPOLLET | (bytes ? EPOLLIN : 0u);
  event.data.u64 = id.value;
  return epoll_ctl(epoll_.get(), operation, connection.dup.get(), &event) == 0;
}

void Acceptor::Impl::OnConnectionEvent(std::unique_lock<std::mutex>& lock, ConnectionId id,
                                       std::uint32_t events) {
  const auto it = connections_.find(id);
  if (it == connections_.end()) return;
  const bool half_closed = (events & EPOLLRDHUP) != 0;
  if ((events & EPOLLHUP) != 0) return Forget(it);
  // Handing over arms the watch anew, so an end that came with the bytes is told again.
  if (it->second.held) return OnFirstBytes(lock, it, half_closed);
  if (!half_closed) return;
  EndHandshake(it->second);
  SetDeadline(id, it->second, SteadyNow() + times_.half_closed);
}

// `last`: no more bytes will come. Called and left with the lock held, as HandOver is.
void Acceptor::Impl::OnFirstBytes(std::unique_lock<std::mutex>& lock, Connections_::iterator it,
                                  bool last) {
  Connection& connection = it->second;
  std::array<char, kMaxFirstRecord> bytes;
  const ssize_t got =
      recv(connection.held.get(), bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
  const std::size_t size = got > 0 ? static_cast<std::size_t>(got) : 0;
  switch (Classify({bytes.data(), size})) {
    case FirstBytes::kIncomplete:
      if (last) Forget(it);
      return;
    case FirstBytes::kNotTls:
      connection.end = Unproven::kNotTls;
      Refuse(std::move(connection.held));
      return Forget(it);
    case FirstBytes::kOldTls: {
      connection.end = Unproven::kOldTls;
      const std::string_view alert = ProtocolVersionAlert();
      // Read first: closing a socket with unread bytes resets it, and the alert would be lost.
      (void)recv(connection.held.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      (void)send(connection.held.get(), alert.data(), alert.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      return Forget(it);
    }
    case FirstBytes::kTls: break;
  }
  Accepted accepted{std::move(connection.held), it->first, connection.peer};
  connection.handed_over = SteadyNow();
  SetDeadline(it->first, connection, connection.handed_over + times_.handshake);
  PM_CHECK(Watch(it->first, connection, EPOLL_CTL_MOD, false));
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
  if (connection.end != Unproven::kEnded || connection.held) return connection.end;
  const Duration lived = SteadyNow() - connection.handed_over;
  // gRPC would have ended it by now if it had not proved itself: it was content never to call.
  if (lived > times_.handshake + kDeadlineLate) return std::nullopt;
  return lived + kDeadlineEarly >= times_.handshake ? Unproven::kTimeout : Unproven::kEnded;
}

ledger::Outcome Acceptor::Impl::OutcomeOf(const Connection& connection) const {
  if (connection.cut) return ledger::Outcome::kReaped;
  const auto how = HowItFailed(connection);
  if (!how) return ledger::Outcome::kNormal;
  return *how == Unproven::kTimeout ? ledger::Outcome::kExpired : ledger::Outcome::kError;
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
  connection.booking.End(OutcomeOf(connection));
  // epoll watches the connection, not the descriptor: closing the dup alone would leave it watched.
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection.dup.get(), nullptr);
  const auto named = by_peer_.find(connection.peer);
  if (named != by_peer_.end() && named->second == it->first) by_peer_.erase(named);
  connections_.erase(it);
}

bool Acceptor::Impl::Established(ConnectionId id, WallTime expires) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto it = connections_.find(id);
  if (it == connections_.end() || it->second.established) return false;
  it->second.established = true;
  it->second.expires = expires;
  if (it->second.handshaking) {
    EndHandshake(it->second);
    SetDeadline(id, it->second, kNever);
  }
  return true;
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
  shutdown(connection.dup.get(), SHUT_RDWR);  // epoll tells when it has ended
  return true;
}

std::optional<ConnectionId> Acceptor::Impl::FindByPeer(const std::string& peer) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto it = by_peer_.find(peer);
  if (it == by_peer_.end()) return std::nullopt;
  return it->second;
}

void Acceptor::Impl::Identify(ConnectionId id, ledger::ScopeType type, std::string label) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto it = connections_.find(id);
  if (it != connections_.end()) it->second.owner.Describe(type, std::move(label));
}

ledger::Scope Acceptor::Impl::ScopeFor(const std::string& listener, const std::string& peer,
                                       ledger::ScopeType type, std::string label) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (const auto it = by_peer_.find(peer); it != by_peer_.end())
    return ledger::Scope(connections_.at(it->second).scope, type, std::move(label));
  for (const auto& candidate : listeners_) {
    if (candidate->options.name == listener)
      return ledger::Scope(candidate->scope, type, std::move(label));
  }
  return ledger::Scope(ledger::Scope{}, type, std::move(label));
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

}  // namespace peermesh::net
