#include "server/api/resources.h"

#include <utility>

#include "metrics/ledger/listing.h"
#include "peermesh/v1/resources.pb.h"

namespace peermesh::api {
namespace {

void Set(google::protobuf::Duration* out, ledger::Duration duration) {
  out->set_seconds(duration.count() / 1000);
  out->set_nanos(static_cast<std::int32_t>(duration.count() % 1000) * 1'000'000);
}

v1::Tier TierOf(ledger::Tier tier) {
  switch (tier) {
    case ledger::Tier::kProof: return v1::TIER_PROOF;
    case ledger::Tier::kStrong: return v1::TIER_STRONG;
    case ledger::Tier::kWeak: return v1::TIER_WEAK;
  }
  return v1::TIER_UNSPECIFIED;
}

v1::VerdictState StateOf(ledger::State state) {
  switch (state) {
    case ledger::State::kSuspected: return v1::VERDICT_STATE_SUSPECTED;
    case ledger::State::kConfirmed: return v1::VERDICT_STATE_CONFIRMED;
    case ledger::State::kCleared: return v1::VERDICT_STATE_CLEARED;
  }
  return v1::VERDICT_STATE_UNSPECIFIED;
}

void Fill(const ledger::Verdict& verdict, ledger::Time now, v1::Verdict& out) {
  out.set_number(verdict.number);
  out.set_tier(TierOf(verdict.tier()));
  out.set_state(StateOf(verdict.state));
  out.set_rule(ToString(verdict.rule));
  out.set_kind(verdict.kind);
  out.set_count(verdict.count);
  out.set_site(verdict.site);
  out.set_function(verdict.function);
  out.set_owner(verdict.owner);
  out.set_owner_count(verdict.owner_count);
  out.set_because(verdict.because);
  Set(out.mutable_oldest(), verdict.oldest);
  Set(out.mutable_since(), now - verdict.first_seen);
  out.set_alerts(verdict.alerts());
  out.set_suppressed(verdict.suppressed);
  for (const ledger::Example& example : verdict.examples) {
    v1::ResourceExample& one = *out.add_examples();
    one.set_id(example.id);
    one.set_scope(example.scope);
    Set(one.mutable_age(), example.age);
    Set(one.mutable_idle(), example.idle);
    one.set_amount(example.amount);
    one.set_note(example.note);
    for (const std::string& frame : example.stack) one.add_stack(frame);
  }
}

ledger::GroupBy GroupingOf(v1::ResourceGrouping by) {
  switch (by) {
    case v1::RESOURCE_GROUPING_OWNER: return ledger::GroupBy::kOwner;
    case v1::RESOURCE_GROUPING_SITE: return ledger::GroupBy::kSite;
    case v1::RESOURCE_GROUPING_SCOPE: return ledger::GroupBy::kScope;
    case v1::RESOURCE_GROUPING_EACH: return ledger::GroupBy::kEach;
    default: return ledger::GroupBy::kKind;
  }
}

}  // namespace

std::string LeakReport(const ledger::Ledger& ledger, const ledger::Auditor& auditor) {
  v1::GetLeakReportResponse response;
  const ledger::Time now = ledger.now();
  for (const ledger::Verdict& verdict : auditor.verdicts())
    Fill(verdict, now, *response.add_verdicts());
  const ledger::Snapshot snapshot = auditor.TakeSnapshot();
  response.set_sweeps(snapshot.sweeps);
  response.set_level(ToString(ledger.level()));
  response.set_descriptors_used(snapshot.descriptors.used);
  response.set_descriptors_limit(snapshot.descriptors.limit);
  if (snapshot.descriptors.left)
    Set(response.mutable_descriptors_exhausted_in(), *snapshot.descriptors.left);
  return response.SerializeAsString();
}

absl::StatusOr<std::string> ListResources(const ledger::Ledger& ledger,
                                          const std::string& request) {
  v1::ListResourcesRequest asked;
  if (!asked.ParseFromString(request))
    return absl::InvalidArgumentError("not a ListResourcesRequest");
  const auto seconds = asked.older_than().seconds();
  if (seconds < 0 || asked.older_than().nanos() < 0)
    return absl::InvalidArgumentError("older_than is negative");
  ledger::ListingOptions options{.by = GroupingOf(asked.by()), .kind = asked.kind()};
  // More than any process lives.
  options.older = std::chrono::seconds(std::min<std::int64_t>(seconds, 1'000'000'000)) +
                  std::chrono::milliseconds(asked.older_than().nanos() / 1'000'000);
  ledger::Listing listing = List(ledger, options);
  v1::ListResourcesResponse response;
  for (ledger::ListingRow& row : listing.rows) {
    v1::ResourceRow& out = *response.add_rows();
    out.set_key(std::move(row.key));
    out.set_kind(std::move(row.kind));
    out.set_owner(std::move(row.owner));
    out.set_scope(std::move(row.scope));
    out.set_site(std::move(row.site));
    out.set_note(std::move(row.note));
    out.set_live(row.live);
    out.set_amount(row.amount);
    Set(out.mutable_oldest(), row.oldest);
    Set(out.mutable_longest_idle(), row.longest_idle);
  }
  response.set_left_off(listing.left_off);
  return response.SerializeAsString();
}

absl::StatusOr<std::string> SetLedgerLevel(ledger::Ledger& ledger, const std::string& request) {
  v1::SetLedgerLevelRequest asked;
  if (!asked.ParseFromString(request))
    return absl::InvalidArgumentError("not a SetLedgerLevelRequest");
  const auto level = ledger::ParseLevel(asked.level());
  if (!level) return absl::InvalidArgumentError("level must be off, track, stacks or paranoid");
  v1::SetLedgerLevelResponse response;
  response.set_previous(ToString(ledger.level()));
  ledger.SetLevel(*level);
  return response.SerializeAsString();
}

}  // namespace peermesh::api
