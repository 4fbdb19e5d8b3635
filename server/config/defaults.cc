#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>

#include "mesh/base/limits.h"
#include "server/config/config.h"

namespace peermesh::config {
namespace {

constexpr std::size_t kMaxNameBytes = 63;  // a DNS label

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The host's name, as far as it makes a DNS label.
std::string PeerName(std::string_view host_name) {
  std::string name;
  for (const char c : host_name.substr(0, std::min(host_name.find('.'), kMaxNameBytes))) {
    const auto byte = static_cast<unsigned char>(c);
    name.push_back(std::isalnum(byte) != 0 ? static_cast<char>(std::tolower(byte)) : '-');
  }
  const std::size_t first = name.find_first_not_of('-');
  if (first == std::string::npos) return "peer";
  return name.substr(first, name.find_last_not_of('-') + 1 - first);
}

std::string Absolute(const std::string& path, const Host& host) {
  const std::filesystem::path joined = std::filesystem::path(host.working_directory) / path;
  std::string text = joined.lexically_normal().string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

void FillDirectories(v1::Config& config, const Host& host) {
  const bool given = !config.data_dir().empty();
  if (!given) {
    if (host.root) {
      config.set_data_dir("/var/lib/peermesh");
    } else if (!host.xdg_state_home.empty()) {
      config.set_data_dir(host.xdg_state_home + "/peermesh");
    } else {
      config.set_data_dir(host.home + "/.local/state/peermesh");
    }
  }
  if (config.run_dir().empty()) {
    // Sockets stay beside a data directory somebody chose, so that several peers can share a host.
    if (given || (!host.root && host.xdg_runtime_dir.empty())) {
      config.set_run_dir(config.data_dir() + "/run");
    } else {
      config.set_run_dir(host.root ? "/run/peermesh" : host.xdg_runtime_dir + "/peermesh");
    }
  }
  config.set_data_dir(Absolute(config.data_dir(), host));
  config.set_run_dir(Absolute(config.run_dir(), host));
  if (!config.journal().empty()) config.set_journal(Absolute(config.journal(), host));
}

// Beside the mesh port: a peer that is for this host alone has a CA for this host alone.
std::string CaListen(const std::string& listen) {
  // If that is no address it is refused itself; there is no need to refuse this one, too.
  if (!IsListenAddress(listen)) return "[::]:7444";
  return listen.substr(0, listen.rfind(':')) + ":7444";
}

void FillBurst(v1::Rate& rate, std::uint64_t least = 0) {
  if (rate.per_second() > 0 && rate.burst() == 0)
    rate.set_burst(std::max(rate.per_second(), least));
}

void FillLimits(v1::Limits& limits) {
  if (!limits.has_subscribes()) {
    limits.mutable_subscribes()->set_per_second(1000);  // guess
    limits.mutable_subscribes()->set_burst(
        kMaxSubscriptionsPerSession);  // one reconnect of the largest session
  }
  if (!limits.has_handshakes()) {
    // A handshake costs about a millisecond of CPU; 32 is a full mesh that reconnects from one NAT
    // address.
    limits.mutable_handshakes()->set_per_second(8);
    limits.mutable_handshakes()->set_burst(32);
  }
  if (limits.connections() == 0) limits.set_connections(256);  // two per link of 96, and clients
  if (limits.connections_per_address() == 0) {
    limits.set_connections_per_address(std::min<std::uint32_t>(64, limits.connections()));
  }
  FillBurst(*limits.mutable_application_messages());
  FillBurst(*limits.mutable_application_bytes(), kMaxPublishBytes);
  FillBurst(*limits.mutable_peer_messages());
  FillBurst(*limits.mutable_peer_bytes(), kMaxDataFrameBytes);
  FillBurst(*limits.mutable_subscribes());
  FillBurst(*limits.mutable_handshakes());
}

}  // namespace

Host Host::Current() {
  Host host;
  host.root = geteuid() == 0;
  char name[256] = "";
  if (gethostname(name, sizeof name - 1) == 0) host.name = name;
  host.name = host.name.substr(0, host.name.find('.'));
  std::error_code ignored;
  host.working_directory = std::filesystem::current_path(ignored).string();
  host.home = Variable("HOME");
  host.xdg_state_home = Variable("XDG_STATE_HOME");
  host.xdg_runtime_dir = Variable("XDG_RUNTIME_DIR");
  host.terminal = isatty(STDERR_FILENO) == 1;
  return host;
}

void FillDefaults(v1::Config& config, const Host& host) {
  if (config.name().empty()) config.set_name(PeerName(host.name));
  FillDirectories(config, host);
  if (config.listen().empty()) config.set_listen("[::]:7443");
  if (config.metrics().listen().empty()) config.mutable_metrics()->set_listen("127.0.0.1:9464");
  if (config.log().level().empty()) config.mutable_log()->set_level("info");
  if (config.log().format().empty()) {
    config.mutable_log()->set_format(host.terminal ? "text" : "json");
  }
  FillLimits(*config.mutable_limits());
  if (!config.has_drain_timeout()) config.mutable_drain_timeout()->set_seconds(5);
  if (config.ca().listen().empty()) config.mutable_ca()->set_listen(CaListen(config.listen()));
  if (!config.ca().has_certificate_lifetime()) {
    config.mutable_ca()->mutable_certificate_lifetime()->set_seconds(7ll * 24 * 3600);
  }
}

}  // namespace peermesh::config
