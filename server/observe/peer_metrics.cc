#include "server/observe/peer_metrics.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>

#include "mesh/base/loss.h"
#include "metrics/export/debug_pages.h"
#include "metrics/export/process.h"
#include "metrics/export/resources.h"
#include "server/api/applications.h"
#include "server/config/logging.h"
#include "server/link/links.h"
#include "server/link/rpc_server.h"
#include "server/net/acceptor.h"
#include "server/observe/call_metrics.h"
#include "server/observe/channelz_page.h"
#include "server/observe/targets.h"

namespace peermesh {
namespace {

// From a link on one machine to one around the world: guess at what is worth telling apart.
constexpr double kRoundTripBounds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                       0.025,  0.05,    0.1,    0.25,  0.5,    1};

double Unix(WallTime time) { return static_cast<double>(time.time_since_epoch().count()) / 1e6; }

}  // namespace

absl::StatusOr<std::unique_ptr<PeerMetrics>> PeerMetrics::Start(const std::string& listen,
                                                                Sources sources) {
  std::unique_ptr<PeerMetrics> metrics(new PeerMetrics(std::move(sources)));
  if (listen == "off") return metrics;
  RegisterCalls();
  PeerMetrics* self = metrics.get();
  self->exporter_.AddSource([](metrics::Page& page) {
    metrics::CollectProcess(page);
    metrics::CollectHeap(page);
    metrics::CollectBuild({PEERMESH_VERSION, grpc::Version()}, page);
  });
  self->exporter_.AddSource([self](metrics::Page& page) { self->Collect(page); });
  self->exporter_.AddSource(&CollectCalls);
  const ledger::Auditor* const auditor = self->sources_.auditor;
  self->exporter_.AddSource([auditor](metrics::Page& page) {
    metrics::CollectResources(auditor->TakeSnapshot(), ledger::Ledger::Process().level(), page);
  });
  metrics::AddDebugPages(self->exporter_, ledger::Ledger::Process(), *auditor,
                         self->sources_.title);
  AddChannelzPage(self->exporter_, self->sources_.title);
  self->exporter_.AddPage("/targets", [self](const metrics::Query&) { return self->Targets(); });
  self->exporter_.SetHealth(
      [] {
        return metrics::Health{true, ""};
      },
      [self] {
        return self->sources_.ready() ? metrics::Health{true, ""}
                                      : metrics::Health{false, "starting or draining"};
      });
  if (absl::Status status = self->exporter_.Start(listen); !status.ok()) return status;
  return metrics;
}

// An empty list would make Prometheus forget everybody: without an answer, it keeps the last one.
metrics::Document PeerMetrics::Targets() const {
  metrics::Document document{.type = metrics::kJsonType};
  const bool looked = sources_.look(
      [&](const node::Node& node) { document.body = TargetsJson(node.Peers(), sources_.mesh_id); });
  if (!looked) document.code = 503;
  return document;
}

void PeerMetrics::Collect(metrics::Page& page) const {
  sources_.look([&](const node::Node& node) { CollectNode(node, page); });
  CollectConnections(page);
  CollectLinks(page);
  CollectRefusals(page);
  page.Gauge("peermesh_certificate_expiry_timestamp_seconds",
             "When the certificate of this peer runs out.")
      .Add(Unix(sources_.certificate_expiry()));
  page.Counter("peermesh_log_lines_dropped_total",
               "Lines of the log that nobody took in time, so that they were dropped.")
      .Add(static_cast<double>(config::DroppedLogLines()));
  page.Counter("peermesh_certificate_renewals_failed_total",
               "Tries to renew the certificate of this peer that failed.")
      .Add(static_cast<double>(*sources_.failed_renewals));
  page.Counter("peermesh_reloads_total",
               "Times the configuration was read again; a failed one changes nothing.")
      .Add({{"result", "ok"}}, static_cast<double>(sources_.reloads->done))
      .Add({{"result", "failed"}}, static_cast<double>(sources_.reloads->failed));
}

void PeerMetrics::CollectNode(const node::Node& node, metrics::Page& page) const {
  const node::Stats& stats = node.stats();
  page.Counter("peermesh_messages_total", "Messages by what happened to them here.")
      .Add({{"event", "published"}}, static_cast<double>(stats.published_messages))
      .Add({{"event", "delivered"}}, static_cast<double>(stats.delivered_messages))
      .Add({{"event", "sent"}}, static_cast<double>(stats.sent_messages))
      .Add({{"event", "received"}}, static_cast<double>(stats.received_messages))
      .Add({{"event", "duplicate"}}, static_cast<double>(stats.duplicates));
  page.Counter("peermesh_message_bytes_total",
               "Encoded size of messages by what happened to them here.")
      .Add({{"event", "published"}}, static_cast<double>(stats.published_bytes))
      .Add({{"event", "delivered"}}, static_cast<double>(stats.delivered_bytes))
      .Add({{"event", "sent"}}, static_cast<double>(stats.sent_bytes))
      .Add({{"event", "received"}}, static_cast<double>(stats.received_bytes));
  auto gaps =
      page.Counter("peermesh_gap_numbers_total", "Numbers announced to applications as missing.");
  auto drops =
      page.Counter("peermesh_dropped_messages_total", "Messages dropped from queues of this peer.");
  for (int i = 1; i < kLossReasonCount; ++i) {
    const char* reason = ToString(static_cast<LossReason>(i));
    gaps.Add({{"reason", reason}},
             static_cast<double>(stats.lost_messages[static_cast<std::size_t>(i)]));
    drops.Add({{"reason", reason}},
              static_cast<double>(stats.dropped_messages[static_cast<std::size_t>(i)]));
  }
  page.Counter("peermesh_publishes_refused_total", "Publish requests refused.")
      .Add({{"reason", "rate_limited"}}, static_cast<double>(stats.publish_refused_rate))
      .Add({{"reason", "other"}}, static_cast<double>(stats.publish_refused_other));
  page.Counter("peermesh_publishes_held_total", "Times a publisher was held back by a full queue.")
      .Add(static_cast<double>(stats.publishes_held));
  page.Counter("peermesh_links_replaced_total", "Links replaced without a break.")
      .Add(static_cast<double>(stats.links_replaced));
  page.Counter("peermesh_interest_resyncs_total",
               "Times a copy of a peer's interest was found to differ.")
      .Add(static_cast<double>(stats.interest_resyncs));
  page.Counter("peermesh_peers_misbehaved_total",
               "Links closed because the other side broke the protocol.")
      .Add(static_cast<double>(stats.peer_misbehaved));

  const node::Census census = node.TakeCensus();
  page.Gauge("peermesh_sessions", "Application streams open.")
      .Add(static_cast<double>(census.sessions));
  page.Gauge("peermesh_sessions_slow",
             "Application streams that lose messages because they read too slowly.")
      .Add(static_cast<double>(census.slow_sessions));
  page.Gauge("peermesh_subscriptions", "Subscriptions held by applications.")
      .Add(static_cast<double>(census.subscriptions));
  page.Gauge("peermesh_patterns", "Distinct patterns known, those of other peers included.")
      .Add(static_cast<double>(census.patterns));
  page.Gauge("peermesh_queue_bytes", "Bytes waiting to be written.")
      .Add({{"queue", "links"}}, static_cast<double>(census.link_queue_bytes))
      .Add({{"queue", "sessions"}}, static_cast<double>(census.session_queue_bytes))
      .Add({{"queue", "broadcasts"}}, static_cast<double>(census.relay_queue_bytes));
  CollectLargeMesh(node, census, page);

  std::array<double, 6> states{};
  std::vector<std::uint64_t> buckets(std::size(kRoundTripBounds) + 1);
  double sum = 0;
  for (const membership::PeerView& row : node.Peers()) {
    if (row.self) continue;
    ++states[static_cast<std::size_t>(row.state)];
    if (!row.round_trip) continue;
    const double seconds = static_cast<double>(row.round_trip->count()) / 1e6;
    const auto bucket =
        std::lower_bound(std::begin(kRoundTripBounds), std::end(kRoundTripBounds), seconds);
    ++buckets[static_cast<std::size_t>(bucket - std::begin(kRoundTripBounds))];
    sum += seconds;
  }
  auto peers = page.Gauge("peermesh_peers", "Other peers by what this one believes of them.");
  for (std::size_t i = 1; i < states.size(); ++i) {
    peers.Add({{"state", NameOf(static_cast<membership::State>(i))}}, states[i]);
  }
  page.Histogram("peermesh_peer_round_trip_seconds",
                 "Smoothed round trip of each link, now: a histogram over peers.", kRoundTripBounds)
      .Add({}, buckets, sum);
}

void PeerMetrics::CollectConnections(metrics::Page& page) const {
  auto open = page.Gauge("peermesh_connections", "Connections open, by listener.");
  auto accepted =
      page.Counter("peermesh_connections_accepted_total", "Connections taken, by listener.");
  auto refused = page.Counter("peermesh_connections_refused_total",
                              "Connections refused before a byte was read.");
  auto cut = page.Counter("peermesh_connections_cut_total", "Connections ended by this peer.");
  auto incomplete = page.Counter(
      "peermesh_handshakes_incomplete_total",
      "Connections that ended within the time for a handshake and without a call: first bytes that "
      "are no TLS (not_tls), no offer of TLS 1.3 (old_tls), a handshake that took too long "
      "(timeout), pushed out by a newcomer when too many were under way (crowded_out), any other "
      "end, such as a refused certificate (ended).");
  for (const net::ListenerStats& listener : sources_.acceptor->Stats()) {
    open.Add({{"listener", listener.name}}, static_cast<double>(listener.open));
    accepted.Add({{"listener", listener.name}}, static_cast<double>(listener.accepted));
    cut.Add({{"listener", listener.name}}, static_cast<double>(listener.cut));
    for (std::size_t i = 0; i < net::kUnprovenCount; ++i) {
      incomplete.Add(
          {{"listener", listener.name}, {"reason", net::ToString(static_cast<net::Unproven>(i))}},
          static_cast<double>(listener.unproven[i]));
    }
    for (std::size_t i = 0; i < net::kRefusalCount; ++i) {
      refused.Add(
          {{"listener", listener.name}, {"reason", net::ToString(static_cast<net::Refusal>(i))}},
          static_cast<double>(listener.refused[i]));
    }
  }
  auto live = page.Gauge("peermesh_streams", "Live calls of others, by where they came in.");
  auto calls = page.Counter("peermesh_calls_total", "Calls that arrived, by where they came in.");
  auto broken =
      page.Counter("peermesh_calls_broken_total", "Calls cancelled by the caller or broken off.");
  auto unauthenticated = page.Counter("peermesh_calls_unauthenticated_total",
                                      "Calls refused because they came without a certificate.");
  auto abuses = page.Counter("peermesh_call_abuses_total",
                             "Connections reported because they cancelled too many calls.");
  for (std::size_t i = 0; i < sources_.rpc->doors().size(); ++i) {
    const std::string& name = sources_.rpc->doors()[i].name;
    const link::RpcServerStats stats = sources_.rpc->stats(i);
    live.Add({{"server", name}}, static_cast<double>(stats.live));
    calls.Add({{"server", name}}, static_cast<double>(stats.calls));
    broken.Add({{"server", name}}, static_cast<double>(stats.broken));
    unauthenticated.Add({{"server", name}}, static_cast<double>(stats.unauthenticated));
    abuses.Add({{"server", name}}, static_cast<double>(stats.abuses));
  }
  page.Counter("peermesh_bad_requests_total", "Calls refused because of what they sent.")
      .Add(static_cast<double>(sources_.applications->bad_requests()));
}

// Beyond the full mesh.
void PeerMetrics::CollectLargeMesh(const node::Node& node, const node::Census& census,
                                   metrics::Page& page) {
  const node::Stats& stats = node.stats();
  const broadcast::Stats& broadcast = node.broadcast_stats();
  page.Gauge("peermesh_overlay_active", "1 when the mesh is too large for a link to every peer.")
      .Add(census.large ? 1.0 : 0.0);
  page.Gauge("peermesh_overlay_neighbors", "Peers over whose links everything is broadcast.")
      .Add(static_cast<double>(census.neighbors));
  page.Gauge("peermesh_overlay_candidates", "Peers to take as neighbours when one is lost.")
      .Add(static_cast<double>(census.passive));
  page.Gauge("peermesh_member_table_bytes", "Memory for what is known of all peers.")
      .Add(static_cast<double>(census.table_bytes));
  page.Gauge("peermesh_broadcast_cache_bytes", "Batches kept for neighbours that ask for them.")
      .Add(static_cast<double>(census.cached_bytes));
  page.Gauge("peermesh_broadcast_waiting_bytes", "Batches that wait for one before them.")
      .Add(static_cast<double>(census.waiting_bytes));
  page.Counter("peermesh_broadcast_batches_total", "Batches from neighbours.")
      .Add({{"event", "received"}}, static_cast<double>(broadcast.pieces))
      .Add({{"event", "duplicate"}}, static_cast<double>(broadcast.duplicates))
      .Add({{"event", "late"}}, static_cast<double>(broadcast.late));
  page.Counter("peermesh_broadcast_repairs_total", "Batches asked for that had not come.")
      .Add({{"event", "asked"}}, static_cast<double>(broadcast.grafts_sent))
      .Add({{"event", "served"}}, static_cast<double>(broadcast.grafts_served))
      .Add({{"event", "unserved"}}, static_cast<double>(broadcast.grafts_unserved));
  page.Counter("peermesh_voices_total", "Voices on who is gone.")
      .Add({{"event", "made"}}, static_cast<double>(stats.statements_made))
      .Add({{"event", "heard"}}, static_cast<double>(stats.statements_heard))
      .Add({{"event", "refuted"}}, static_cast<double>(stats.refutations));
  page.Counter("peermesh_tables_compared_total", "Times two member tables were found to differ.")
      .Add(static_cast<double>(stats.tables_compared));
}

void PeerMetrics::CollectLinks(metrics::Page& page) const {
  const link::LinkStats stats = sources_.links->stats();
  page.Gauge("peermesh_links", "Links that are up.")
      .Add(static_cast<double>(sources_.links->Census().links));
  page.Counter("peermesh_links_up_total", "Links that came up.")
      .Add({{"direction", "inbound"}}, static_cast<double>(stats.up_inbound))
      .Add({{"direction", "outbound"}}, static_cast<double>(stats.up_outbound));
  auto down = page.Counter("peermesh_links_down_total", "Links that went down.");
  for (int i = 1; i <= 5; ++i) {
    down.Add({{"reason", link::ToString(static_cast<node::DownReason>(i))}},
             static_cast<double>(stats.downs[static_cast<std::size_t>(i)]));
  }
  auto dials = page.Counter("peermesh_dials_failed_total", "Dials that came to nothing.");
  for (int i = 1; i <= 7; ++i) {
    dials.Add({{"reason", link::ToString(static_cast<node::DialFailure>(i))}},
              static_cast<double>(stats.dials_failed[static_cast<std::size_t>(i)]));
  }
  page.Counter("peermesh_link_frames_total", "Frames on links.")
      .Add({{"lane", "control"}, {"direction", "in"}}, static_cast<double>(stats.control.frames_in))
      .Add({{"lane", "control"}, {"direction", "out"}},
           static_cast<double>(stats.control.frames_out))
      .Add({{"lane", "data"}, {"direction", "in"}}, static_cast<double>(stats.data.frames_in))
      .Add({{"lane", "data"}, {"direction", "out"}}, static_cast<double>(stats.data.frames_out));
  page.Counter("peermesh_link_bytes_total", "Bytes of frames on links, before encryption.")
      .Add({{"lane", "control"}, {"direction", "in"}}, static_cast<double>(stats.control.bytes_in))
      .Add({{"lane", "control"}, {"direction", "out"}},
           static_cast<double>(stats.control.bytes_out))
      .Add({{"lane", "data"}, {"direction", "in"}}, static_cast<double>(stats.data.bytes_in))
      .Add({{"lane", "data"}, {"direction", "out"}}, static_cast<double>(stats.data.bytes_out));
  page.Counter("peermesh_link_frames_bad_total",
               "Frames on links that could not be decoded; each ended its link.")
      .Add(static_cast<double>(stats.bad_frames));
  page.Counter("peermesh_link_frames_unknown_total",
               "Frames on links of a kind that this release does not know, skipped.")
      .Add(static_cast<double>(stats.unknown_frames));
  page.Counter("peermesh_link_reads_delayed_total",
               "Times the control lane of a link was read later because too much came.")
      .Add(static_cast<double>(stats.control_delayed));
  page.Counter("peermesh_links_expired_total",
               "Links ended because a certificate of either side had run out.")
      .Add(static_cast<double>(stats.expired));
  page.Counter("peermesh_relayed_batches_total",
               "Batches of broadcasts on links, whoever published them.")
      .Add({{"direction", "in"}}, static_cast<double>(stats.relayed_in))
      .Add({{"direction", "out"}}, static_cast<double>(stats.relayed_out));
  page.Counter("peermesh_relayed_bytes_total", "Encoded size of the messages in these batches.")
      .Add({{"direction", "in"}}, static_cast<double>(stats.relayed_bytes_in))
      .Add({{"direction", "out"}}, static_cast<double>(stats.relayed_bytes_out));
  page.Counter("peermesh_statements_total", "Signed statements about other peers on links.")
      .Add({{"direction", "in"}}, static_cast<double>(stats.statements_in))
      .Add({{"direction", "out"}}, static_cast<double>(stats.statements_out));
  auto dropped = page.Counter(
      "peermesh_signed_refused_total",
      "What came signed over a link and was dropped: our own (came_back), of a peer whose key is "
      "not known or whose certificate has run out (unverifiable), by a signature that does not "
      "hold, which ended the link (forged), or not understood (malformed).");
  for (std::size_t i = 0; i < link::kSignedRefusalCount; ++i) {
    const char* reason = link::ToString(static_cast<link::SignedRefusal>(i));
    dropped.Add({{"kind", "batch"}, {"reason", reason}},
                static_cast<double>(stats.relayed_refused[i]));
    dropped.Add({{"kind", "statement"}, {"reason", reason}},
                static_cast<double>(stats.statements_refused[i]));
  }
  page.Counter("peermesh_signatures_total",
               "Signatures of batches and statements: made here, checked, or known to hold from "
               "another link (remembered).")
      .Add({{"event", "made"}}, static_cast<double>(stats.signatures_made))
      .Add({{"event", "checked"}}, static_cast<double>(stats.signatures_checked))
      .Add({{"event", "remembered"}}, static_cast<double>(stats.signatures_remembered));
  page.Counter("peermesh_peer_records_refused_total",
               "Signed records of peers that did not verify.")
      .Add(static_cast<double>(stats.records_dropped));
}

void PeerMetrics::CollectRefusals(metrics::Page& page) const {
  auto refused = page.Counter(
      "peermesh_handshakes_refused_total",
      "Handshakes refused: by the certificate shown (tls) or by what was said then (link).");
  for (int i = 0; i < identity::kRefusalCount; ++i) {
    const auto refusal = static_cast<identity::Refusal>(i);
    for (const auto direction : {tls::Direction::kInbound, tls::Direction::kOutbound}) {
      refused.Add({{"layer", "tls"},
                   {"direction", tls::ToString(direction)},
                   {"reason", identity::ToString(refusal)}},
                  static_cast<double>(sources_.refusals->count(refusal, direction)));
    }
  }
  const link::LinkStats stats = sources_.links->stats();
  for (std::size_t i = 0; i < link::kHandshakeFaultCount; ++i) {
    refused.Add({{"layer", "link"},
                 {"direction", "inbound"},
                 {"reason", link::ToString(static_cast<link::HandshakeFault>(i))}},
                static_cast<double>(stats.faults[i]));
  }
}

}  // namespace peermesh
