#include "metrics/export/debug_pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "metrics/export/html.h"
#include "metrics/export/report.h"
#include "metrics/ledger/findings.h"

namespace peermesh::metrics {
namespace {

using ledger::ClassOf;
using ledger::GroupBy;
using ledger::ToText;

constexpr double kNearlyFull = 0.9;

template <class... Args>
void Append(std::string& out, fmt::format_string<Args...> text, Args&&... args) {
  fmt::format_to(std::back_inserter(out), text, std::forward<Args>(args)...);
}

// --- Findings ------------------------------------------------------------------------------------

bool Stands(const ledger::Verdict& verdict) {
  return verdict.state != ledger::State::kCleared && verdict.suppressed.empty();
}

std::string_view CssClass(const ledger::Verdict& verdict) {
  if (verdict.state == ledger::State::kCleared) return "cleared";
  if (verdict.alerts()) return "alert";
  return verdict.suppressed.empty() ? "watch" : "";
}

// "proof, confirmed": what it is worth, in one look.
std::string TagOf(const ledger::Verdict& verdict) {
  if (!verdict.suppressed.empty()) return "suppressed";
  return fmt::format("{}, {}", ToString(verdict.tier()), ToString(verdict.state));
}

std::string Sentence(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] += 'A' - 'a';
  return text + (text.ends_with('.') ? "" : ".");
}

void AppendExamples(std::string& out, const std::vector<ledger::Example>& examples) {
  if (examples.empty()) return;
  out +=
      "<div class=wide><table><thead><tr><th>Entry<th class=n>Age<th class=n>Unused for<th>Note"
      "<th>Scope</thead><tbody>";
  for (const ledger::Example& example : examples) {
    Append(out, "<tr><td>{}<td class=n>{}<td class=n>{}<td>{}<td>{}", example.id,
           ToText(example.age), ToText(example.idle), Escape(example.note), Escape(example.scope));
    if (example.stack.empty()) continue;
    out += "<details><summary>stack of its birth</summary>";
    for (const std::string& frame : example.stack)
      Append(out, "<div class=frame><code>{}</code></div>", Escape(frame));
    out += "</details>";
  }
  out += "</tbody></table></div>";
}

void AppendVerdict(std::string& out, const ledger::Verdict& verdict, ledger::Time now) {
  Append(out, "<section class=\"verdict {}\"><h3>{} {}: {} <span class=tag>{}</span>",
         CssClass(verdict), Figure(verdict.count), Escape(verdict.kind), ToString(verdict.rule),
         TagOf(verdict));
  Append(out, "<span>#{}, first seen {} ago</span></h3><p>{}</p><dl>", verdict.number,
         ToText(now - verdict.first_seen), Escape(Sentence(verdict.because)));
  if (!verdict.owner.empty())
    Append(out, "<dt>Owner<dd><b>{}</b> <span class=dim>{} of {}</span>", Escape(verdict.owner),
           Figure(verdict.owner_count), Figure(verdict.count));
  if (!verdict.site.empty())
    Append(out, "<dt>Born at<dd><code>{}</code> <code class=dim>{}</code>", Escape(verdict.site),
           Escape(verdict.function));
  if (verdict.state == ledger::State::kCleared)
    Append(out, "<dt>Cleared<dd>{} ago: used again, or released", ToText(now - verdict.last_seen));
  else
    Append(out, "<dt>Oldest<dd>{}", ToText(verdict.oldest));
  if (!verdict.suppressed.empty()) Append(out, "<dt>Suppressed<dd>{}", Escape(verdict.suppressed));
  out += "</dl>";
  if (verdict.state != ledger::State::kCleared) AppendExamples(out, verdict.examples);
  out += "</section>\n";
}

// --- The figures at the top ----------------------------------------------------------------------

void AppendState(std::string& out, const std::vector<ledger::Verdict>& verdicts,
                 std::uint64_t sweeps) {
  const auto alerts = std::count_if(verdicts.begin(), verdicts.end(),
                                    [](const auto& verdict) { return verdict.alerts(); });
  const auto standing = std::count_if(verdicts.begin(), verdicts.end(), Stands);
  if (alerts > 0) {
    Append(out, "<div class=\"state bad\"><strong>{} leak{}</strong>", alerts,
           alerts == 1 ? "" : "s");
    if (standing > alerts) Append(out, "<small>and {} to look at</small>", standing - alerts);
  } else if (standing > 0) {
    Append(out, "<div class=\"state warn\"><strong>{} to look at</strong>", standing);
  } else {
    out += "<div class=\"state good\"><strong>No findings</strong>";
  }
  Append(out, "<small>after {} sweep{}</small></div>", Figure(sweeps), sweeps == 1 ? "" : "s");
}

void AppendFacts(std::string& out, const ledger::Snapshot& snapshot,
                 const std::vector<ledger::Verdict>& verdicts) {
  std::uint64_t live = 0, acquired = 0;
  for (const ledger::KindView& view : snapshot.kinds) {
    live += view.live;
    acquired += view.counts.acquired;
  }
  out += "<div class=facts>";
  AppendState(out, verdicts, snapshot.sweeps);
  Append(out, "<div><small>live resources</small><strong>{}</strong></div>", Figure(live));
  Append(out, "<div><small>acquired so far</small><strong>{}</strong></div>", Figure(acquired));
  const auto& [used, limit, left] = snapshot.descriptors;
  if (limit > 0) {
    const double share = std::min(1.0, static_cast<double>(used) / static_cast<double>(limit));
    Append(out,
           "<div><small>descriptors, of {}</small><strong>{}</strong>"
           "<span class=bar><i class=\"{}\" style=\"width:{:.0f}%\"></i></span>",
           Figure(limit), Figure(used), share >= kNearlyFull ? "full" : "", share * 100);
    if (left) Append(out, "<small class=bad>exhausted in {} at this pace</small>", ToText(*left));
    out += "</div>";
  }
  Append(out, "<div><small>violations</small><strong{}>{}</strong></div></div>\n",
         snapshot.violations > 0 ? " class=bad" : "", Figure(snapshot.violations));
}

// --- Kinds ---------------------------------------------------------------------------------------

std::string ContractText(const ledger::KindSpec& spec) {
  switch (spec.contract) {
    case ledger::Contract::kShortLived: return "ends within " + ToText(spec.limit);
    case ledger::Contract::kActive: return "used every " + ToText(spec.limit);
    case ledger::Contract::kLeased: return "until its deadline";
    case ledger::Contract::kOwned: return "as long as its scope";
    case ledger::Contract::kProcess: return "as long as the process";
  }
  return "";
}

void AppendKinds(std::string& out, const ledger::Snapshot& snapshot) {
  std::vector<const ledger::KindView*> kinds;
  for (const ledger::KindView& view : snapshot.kinds) kinds.push_back(&view);
  std::sort(kinds.begin(), kinds.end(), [](const auto* a, const auto* b) {
    return std::pair(b->live, std::string_view(a->spec.name)) <
           std::pair(a->live, std::string_view(b->spec.name));
  });
  out +=
      "<h2>Kinds</h2><div class=wide><table><thead><tr><th>Kind<th>May live<th class=n>Live"
      "<th class=n>Acquired<th class=n>Oldest<th class=n>Longest unused</thead><tbody>\n";
  for (const ledger::KindView* view : kinds) {
    Append(out,
           "<tr{}><td><a href=\"/debug/resources?by=each&amp;kind={}\">{}</a><td>{}"
           "<td class=n>{}",
           view->live == 0 ? " class=dim" : "", EscapeUrl(view->spec.name), Escape(view->spec.name),
           ContractText(view->spec), Figure(view->live));
    if (view->spec.soft_limit > 0)
      Append(out, " <span class=dim>of {}</span>", Figure(view->spec.soft_limit));
    Append(out, "<td class=n>{}<td class=n>{}<td class=n>{}\n", Figure(view->counts.acquired),
           view->live == 0 ? "" : ToText(view->oldest),
           view->live == 0 ? "" : ToText(view->longest_idle));
  }
  out += "</tbody></table></div>\n";
}

void AppendUnclaimed(std::string& out, const ledger::Snapshot& snapshot) {
  out +=
      "<h2>Beyond the ledger</h2><p class=dim>What the kernel shows and nobody in this process "
      "claims: libraries have threads and descriptors of their own. More than at first, and ever "
      "more, is a finding.</p><div class=wide><table><thead><tr><th>Class<th class=n>Now"
      "<th class=n>In the first ten minutes</thead><tbody>\n";
  for (const auto& [name, count] : snapshot.unclaimed) {
    const auto found = snapshot.baseline.find(name);
    const std::uint64_t before = found == snapshot.baseline.end() ? 0 : found->second;
    if (count == 0 && before == 0) continue;
    Append(out, "<tr><td>{}<td class=n>{}<td class=n>{}\n", Escape(name), Figure(count),
           Figure(before));
  }
  out += "</tbody></table></div>\n";
}

// --- Listings ------------------------------------------------------------------------------------

constexpr std::pair<GroupBy, const char*> kGroupings[] = {{GroupBy::kKind, "kind"},
                                                          {GroupBy::kOwner, "peer"},
                                                          {GroupBy::kSite, "site"},
                                                          {GroupBy::kScope, "scope"},
                                                          {GroupBy::kEach, "each"}};
constexpr std::chrono::seconds kAges[] = {std::chrono::seconds(0), std::chrono::minutes(1),
                                          std::chrono::minutes(10), std::chrono::hours(1)};

std::string Address(const ledger::ListingOptions& options) {
  std::string address = fmt::format("/debug/resources?by={}", ToString(options.by));
  if (options.older.count() > 0) Append(address, "&older={}", options.older.count() / 1000);
  if (!options.kind.empty()) address += "&kind=" + EscapeUrl(options.kind);
  return address;
}

void AppendChoice(std::string& out, const ledger::ListingOptions& to, const std::string& text,
                  bool chosen) {
  if (chosen) {
    Append(out, "<b>{}</b>", Escape(text));
  } else {
    Append(out, "<a href=\"{}\">{}</a>", Escape(Address(to)), Escape(text));
  }
}

void AppendChoices(std::string& out, const ledger::ListingOptions& options) {
  out += "<p class=choose><span class=dim>group by</span>";
  for (const auto& [by, name] : kGroupings) {
    ledger::ListingOptions to = options;
    to.by = by;
    AppendChoice(out, to, name, by == options.by);
  }
  out += "<span class=dim>older than</span>";
  for (const std::chrono::seconds age : kAges) {
    ledger::ListingOptions to = options;
    to.older = age;
    AppendChoice(out, to, age.count() == 0 ? "any" : ToText(age), age == options.older);
  }
  if (!options.kind.empty()) {
    ledger::ListingOptions all = options;
    all.kind.clear();
    Append(out, "<span class=dim>of kind</span><b>{}</b>", Escape(options.kind));
    AppendChoice(out, all, "all kinds", false);
  }
  out += "</p>\n";
}

std::string Cell(const std::string& value) {
  return value.empty() ? "<span class=dim>several</span>" : Escape(value);
}

// "/debug/resources?by=peer&kind=timer"
ledger::ListingOptions OptionsOf(const Query& query) {
  ledger::ListingOptions options;
  if (const auto by = query.find("by"); by != query.end())
    options.by = ledger::ParseGroupBy(by->second).value_or(GroupBy::kKind);
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

std::string ResourcesHtml(const ledger::Snapshot& snapshot,
                          const std::vector<ledger::Verdict>& verdicts, ledger::Time now,
                          std::string_view title) {
  std::string body;
  AppendFacts(body, snapshot, verdicts);
  if (!verdicts.empty()) body += "<h2>Findings</h2>\n";
  for (const ledger::Verdict& verdict : verdicts) AppendVerdict(body, verdict, now);
  AppendKinds(body, snapshot);
  AppendUnclaimed(body, snapshot);
  return HtmlPage(title, "Resources", "/debug/resources", body);
}

std::string ListingHtml(const ledger::Listing& listing, const ledger::ListingOptions& options,
                        std::string_view title) {
  std::string body;
  AppendChoices(body, options);
  if (listing.rows.empty()) {
    body += "<p>Nothing of that kind or age is live.</p>\n";
  } else {
    body +=
        "<div class=wide><table><thead><tr><th class=n>Live<th>Kind<th>Owner<th>Scope<th>Site"
        "<th class=n>Oldest<th class=n>Unused for<th>Note</thead><tbody>\n";
  }
  for (const ledger::ListingRow& row : listing.rows) {
    Append(body,
           "<tr><td class=n>{}<td>{}<td>{}<td>{}<td><code>{}</code><td class=n>{}"
           "<td class=n>{}<td>{}\n",
           Figure(row.live), Cell(row.kind), Cell(row.owner), Cell(row.scope), Cell(row.site),
           ToText(row.oldest), ToText(row.longest_idle), Escape(row.note));
  }
  if (!listing.rows.empty()) body += "</tbody></table></div>\n";
  if (listing.left_off > 0)
    Append(body, "<p class=dim>and {} more</p>\n", Figure(listing.left_off));
  return HtmlPage(title, fmt::format("Resources by {}", ToString(options.by)),
                  fmt::format("/debug/resources?by={}", ToString(options.by)), body);
}

std::string DescriptorsHtml(const ledger::KernelReading& reading, std::string_view title) {
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> classes;  // all, unclaimed
  for (const ledger::Descriptor& one : reading.descriptors) {
    auto& [all, unclaimed] = classes[std::string(ClassOf(one.target))];
    ++all;
    unclaimed += one.claim == 0;
  }
  std::string body = fmt::format(
      "<p>{} open, {} permitted. What nobody claims belongs to a library, or was leaked past the "
      "ledger.</p><div class=wide><table><thead><tr><th>Class<th class=n>Open<th class=n>Nobody's"
      "</thead><tbody>\n",
      Figure(reading.descriptors.size()),
      reading.descriptor_limit == 0 ? "any number" : Figure(reading.descriptor_limit));
  for (const auto& [name, counts] : classes)
    Append(body, "<tr><td>{}<td class=n>{}<td class=n>{}\n", name, counts.first, counts.second);
  body +=
      "</tbody></table></div><h2>Each</h2><div class=wide><table><thead><tr><th class=n>Number"
      "<th>Class<th>Target<th class=n>Entry</thead><tbody>\n";
  for (const ledger::Descriptor& one : reading.descriptors) {
    Append(body, "<tr><td class=n>{}<td>{}<td><code>{}</code><td class=n>{}\n", one.number,
           ClassOf(one.target), Escape(one.target),
           one.claim == 0 ? "<span class=dim>nobody's</span>" : std::to_string(one.claim));
  }
  return HtmlPage(title, "Descriptors", "/debug/fds", body + "</tbody></table></div>\n");
}

std::string ThreadsHtml(const ledger::KernelReading& reading, std::string_view title) {
  const auto ours = std::count_if(reading.threads.begin(), reading.threads.end(),
                                  [](const ledger::Task& one) { return one.claimed; });
  std::string body = fmt::format(
      "<p>{} threads, {} of them ours.</p><div class=wide><table><thead><tr><th class=n>Id<th>Name"
      "<th>Whose</thead><tbody>\n",
      reading.threads.size(), ours);
  for (const ledger::Task& one : reading.threads) {
    Append(body, "<tr><td class=n>{}<td><code>{}</code><td>{}\n", one.id, Escape(one.name),
           one.claimed ? "ours" : "<span class=dim>a library's</span>");
  }
  return HtmlPage(title, "Threads", "/debug/threads", body + "</tbody></table></div>\n");
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
