// One scrape: families of metrics that sources fill in, rendered in Prometheus' text format 0.0.4.
//
//   page.Counter("peermesh_messages_total", "Messages accepted.").Add({{"direction", "in"}},
//   count); page.Gauge("peermesh_links", "Links that are up.").Add(links);
//
// Rules, which `promtool check metrics` and reviewers share: base units in the name (seconds,
// bytes, ratio), counters end in _total, every family has a help text, and a label never takes
// values that a user or a peer chooses. Names are ours, so a wrong one is a bug and stops the
// process; values come from outside, so a series that comes twice, or one too many, is left out and
// counted in peermesh_metrics_conflicts.
//
// Two sources may fill one family: the second call with the same name and type adds to it.
// Bounds: kMaxSeriesPerFamily. Not thread-safe; lives for one scrape.
#ifndef PEERMESH_METRICS_EXPORT_PAGE_H_
#define PEERMESH_METRICS_EXPORT_PAGE_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace peermesh::metrics {

inline constexpr std::size_t kMaxSeriesPerFamily =
    1000;  // ten times what Prometheus' guide calls too many

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

class Page {
 public:
  Page();
  ~Page();
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;

  // Refers to its page.
  class Family {
   public:
    Family& Add(Labels labels, double value);
    Family& Add(double value) { return Add({}, value); }

   private:
    friend class Page;
    Family(Page& page, std::size_t index) : page_(page), index_(index) {}
    Page& page_;
    std::size_t index_;
  };

  class HistogramFamily {
   public:
    // `counts` holds, bucket by bucket and not cumulated, what fell below each bound and, last,
    // above all of them: one more than there are bounds.
    HistogramFamily& Add(Labels labels, std::span<const std::uint64_t> counts, double sum);

   private:
    friend class Page;
    HistogramFamily(Page& page, std::size_t index, std::span<const double> bounds)
        : page_(page), index_(index), bounds_(bounds) {}
    Page& page_;
    std::size_t index_;
    std::span<const double> bounds_;
  };

  // `name` and `help` are constants of ours.
  Family Counter(std::string_view name, std::string_view help);
  Family Gauge(std::string_view name, std::string_view help);
  // `bounds`: rising, without infinity; outlive the family.
  HistogramFamily Histogram(std::string_view name, std::string_view help,
                            std::span<const double> bounds);

  std::string Text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace peermesh::metrics

#endif  // PEERMESH_METRICS_EXPORT_PAGE_H_
