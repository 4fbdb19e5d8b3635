#include "metrics/export/debug_pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "metrics/export/report.h"
#include "metrics/ledger/findings.h"

namespace peermesh::metrics {
namespace {

using ledger::ClassOf;
using ledger::ToText;

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#667080;--line:#dfe3e8;--paper:#fff;--band:#f5f7f9;
--bad:#b3261e;--warn:#8a5a00;--good:#1a7f37;--badbg:#fdecea;--warnbg:#fff4df}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--dim:#98a2b0;--line:#30363d;--paper:#14171b;
--band:#1b2026;--bad:#ff8a80;--warn:#f0b95a;--good:#5bd07a;--badbg:#3a1a18;--warnbg:#33270f}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2rem auto;
max-width:76rem;padding:0 1.5rem}
h1{font-size:1.35rem;margin:0}h2{font-size:1.05rem;margin:2rem 0 .5rem}
nav{margin:.3rem 0 1.2rem;color:var(--dim)}nav a{margin-right:1rem}a{color:inherit}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th{font-weight:600;text-align:left;color:var(--dim);border-bottom:2px solid var(--line)}
th,td{padding:.3rem .7rem .3rem 0;vertical-align:top}td{border-bottom:1px solid var(--line)}
.n{text-align:right}code{font:13px/1.5 ui-monospace,monospace;overflow-wrap:anywhere}
.dim{color:var(--dim)}.none{color:var(--good)}
.verdict{border:1px solid var(--line);border-left:4px solid var(--dim);border-radius:4px;
padding:.7rem 1rem;margin:.7rem 0}
.alert{border-left-color:var(--bad);background:var(--badbg)}
.weak,.suspected{border-left-color:var(--warn);background:var(--warnbg)}
.cleared{background:none;border-left-color:var(--good);opacity:.75}
.verdict b{font-size:1.02rem}.verdict p{margin:.25rem 0}
.bar{display:inline-block;width:10rem;height:.6rem;background:var(--band);border-radius:3px;
overflow:hidden;vertical-align:middle}.bar i{display:block;height:100%;background:var(--good)}
)";

template <class... Args>
void Append(std::string& out, fmt::format_string<Args...> text, Args&&... args) {
  fmt::format_to(std::back_inserter(out), text, std::forward<Args>(args)...);
}

std::string_view CssClass(const ledger::Verdict& verdict) {
  if (verdict.state == ledger::State::kCleared) return "cleared";
  if (verdict.alerts()) return "alert";
  if (verdict.state == ledger::State::kSuspected) return "suspected";
  return verdict.tier() == ledger::Tier::kWeak ? "weak" : "";
}

void AppendVerdict(std::string& out, const ledger::Verdict& verdict, ledger::Time now) {
  Append(out, "<div class=\"verdict {}\"><b>{} {}: {}</b> <span class=\"dim\">#{} {}, {}",
         CssClass(verdict), verdict.count, Escape(verdict.kind), ToString(verdict.rule),
         verdict.number, ToString(verdict.tier()), ToString(verdict.state));
  Append(out, ", first seen {} ago</span>", ToText(now - verdict.first_seen));
  Append(out, "<p>{}.", Escape(verdict.because));
  if (!verdict.owner.empty())
    Append(out, " Of <b>{}</b>: {} of {}.", Escape(verdict.owner), verdict.owner_count,
           verdict.count);
  Append(out, "</p><p>Born at <code>{}</code> <span class=\"dim\">{}</span></p>",
         Escape(verdict.site), Escape(verdict.function));
  if (!verdict.suppressed.empty())
    Append(out, "<p class=\"dim\">Suppressed: {}</p>", Escape(verdict.suppressed));
  if (!verdict.examples.empty()) {
    out += "<table><tr><th>Id<th>Scope<th class=n>Age<th class=n>Unused for<th>Note";
    for (const ledger::Example& example : verdict.examples) {
      Append(out, "<tr><td>{}<td>{}<td class=n>{}<td class=n>{}<td>{}", example.id,
             Escape(example.scope), ToText(example.age), ToText(example.idle),
             Escape(example.note));
      for (const std::string& frame : example.stack)
        Append(out, "<br><code class=\"dim\">{}</code>", Escape(frame));
    }
    out += "</table>";
  }
  out += "</div>\n";
}

void AppendCapacity(std::string& out, const ledger::Capacity& capacity) {
  if (capacity.limit == 0) return;
  const double share = static_cast<double>(capacity.used) / static_cast<double>(capacity.limit);
  Append(out, "<p>Descriptors: {} of {} <span class=bar><i style=\"width:{:.0f}%\"></i></span>",
         capacity.used, capacity.limit, std::min(share, 1.0) * 100);
  if (capacity.left) Append(out, " exhausted in {} at this pace", ToText(*capacity.left));
  out += "</p>\n";
}

std::string Cell(const std::string& value) {
  return value.empty() ? "<span class=\"dim\">several</span>" : Escape(value);
}

// "/debug/resources?by=peer&kind=timer"
ledger::ListingOptions OptionsOf(const Query& query) {
  ledger::ListingOptions options;
  if (const auto by = query.find("by"); by != query.end())
    options.by = ledger::ParseGroupBy(by->second).value_or(ledger::GroupBy::kKind);
  if (const auto kind = query.find("kind"); kind != query.end()) options.kind = kind->second;
  if (const auto older = query.find("older"); older != query.end()) {
    std::uint32_t seconds = 0;
    const std::string& text = older->second;
    std::from_chars(text.data(), text.data() + text.size(), seconds);
    options.older = std::chrono::seconds(seconds);
  }
  return options;
}

bool WantsJson(const Query& query) {
  const auto format = query.find("format");
  return format != query.end() && format->second == "json";
}

Document Html(std::string body) { return {.type = kHtmlType, .body = std::move(body)}; }
Document Json(std::string body) { return {.type = kJsonType, .body = std::move(body)}; }

}  // namespace

std::string Escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string HtmlPage(std::string_view title, std::string_view heading, std::string_view body) {
  return fmt::format(
      "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\"><title>{0} - {1}</title>"
      "<style>{2}</style><h1>{0}</h1><nav>{1} &nbsp; "
      "<a href=\"/debug/resources\">resources</a><a href=\"/debug/resources?by=peer\">by peer</a>"
      "<a href=\"/debug/resources?by=site\">by site</a><a href=\"/debug/fds\">descriptors</a>"
      "<a href=\"/debug/threads\">threads</a><a href=\"/metrics\">metrics</a></nav>\n{3}",
      Escape(heading), Escape(title), kStyle, body);
}

std::string ResourcesHtml(const ledger::Snapshot& snapshot,
                          const std::vector<ledger::Verdict>& verdicts, ledger::Time now,
                          std::string_view title) {
  std::string body = "<h2>Findings</h2>\n";
  if (verdicts.empty()) {
    Append(body, "<p class=none>None, after {} sweeps.</p>\n", snapshot.sweeps);
  }
  for (const ledger::Verdict& verdict : verdicts) AppendVerdict(body, verdict, now);
  AppendCapacity(body, snapshot.descriptors);
  body +=
      "<h2>Kinds</h2><table><tr><th>Kind<th>Contract<th class=n>Live<th class=n>Acquired"
      "<th class=n>Oldest<th class=n>Longest unused\n";
  for (const ledger::KindView& view : snapshot.kinds) {
    std::string contract = ToString(view.spec.contract);
    std::replace(contract.begin(), contract.end(), '_', ' ');
    if (view.spec.limit > ledger::Duration{}) contract += ", " + ToText(view.spec.limit);
    Append(body,
           "<tr><td><a href=\"/debug/resources?by=each&amp;kind={0}\">{0}</a><td>{1}"
           "<td class=n>{2}<td class=n>{3}<td class=n>{4}<td class=n>{5}\n",
           Escape(view.spec.name), contract, view.live, view.counts.acquired,
           view.live == 0 ? "" : ToText(view.oldest),
           view.live == 0 ? "" : ToText(view.longest_idle));
  }
  body +=
      "</table>\n<h2>Beyond the ledger</h2><table><tr><th>Class<th class=n>Unclaimed"
      "<th class=n>In the first ten minutes\n";
  for (const auto& [name, count] : snapshot.unclaimed) {
    const auto before = snapshot.baseline.find(name);
    Append(body, "<tr><td>{}<td class=n>{}<td class=n>{}\n", Escape(name), count,
           before == snapshot.baseline.end() ? 0 : before->second);
  }
  return HtmlPage(title, "Resources", body + "</table>\n");
}

std::string ListingHtml(const ledger::Listing& listing, const ledger::ListingOptions& options,
                        std::string_view title) {
  std::string body;
  if (listing.rows.empty()) body += "<p>Nothing of that kind or age is live.</p>";
  body +=
      "<table><tr><th class=n>Live<th>Kind<th>Owner<th>Scope<th>Site<th class=n>Oldest"
      "<th class=n>Longest unused<th>Note\n";
  for (const ledger::ListingRow& row : listing.rows) {
    Append(body,
           "<tr><td class=n>{}<td>{}<td>{}<td>{}<td><code>{}</code><td class=n>{}"
           "<td class=n>{}<td>{}\n",
           row.live, Cell(row.kind), Cell(row.owner), Cell(row.scope), Cell(row.site),
           ToText(row.oldest), ToText(row.longest_idle), Escape(row.note));
  }
  body += "</table>\n";
  if (listing.left_off > 0) Append(body, "<p class=dim>and {} more</p>", listing.left_off);
  return HtmlPage(title, fmt::format("Resources by {}", ToString(options.by)), body);
}

std::string DescriptorsHtml(const ledger::KernelReading& reading, std::string_view title) {
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> classes;  // all, unclaimed
  for (const ledger::Descriptor& one : reading.descriptors) {
    auto& [all, unclaimed] = classes[std::string(ClassOf(one.target))];
    ++all;
    unclaimed += one.claim == 0;
  }
  std::string body = fmt::format(
      "<p>{} open, {} permitted.</p><table><tr><th>Class<th class=n>Open"
      "<th class=n>Nobody's\n",
      reading.descriptors.size(), reading.descriptor_limit);
  for (const auto& [name, counts] : classes)
    Append(body, "<tr><td>{}<td class=n>{}<td class=n>{}\n", name, counts.first, counts.second);
  body += "</table><h2>Each</h2><table><tr><th class=n>Number<th>Class<th>Target<th>Entry\n";
  for (const ledger::Descriptor& one : reading.descriptors) {
    Append(body, "<tr><td class=n>{}<td>{}<td><code>{}</code><td>{}\n", one.number,
           ClassOf(one.target), Escape(one.target),
           one.claim == 0 ? "<span class=dim>nobody's</span>" : std::to_string(one.claim));
  }
  return HtmlPage(title, "Descriptors", body + "</table>\n");
}

std::string ThreadsHtml(const ledger::KernelReading& reading, std::string_view title) {
  std::string body = "<table><tr><th class=n>Id<th>Name<th>Whose\n";
  for (const ledger::Task& one : reading.threads) {
    Append(body, "<tr><td class=n>{}<td><code>{}</code><td>{}\n", one.id, Escape(one.name),
           one.claimed ? "ours" : "<span class=dim>a library's</span>");
  }
  return HtmlPage(title, "Threads", body + "</table>\n");
}

void AddDebugPages(Exporter& exporter, const ledger::Ledger& ledger, const ledger::Auditor& auditor,
                   std::string title) {
  exporter.AddPage("/debug/resources", [&ledger, &auditor, title](const Query& query) {
    if (query.contains("by")) {
      const ledger::ListingOptions options = OptionsOf(query);
      const ledger::Listing listing = List(ledger, options);
      return WantsJson(query) ? Json(ListingJson(listing, options))
                              : Html(ListingHtml(listing, options, title));
    }
    const ledger::Snapshot snapshot = auditor.TakeSnapshot();
    const std::vector<ledger::Verdict> verdicts = auditor.verdicts();
    return WantsJson(query) ? Json(ResourcesJson(snapshot, verdicts, ledger.now()))
                            : Html(ResourcesHtml(snapshot, verdicts, ledger.now(), title));
  });
  exporter.AddPage("/debug/fds", [title](const Query& query) {
    const auto reading = ledger::ReadKernel().value_or(ledger::KernelReading{});
    return WantsJson(query) ? Json(DescriptorsJson(reading))
                            : Html(DescriptorsHtml(reading, title));
  });
  exporter.AddPage("/debug/threads", [title](const Query& query) {
    const auto reading = ledger::ReadKernel().value_or(ledger::KernelReading{});
    return WantsJson(query) ? Json(ThreadsJson(reading)) : Html(ThreadsHtml(reading, title));
  });
}

}  // namespace peermesh::metrics
