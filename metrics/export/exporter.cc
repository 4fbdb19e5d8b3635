#include "metrics/export/exporter.h"

#include <civetweb.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <future>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "mesh/base/check.h"
#include "metrics/export/kinds.h"
#include "metrics/ledger/thread.h"

namespace peermesh::metrics {
namespace {

using PageFunction = std::function<Document(const Query&)>;

constexpr std::chrono::milliseconds kWakeInterval{10};
constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";
constexpr std::string_view kTextType = "text/plain; charset=utf-8";
constexpr std::string_view kIndex =
    "<!doctype html><html lang=\"en\"><title>PeerMesh</title><h1>PeerMesh</h1><ul>"
    "<li><a href=\"metrics\">metrics</a> for Prometheus"
    "<li><a href=\"livez\">livez</a>: is the process alive?"
    "<li><a href=\"readyz\">readyz</a>: does it take work?";

constexpr std::string_view kDebugPages = "/debug/";

struct Response {
  int code = 200;
  std::string_view type = kTextType;
  std::string body;
};

std::string_view Reason(int code) {
  switch (code) {
    case 200: return "OK";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    default: return "Service Unavailable";
  }
}

int Send(mg_connection* connection, const Response& response) {
  const std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\nContent-Security-Policy: default-src 'none'; "
      "style-src 'unsafe-inline'\r\n{}Connection: close\r\n\r\n",
      response.code, Reason(response.code), response.type, response.body.size(),
      response.code == 405 ? "Allow: GET\r\n" : "");
  mg_write(connection, head.data(), head.size());
  mg_write(connection, response.body.data(), response.body.size());
  return response.code;
}

// The library's threads look at the request to stop once every two seconds, and after every
// connection: so connect.
void StopServer(mg_context* context, const std::string& host, int port) {
  std::promise<void> done;
  const std::future<void> stopped = done.get_future();
  const ledger::Thread stopper("http-stop", ledger::kThread, ledger::Scope{}, [&] {
    mg_stop(context);
    done.set_value();
  });
  while (stopped.wait_for(kWakeInterval) != std::future_status::ready) {
    std::array<char, 256> error{};
    mg_connection* wake = mg_connect_client(host.c_str(), port, 0, error.data(), error.size());
    if (wake != nullptr) mg_close_connection(wake);
  }
}

// "by=peer&kind=a%20b"
Query ParseQuery(const char* text) {
  Query query;
  std::string_view rest = text == nullptr ? "" : text;
  const auto decode = [](std::string_view part) {
    std::array<char, 256> out{};
    mg_url_decode(part.data(), static_cast<int>(part.size()), out.data(),
                  static_cast<int>(out.size()), 1);
    return std::string(out.data());
  };
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    query[decode(pair.substr(0, equals))] = decode(pair.substr(std::min(pair.size(), equals + 1)));
  }
  return query;
}

// The listener speaks IPv4 only.
bool IsLoopback(std::string_view address) { return address.starts_with("127."); }

Response Answer(const std::function<Health()>& question, const Health& unset) {
  const Health health = question ? question() : unset;
  if (health.ok) return {.body = "ok\n"};
  return {.code = 503, .body = health.reason + "\n"};
}

}  // namespace

struct Exporter::Impl {
  static int OnRequest(mg_connection* connection) {
    const mg_request_info* request = mg_get_request_info(connection);
    ledger::Handle booking(kHttpRequest, ledger::Scope{});
    booking.Note(fmt::format("{} of {}", request->local_uri != nullptr ? request->local_uri : "",
                             request->remote_addr));
    return Send(connection, static_cast<Impl*>(request->user_data)->Handle(*request));
  }

  Response Handle(const mg_request_info& request) {
    if (std::string_view(request.request_method) != "GET") {
      return {.code = 405, .body = "only GET is served here\n"};
    }
    const std::string_view path = request.local_uri != nullptr ? request.local_uri : "";
    if (path == "/metrics") return Scrape();
    if (path == "/livez") return Answer(Get(live), {.ok = true, .reason = ""});
    if (path == "/readyz") return Answer(Get(ready), {.ok = false, .reason = "starting"});
    if (path == "/") return Index();
    if (path.starts_with(kDebugPages) && !IsLoopback(request.remote_addr))
      return {.code = 403, .body = "only from the host itself\n"};
    if (const auto page = FindPage(path)) {
      Document document = (*page)(ParseQuery(request.query_string));
      return {.code = document.code, .type = document.type, .body = std::move(document.body)};
    }
    return {.code = 404, .body = "nothing here; try /metrics, /livez or /readyz\n"};
  }

  Response Index() {
    std::string body(kIndex);
    const std::lock_guard lock(sources_mutex);
    for (const auto& [path, page] : pages)
      body += fmt::format("<li><a href=\"{0}\">{0}</a>", std::string_view(path).substr(1));
    return {.type = kHtmlType, .body = body + "</ul>\n"};
  }

  // A copy, so that no lock is held while the page is made.
  std::optional<PageFunction> FindPage(std::string_view path) {
    const std::lock_guard lock(sources_mutex);
    const auto found = pages.find(path);
    return found == pages.end() ? std::nullopt : std::optional(found->second);
  }

  Response Scrape() {
    const auto start = std::chrono::steady_clock::now();
    Page page;
    {
      const std::lock_guard lock(sources_mutex);
      for (const Source& source : sources) source(page);
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    page.Gauge("peermesh_metrics_scrape_duration_seconds", "Time it took to collect this page.")
        .Add(took.count());
    return {.type = kMetricsType, .body = page.Text()};
  }

  // A copy, so that no lock is held while the question is asked.
  Question Get(const Question& question) {
    const std::lock_guard lock(health_mutex);
    return question;
  }

  std::mutex sources_mutex;  // held during a scrape; of pages, too
  std::vector<Source> sources;
  std::map<std::string, PageFunction, std::less<>> pages;
  std::mutex health_mutex;
  Question live;
  Question ready;

  mg_context* context = nullptr;
  std::string host;
  int port = 0;
};

Exporter::Exporter() : impl_(std::make_unique<Impl>()) {}

Exporter::~Exporter() { Stop(); }

void Exporter::AddSource(Source source) {
  const std::lock_guard lock(impl_->sources_mutex);
  impl_->sources.push_back(std::move(source));
}

void Exporter::AddPage(std::string path, std::function<Document(const Query&)> page) {
  PM_CHECK(path.starts_with('/'));
  const std::lock_guard lock(impl_->sources_mutex);
  impl_->pages[std::move(path)] = std::move(page);
}

void Exporter::SetHealth(Question live, Question ready) {
  const std::lock_guard lock(impl_->health_mutex);
  impl_->live = std::move(live);
  impl_->ready = std::move(ready);
}

absl::Status Exporter::Start(std::string_view listen) {
  PM_CHECK(impl_->context == nullptr);
  const std::size_t colon = listen.rfind(':');
  if (colon == std::string_view::npos || colon == 0) {
    return absl::InvalidArgumentError(fmt::format(
        "the metrics address '{}' has no host or no port. Write 127.0.0.1:9464, or off.", listen));
  }
  if (listen.front() == '[') {
    return absl::UnimplementedError(
        fmt::format("the metrics address {} is IPv6, for which Debian's civetweb is not built. Use "
                    "an IPv4 address, "
                    "such as 127.0.0.1:9464, or 0.0.0.0:9464 for all of them.",
                    listen));
  }
  const std::string ports(listen);
  const std::string threads = std::to_string(kThreads);
  const std::string timeout = std::to_string(std::chrono::milliseconds(kRequestTimeout).count());
  const char* options[] = {"listening_ports",
                           ports.c_str(),
                           "num_threads",
                           threads.c_str(),
                           "request_timeout_ms",
                           timeout.c_str(),
                           "enable_keep_alive",
                           "no",
                           "enable_directory_listing",
                           "no",
                           "tcp_nodelay",
                           "1",
                           nullptr};
  mg_callbacks callbacks{};
  callbacks.begin_request = &Impl::OnRequest;
  callbacks.log_message = [](const mg_connection*, const char*) {
    return 1;
  };  // errors are returned
  mg_init_data init{&callbacks, impl_.get(), options};
  std::array<char, 256> text{};
  unsigned code = 0;
  mg_error_data error{&code, text.data(), text.size()};
  mg_init_library(MG_FEATURES_DEFAULT);
  impl_->context = mg_start2(&init, &error);
  if (impl_->context == nullptr) {
    mg_exit_library();
    return absl::UnavailableError(
        fmt::format("the metrics address {} cannot be listened on ({}). Free it, or choose another "
                    "with metrics.listen.",
                    listen, text.data()));
  }
  mg_server_port bound{};
  PM_CHECK(mg_get_server_ports(impl_->context, 1, &bound) == 1);
  impl_->host = listen.substr(0, colon);
  impl_->port = bound.port;
  return absl::OkStatus();
}

void Exporter::Stop() {
  if (impl_->context == nullptr) return;
  StopServer(impl_->context, impl_->host, impl_->port);
  impl_->context = nullptr;
  mg_exit_library();
}

std::string Exporter::address() const {
  return impl_->context == nullptr ? "" : fmt::format("{}:{}", impl_->host, impl_->port);
}

}  // namespace peermesh::metrics
