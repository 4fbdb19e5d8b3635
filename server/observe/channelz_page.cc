#include "server/observe/channelz_page.h"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "metrics/export/html.h"

namespace peermesh {
namespace {

using Json = nlohmann::ordered_json;
using metrics::Escape;
using metrics::Figure;

constexpr const char* kPath = "/debug/channelz";

template <class... Args>
void Append(std::string& out, fmt::format_string<Args...> text, Args&&... args) {
  fmt::format_to(std::back_inserter(out), text, std::forward<Args>(args)...);
}

// "2026-11-21T12:00:00.123456789Z" to the second.
std::string Moment(const std::string& time) {
  constexpr std::size_t kToSecond = 19;
  if (time.size() < kToSecond) return "";
  std::string shown = time.substr(0, kToSecond);
  shown[10] = ' ';
  return shown;
}

void AppendCalls(std::string& out, const link::ChannelzCalls& calls) {
  Append(out, "<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td>{}",
         Figure(calls.open()), Figure(calls.started), Figure(calls.succeeded), Figure(calls.failed),
         Escape(Moment(calls.last_started)));
}

void AppendGroups(std::string& out, const char* kind, const std::vector<link::ChannelzGroup>& all) {
  Append(out,
         "<h2>{0}s</h2><div class=wide><table><thead><tr><th class=n>{0}<th>Target<th>State"
         "<th class=n>Connections<th class=n>Open calls<th class=n>Begun<th class=n>Well"
         "<th class=n>Failed<th>Last begun</thead><tbody>\n",
         kind);
  for (const link::ChannelzGroup& group : all) {
    Append(out, "<tr><td class=n>{}<td><code>{}</code><td>{}<td class=n>{}", group.id,
           Escape(group.target), Escape(group.state),
           Figure(group.sockets.size() + group.left_off));
    AppendCalls(out, group.calls);
    out += "\n";
  }
  out += "</tbody></table></div>\n";
}

void AppendSockets(std::string& out, const char* kind, const link::ChannelzGroup& group) {
  for (const link::ChannelzSocket& socket : group.sockets) {
    Append(out, "<tr><td class=n>{}<td>{} {}<td><code>{}</code>", socket.id, kind, group.id,
           Escape(socket.remote));
    AppendCalls(out, socket.streams);
    Append(out, "<td class=n>{}<td class=n>{}<td class=n>{}\n", Figure(socket.messages_sent),
           Figure(socket.messages_received), Figure(socket.keepalives));
  }
  if (group.left_off > 0)
    Append(out, "<tr><td><td>{} {}<td class=dim colspan=9>and {} more\n", kind, group.id,
           Figure(group.left_off));
}

Json ToJson(const link::ChannelzCalls& calls) {
  Json json{{"open", calls.open()},
            {"started", calls.started},
            {"succeeded", calls.succeeded},
            {"failed", calls.failed}};
  if (!calls.last_started.empty()) json["last_started"] = calls.last_started;
  return json;
}

Json ToJson(const std::vector<link::ChannelzGroup>& groups) {
  Json all = Json::array();
  for (const link::ChannelzGroup& group : groups) {
    Json json{{"id", group.id}};
    if (!group.target.empty()) json["target"] = group.target;
    if (!group.state.empty()) json["state"] = group.state;
    json["calls"] = ToJson(group.calls);
    json["sockets"] = Json::array();
    for (const link::ChannelzSocket& socket : group.sockets) {
      json["sockets"].push_back({{"id", socket.id},
                                 {"remote", socket.remote},
                                 {"streams", ToJson(socket.streams)},
                                 {"messages_sent", socket.messages_sent},
                                 {"messages_received", socket.messages_received},
                                 {"keepalives_sent", socket.keepalives}});
    }
    json["sockets_left_off"] = group.left_off;
    all.push_back(std::move(json));
  }
  return all;
}

}  // namespace

std::string ChannelzHtml(const link::Channelz& channelz, std::string_view title) {
  std::string body =
      "<p class=dim>What gRPC itself counts. What of it no entry of the ledger stands for, for a "
      "minute, is a finding: rpc_skew.</p>\n";
  AppendGroups(body, "Server", channelz.servers);
  AppendGroups(body, "Channel", channelz.channels);
  body +=
      "<h2>Connections</h2><div class=wide><table><thead><tr><th class=n>Socket<th>Of<th>Remote"
      "<th class=n>Open streams<th class=n>Begun<th class=n>Well<th class=n>Failed<th>Last begun"
      "<th class=n>Messages out<th class=n>Messages in<th class=n>Keepalives</thead><tbody>\n";
  for (const link::ChannelzGroup& group : channelz.servers) AppendSockets(body, "server", group);
  for (const link::ChannelzGroup& group : channelz.channels) AppendSockets(body, "channel", group);
  return metrics::HtmlPage(title, "gRPC", kPath, body + "</tbody></table></div>\n");
}

std::string ChannelzJson(const link::Channelz& channelz) {
  const Json json{{"schema", "peermesh.debug.channelz.v1"},
                  {"servers", ToJson(channelz.servers)},
                  {"channels", ToJson(channelz.channels)}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

void AddChannelzPage(metrics::Exporter& exporter, std::string title) {
  exporter.AddPage(kPath, [title = std::move(title)](const metrics::Query& query) {
    const link::Channelz channelz = link::ReadChannelz();
    const auto format = query.find("format");
    if (format != query.end() && format->second == "json")
      return metrics::Document{.type = metrics::kJsonType, .body = ChannelzJson(channelz)};
    return metrics::Document{.type = metrics::kHtmlType, .body = ChannelzHtml(channelz, title)};
  });
}

}  // namespace peermesh
