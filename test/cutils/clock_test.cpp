#include "cutils/clock.h"

#include <time.h>

#include <type_traits>

#include "test/support/harness.h"

using namespace cutils;

TEST_GROUP(Clock){};

TEST(Clock, NeverGoesBack) {
    TimePoint last = monotonic_now();
    for (int i = 0; i < 1000; ++i) {
        const TimePoint now = monotonic_now();
        CHECK(now >= last);
        last = now;
    }
}

TEST(Clock, IsClockMonotonicInNanoseconds) {
    const auto read = [] {
        timespec now = {};
        ::clock_gettime(CLOCK_MONOTONIC, &now);
        return TimePoint(std::chrono::seconds(now.tv_sec) + Duration(now.tv_nsec));
    };
    const TimePoint before = read();
    const TimePoint now = monotonic_now();
    CHECK(before <= now && now <= read());
    CHECK(std::is_same_v<Duration, std::chrono::nanoseconds>);
}
