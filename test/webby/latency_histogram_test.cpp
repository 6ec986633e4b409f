#include "webby/latency_histogram.h"

#include "webby/metrics_cell.h"

#include "test/support/harness.h"

using namespace webby;
using namespace std::chrono_literals;
using cutils::Duration;

namespace {

LatencyHistogram of(std::initializer_list<Duration> times) {
    LatencyTally tally;
    for (const Duration time : times) tally.add(time);
    LatencyHistogram histogram;
    tally.add_to(histogram);
    return histogram;
}

}  // namespace

TEST_GROUP(LatencyHistogram){};

TEST(LatencyHistogram, EveryTimeIsNoLongerThanTheEndOfItsBucketAndLongerThanThatBefore) {
    for (long long ns = 1; ns < (1LL << 36); ns = ns * 9 / 8 + 1)
        for (const long long near : {ns - 1, ns, ns + 1}) {
            if (near < 1) continue;
            const std::size_t bucket = LatencyScale::bucket_of(Duration(near));
            CHECK(Duration(near) <= LatencyScale::end_of(bucket));
            CHECK(bucket == 0 || Duration(near) > LatencyScale::end_of(bucket - 1));
        }
}

TEST(LatencyHistogram, TheEndOfABucketBelongsToIt) {
    for (std::size_t i = 0; i + 1 < LatencyScale::kBuckets; ++i) {
        LONGS_EQUAL(i, LatencyScale::bucket_of(LatencyScale::end_of(i)));
        LONGS_EQUAL(i + 1, LatencyScale::bucket_of(LatencyScale::end_of(i) + 1ns));
    }
}

TEST(LatencyHistogram, NothingAndLessGoToTheFirstBucketAndHoursToTheLast) {
    LONGS_EQUAL(0, LatencyScale::bucket_of(0ns));
    LONGS_EQUAL(0, LatencyScale::bucket_of(-5s));
    LONGS_EQUAL(LatencyScale::kBuckets - 1, LatencyScale::bucket_of(5h));
}

TEST(LatencyHistogram, PercentilesAreWithinAQuarter) {
    LatencyTally tally;
    for (int i = 1; i <= 1000; ++i) tally.add(i * 10us);
    LatencyHistogram histogram;
    tally.add_to(histogram);
    const auto near = [&](double part, Duration right) {
        const Duration got = histogram.percentile(part);
        return got > right * 3 / 4 && got < right * 5 / 4;
    };
    CHECK(near(0.5, 5ms));
    CHECK(near(0.9, 9ms));
    CHECK(near(0.99, 9900us));
    CHECK(near(1, 10ms));
}

TEST(LatencyHistogram, WithoutAnyThereIsNoPercentile) { CHECK(LatencyHistogram().percentile(0.99) == 0s); }

TEST(LatencyHistogram, CountsAndSums) {
    const LatencyHistogram histogram = of({1ms, 2ms, 3s});
    LONGS_EQUAL(3, histogram.count());
    CHECK(histogram.sum == 3003ms);
    LONGS_EQUAL(2, histogram.count_until(Duration(1 << 22)));  // 4 ms
    LONGS_EQUAL(0, histogram.count_until(1us));
}

TEST(LatencyHistogram, TheDifferenceIsWhatHasComeSince) {
    const LatencyHistogram before = of({1ms});
    LatencyHistogram now = before;
    now += of({2s, 2s});
    const LatencyHistogram since = now - before;
    LONGS_EQUAL(2, since.count());
    CHECK(since.sum == 4s);
    CHECK(since.percentile(0.01) > 1s);
}
