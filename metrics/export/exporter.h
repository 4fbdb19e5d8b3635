// The HTTP endpoint for machines: /metrics, /livez and /readyz, and a page at / that lists them.
//
// Knows nothing of the mesh: main registers sources, which render snapshots, and two questions
// about health.
//   /metrics   every source once, one after the other, into one page: a scrape is one snapshot
//   /livez     200 while the process should not be restarted; asks `live`, never a source
//   others     pages that main adds: for people with a browser. Below /debug/ only for this host:
//              they name everybody who is connected.
//   /readyz    200 while the peer should be sent work; asks `ready`; 503 and the reason otherwise
// GET only (405 else), nothing is read from disk, no form or body is parsed, no TLS: it belongs on
// loopback or on a management network.
//
// At best, somebody who reaches the port keeps kThreads threads busy for kRequestTimeout at a time:
// metrics are late, the mesh is not. Sources and questions run on the server's threads, sources one
// at a time; they may block, not for long. Methods are thread-safe, but for Start and Stop, which
// belong to main.
#ifndef PEERMESH_METRICS_EXPORT_EXPORTER_H_
#define PEERMESH_METRICS_EXPORT_EXPORTER_H_

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "metrics/export/page.h"

namespace peermesh::metrics {

inline constexpr int kThreads = 4;  // two scrapers, a probe, and somebody with a browser
inline constexpr std::chrono::seconds kRequestTimeout{
    5};  // half of Prometheus' default for a scrape

inline constexpr std::string_view kHtmlType = "text/html; charset=utf-8";
inline constexpr std::string_view kJsonType = "application/json";

// What a page was asked with: "?by=peer" is {"by": "peer"}. Names and values are decoded.
using Query = std::map<std::string, std::string>;

struct Document {
  std::string_view type = kHtmlType;
  std::string body;
  int code = 200;  // or 503: there is no answer now
};

struct Health {
  bool ok = false;
  std::string reason;  // shown when not ok: one line
};

class Exporter {
 public:
  using Source = std::function<void(Page&)>;
  using Question = std::function<Health()>;

  Exporter();
  ~Exporter();  // stops
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  // Before the first scrape or at any time after.
  void AddSource(Source source);
  // A page of its own at `path`, listed at /. Runs on the server's threads, several at a time.
  void AddPage(std::string path, std::function<Document(const Query&)> page);
  // Until set: live, and not ready.
  void SetHealth(Question live, Question ready);

  // "host:port"; port 0 takes a free one. IPv4 only: Debian builds civetweb 1.15 without IPv6.
  absl::Status Start(std::string_view listen);
  // Waits for requests in progress. Sources are not called afterwards.
  void Stop();
  // The address with the real port; empty unless started.
  std::string address() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace peermesh::metrics

#endif  // PEERMESH_METRICS_EXPORT_EXPORTER_H_
