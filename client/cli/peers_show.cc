// peermesh peers show: everything the peer knows of one member.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "client/cli/ask.h"
#include "client/cli/context.h"
#include "client/cli/output.h"
#include "client/cli/peer_text.h"
#include "client/cli/units.h"
#include "peermesh/v1/peers.grpc.pb.h"

namespace peermesh::cli {
namespace {

std::string LinkText(const v1::PeerLink& link, WallTime now) {
  std::string text = link.direction() == v1::LINK_DIRECTION_INBOUND ? "in" : "out";
  text += fmt::format(", up {}, heard {} ago, {} heartbeats", Since(now, link.since()),
                      FormatDuration(now - FromProto(link.last_heard())), link.heartbeats());
  if (link.has_certificate_expiry())
    text += ", certificates hold " + Until(now, link.certificate_expiry());
  return text + (link.carries_data() ? ", carries messages" : "");
}

std::string InterestText(const v1::GetPeerResponse& known) {
  if (!known.interest_known()) return "not told yet";
  return fmt::format("{} pattern{}; ours is {}", known.patterns(), known.patterns() == 1 ? "" : "s",
                     known.interest_confirmed() ? "confirmed" : "not confirmed yet");
}

std::string NameOf(const v1::PeerReference& peer) {
  return peer.name().empty() ? peer.id().substr(0, kShortId) : Escape(peer.name());
}

std::string AccuserText(const v1::PeerAccuser& accuser, WallTime now) {
  std::string text = NameOf(accuser.peer());
  if (!accuser.reason().empty()) text += " (" + Lower(accuser.reason(), "") + ")";
  if (accuser.has_since()) text += ", " + Since(now, accuser.since()) + " ago";
  return text + (accuser.counts() ? "" : ", which does not count: it is none of its observers");
}

std::string Render(const v1::GetPeerResponse& known) {
  const v1::Peer& peer = known.peer();
  const WallTime now = Now();
  const bool colour = WantsColour(stdout);
  std::string text;
  const auto line = [&text](const char* label, const std::string& value) {
    text += fmt::format("{:<13}{}\n", label, value.empty() ? "-" : value);
  };
  line("peer", fmt::format("{} ({})", Escape(peer.name()), peer.id()));
  const Cell state = StateOf(peer);
  line("state", Paint(state.text, state.style, colour) +
                    (peer.has_since() ? " for " + Since(now, peer.since()) : ""));
  line("connection", ConnectionOf(peer) +
                         (peer.has_round_trip_time()
                              ? ", round trip " + FormatDuration(FromProto(peer.round_trip_time()))
                              : ""));
  for (const v1::PeerLink& link : known.links()) line("link", LinkText(link, now));
  std::string addresses;
  for (const std::string& address : peer.addresses())
    addresses += (addresses.empty() ? "" : ", ") + Escape(address);
  line("addresses", addresses);
  line("incarnation", fmt::format("{}, epoch {}", peer.incarnation(), known.epoch()));
  line("version", Escape(peer.version()));
  line("metrics", peer.metrics_address().empty()
                      ? "off, or not told"
                      : fmt::format("http://{}/metrics", Escape(peer.metrics_address())));
  if (peer.has_certificate_expiry()) {
    const bool valid = FromProto(peer.certificate_expiry()) > now;
    line("certificate", valid ? "expires in " + Until(now, peer.certificate_expiry())
                              : "expired " + Since(now, peer.certificate_expiry()) + " ago");
  }
  if (peer.self()) return text;
  if (!known.links().empty()) {
    line("interest", InterestText(known));
    line("queued", FormatBytes(known.queued_bytes()));
  }
  std::string others;
  for (const v1::PeerReference& other : known.linked_to()) {
    others += (others.empty() ? "" : ", ") + NameOf(other);
  }
  if (known.neighbor()) line("neighbor", "yes: messages for everybody go over the link to it");
  for (const v1::PeerAccuser& accuser : known.accusers())
    line("accused by", AccuserText(accuser, now));
  line("linked to", others.empty() ? "nobody else says so" : others + " (they say)");
  return text;
}

absl::Status Show(Context& context, const std::string& name) {
  v1::GetPeerRequest request;
  request.set_peer(name);
  const auto known =
      Ask<v1::PeersService>(context.DialApp(), &v1::PeersService::Stub::GetPeer, request);
  if (!known.ok()) return known.status();
  return WriteOut(context.json ? ToJson(context.schema, *known, Json::kIndented) : Render(*known));
}

}  // namespace

void AddPeersShow(CLI::App& peers, Context& context) {
  auto name = std::make_shared<std::string>();
  auto* show = peers.add_subcommand("show", "Everything that is known of one peer");
  show->footer(
      "\"link\": the connections that stand, two while one replaces the other. \"interest\": what "
      "the applications on it subscribe to. \"linked to\": whoever says to have a link to it; a "
      "peer that is unreachable from here and linked to others is alive behind a broken path. "
      "\"accused by\": who says that it is gone, and why; in a large mesh it is dead when enough "
      "of "
      "its observers do.");
  show->add_option(kPeer, *name, "Name, id, or a unique prefix of the id, at least 4 long")
      ->required();
  show->callback(
      [name, &context] { context.command = [name](Context& c) { return Show(c, *name); }; });
}

}  // namespace peermesh::cli
