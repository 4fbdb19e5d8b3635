#include "metrics/export/page.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <vector>

#include "mesh/base/check.h"

namespace peermesh::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

bool IsName(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  return !name.empty() && letter(name[0]) && std::all_of(name.begin(), name.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9');
  });
}

// The text format is UTF-8; a byte that may not be is shown as a question mark, and so stays one
// series.
std::string LabelValue(std::string_view value) {
  std::string text(value);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  return text;
}

}  // namespace

struct Page::Impl {
  struct Entry {
    MetricFamily family;
    std::set<std::vector<ClientMetric::Label>> series;
  };

  std::size_t Open(std::string_view name, std::string_view help, MetricType type) {
    PM_CHECK(IsName(name));
    PM_CHECK(!help.empty());
    PM_CHECK(name.ends_with("_total") == (type == MetricType::Counter));
    const auto found = std::find_if(entries.begin(), entries.end(),
                                    [&](const Entry& entry) { return entry.family.name == name; });
    if (found != entries.end()) {
      PM_CHECK(found->family.type == type);
      return static_cast<std::size_t>(found - entries.begin());
    }
    Entry entry;
    entry.family.name = name;
    entry.family.help = help;
    entry.family.type = type;
    entries.push_back(std::move(entry));
    return entries.size() - 1;
  }

  // The new series, or null when it may not be.
  ClientMetric* AddSeries(std::size_t index, Labels labels) {
    Entry& entry = entries[index];
    ClientMetric metric;
    for (const auto& [name, value] : labels) {
      PM_CHECK(IsName(name) && !name.starts_with("__") && name != "le" && name != "quantile");
      metric.label.push_back({std::string(name), LabelValue(value)});
    }
    std::vector<ClientMetric::Label> key = metric.label;
    std::sort(key.begin(), key.end());
    if (entry.series.size() >= kMaxSeriesPerFamily || !entry.series.insert(std::move(key)).second) {
      ++conflicts;
      return nullptr;
    }
    entry.family.metric.push_back(std::move(metric));
    return &entry.family.metric.back();
  }

  std::vector<Entry> entries;
  std::uint64_t conflicts = 0;
};

Page::Page() : impl_(std::make_unique<Impl>()) {}
Page::~Page() = default;

Page::Family& Page::Family::Add(Labels labels, double value) {
  ClientMetric* metric = page_.impl_->AddSeries(index_, labels);
  if (metric == nullptr) return *this;
  if (page_.impl_->entries[index_].family.type == MetricType::Counter) {
    metric->counter.value = value;
  } else {
    metric->gauge.value = value;
  }
  return *this;
}

Page::HistogramFamily& Page::HistogramFamily::Add(Labels labels,
                                                  std::span<const std::uint64_t> counts,
                                                  double sum) {
  PM_CHECK(counts.size() == bounds_.size() + 1);
  ClientMetric* metric = page_.impl_->AddSeries(index_, labels);
  if (metric == nullptr) return *this;
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < bounds_.size(); ++i) {
    cumulative += counts[i];
    metric->histogram.bucket.push_back({cumulative, bounds_[i]});
  }
  metric->histogram.sample_count = cumulative + counts.back();
  metric->histogram.sample_sum = sum;
  return *this;
}

Page::Family Page::Counter(std::string_view name, std::string_view help) {
  return {*this, impl_->Open(name, help, MetricType::Counter)};
}

Page::Family Page::Gauge(std::string_view name, std::string_view help) {
  return {*this, impl_->Open(name, help, MetricType::Gauge)};
}

Page::HistogramFamily Page::Histogram(std::string_view name, std::string_view help,
                                      std::span<const double> bounds) {
  PM_CHECK(!bounds.empty() && std::is_sorted(bounds.begin(), bounds.end(), std::less_equal<>()));
  return {*this, impl_->Open(name, help, MetricType::Histogram), bounds};
}

std::string Page::Text() const {
  std::vector<MetricFamily> families;
  families.reserve(impl_->entries.size() + 1);
  for (const Impl::Entry& entry : impl_->entries) families.push_back(entry.family);
  MetricFamily& conflicts = families.emplace_back();
  conflicts.name = "peermesh_metrics_conflicts";
  conflicts.help = "Series left out of this page: named twice, or too many of one family.";
  conflicts.type = MetricType::Gauge;
  conflicts.metric.emplace_back().gauge.value = static_cast<double>(impl_->conflicts);
  std::ostringstream text;
  text.imbue(std::locale::classic());
  prometheus::TextSerializer().Serialize(text, families);
  return std::move(text).str();
}

}  // namespace peermesh::metrics
