#include "metrics/export/html.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <utility>

namespace peermesh::metrics {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--ink:#1a2027;--dim:#5d6875;--line:#e1e5ea;--paper:#fff;--card:#fff;
--band:#f4f6f8;--accent:#0b62c4;--bad:#b3261e;--warn:#8a5a00;--good:#1a7f37;--badbg:#fdecea;
--warnbg:#fff5e0;--goodbg:#e8f6ec}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ed;--dim:#97a3b1;--line:#2d343c;--paper:#121519;
--card:#181c21;--band:#1e242a;--accent:#6cb2ff;--bad:#ff938a;--warn:#f2bd62;--good:#62d383;
--badbg:#3b1c1a;--warnbg:#352a12;--goodbg:#15301d}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;margin:0;
color:var(--ink);background:var(--paper)}
header{border-bottom:1px solid var(--line);background:var(--band)}
header>div,main{max-width:74rem;margin:0 auto;padding:0 1.5rem}
header>div{display:flex;flex-wrap:wrap;align-items:baseline;gap:.2rem 1.6rem;padding-top:.7rem}
header b{font-size:1.05rem}header b small{font-weight:400;color:var(--dim)}
nav{display:flex;flex-wrap:wrap;gap:0 1.3rem}
nav a{color:var(--dim);text-decoration:none;padding:.25rem 0 .55rem;border-bottom:2px solid transparent}
nav a:hover{color:var(--ink)}nav a[aria-current]{color:var(--ink);border-color:var(--accent)}
main{padding-top:1.4rem;padding-bottom:4rem}
h1{font-size:1.4rem;line-height:1.3;margin:0 0 1rem}
h2{font-size:1.05rem;margin:2.2rem 0 .6rem}
p{margin:.4rem 0}a{color:var(--accent);text-underline-offset:2px}
code{font:13px/1.5 ui-monospace,SFMono-Regular,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
.dim,small{color:var(--dim)}.good{color:var(--good)}.bad{color:var(--bad)}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th{font-size:.8rem;font-weight:600;text-align:left;color:var(--dim);border-bottom:1px solid var(--line);
white-space:nowrap}
th,td{padding:.32rem 1.4rem .32rem 0;vertical-align:top}
th:last-child,td:last-child{padding-right:0}
td{border-bottom:1px solid var(--line)}tr:last-child>td{border-bottom:0}
tbody tr:hover td{background:var(--band)}
.n{text-align:right;white-space:nowrap}
.facts{display:flex;flex-wrap:wrap;border:1px solid var(--line);border-radius:8px;overflow:hidden;
background:var(--card)}
.facts>div{flex:1 1 9rem;padding:.7rem 1rem;border-right:1px solid var(--line)}
.facts>div:last-child{border-right:0}
.facts small{display:block}.facts strong{font-size:1.3rem;font-weight:600;line-height:1.35}
.facts .state{flex:2 1 16rem}
.state.good{background:var(--goodbg)}.state.bad{background:var(--badbg)}
.state.warn{background:var(--warnbg);color:var(--warn)}
.bar{display:block;height:.35rem;margin-top:.3rem;background:var(--line);border-radius:3px;overflow:hidden}
.bar i{display:block;height:100%;min-width:2px;background:var(--accent)}.bar i.full{background:var(--bad)}
.verdict{border:1px solid var(--line);border-left:4px solid var(--dim);border-radius:6px;
background:var(--card);padding:.8rem 1.1rem .9rem;margin:.8rem 0}
.verdict h3{font-size:1.05rem;margin:0;display:flex;flex-wrap:wrap;gap:.1rem .7rem;align-items:center}
.verdict h3 span:last-child{margin-left:auto;font-weight:400;font-size:.87rem;color:var(--dim)}
.tag{font-size:.75rem;font-weight:600;letter-spacing:.02em;border-radius:1rem;padding:.08rem .6rem;
background:var(--band);color:var(--dim);white-space:nowrap}
.alert{border-left-color:var(--bad)}.alert .tag{background:var(--badbg);color:var(--bad)}
.watch{border-left-color:var(--warn)}.watch .tag{background:var(--warnbg);color:var(--warn)}
.cleared{border-left-color:var(--good)}.cleared .tag{background:var(--goodbg);color:var(--good)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1.2rem;margin:.5rem 0}
dt{color:var(--dim)}dd{margin:0;min-width:0}
.verdict table{width:auto;margin-top:.3rem}.verdict tbody tr:hover td{background:none}
.verdict td:last-child{min-width:22rem}details{margin-top:.1rem;font-size:.87rem}summary{cursor:pointer;color:var(--dim)}
.frame{padding-left:1rem}
.choose{display:flex;flex-wrap:wrap;gap:.2rem .9rem;margin:0 0 .9rem}
.choose b{font-weight:600}
@media(max-width:40rem){dl{grid-template-columns:1fr}dt{margin-top:.3rem}}
)";

constexpr std::pair<const char*, const char*> kLinks[] = {
    {"/debug/resources", "resources"},
    {"/debug/resources?by=peer", "who has them"},
    {"/debug/resources?by=site", "where they come from"},
    {"/debug/fds", "descriptors"},
    {"/debug/threads", "threads"},
    {"/debug/channelz", "gRPC"},
    {"/metrics", "metrics"},
};

// How many bytes the character at `text` has; 0 if it is none.
std::size_t CharacterAt(std::string_view text, char32_t& point) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return point = first, 1;
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
  point = first & (0x7fu >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    point = (point << 6) | (byte(i) & 0x3f);
  }
  constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};  // shorter would do
  const bool surrogate = point >= 0xd800 && point < 0xe000;
  return point < kLeast[size] || point > 0x10ffff || surrogate ? 0 : size;
}

// Controls, and what turns the direction of writing or is not seen at all.
bool IsTreacherous(char32_t point) {
  return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x61c ||
         (point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
         (point >= 0x2060 && point <= 0x2069) || point == 0xfeff;
}

}  // namespace

std::string Escape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    char32_t point = 0;
    const std::size_t size = CharacterAt(text, point);
    if (size == 0 || IsTreacherous(point)) {
      out += kReplacement;
    } else {
      switch (point) {
        case '&': out += "&amp;"; break;
        case '<': out += "&lt;"; break;
        case '>': out += "&gt;"; break;
        case '"': out += "&quot;"; break;
        case '\'': out += "&#39;"; break;
        default: out += text.substr(0, size);
      }
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return out;
}

std::string EscapeUrl(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-' || c == '.';
    if (plain) {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string HtmlPage(std::string_view title, std::string_view heading, std::string_view path,
                     std::string_view body) {
  std::string links;
  for (const auto& [link, text] : kLinks) {
    fmt::format_to(std::back_inserter(links), "<a href=\"{}\"{}>{}</a>", link,
                   path == link ? " aria-current=\"page\"" : "", text);
  }
  return fmt::format(
      "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\"><title>{0} - {1}</title>"
      "<style>{2}</style><header><div><b>{1} <small>PeerMesh</small></b><nav>{3}</nav></div>"
      "</header>\n<main><h1>{0}</h1>\n{4}</main></html>\n",
      Escape(heading), Escape(title), kStyle, links, body);
}

std::string Figure(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, 1, ',');
  return text;
}

}  // namespace peermesh::metrics
