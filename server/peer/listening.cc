#include "server/peer/listening.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "metrics/export/exporter.h"
#include "peermesh/config/v1/config.pb.h"
#include "server/net/sockets.h"

namespace peermesh {
namespace {

constexpr unsigned kOwnerOnly = 0600;

// Listeners that are closed with it.
class Listeners {
 public:
  Listeners() = default;
  ~Listeners() {
    for (net::ListeningSocket& socket : open_) net::CloseListener(socket);
  }
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;

  absl::Status Open(const char* flag, const std::string& address) {
    auto socket = net::OpenListener(address, kOwnerOnly);
    if (!socket.ok()) return SetBy(flag, socket.status());
    open_.push_back(*std::move(socket));
    return absl::OkStatus();
  }

 private:
  std::vector<net::ListeningSocket> open_;
};

}  // namespace

absl::Status SetBy(const char* flag, const absl::Status& wrong) {
  const std::string_view text(wrong.message().data(), wrong.message().size());
  return absl::UnavailableError(fmt::format("{}: {}", flag, text));
}

absl::Status CheckListening(const config::v1::Config& config, bool makes_ca) {
  // By what will listen there: it knows fewer addresses than sockets do.
  metrics::Exporter exporter;
  if (const std::string& address = config.metrics().listen(); address != "off") {
    if (absl::Status status = exporter.Start(address); !status.ok())
      return SetBy(kMetricsFlag, status);
  }
  struct Wanted {
    const char* flag;
    std::string address;
  };
  std::vector<Wanted> all = {{kListenFlag, config.listen()},
                             {kRunFlag, "unix:" + config.run_dir() + "/app.sock"},
                             {kRunFlag, "unix:" + config.run_dir() + "/admin.sock"}};
  if (makes_ca) all.push_back({kCaFlag, config.ca().listen()});
  Listeners listeners;
  for (const Wanted& wanted : all) {
    if (absl::Status status = listeners.Open(wanted.flag, wanted.address); !status.ok())
      return status;
  }
  return absl::OkStatus();
}

}  // namespace peermesh
