#include "server/tls/process.h"

#include <absl/synchronization/mutex.h>
#include <google/protobuf/stubs/logging.h>
#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <mutex>
#include <utility>

#include "mesh/identity/openssl.h"

namespace peermesh::tls {
namespace {

// The section that OpenSSL applies to every context it makes, gRPC's included, which has no setter
// of its own.
constexpr std::string_view kOpenSslConfiguration =
    "openssl_conf = process\n"
    "[process]\n"
    "ssl_conf = tls\n"
    "[tls]\n"
    "system_default = every_context\n"
    "[every_context]\n"
    "Protocol = -ALL,+TLSv1.3\n"
    "Ciphersuites = TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256\n";

using ConfigPtr = std::unique_ptr<CONF, identity::OpenSslDeleter<CONF, NCONF_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, identity::OpenSslDeleter<SSL_CTX, SSL_CTX_free>>;

// As far as the hard limit permits; caps are set by what it comes to.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kWantedDescriptors) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, kWantedDescriptors);
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Whether a fresh context, made as gRPC makes its own, refuses TLS 1.2.
bool OnlyTls13() {
  const SslContextPtr context(SSL_CTX_new(TLS_method()));
  return context && (SSL_CTX_get_options(context.get()) & SSL_OP_NO_TLSv1_2) != 0;
}

absl::Status ForceTls13() {
  // OPENSSL_CONF of whoever starts us does not get a say.
  bool good = OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr) == 1;
  const ConfigPtr config(NCONF_new(nullptr));
  const identity::BioPtr text = identity::ReadOnlyBio(kOpenSslConfiguration);
  long line = 0;
  good = good && config && NCONF_load_bio(config.get(), text.get(), &line) > 0 &&
         CONF_modules_load(config.get(), nullptr, 0) > 0 && OnlyTls13();
  ERR_clear_error();
  if (good) return absl::OkStatus();
  return absl::InternalError(
      "TLS 1.2 cannot be switched off in this OpenSSL. Run with the distribution's OpenSSL 3.");
}

std::mutex& SinkMutex() {
  static std::mutex mutex;
  return mutex;
}

std::shared_ptr<const GrpcLogSink>& Sink() {
  static auto& sink = *new std::shared_ptr<const GrpcLogSink>(std::make_shared<GrpcLogSink>(
      [](GrpcSeverity severity, std::string_view file, int line, std::string_view text) {
        if (severity != GrpcSeverity::kError) return;
        std::fprintf(stderr, "grpc: %.*s (%.*s:%d)\n", static_cast<int>(text.size()), text.data(),
                     static_cast<int>(file.size()), file.data(), line);
      }));
  return sink;
}

GrpcSeverity Translate(gpr_log_severity severity) {
  switch (severity) {
    case GPR_LOG_SEVERITY_DEBUG: return GrpcSeverity::kDebug;
    case GPR_LOG_SEVERITY_INFO: return GrpcSeverity::kInfo;
    case GPR_LOG_SEVERITY_ERROR: return GrpcSeverity::kError;
  }
  return GrpcSeverity::kError;
}

void OnGrpcLog(gpr_log_func_args* args) {
  std::shared_ptr<const GrpcLogSink> sink;
  {
    const std::lock_guard lock(SinkMutex());
    sink = Sink();
  }
  if (*sink) (*sink)(Translate(args->severity), args->file, args->line, args->message);
}

}  // namespace

std::size_t DescriptorLimit() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<std::size_t>(limit.rlim_cur) : 0;
}

absl::Status InitProcess(Signals signals) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  signal(SIGPIPE, SIG_IGN);
  // Its parser reports every string that is not UTF-8 on stderr, and anybody may send one; we
  // refuse and count them.
  google::protobuf::SetLogHandler(nullptr);
  if (signals == Signals::kBlock) {
    sigset_t mask;
    sigemptyset(&mask);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) sigaddset(&mask, number);
    if (pthread_sigmask(SIG_BLOCK, &mask, nullptr) != 0) {
      return absl::InternalError("Signals cannot be blocked. Report this system.");
    }
  }
  RaiseDescriptorLimit();
  if (absl::Status status = ForceTls13(); !status.ok()) return status;
  gpr_set_log_function(OnGrpcLog);
  // One reference that is never given back: gRPC's shutdown, when its last object goes, may wait
  // ten seconds for a poller of its own, and the process is about to end anyway.
  grpc_init();
  return absl::OkStatus();
}

void SetGrpcLogSink(GrpcLogSink sink) {
  auto fresh = std::make_shared<const GrpcLogSink>(std::move(sink));
  const std::lock_guard lock(SinkMutex());
  Sink().swap(fresh);
}

}  // namespace peermesh::tls
