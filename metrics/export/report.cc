#include "metrics/export/report.h"

#include <nlohmann/json.hpp>

namespace peermesh::metrics {
namespace {

using Json = nlohmann::ordered_json;

double Seconds(ledger::Duration duration) { return static_cast<double>(duration.count()) / 1000; }

Json ToJson(const ledger::Example& example) {
  Json json{{"id", example.id},
            {"scope", example.scope},
            {"age_seconds", Seconds(example.age)},
            {"idle_seconds", Seconds(example.idle)},
            {"amount", example.amount}};
  if (!example.note.empty()) json["note"] = example.note;
  if (!example.stack.empty()) json["stack"] = example.stack;
  return json;
}

Json ToJson(const ledger::Verdict& verdict, ledger::Time now) {
  Json json{{"number", verdict.number},
            {"tier", ToString(verdict.tier())},
            {"state", ToString(verdict.state)},
            {"rule", ToString(verdict.rule)},
            {"kind", verdict.kind},
            {"count", verdict.count},
            {"site", verdict.site},
            {"function", verdict.function},
            {"owner", verdict.owner},
            {"owner_count", verdict.owner_count},
            {"because", verdict.because},
            {"oldest_seconds", Seconds(verdict.oldest)},
            {"first_seen_seconds_ago", Seconds(now - verdict.first_seen)},
            {"last_seen_seconds_ago", Seconds(now - verdict.last_seen)},
            {"alerts", verdict.alerts()}};
  if (!verdict.suppressed.empty()) json["suppressed"] = verdict.suppressed;
  json["examples"] = Json::array();
  for (const ledger::Example& example : verdict.examples)
    json["examples"].push_back(ToJson(example));
  return json;
}

Json ToJson(const ledger::KindView& view) {
  Json json{{"kind", view.spec.name},
            {"contract", ToString(view.spec.contract)},
            {"live", view.live},
            {"acquired", view.counts.acquired},
            {"amount", view.counts.amount},
            {"oldest_seconds", Seconds(view.oldest)},
            {"idle_seconds", Seconds(view.longest_idle)}};
  for (std::size_t i = 0; i < ledger::kOutcomes; ++i)
    json["released"][ToString(static_cast<ledger::Outcome>(i))] = view.counts.released[i];
  return json;
}

std::string Text(const Json& json) {
  // What an application calls itself may be no UTF-8.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string ResourcesJson(const ledger::Snapshot& snapshot,
                          const std::vector<ledger::Verdict>& verdicts, ledger::Time now) {
  Json json{{"schema", "peermesh.debug.resources.v1"},
            {"sweeps", snapshot.sweeps},
            {"violations", snapshot.violations},
            {"descriptors",
             {{"used", snapshot.descriptors.used}, {"limit", snapshot.descriptors.limit}}}};
  if (snapshot.descriptors.left)
    json["descriptors"]["exhausted_in_seconds"] = Seconds(*snapshot.descriptors.left);
  json["unclaimed"] = snapshot.unclaimed;
  json["unclaimed_baseline"] = snapshot.baseline;
  json["verdicts"] = Json::array();
  for (const ledger::Verdict& verdict : verdicts) json["verdicts"].push_back(ToJson(verdict, now));
  json["kinds"] = Json::array();
  for (const ledger::KindView& view : snapshot.kinds) json["kinds"].push_back(ToJson(view));
  return Text(json);
}

std::string ListingJson(const ledger::Listing& listing, const ledger::ListingOptions& options) {
  Json json{{"schema", "peermesh.debug.listing.v1"},
            {"by", ToString(options.by)},
            {"older_seconds", Seconds(options.older)},
            {"left_off", listing.left_off}};
  json["rows"] = Json::array();
  for (const ledger::ListingRow& row : listing.rows) {
    Json one{{"key", row.key},
             {"live", row.live},
             {"amount", row.amount},
             {"oldest_seconds", Seconds(row.oldest)},
             {"idle_seconds", Seconds(row.longest_idle)}};
    for (const auto& [name, value] :
         {std::pair("kind", row.kind), std::pair("owner", row.owner), std::pair("scope", row.scope),
          std::pair("site", row.site), std::pair("note", row.note)}) {
      if (!value.empty()) one[name] = value;
    }
    json["rows"].push_back(std::move(one));
  }
  return Text(json);
}

std::string DescriptorsJson(const ledger::KernelReading& reading) {
  Json json{{"schema", "peermesh.debug.fds.v1"}, {"limit", reading.descriptor_limit}};
  json["descriptors"] = Json::array();
  for (const ledger::Descriptor& one : reading.descriptors) {
    json["descriptors"].push_back({{"number", one.number},
                                   {"class", ledger::ClassOf(one.target)},
                                   {"target", one.target},
                                   {"claimed_by", one.claim}});
  }
  return Text(json);
}

std::string ThreadsJson(const ledger::KernelReading& reading) {
  Json json{{"schema", "peermesh.debug.threads.v1"}};
  json["threads"] = Json::array();
  for (const ledger::Task& one : reading.threads)
    json["threads"].push_back({{"id", one.id}, {"name", one.name}, {"claimed", one.claimed}});
  return Text(json);
}

}  // namespace peermesh::metrics
