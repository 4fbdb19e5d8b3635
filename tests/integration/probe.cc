// Looks into a running peermeshd from within: what its heap holds, and which objects gRPC keeps.
//
// A library for LD_PRELOAD, for tests alone: the daemon knows nothing of it. With PEERMESH_PROBE in
// the environment it answers on that unix socket, one request a connection:
//
//   heap                    bytes in use, bytes that malloc got from the kernel
//   channels START          channelz, as JSON: top channels
//   servers START           servers
//   sockets SERVER START    sockets of a server
//
// One thread of its own, which takes no signals. Other programs that inherit the environment are
// left alone.
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

constexpr intptr_t kAllSockets = 500;

template <typename... Arguments>
std::string Channelz(const char* name, Arguments... arguments) {
  using Function = char* (*)(Arguments...);
  const auto function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
  char* json = function != nullptr ? function(arguments...) : nullptr;
  if (json == nullptr) return "{}";
  std::string text = json;
  free(json);  // as gpr_free does
  return text;
}

std::string Answer(const char* request) {
  intptr_t first = 0, second = 0;
  if (strcmp(request, "heap") == 0) {
    const struct mallinfo2 info = mallinfo2();
    return std::to_string(info.uordblks + info.hblkhd) + " " +
           std::to_string(info.arena + info.hblkhd);
  }
  if (std::sscanf(request, "channels %" SCNdPTR, &first) == 1) {
    return Channelz("grpc_channelz_get_top_channels", first);
  }
  if (std::sscanf(request, "servers %" SCNdPTR, &first) == 1) {
    return Channelz("grpc_channelz_get_servers", first);
  }
  if (std::sscanf(request, "sockets %" SCNdPTR " %" SCNdPTR, &first, &second) == 2) {
    return Channelz("grpc_channelz_get_server_sockets", first, second, kAllSockets);
  }
  return "no such request";
}

void* Serve(void* listener) {
  const int fd = static_cast<int>(reinterpret_cast<intptr_t>(listener));
  for (;;) {
    const int connection = accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return nullptr;
    }
    char request[128];
    const ssize_t length = read(connection, request, sizeof(request) - 1);
    if (length > 0) {
      request[length] = '\0';
      const std::string answer = Answer(request);
      send(connection, answer.data(), answer.size(), MSG_NOSIGNAL);
    }
    close(connection);
  }
}

bool IsDaemon() {
  return strncmp(program_invocation_short_name, "peermeshd", strlen("peermeshd")) == 0;
}

__attribute__((constructor)) void Start() {
  const char* path = std::getenv("PEERMESH_PROBE");
  if (path == nullptr || !IsDaemon()) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
  unlink(path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fd, 4) != 0) {
    std::perror("probe");
    std::exit(1);
  }
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  pthread_t thread;
  if (pthread_create(&thread, nullptr, &Serve, reinterpret_cast<void*>(intptr_t{fd})) == 0) {
    pthread_detach(thread);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace
