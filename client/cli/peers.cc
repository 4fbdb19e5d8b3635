// peermesh peers: who is in the mesh, as the peer sees it.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <map>
#include <memory>

#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/output.h"
#include "client/cli/peer_text.h"
#include "client/cli/units.h"
#include "peermesh/v1/peers.pb.h"

namespace peermesh::cli {
namespace {

std::vector<Cell> RowOf(const v1::Peer& peer, WallTime now) {
  return {Escape(peer.name()),
          peer.id().substr(0, kShortId),
          peer.addresses().empty() ? "-" : Escape(peer.addresses(0)),
          StateOf(peer),
          ConnectionOf(peer),
          peer.has_round_trip_time() ? FormatDuration(FromProto(peer.round_trip_time())) : "-",
          peer.has_since() ? Since(now, peer.since()) : "-",
          peer.version().empty() ? "-" : Escape(peer.version()),
          peer.has_certificate_expiry() ? Until(now, peer.certificate_expiry()) : "-"};
}

template <class Peers>
std::string RenderPeers(const Peers& peers) {
  Table table(
      {"NAME", "ID", "ADDRESS", "STATE", "CONNECTION", "RTT", "SINCE", "VERSION", "CERTIFICATE"});
  const WallTime now = Now();
  for (const v1::Peer& peer : peers) table.Add(RowOf(peer, now));
  return table.Render(WantsColour(stdout));
}

absl::Status List(Context& context, const v1::PeerFilter& filter, bool quiet) {
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
  if (context.json) return WriteOut(ToJson(context.schema, *peers, Json::kIndented));
  if (!quiet) return WriteOut(RenderPeers(peers->peers()));
  std::string names;
  for (const v1::Peer& peer : peers->peers()) names += Escape(peer.name()) + "\n";
  return WriteOut(names);
}

// Shows the table when it is complete and then one line for every change.
class Watcher {
 public:
  explicit Watcher(const Context& context) : json_(context.json), schema_(context.schema) {}

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
      return Print(ToJson(schema_, event, Json::kOneLine));
    }
    const std::string line =
        fmt::format("{}  {}  {}{}", Escape(peer.name()), removed ? "removed" : StateOf(peer).text,
                    ConnectionOf(peer), removed ? "" : AccusersOf(peer));
    // Round-trip times and redials change all the time; a line is for what a person would call
    // news.
    const auto before = table_.find(peer.id());
    const bool news = removed || before == table_.end() ||
                      StateOf(before->second).text != StateOf(peer).text ||
                      IsConnected(before->second) != IsConnected(peer);
    if (removed) {
      table_.erase(peer.id());
    } else {
      table_[peer.id()] = peer;
    }
    if (!synced_ || !news) return absl::OkStatus();
    return Print(fmt::format("{:%H:%M:%S}  {}\n", fmt::localtime(std::time(nullptr)), line));
  }

  // "  accused by beta, gamma", or nothing.
  std::string AccusersOf(const v1::Peer& peer) const {
    std::string text;
    for (const std::string& id : peer.accusers()) {
      const auto known = table_.find(id);
      text += (text.empty() ? "  accused by " : ", ") +
              (known == table_.end() ? id.substr(0, kShortId) : Escape(known->second.name()));
    }
    return text;
  }

  static absl::Status Print(const std::string& text) {
    if (auto status = WriteOut(text); !status.ok()) return status;
    return FlushOut();
  }

  const bool json_;
  const std::string& schema_;
  bool synced_ = false;
  std::map<std::string, v1::Peer> table_;  // as many as the peer's own table
};

absl::Status Watch(Context& context, const v1::PeerFilter& filter) {
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  const auto watch = (*client)->WatchPeers(filter);
  context.interrupts->SetAction([&watch] { watch->Cancel(); });
  Watcher watcher(context);
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
    bool watch = false, quiet = false;
    std::string peer;
  };
  auto options = std::make_shared<PeersOptions>();
  auto* command = app.add_subcommand("peers", "Show who is in the mesh");
  command->require_subcommand(0, 1);
  auto* peer = command->add_option(
      kPeer, options->peer, "Only this one: name, id, or a prefix of the id, at least 4 long");
  command->add_flag("-w,--watch", options->watch,
                    "Then every change; with --json one event a line. SIGTERM ends it with "
                    "exit code 0");
  command->add_flag("-q,--quiet", options->quiet, "Print names alone");
  AddPeersShow(*command, context);
  AddPeersPing(*command, context);
  command->callback([options, command, peer, &context] {
    if (!command->get_subcommands().empty()) {
      // What a subcommand does not take, CLI11 offers to the command it belongs to.
      if (peer->count() == 0) return;
      const std::string word = options->peer;
      context.command = [word](Context&) {
        return UsageError(fmt::format("\"{}\" is one word too many.", word));
      };
      return;
    }
    context.command = [options](Context& c) {
      v1::PeerFilter filter;
      filter.set_peer(options->peer);
      return options->watch ? Watch(c, filter) : List(c, filter, options->quiet);
    };
  });
}

}  // namespace peermesh::cli
