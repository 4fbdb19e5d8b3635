#include "server/observe/call_metrics.h"

#include <string>

#include "server/api/access.h"
#include "server/link/calls.h"
#include "server/link/health.h"

namespace peermesh {
namespace {

using link::CallBook;
using link::CallFigures;
using link::CallType;

constexpr std::string_view kLinkMethods[] = {"/peermesh.link.v1.LinkService/Control",
                                             "/peermesh.link.v1.LinkService/Data"};
constexpr std::string_view kCaMethods[] = {"/peermesh.ca.v1.EnrolmentService/GetBundle",
                                           "/peermesh.ca.v1.EnrolmentService/Join",
                                           "/peermesh.ca.v1.EnrolmentService/Renew"};

// The protos say so, too, which a test compares.
CallType TypeOf(const api::Method& method) {
  if (method.shape == api::Shape::kUnary) return CallType::kUnary;
  return method.path.ends_with("/Subscribe") ? CallType::kServerStream : CallType::kBidiStream;
}

struct Names {
  const char *started, *started_help;
  const char *handled, *handled_help;
  const char *received, *received_help;
  const char *sent, *sent_help;
  const char *seconds, *seconds_help;
};

constexpr Names kServed = {
    "grpc_server_started_total",      "Calls that began on this server.",
    "grpc_server_handled_total",      "Calls that ended on this server, by their code.",
    "grpc_server_msg_received_total", "Messages of calls that this server received.",
    "grpc_server_msg_sent_total",     "Messages of calls that this server sent.",
    "grpc_server_handling_seconds",   "Time from the start of a call to its end on this server."};
constexpr Names kMade = {
    "grpc_client_started_total",      "Calls that this process began elsewhere.",
    "grpc_client_handled_total",      "Calls of this process that ended, by their code.",
    "grpc_client_msg_received_total", "Messages of calls that this process received.",
    "grpc_client_msg_sent_total",     "Messages of calls that this process sent.",
    "grpc_client_handling_seconds",   "Time from the start of a call of this process to its end."};

void Collect(const CallBook& book, const Names& names, metrics::Page& page) {
  auto started = page.Counter(names.started, names.started_help);
  auto handled = page.Counter(names.handled, names.handled_help);
  auto received = page.Counter(names.received, names.received_help);
  auto sent = page.Counter(names.sent, names.sent_help);
  auto seconds = page.Histogram(names.seconds, names.seconds_help, link::kHandlingBounds);
  for (const CallFigures& call : book.Figures()) {
    const char* type = ToString(call.type);
    const auto add = [&](metrics::Page::Family& family, std::uint64_t value) {
      family.Add(
          {{"grpc_type", type}, {"grpc_service", call.service}, {"grpc_method", call.method}},
          static_cast<double>(value));
    };
    add(started, call.started);
    add(received, call.received);
    add(sent, call.sent);
    for (std::size_t code = 0; code < link::kCallCodes; ++code) {
      handled.Add({{"grpc_type", type},
                   {"grpc_service", call.service},
                   {"grpc_method", call.method},
                   {"grpc_code", link::CodeName(code)}},
                  static_cast<double>(call.handled[code]));
    }
    seconds.Add({{"grpc_type", type}, {"grpc_service", call.service}, {"grpc_method", call.method}},
                call.took, call.seconds);
  }
}

}  // namespace

void RegisterCalls() {
  for (const api::Method& method : api::Methods())
    CallBook::Served().Register(method.path, TypeOf(method));
  CallBook::Served().Register(link::kHealthCheck, CallType::kUnary);
  CallBook::Served().Register(link::kHealthWatch, CallType::kServerStream);
  for (const std::string_view path : kLinkMethods)
    CallBook::Made().Register(path, CallType::kBidiStream);
  for (const std::string_view path : kCaMethods) CallBook::Made().Register(path, CallType::kUnary);
}

void CollectCalls(metrics::Page& page) {
  Collect(CallBook::Served(), kServed, page);
  Collect(CallBook::Made(), kMade, page);
}

}  // namespace peermesh
