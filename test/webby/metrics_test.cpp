#include "webby/metrics.h"

#include <cmath>
#include <limits>
#include <thread>

#include "test/support/death.h"
#include "test/webby/prometheus_checker.h"

#include "test/support/harness.h"

using namespace webby;
using namespace std::chrono_literals;
using webby_test::PrometheusChecker;

namespace {

std::string written(const Metrics& metrics) {
    PrometheusText text;
    metrics.write(text);
    return std::move(text.text());
}

}  // namespace

TEST_GROUP(Metrics){};

TEST(Metrics, ShowsWhatWasCounted) {
    Metrics metrics;
    metrics.counter("mails_total", "Mails.", {{"reason", "refused"}}).add(3);
    metrics.gauge("warmth_celsius", "Warmth.").set(-1.5);
    const PrometheusChecker read(written(metrics));
    CHECK_EQUAL("", read.complaints());
    CHECK_EQUAL(3, read.value("mails_total{reason=\"refused\"}"));
    CHECK_EQUAL(-1.5, read.value("warmth_celsius"));
}

TEST(Metrics, TheSameNameAndLabelsAreTheSameObject) {
    Metrics metrics;
    Counter& one = metrics.counter("a_total", "A.", {{"x", "1"}, {"y", "2"}});
    POINTERS_EQUAL(&one, &metrics.counter("a_total", "other words", {{"y", "2"}, {"x", "1"}}));
    CHECK(&one != &metrics.counter("a_total", "A.", {{"x", "1"}}));
    CHECK_EQUAL("", PrometheusChecker(written(metrics)).complaints());
}

TEST(Metrics, AHistogramCountsByBounds) {
    Metrics metrics;
    Histogram& sizes = metrics.histogram("size_bytes", "Sizes.", {1, 10}, {{"of", "x"}});
    for (const double value : {0.5, 1.0, 2.0, 100.0}) sizes.observe(value);
    const PrometheusChecker read(written(metrics));
    CHECK_EQUAL("", read.complaints());
    CHECK_EQUAL(2, read.value("size_bytes_bucket{of=\"x\",le=\"1\"}"));
    CHECK_EQUAL(3, read.value("size_bytes_bucket{of=\"x\",le=\"10\"}"));
    CHECK_EQUAL(4, read.value("size_bytes_count{of=\"x\"}"));
    CHECK_EQUAL(103.5, read.value("size_bytes_sum{of=\"x\"}"));
}

TEST(Metrics, TheBucketAboveAllBoundsIsThereOnce) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    Metrics metrics;
    Histogram& sizes = metrics.histogram("sizes", "S.", {1, kInfinity});
    for (const double value : {0.5, 7.0, kInfinity, -kInfinity, std::nan("")}) sizes.observe(value);
    LONGS_EQUAL(1, sizes.bounds().size());
    LONGS_EQUAL(2, sizes.count_in(0));
    LONGS_EQUAL(3, sizes.count_in(1));
    PrometheusText text;
    metrics.write(text);
    STRCMP_CONTAINS("sizes_bucket{le=\"1\"} 2\nsizes_bucket{le=\"+Inf\"} 5\nsizes_sum NaN\n",
                    text.text().c_str());
}

TEST(Metrics, TimesAreObservedInSeconds) {
    Metrics metrics;
    Histogram& times = metrics.histogram("t_seconds", "T.", {0.1, 1});
    times.observe(250ms);
    DOUBLES_EQUAL(0.25, times.sum(), 1e-9);
    LONGS_EQUAL(1, times.count_in(1));
}

TEST(Metrics, SeveralThreadsLoseNothing) {
    Metrics metrics;
    Counter& counter = metrics.counter("a_total", "A.");
    Gauge& gauge = metrics.gauge("b", "B.");
    const auto work = [&] {
        for (int i = 0; i < 10'000; ++i) counter.add(), gauge.add(1);
    };
    std::thread other(work);
    work();
    other.join();
    LONGS_EQUAL(20'000, counter.value());
    CHECK_EQUAL(20'000, gauge.value());
}

TEST(Metrics, AWrongNameAborts) {
    const auto said = [](void (*offence)(Metrics&)) {
        return test_support::abort_message([offence] {
            Metrics metrics;
            offence(metrics);
        });
    };
    STRCMP_CONTAINS("no name for a metric", said([](Metrics& m) { m.counter("a-b", "A."); }).c_str());
    STRCMP_CONTAINS("no name for a label", said([](Metrics& m) {
                                               m.counter("a", "A.", {{"le", "1"}});
                                           }).c_str());
    STRCMP_CONTAINS("do not ascend", said([](Metrics& m) { m.histogram("a", "A.", {2, 1}); }).c_str());
    STRCMP_CONTAINS("do not ascend",
                    said([](Metrics& m) { m.histogram("a", "A.", {std::nan("")}); }).c_str());
    STRCMP_CONTAINS("a label is there twice", said([](Metrics& m) {
                                                  m.counter("a", "A.", {{"b", "1"}, {"b", "2"}});
                                              }).c_str());
    STRCMP_CONTAINS("used for two types", said([](Metrics& m) {
                                              m.counter("a", "A.");
                                              m.gauge("a", "A.");
                                          }).c_str());
}
