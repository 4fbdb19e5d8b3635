// /debug/channelz: what gRPC itself keeps, for people and, with ?format=json, for programs.
//
// The servers of this process with the connections they took, the channels with those they dialled,
// and of each the calls by how they ended. Served to loopback only, like the other pages.
// Thread-safe.
#ifndef PEERMESH_SERVER_OBSERVE_CHANNELZ_PAGE_H_
#define PEERMESH_SERVER_OBSERVE_CHANNELZ_PAGE_H_

#include <string>
#include <string_view>

#include "metrics/export/exporter.h"
#include "server/link/channelz.h"

namespace peermesh {

// `title` names the process: "peer alpha".
void AddChannelzPage(metrics::Exporter& exporter, std::string title);

std::string ChannelzHtml(const link::Channelz& channelz, std::string_view title);
std::string ChannelzJson(const link::Channelz& channelz);  // schema peermesh.debug.channelz.v1

}  // namespace peermesh

#endif  // PEERMESH_SERVER_OBSERVE_CHANNELZ_PAGE_H_
