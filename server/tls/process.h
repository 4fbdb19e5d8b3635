// The first lines of every main(): what must be settled before gRPC, Abseil or OpenSSL do
// anything.
#ifndef PEERMESH_SERVER_TLS_PROCESS_H_
#define PEERMESH_SERVER_TLS_PROCESS_H_

#include <cstddef>
#include <functional>
#include <string_view>

#include "absl/status/status.h"

namespace peermesh::tls {

enum class GrpcSeverity { kDebug, kInfo, kError };

// Receives what gRPC has to say. Called from any thread; must not block or call gRPC.
using GrpcLogSink = std::function<void(GrpcSeverity severity, std::string_view file, int line,
                                       std::string_view text)>;

enum class Signals {
  kLeave,  // programs that end at ^C like any other
  kBlock,  // SIGINT, SIGTERM, SIGHUP, SIGUSR1 blocked in all threads; main takes them with signalfd
};

// More than all caps on connections together; the default of 1,024 is for programs that select().
inline constexpr std::size_t kWantedDescriptors = 65536;

// In this order: Abseil's deadlock detection off (Debian's build of it is a debug build), SIGPIPE
// ignored, protobuf's log off, signals, the limit of open files raised to kWantedDescriptors if the
// hard one permits, TLS 1.3 as the only version, gRPC's log. Call once, before
// any thread is started and any gRPC object made. An error means TLS 1.2 could not be switched off:
// do not go on.
absl::Status InitProcess(Signals signals);

// How many files this process may have open.
std::size_t DescriptorLimit();

// Replaces where gRPC's log goes; before the first call errors go to stderr. Any time, any thread.
void SetGrpcLogSink(GrpcLogSink sink);

}  // namespace peermesh::tls

#endif  // PEERMESH_SERVER_TLS_PROCESS_H_
