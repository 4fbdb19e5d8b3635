// What a peer tells Prometheus of its calls: grpc_server_* and grpc_client_*, under the names and
// labels that dashboards for Go and Java servers ask for.
//
//   grpc_server_started_total{grpc_type,grpc_service,grpc_method}
//   grpc_server_handled_total{..., grpc_code}     codes as Go spells them
//   grpc_server_msg_received_total, grpc_server_msg_sent_total, grpc_server_handling_seconds
//   grpc_client_...                               the same for calls this peer makes: links, the CA
//
// Every method has all its series from the first scrape on, at 0, so that rate() sees the first
// call and the number of series never changes. A frame of a link or of Exchange is one message
// here, however many records it carries. Thread-safe.
#ifndef PEERMESH_SERVER_OBSERVE_CALL_METRICS_H_
#define PEERMESH_SERVER_OBSERVE_CALL_METRICS_H_

#include "metrics/export/page.h"

namespace peermesh {

// Every method that a peer serves or calls. Before its first call; again is no matter.
void RegisterCalls();

void CollectCalls(metrics::Page& page);

}  // namespace peermesh

#endif  // PEERMESH_SERVER_OBSERVE_CALL_METRICS_H_
