// Metrics: counters, gauges and histograms of the application's own, for its /metrics.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "cutils/clock.h"
#include "cutils/export.h"
#include "webby/prometheus_text.h"

namespace webby {

// Only goes up. Any thread. Cost: one atomic addition.
class Counter {
  public:
    void add(std::uint64_t more = 1) { value_.fetch_add(more, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

// Goes up and down. Any thread.
class Gauge {
  public:
    void set(double value) { value_.store(value, std::memory_order_relaxed); }
    void add(double more) { value_.fetch_add(more, std::memory_order_relaxed); }
    [[nodiscard]] double value() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<double> value_{0};
};

// Counts values by size. Any thread. Cost: a search among the bounds and two atomic additions.
class EVC_API Histogram {
  public:
    // Before: bounds ascend. A last one that is infinite is the end that there is anyway.
    explicit Histogram(std::span<const double> bounds);
    void observe(double value);
    void observe(cutils::Duration time) {
        observe(std::chrono::duration<double>(time).count());
    }  // in seconds

    [[nodiscard]] std::uint64_t count() const;
    [[nodiscard]] double sum() const { return sum_.value(); }
    // The values up to the bound of that number, and above those before.
    [[nodiscard]] std::uint64_t count_in(std::size_t bucket) const { return counts_[bucket].value(); }
    [[nodiscard]] std::span<const double> bounds() const { return bounds_; }

  private:
    const std::vector<double> bounds_;
    std::vector<Counter> counts_;  // one more than bounds: what is above all of them
    Gauge sum_;
};

//   webby::Metrics metrics;
//   webby::Counter& mails = metrics.counter("mails_sent_total", "Mails handed to the relay.");
//   webby::Counter& lost = metrics.counter("mails_failed_total", "Mails given up.", {{"reason", "refused"}});
//   …
//   mails.add();                                                        // from any thread
//   server.metrics_page("/metrics", {.own = &metrics});
//
// What is asked for a second time, with the same name and labels, is the same object. Names as Prometheus
// wants them: snake_case, the unit at the end (_seconds, _bytes), and _total behind that for counters.
//
// Owner:  the application; outlives what it gave and the servers that show it. Thread: any.
// Before: names are names (is_metric_name), no label is there twice, one name has one type, and a histogram's
//         bounds ascend; else it aborts.
class EVC_API Metrics {
  public:
    using Labels = std::initializer_list<MetricLabel>;

    Metrics();
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;
    ~Metrics();

    // Lifetime: the texts are copied; the object lives as long as the registry. May throw std::bad_alloc.
    Counter& counter(std::string_view name, std::string_view help, Labels labels = {});
    Gauge& gauge(std::string_view name, std::string_view help, Labels labels = {});
    // bounds: what the buckets hold at most; of a name, the first ones count.
    Histogram& histogram(std::string_view name, std::string_view help, std::initializer_list<double> bounds,
                         Labels labels = {});

    // All of them, families in the order of their names.
    void write(PrometheusText& text) const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace webby
