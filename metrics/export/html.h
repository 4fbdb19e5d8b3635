// What every page for people shares: escaping, the frame with its style, and how figures are
// written.
//
// No script, no image, no font, nothing from elsewhere: the exporter's Content-Security-Policy
// forbids all of it. Readable in light and in dark, on a telephone, and in a text browser.
#ifndef PEERMESH_METRICS_EXPORT_HTML_H_
#define PEERMESH_METRICS_EXPORT_HTML_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace peermesh::metrics {

// Text as HTML shows it, in an element or in an attribute between quotes. Control characters,
// broken UTF-8 and whatever turns the direction of writing become U+FFFD: what a peer calls itself
// can neither end an element nor dress up as another one's name.
std::string Escape(std::string_view text);
// For a value in the query of an address.
std::string EscapeUrl(std::string_view text);

// A whole page around `body`. `title` names the process, `heading` the page; `path` is where the
// page is, marked among the links.
std::string HtmlPage(std::string_view title, std::string_view heading, std::string_view path,
                     std::string_view body);

// "1,204".
std::string Figure(std::uint64_t number);

}  // namespace peermesh::metrics

#endif  // PEERMESH_METRICS_EXPORT_HTML_H_
