#include "webby/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <variant>

#include "cutils/check.h"

namespace webby {

namespace {

// There is a bucket above all of them anyway.
std::span<const double> without_infinity(std::span<const double> bounds) {
    const bool ends_there = !bounds.empty() && bounds.back() == std::numeric_limits<double>::infinity();
    return bounds.first(bounds.size() - (ends_there ? 1 : 0));
}

}  // namespace

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(without_infinity(bounds).begin(), without_infinity(bounds).end()), counts_(bounds_.size() + 1) {
    for (std::size_t i = 0; i < bounds_.size(); ++i)
        EVC_CHECK(i == 0 ? !std::isnan(bounds_[i]) : bounds_[i - 1] < bounds_[i],
                  "webby::Metrics: the bounds of a histogram do not ascend");
}

void Histogram::observe(double value) {
    // What is no number is not below any bound.
    const auto above = [](double bound, double its) { return !(its <= bound); };
    const auto at = std::lower_bound(bounds_.begin(), bounds_.end(), value, above) - bounds_.begin();
    counts_[static_cast<std::size_t>(at)].add();
    sum_.add(value);
}

std::uint64_t Histogram::count() const {
    std::uint64_t all = 0;
    for (const Counter& one : counts_) all += one.value();
    return all;
}

namespace {

using OwnLabels = std::vector<std::pair<std::string, std::string>>;
using Metric = std::variant<std::unique_ptr<Counter>, std::unique_ptr<Gauge>, std::unique_ptr<Histogram>>;

struct Family {
    MetricType type = MetricType::counter;
    std::string help;
    std::vector<double> bounds;
    std::map<OwnLabels, Metric> members;
};

OwnLabels copy_of(Metrics::Labels labels) {
    OwnLabels copy;
    for (const auto& [name, value] : labels) {
        EVC_CHECK(is_label_name(name) && name != "le", "webby::Metrics: no name for a label");
        copy.emplace_back(name, value);
    }
    std::sort(copy.begin(), copy.end());
    const auto same_name = [](const auto& a, const auto& b) { return a.first == b.first; };
    EVC_CHECK(std::adjacent_find(copy.begin(), copy.end(), same_name) == copy.end(),
              "webby::Metrics: a label is there twice");
    return copy;
}

void write_value(PrometheusText& text, PrometheusText::Labels labels, const Counter& counter) {
    text.sample(labels, counter.value());
}
void write_value(PrometheusText& text, PrometheusText::Labels labels, const Gauge& gauge) {
    text.sample(labels, gauge.value());
}
void write_value(PrometheusText& text, PrometheusText::Labels labels, const Histogram& histogram) {
    std::uint64_t so_far = 0;
    std::size_t i = 0;
    for (const double bound : histogram.bounds())
        text.bucket(labels, bound, so_far += histogram.count_in(i++));
    text.histogram_end(labels, histogram.sum(), so_far + histogram.count_in(i));
}

}  // namespace

struct Metrics::Impl {
    Family& family(std::string_view name, std::string_view help, MetricType type,
                   std::initializer_list<double> bounds = {}) {
        EVC_CHECK(is_metric_name(name), "webby::Metrics: no name for a metric");
        const auto [at, is_new] = families.try_emplace(std::string(name));
        if (is_new) at->second = {type, std::string(help), bounds, {}};
        EVC_CHECK(at->second.type == type, "webby::Metrics: a name is used for two types");
        return at->second;
    }
    template <class T, class... Arguments>
    T& member(Family& family, Labels labels, const Arguments&... arguments) {
        OwnLabels key = copy_of(labels);
        const auto found = family.members.find(key);
        Metric& metric =
            found != family.members.end()
                ? found->second
                : family.members.emplace(std::move(key), std::make_unique<T>(arguments...)).first->second;
        return *std::get<std::unique_ptr<T>>(metric);
    }

    mutable std::mutex mutex;
    std::map<std::string, Family> families;
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

Counter& Metrics::counter(std::string_view name, std::string_view help, Labels labels) {
    const std::lock_guard lock(impl_->mutex);
    return impl_->member<Counter>(impl_->family(name, help, MetricType::counter), labels);
}

Gauge& Metrics::gauge(std::string_view name, std::string_view help, Labels labels) {
    const std::lock_guard lock(impl_->mutex);
    return impl_->member<Gauge>(impl_->family(name, help, MetricType::gauge), labels);
}

Histogram& Metrics::histogram(std::string_view name, std::string_view help,
                              std::initializer_list<double> bounds, Labels labels) {
    const std::lock_guard lock(impl_->mutex);
    Family& family = impl_->family(name, help, MetricType::histogram, bounds);
    return impl_->member<Histogram>(family, labels, std::span<const double>(family.bounds));
}

void Metrics::write(PrometheusText& text) const {
    const std::lock_guard lock(impl_->mutex);
    for (const auto& [name, family] : impl_->families) {
        text.family(name, family.type, family.help);
        for (const auto& [own_labels, metric] : family.members) {
            const std::vector<MetricLabel> labels(own_labels.begin(), own_labels.end());
            std::visit([&](const auto& one) { write_value(text, labels, *one); }, metric);
        }
    }
}

}  // namespace webby
