// peermesh peers: who is in the mesh, as the peer sees it.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <ctime>
#include <map>
#include <memory>

#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/output.h"
#include "client/cli/units.h"
#include "peermesh/v1/peers.pb.h"

namespace peermesh::cli {
namespace {

constexpr std::size_t kShortId = 8;         // what people see of an id
constexpr std::size_t kShortestPrefix = 4;  // of an id, as a peer takes it for a target, too

WallTime Now() {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

// "PEER_STATE_ALIVE" -> "alive".
std::string Lower(const std::string& name, std::string_view prefix) {
  std::string out = name.starts_with(prefix) ? name.substr(prefix.size()) : name;
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return out == "unspecified" ? "-" : out;
}

Style StyleOf(v1::PeerState state) {
  switch (state) {
    case v1::PEER_STATE_ALIVE: return Style::kGood;
    case v1::PEER_STATE_SUSPECT:
    case v1::PEER_STATE_UNREACHABLE: return Style::kWarning;
    case v1::PEER_STATE_DEAD: return Style::kBad;
    default: return Style::kDim;
  }
}

std::string WithReason(std::string text, const std::string& reason) {
  return reason.empty() ? text : text + " (" + Lower(reason, "") + ")";
}

std::string StateOf(const v1::Peer& peer) {
  return WithReason(Lower(v1::PeerState_Name(peer.state()), "PEER_STATE_"), peer.reason());
}

std::string ConnectionOf(const v1::Peer& peer) {
  if (peer.self()) return "self";
  std::string text = Lower(v1::ConnectionState_Name(peer.connection()), "CONNECTION_STATE_");
  if (peer.connection() == v1::CONNECTION_STATE_CONNECTED) {
    // How it came about is no news while it stands.
    return text + (peer.link_direction() == v1::LINK_DIRECTION_INBOUND ? " in" : " out");
  }
  return WithReason(std::move(text), peer.connection_reason());
}

bool IsConnected(const v1::Peer& peer) {
  return peer.connection() == v1::CONNECTION_STATE_CONNECTED;
}

std::vector<Cell> RowOf(const v1::Peer& peer, WallTime now) {
  const auto since = [&](const google::protobuf::Timestamp& time) {
    return FormatDuration(std::chrono::floor<std::chrono::seconds>(now - FromProto(time)));
  };
  const auto until = [&](const google::protobuf::Timestamp& time) {
    return FormatDuration(std::chrono::floor<std::chrono::seconds>(FromProto(time) - now));
  };
  return {Escape(peer.name()),
          peer.id().substr(0, kShortId),
          peer.addresses().empty() ? "-" : Escape(peer.addresses(0)),
          {StateOf(peer), StyleOf(peer.state())},
          ConnectionOf(peer),
          peer.has_round_trip_time() ? FormatDuration(FromProto(peer.round_trip_time())) : "-",
          peer.has_since() ? since(peer.since()) : "-",
          peer.version().empty() ? "-" : Escape(peer.version()),
          peer.has_certificate_expiry() ? until(peer.certificate_expiry()) : "-"};
}

template <class Peers>
std::string RenderPeers(const Peers& peers) {
  Table table(
      {"NAME", "ID", "ADDRESS", "STATE", "CONNECTION", "RTT", "SINCE", "VERSION", "CERTIFICATE"});
  const WallTime now = Now();
  for (const v1::Peer& peer : peers) table.Add(RowOf(peer, now));
  return table.Render(WantsColour(stdout));
}

absl::Status List(Context& context, const v1::PeerFilter& filter) {
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  auto peers = (*client)->ListPeers(filter);
  if (!peers.ok()) return peers.status();
  if (!filter.peer().empty() && filter.peer().size() < kShortestPrefix) {
    auto& rows = *peers->mutable_peers();
    rows.erase(std::remove_if(rows.begin(), rows.end(),
                              [&](const v1::Peer& row) { return row.name() != filter.peer(); }),
               rows.end());
  }
  if (!filter.peer().empty() && peers->peers().empty()) {
    return client::MakeError(
        absl::StatusCode::kNotFound, "UNKNOWN_PEER",
        fmt::format("No peer is called \"{}\". See \"peermesh peers\".", filter.peer()));
  }
  if (context.json) return WriteOut(ToJson(*peers, Json::kIndented));
  return WriteOut(RenderPeers(peers->peers()));
}

// Shows the table when it is complete and then one line for every change.
class Watcher {
 public:
  explicit Watcher(bool json) : json_(json) {}

  absl::Status Show(const client::PeerChange& change) {
    using Kind = client::PeerChange::Kind;
    switch (change.kind) {
      case Kind::kReset:
        table_.clear();
        synced_ = false;
        return absl::OkStatus();
      case Kind::kDisconnected: Note("Connection lost; trying again."); return absl::OkStatus();
      case Kind::kSynced: return Synced();
      case Kind::kUpserted:
      case Kind::kRemoved: return Changed(*change.peer, change.kind == Kind::kRemoved);
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Synced() {
    if (json_ || synced_) return absl::OkStatus();
    synced_ = true;
    std::vector<v1::Peer> peers;
    for (const auto& [id, peer] : table_) peers.push_back(peer);
    std::sort(peers.begin(), peers.end(), [](const v1::Peer& a, const v1::Peer& b) {
      return std::make_tuple(!a.self(), std::string_view(a.name())) <
             std::make_tuple(!b.self(), std::string_view(b.name()));
    });
    return Print(RenderPeers(peers));
  }

  absl::Status Changed(const v1::Peer& peer, bool removed) {
    if (json_) {
      v1::PeerEvent event;
      event.set_type(removed ? v1::PEER_EVENT_TYPE_REMOVED : v1::PEER_EVENT_TYPE_UPSERTED);
      *event.mutable_peer() = peer;
      return Print(ToJson(event, Json::kOneLine));
    }
    const std::string line = fmt::format("{}  {}  {}", Escape(peer.name()),
                                         removed ? "removed" : StateOf(peer), ConnectionOf(peer));
    // Round-trip times and redials change all the time; a line is for what a person would call
    // news.
    const auto before = table_.find(peer.id());
    const bool news = removed || before == table_.end() ||
                      StateOf(before->second) != StateOf(peer) ||
                      IsConnected(before->second) != IsConnected(peer);
    if (removed) {
      table_.erase(peer.id());
    } else {
      table_[peer.id()] = peer;
    }
    if (!synced_ || !news) return absl::OkStatus();
    return Print(fmt::format("{:%H:%M:%S}  {}\n", fmt::localtime(std::time(nullptr)), line));
  }

  static absl::Status Print(const std::string& text) {
    if (auto status = WriteOut(text); !status.ok()) return status;
    return FlushOut();
  }

  const bool json_;
  bool synced_ = false;
  std::map<std::string, v1::Peer> table_;  // as many as the peer's own table
};

absl::Status Watch(Context& context, const v1::PeerFilter& filter) {
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  const auto watch = (*client)->WatchPeers(filter);
  context.interrupts->SetAction([&watch] { watch->Cancel(); });
  Watcher watcher(context.json);
  absl::Status status;
  while (status.ok()) {
    const auto change = watch->Next(kOutputCheck);
    status = change.status();
    if (change.ok() && !*change && OutputGone()) status = Interrupted(SIGPIPE);
    if (change.ok() && *change) status = watcher.Show(**change);
  }
  context.interrupts->SetAction({});
  if (context.interrupts->signal() == SIGINT) return Interrupted(SIGINT);
  return context.interrupts->signal() != 0 ? absl::OkStatus() : status;
}

}  // namespace

void AddPeers(CLI::App& app, Context& context) {
  struct PeersOptions {
    bool watch = false;
    std::string peer;
  };
  auto options = std::make_shared<PeersOptions>();
  auto* command = app.add_subcommand("peers", "Show who is in the mesh");
  command->add_option("PEER", options->peer,
                      "Only this one: name, id, or prefix of the id of at least 4 characters");
  command->add_flag("-w,--watch", options->watch,
                    "Then every change; with --json one event a line. SIGTERM ends it with exit "
                    "code 0");
  command->callback([options, &context] {
    context.command = [options](Context& c) {
      v1::PeerFilter filter;
      filter.set_peer(options->peer);
      return options->watch ? Watch(c, filter) : List(c, filter);
    };
  });
}

}  // namespace peermesh::cli
