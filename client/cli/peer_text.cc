#include "client/cli/peer_text.h"

#include <algorithm>
#include <cctype>
#include <chrono>

#include "client/cli/units.h"
#include "peermesh/v1/peers.pb.h"

namespace peermesh::cli {
namespace {

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

std::string Whole(Duration duration) {
  return FormatDuration(std::chrono::floor<std::chrono::seconds>(duration));
}

}  // namespace

WallTime Now() {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

std::string Lower(const std::string& name, std::string_view prefix) {
  std::string out = name.starts_with(prefix) ? name.substr(prefix.size()) : name;
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return out == "unspecified" ? "-" : out;
}

Cell StateOf(const v1::Peer& peer) {
  return {WithReason(Lower(v1::PeerState_Name(peer.state()), "PEER_STATE_"), peer.reason()),
          StyleOf(peer.state())};
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

std::string Since(WallTime now, const google::protobuf::Timestamp& time) {
  return Whole(now - FromProto(time));
}

std::string Until(WallTime now, const google::protobuf::Timestamp& time) {
  return Whole(FromProto(time) - now);
}

}  // namespace peermesh::cli
