#include "webby/prometheus_text.h"

#include <limits>

#include "test/webby/prometheus_checker.h"

#include "test/support/harness.h"

using namespace webby;
using webby_test::PrometheusChecker;

TEST_GROUP(PrometheusText){};

TEST(PrometheusText, WritesAFamilyAndItsSamples) {
    PrometheusText text;
    text.family("jobs_total", MetricType::counter, "Jobs done.");
    text.sample({{"kind", "mail"}, {"by", "hand"}}, std::uint64_t{17});
    text.sample({}, std::uint64_t{3});
    CHECK_EQUAL(
        "# HELP jobs_total Jobs done.\n# TYPE jobs_total counter\njobs_total{kind=\"mail\",by=\"hand\"} 17\n"
        "jobs_total 3\n",
        text.text());
}

TEST(PrometheusText, EscapesHelpAndValues) {
    PrometheusText text;
    text.family("a", MetricType::gauge, "A \\ \"B\"\nC");
    text.sample({{"x", "a\\b\"c\nd"}}, 0.5);
    CHECK_EQUAL("# HELP a A \\\\ \"B\"\\nC\n# TYPE a gauge\na{x=\"a\\\\b\\\"c\\nd\"} 0.5\n", text.text());
    CHECK_EQUAL("", PrometheusChecker(text.text()).complaints());
}

TEST(PrometheusText, IsUtf8WhateverIsPutIn) {
    PrometheusText text;
    text.family("a", MetricType::gauge, "caf\xe9");
    text.sample({{"x", "\xc3\xa4\xff\xc3"}}, 1.0);
    CHECK_EQUAL("# HELP a caf\xef\xbf\xbd\n# TYPE a gauge\na{x=\"\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\"} 1\n",
                text.text());
}

TEST(PrometheusText, NumbersAreTheShortestThatReadBack) {
    CHECK_EQUAL("0.1", PrometheusText::number(0.1));
    CHECK_EQUAL("1e-06", PrometheusText::number(1e-6));
    CHECK_EQUAL("18446744073709551615", PrometheusText::number(std::numeric_limits<std::uint64_t>::max()));
    CHECK_EQUAL("+Inf", PrometheusText::number(std::numeric_limits<double>::infinity()));
    CHECK_EQUAL("-Inf", PrometheusText::number(-std::numeric_limits<double>::infinity()));
    CHECK_EQUAL("NaN", PrometheusText::number(std::numeric_limits<double>::quiet_NaN()));
}

TEST(PrometheusText, AHistogramEndsWithABucketForAll) {
    PrometheusText text;
    text.family("t_seconds", MetricType::histogram, "T.");
    text.bucket({}, 0.5, 2);
    text.histogram_end({}, 7.5, 3);
    CHECK_EQUAL(
        "# HELP t_seconds T.\n# TYPE t_seconds histogram\nt_seconds_bucket{le=\"0.5\"} 2\n"
        "t_seconds_bucket{le=\"+Inf\"} 3\nt_seconds_sum 7.5\nt_seconds_count 3\n",
        text.text());
    CHECK_EQUAL("", PrometheusChecker(text.text()).complaints());
}

TEST(PrometheusText, KnowsWhatANameIs) {
    for (const char* good : {"a", "_", "http_requests_total", "a:b", "a9"}) CHECK(is_metric_name(good));
    for (const char* bad : {"", "9a", "a-b", "a b", "é", "a{"}) CHECK(!is_metric_name(bad));
    CHECK(is_label_name("le") && is_label_name("_x"));
    for (const char* bad : {"", "__name__", "a:b", "1"}) CHECK(!is_label_name(bad));
}

TEST(PrometheusText, TheCheckerOfTheseTestsFindsWhatIsWrong) {
    const auto wrong = [](const char* text) { return !PrometheusChecker(text).complaints().empty(); };
    const std::string good = "# HELP a A\n# TYPE a gauge\n";
    CHECK(!wrong((good + "a 1\n").c_str()));
    for (const char* bad : {"a 1", "b 1\n", "a x\n", "a\n", "a{b=\"c} 1\n", "a{b=\"\\x\"} 1\n", "a 1\na 2\n"})
        CHECK(wrong((good + bad).c_str()));
    CHECK(wrong("# HELP a A\n# TYPE a counter\na 1\n"));
    CHECK(
        wrong("# HELP h A\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum "
              "0\nh_count 1\n"));
    CHECK(wrong("# HELP h A\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 0\nh_count 2\n"));
}
