#include "server/link/channelz.h"

#include <grpc/grpc.h>
#include <grpc/support/alloc.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

#include "nlohmann/json.hpp"
#include "server/tls/channel.h"

namespace peermesh::link {
namespace {

using nlohmann::json;

struct Free {
  void operator()(char* text) const { gpr_free(text); }
};

// Holds gRPC while it is asked, unless it is not running.
class Library {
 public:
  Library() : running_(grpc_is_initialized() != 0) {
    if (running_) grpc_init();
  }
  ~Library() {
    if (running_) grpc_shutdown();
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  bool running() const { return running_; }

 private:
  const bool running_;
};

json Parse(char* answer) {
  const std::unique_ptr<char, Free> text(answer);
  if (text == nullptr) return json::object();
  json parsed = json::parse(text.get(), nullptr, false);
  return parsed.is_object() ? parsed : json::object();
}

const json& At(const json& from, const char* name) {
  static const json kNothing = json::object();
  const auto found = from.find(name);
  return found == from.end() ? kNothing : *found;
}

std::string Text(const json& from, const char* name) {
  const json& value = At(from, name);
  return value.is_string() ? value.get<std::string>() : "";
}

// JSON has no 64 bits, so they are strings; 0 is left out.
std::int64_t Number(const json& from, const char* name) {
  const std::string text = Text(from, name);
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::uint64_t Count(const json& from, const char* name) {
  return static_cast<std::uint64_t>(Number(from, name));
}

ChannelzCalls CallsIn(const json& data) {
  return {Count(data, "callsStarted"), Count(data, "callsSucceeded"), Count(data, "callsFailed"),
          Text(data, "lastCallStartedTimestamp")};
}

// Follows the pages of a list. `visit` returns the id of what it is shown.
void ForEach(const char* name, const std::function<char*(std::int64_t)>& ask,
             const std::function<std::int64_t(const json&)>& visit) {
  std::int64_t next = 0;
  for (bool end = false; !end;) {
    const json page = Parse(ask(next));
    const json& rows = At(page, name);
    const json& last = At(page, "end");
    end = rows.empty() || (last.is_boolean() && last.get<bool>());
    if (!rows.is_array()) return;
    for (const json& row : rows) next = visit(row) + 1;
  }
}

void ForEachServer(const std::function<void(std::int64_t, const json&)>& visit) {
  ForEach(
      "server", [](std::int64_t from) { return grpc_channelz_get_servers(from); },
      [&](const json& row) {
        const std::int64_t id = Number(At(row, "ref"), "serverId");
        visit(id, row);
        return id;
      });
}

void ForEachChannel(const std::function<void(std::int64_t, const json&)>& visit) {
  ForEach(
      "channel",
      [](std::int64_t from) {
        const std::lock_guard lock(tls::ChannelsBeingMade());
        return grpc_channelz_get_top_channels(from);
      },
      [&](const json& row) {
        const std::int64_t id = Number(At(row, "ref"), "channelId");
        visit(id, row);
        return id;
      });
}

void ForEachSocketOf(std::int64_t server, const std::function<void(std::int64_t)>& visit) {
  constexpr std::int64_t kPerAnswer = 1000;
  ForEach(
      "socketRef",
      [server](std::int64_t from) {
        return grpc_channelz_get_server_sockets(server, from, kPerAnswer);
      },
      [&](const json& row) {
        const std::int64_t id = Number(row, "socketId");
        visit(id);
        return id;
      });
}

// "chttp2 ipv4:127.0.0.1:7443": easier to read than the address, which is in Base64.
std::string RemoteIn(const json& socket) {
  const std::string name = Text(At(socket, "ref"), "name");
  return name.substr(std::min(name.size(), name.find(' ') + 1));
}

std::optional<ChannelzSocket> ReadSocket(std::int64_t id) {
  const json answer = Parse(grpc_channelz_get_socket(id));
  const json& socket = At(answer, "socket");
  if (socket.empty()) return std::nullopt;  // gone
  const json& data = At(socket, "data");
  ChannelzSocket read;
  read.id = id;
  read.remote = RemoteIn(socket);
  read.streams = {Count(data, "streamsStarted"), Count(data, "streamsSucceeded"),
                  Count(data, "streamsFailed"),
                  Text(data, "lastRemoteStreamCreatedTimestamp") +
                      Text(data, "lastLocalStreamCreatedTimestamp")};
  read.messages_sent = Count(data, "messagesSent");
  read.messages_received = Count(data, "messagesReceived");
  read.keepalives = Count(data, "keepAlivesSent");
  return read;
}

void AddSocket(std::int64_t id, ChannelzGroup& group) {
  if (group.sockets.size() == kMaxShownSockets) {
    ++group.left_off;
  } else if (auto socket = ReadSocket(id)) {
    group.sockets.push_back(*std::move(socket));
  }
}

// A channel has subchannels, and each of them a connection or none.
void AddSocketsOf(const json& channel, ChannelzGroup& group) {
  for (const json& ref : At(channel, "subchannelRef")) {
    const json answer = Parse(grpc_channelz_get_subchannel(Number(ref, "subchannelId")));
    for (const json& socket : At(At(answer, "subchannel"), "socketRef"))
      AddSocket(Number(socket, "socketId"), group);
  }
}

}  // namespace

Channelz ReadChannelz() {
  Channelz all;
  const Library grpc;
  if (!grpc.running()) return all;
  ForEachServer([&](std::int64_t id, const json& row) {
    ChannelzGroup& server = all.servers.emplace_back();
    server.id = id;
    server.calls = CallsIn(At(row, "data"));
    ForEachSocketOf(id, [&](std::int64_t socket) { AddSocket(socket, server); });
  });
  ForEachChannel([&](std::int64_t id, const json& row) {
    ChannelzGroup& channel = all.channels.emplace_back();
    const json& data = At(row, "data");
    channel.id = id;
    channel.target = Text(data, "target");
    channel.state = Text(At(data, "state"), "state");
    channel.calls = CallsIn(data);
    AddSocketsOf(row, channel);
  });
  return all;
}

ChannelzCounts CountChannelz() {
  ChannelzCounts counts;
  const Library grpc;
  if (!grpc.running()) return counts;
  ForEachServer([&](std::int64_t id, const json& row) {
    const ChannelzCalls calls = CallsIn(At(row, "data"));
    ++counts.servers;
    counts.served_started += calls.started;
    counts.served_open += calls.open();
    ForEachSocketOf(id, [&](std::int64_t) { ++counts.accepted; });
  });
  ForEachChannel([&](std::int64_t, const json& row) {
    ++counts.channels;
    counts.made_open += CallsIn(At(row, "data")).open();
  });
  return counts;
}

}  // namespace peermesh::link
