#include <arpa/inet.h>
#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>
#include <net/if.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "mesh/base/limits.h"
#include "mesh/limits/gcra.h"
#include "server/config/config.h"
#include "server/config/value.h"

namespace peermesh::config {
namespace {

using google::protobuf::util::TimeUtil;

constexpr std::size_t kMaxSocketPathBytes = 107;  // sockaddr_un, less the null at the end
constexpr std::string_view kLongestSocket = "/admin.sock";
constexpr std::uint32_t kMaxConnections = 65'536;  // more file descriptors than a process gets
constexpr std::chrono::seconds kMaxDrain(3600);    // supervisors lose patience long before

bool IsLabel(std::string_view text) {
  if (text.empty() || text.size() > 63 || text.front() == '-' || text.back() == '-') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

bool IsDnsName(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > 253) return false;
  while (true) {
    std::string label(text.substr(0, text.find('.')));
    for (char& c : label) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      if (c == '_') c = '-';  // container networks use it inside names
    }
    if (!IsLabel(label)) return false;
    if (label.size() == text.size()) return true;
    text.remove_prefix(label.size() + 1);
  }
}

// The name of an interface behind "%", as server/net takes it.
bool IsZone(std::string_view zone) {
  return !zone.empty() && zone.size() < IFNAMSIZ &&
         std::all_of(zone.begin(), zone.end(), [](char c) {
           return c > ' ' && c < 127 && std::string_view("[]:%/").find(c) == std::string_view::npos;
         });
}

bool IsIpv6(std::string_view text) {
  in6_addr address;
  const std::size_t percent = text.find('%');
  if (percent != std::string_view::npos && !IsZone(text.substr(percent + 1))) return false;
  const std::string bare(text.substr(0, percent));
  // inet_pton would see the end of the text in a zero byte.
  return bare.find('\0') == std::string::npos && inet_pton(AF_INET6, bare.c_str(), &address) == 1;
}

enum class Port { kRequired, kOptional };

// "host:port", "[v6]:port"; without port if that is optional. Returns the port, 0 if there is none.
std::optional<int> PortOf(std::string_view text, Port port_rule) {
  if (text.size() > kMaxAddressBytes) return std::nullopt;
  std::string_view host = text;
  std::optional<std::string_view> port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || !IsIpv6(text.substr(1, end - 1))) return std::nullopt;
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && rest.front() != ':') return std::nullopt;
    if (!rest.empty()) port = rest.substr(1);
  } else {
    const std::size_t colon = text.rfind(':');
    if (colon != std::string_view::npos && text.find(':') == colon) {
      host = text.substr(0, colon);
      port = text.substr(colon + 1);
    }
    if (!IsDnsName(host) && !(port_rule == Port::kOptional && IsIpv6(host))) return std::nullopt;
  }
  if (!port) return port_rule == Port::kOptional ? std::optional<int>(0) : std::nullopt;
  unsigned number = 0;  // a signed one would take "-0"
  const auto [end, error] = std::from_chars(port->data(), port->data() + port->size(), number);
  if (error != std::errc() || end != port->data() + port->size() || number > 65'535) {
    return std::nullopt;
  }
  return static_cast<int>(number);
}

// Collects what is wrong.
class Checker {
 public:
  template <class... Parts>
  void Refuse(fmt::format_string<Parts...> format, Parts&&... parts) {
    if (!problems_.empty()) problems_ += '\n';
    problems_ += fmt::format(format, std::forward<Parts>(parts)...);
  }

  void ListenAddress(std::string_view path, std::string_view value, std::string_view example) {
    if (!IsListenAddress(value)) {
      Refuse("{} is '{}', which is not an address and a port. Write {}.", path, value, example);
    }
  }

  template <class List>
  void Addresses(std::string_view path, const List& list, std::size_t most, Port port_rule) {
    if (static_cast<std::size_t>(list.size()) > most) {
      Refuse("{} has {} entries, {} are allowed. Leave some out; peers learn of each other.", path,
             list.size(), most);
    }
    for (const auto& entry : list) {
      const auto port = PortOf(entry, port_rule);
      if (!port || (*port == 0 && entry.ends_with(":0"))) {
        Refuse("{} has '{}', which nobody can dial. Write host:port with the port it listens on.",
               path, entry);
      }
    }
  }

  // `least_burst`: what one call may need at once.
  void RateOf(std::string_view path, const v1::Rate& rate, std::uint64_t least_burst = 1) {
    if (rate.per_second() > static_cast<std::uint64_t>(limits::kMaxRateUnits)) {
      Refuse("{}.per_second is {}, more than {} a second can be counted. Write 0 for unlimited.",
             path, rate.per_second(), limits::kMaxRateUnits);
    }
    if (rate.burst() > static_cast<std::uint64_t>(limits::kMaxBurstUnits)) {
      Refuse("{}.burst is {}. Write at most {}.", path, rate.burst(), limits::kMaxBurstUnits);
    }
    if (rate.per_second() == 0 && rate.burst() > 0) {
      Refuse(
          "{}.burst is set and {}.per_second is not, so nothing is limited. Set both or neither.",
          path, path);
    }
    if (rate.per_second() > 0 && rate.burst() < least_burst) {
      Refuse("{}.burst is {}, less than the largest message. Write at least {}.", path,
             rate.burst(), least_burst);
    }
  }

  absl::Status Result() const {
    return problems_.empty() ? absl::OkStatus() : absl::InvalidArgumentError(problems_);
  }

 private:
  std::string problems_;
};

void CheckLimits(const v1::Limits& limits, Checker& checker) {
  checker.RateOf("limits.application_messages", limits.application_messages());
  checker.RateOf("limits.application_bytes", limits.application_bytes(), kMaxMessageBytes);
  checker.RateOf("limits.peer_messages", limits.peer_messages());
  checker.RateOf("limits.peer_bytes", limits.peer_bytes(), kMaxMessageBytes);
  checker.RateOf("limits.subscribes", limits.subscribes());
  checker.RateOf("limits.handshakes", limits.handshakes());
  if (limits.connections() == 0 || limits.connections() > kMaxConnections) {
    checker.Refuse("limits.connections is {}. Write a number from 1 to {}.", limits.connections(),
                   kMaxConnections);
  }
  if (limits.connections_per_address() == 0 ||
      limits.connections_per_address() > limits.connections()) {
    checker.Refuse(
        "limits.connections_per_address is {}. Write a number from 1 to limits.connections ({}).",
        limits.connections_per_address(), limits.connections());
  }
}

void CheckDuration(std::string_view path, const google::protobuf::Duration& duration,
                   std::chrono::milliseconds least, std::chrono::seconds most,
                   std::string_view advice, Checker& checker) {
  // Seconds first: they may be too many to be counted in anything smaller.
  if (duration.seconds() < 0 || duration.seconds() > most.count() ||
      TimeUtil::DurationToMilliseconds(duration) < least.count() ||
      TimeUtil::DurationToMilliseconds(duration) > std::chrono::milliseconds(most).count()) {
    checker.Refuse("{} is {}. Write {}.", path, TimeUtil::ToString(duration), advice);
  }
}

}  // namespace

bool IsListenAddress(std::string_view text) { return PortOf(text, Port::kRequired).has_value(); }

absl::Status Validate(const v1::Config& config) {
  Checker checker;
  if (!IsLabel(config.name())) {
    checker.Refuse(
        "name is '{}', which is not a DNS label. Use up to 63 of a-z, 0-9 and -, no - at either "
        "end.",
        config.name());
  }
  for (const auto& [path, directory] :
       {std::pair("data_dir", config.data_dir()), std::pair("run_dir", config.run_dir())}) {
    if (!directory.starts_with('/')) {
      checker.Refuse("{} is '{}', which is not an absolute path. Start it with a slash.", path,
                     directory);
    }
  }
  if (config.run_dir().size() + kLongestSocket.size() > kMaxSocketPathBytes) {
    checker.Refuse(
        "run_dir is {} bytes long, and a socket's path has room for {}. Choose a shorter run_dir.",
        config.run_dir().size(), kMaxSocketPathBytes - kLongestSocket.size());
  }
  checker.ListenAddress("listen", config.listen(), "[::]:7443, or 10.0.0.5:7443");
  checker.Addresses("advertise", config.advertise(), kMaxAddressesPerPeer, Port::kOptional);
  checker.Addresses("seeds", config.seeds(), kMaxSeeds, Port::kRequired);
  if (config.metrics().listen() != "off") {
    checker.ListenAddress("metrics.listen", config.metrics().listen(), "127.0.0.1:9464, or off");
  }
  constexpr std::string_view kLevels[] = {"trace", "debug", "info", "warning", "error"};
  if (std::find(std::begin(kLevels), std::end(kLevels), config.log().level()) ==
      std::end(kLevels)) {
    checker.Refuse("log.level is '{}'. Write one of {}.", config.log().level(),
                   fmt::join(kLevels, ", "));
  }
  if (config.log().format() != "text" && config.log().format() != "json") {
    checker.Refuse("log.format is '{}'. Write text or json.", config.log().format());
  }
  CheckLimits(config.limits(), checker);
  CheckDuration("drain_timeout", config.drain_timeout(), std::chrono::milliseconds(1), kMaxDrain,
                "a duration of up to 1h, such as 5s", checker);
  checker.ListenAddress("ca.listen", config.ca().listen(), "[::]:7444, or 10.0.0.5:7444");
  CheckDuration("ca.certificate_lifetime", config.ca().certificate_lifetime(),
                kMinCertificateLifetime, kMaxCertificateLifetime,
                "a duration from 1s to 365d, such as 7d", checker);
  return checker.Result();
}

}  // namespace peermesh::config
