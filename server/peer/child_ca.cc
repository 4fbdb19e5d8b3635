#include "server/peer/child_ca.h"

#include <fcntl.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <utility>

#include "metrics/ledger/kinds.h"
#include "nlohmann/json.hpp"
#include "peermesh/ca/v1/ca.grpc.pb.h"
#include "server/net/hosts.h"
#include "server/tls/credentials.h"

namespace peermesh {
namespace {

constexpr std::chrono::seconds kStartTime(
    10);  // making two keys and a database takes a fraction of one
constexpr std::chrono::seconds kStopTime(3);

std::string Program() {
  std::error_code ignored;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", ignored);
  const auto beside = self.parent_path() / "peermesh-ca";
  return std::filesystem::exists(beside, ignored) ? beside.string() : "peermesh-ca";
}

// One line, or what came before the other end closed.
std::string ReadLine(int fd, std::chrono::seconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::string line;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd wait{fd, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&wait, 1, static_cast<int>(left.count())) <= 0) return line;
    std::array<char, 512> chunk{};
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got <= 0) return line;
    line.append(chunk.data(), static_cast<std::size_t>(got));
    if (line.find('\n') != std::string::npos) return line;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChildCa>> ChildCa::Start(const Options& options) {
  int ready[2] = {-1, -1};
  if (::pipe2(ready, O_CLOEXEC) != 0)
    return absl::ResourceExhaustedError("no pipe for the CA: raise the limit of open files");
  ledger::UniqueFd ours(ready[0], ledger::kBriefFd, ledger::Scope{});
  ledger::UniqueFd theirs(ready[1], ledger::kBriefFd, ledger::Scope{});
  std::vector<std::string> words = {Program(),           "--data-dir",   options.directory,
                                    "--listen",          options.listen, "--init",
                                    "--die-with-parent", "--ready-fd",   "3"};
  if (!options.advertise.empty()) words.insert(words.end(), {"--advertise", options.advertise});
  if (!options.lifetime.empty())
    words.insert(words.end(), {"--certificate-lifetime", options.lifetime});
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ready[1], 3);
  posix_spawn_file_actions_addclosefrom_np(&actions, 4);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);  // main has signals blocked; the child must not inherit that
  posix_spawnattr_setsigmask(&attributes, &none);
  // A ^C at the terminal is for us: we stop the CA when it is no longer needed.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  std::unique_ptr<ChildCa> child(new ChildCa());
  const int failed =
      posix_spawnp(&child->pid_, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  theirs.Close();
  if (failed != 0) {
    child->pid_ = -1;
    return absl::NotFoundError("cannot start peermesh-ca; install it beside peermeshd");
  }
  child->pidfd_ = ledger::UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, child->pid_, 0)),
                                   ledger::kProcessFd, ledger::Scope{});
  const std::string line = ReadLine(ours.get(), kStartTime);
  ours.Close();
  const auto facts = nlohmann::json::parse(line, nullptr, false);
  if (!facts.is_object()) return child->Failure();
  child->port_ = facts.value("port", 0);
  child->socket_ = facts.value("socket", "");
  const auto listening = net::ParseHostPort(options.listen);
  child->host_ =
      listening.ok() && !net::IsWildcard(listening->host) ? listening->host : "127.0.0.1";
  return child;
}

bool ChildCa::WaitForEnd(std::chrono::milliseconds patience) const {
  pollfd ended{pidfd_.get(), POLLIN, 0};
  return ::poll(&ended, 1, static_cast<int>(patience.count())) > 0;
}

absl::Status ChildCa::Failure() {
  const std::string text = "peermesh-ca did not start; its message is above, or in the log";
  int how = 0;
  if (!WaitForEnd(kStopTime) || ::waitpid(pid_, &how, 0) != pid_) return absl::InternalError(text);
  pid_ = -1;
  switch (WIFEXITED(how) ? WEXITSTATUS(how) : 0) {
    // The codes that its --help promises.
    case 3: return absl::UnavailableError(text + "; --ca-listen sets where it listens");
    case 4: return absl::DataLossError(text);
    case 6: return absl::OutOfRangeError(text);
    default: return absl::InternalError(text);
  }
}

std::string ChildCa::address() const {
  return net::FormatHostPort(host_, static_cast<std::uint16_t>(port_));
}

ChildCa::~ChildCa() {
  if (pid_ > 0) {
    ::kill(pid_, SIGTERM);
    if (!WaitForEnd(kStopTime)) ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

absl::StatusOr<identity::Token> ChildCa::CreateToken(const std::string& name) const {
  const auto stub = ca::v1::TokenService::NewStub(tls::DialSocket(socket_));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kStartTime);
  ca::v1::CreateTokenRequest request;
  request.set_name(name);
  request.set_ca_address(address());
  request.mutable_lifetime()->set_seconds(60);  // it is redeemed in the next moment
  ca::v1::CreateTokenResponse response;
  const grpc::Status status = stub->CreateToken(&context, request, &response);
  if (!status.ok())
    return absl::UnavailableError("the CA gave no token: " + status.error_message());
  return identity::ParseToken(response.token());
}

}  // namespace peermesh
