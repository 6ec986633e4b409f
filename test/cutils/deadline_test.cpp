#include "cutils/deadline.h"

#include <chrono>
#include <limits>
#include <type_traits>

#include "test/support/harness.h"

using namespace cutils;
using namespace std::chrono_literals;

TEST_GROUP(Deadline) { const TimePoint now{1000s}; };

TEST(Deadline, OfADurationIsRelativeUntilResolved) {
    const Deadline deadline = 3s;
    CHECK(deadline.is_relative());
    CHECK(!deadline.resolved(now).is_relative());
    CHECK(deadline.resolved(now).at() == now + 3s);
}

TEST(Deadline, OfATimePointIsNotRelative) {
    const Deadline deadline = now + 3s;
    CHECK(!deadline.is_relative());
    CHECK(deadline.at() == now + 3s);
    CHECK(deadline.resolved(now + 1s).at() == now + 3s);
}

TEST(Deadline, OnceResolvedItStaysWhereItIs) {
    const Deadline deadline = Deadline(3s).resolved(now);
    CHECK(deadline.resolved(now + 2s).at() == now + 3s);
}

TEST(Deadline, NeverIsNeverRelativeNorPassed) {
    CHECK(Deadline::never.is_never());
    CHECK(!Deadline::never.is_relative());
    CHECK(!Deadline::never.passed(now));
    CHECK(Deadline::never.at() == TimePoint::max());
    CHECK_EQUAL(Duration::max(), Deadline::never.remaining(now));
    CHECK(Deadline::never.resolved(now).is_never());
}

TEST(Deadline, AcceptsEveryUnit) {
    CHECK(Deadline(5ns).resolved(now).at() == now + 5ns);
    CHECK(Deadline(5us).resolved(now).at() == now + 5us);
    CHECK(Deadline(5h).resolved(now).at() == now + 5h);
    CHECK(Deadline(std::chrono::duration<double>(0.5)).resolved(now).at() == now + 500ms);
    CHECK(Deadline(std::chrono::duration<int, std::ratio<86400>>(2)).resolved(now).at() == now + 48h);
}

TEST(Deadline, KeepsEveryNanosecond) {
    const Duration odd(123456789012345679);
    CHECK_EQUAL(odd, Deadline(odd).remaining(now));
}

TEST(Deadline, FartherThanTheClockReachesIsNever) {
    CHECK(Deadline(Duration::max()).is_never());
    CHECK(Deadline(std::chrono::hours::max()).is_never());
    CHECK(Deadline(std::chrono::duration<double>(1e300)).is_never());
    CHECK(Deadline(std::chrono::hours(24 * 365 * 290))
              .resolved(TimePoint(std::chrono::hours(24 * 365 * 290)))
              .is_never());
}

TEST(Deadline, ZeroAndLessHavePassed) {
    CHECK(Deadline(0s).passed(now));
    CHECK(Deadline(-1s).passed(now));
    CHECK(Deadline(std::chrono::hours::min()).passed(now));
    CHECK_EQUAL(Duration::zero(), Deadline(-1s).remaining(now));
}

TEST(Deadline, BeforeTheBeginningOfTimeStopsThere) {
    const TimePoint early{-Duration::max() + 1h};
    CHECK(Deadline(std::chrono::hours::min()).resolved(early).at() == TimePoint::min());
    CHECK(Deadline(std::chrono::hours::min()).passed(early));
}

TEST(Deadline, PassesAtItsMoment) {
    const Deadline deadline = now;
    CHECK(!deadline.passed(now - 1ns));
    CHECK(deadline.passed(now));
}

TEST(Deadline, RemainingIsNeverNegative) {
    const Deadline deadline = now;
    CHECK_EQUAL(Duration(2s), deadline.remaining(now - 2s));
    CHECK_EQUAL(Duration::zero(), deadline.remaining(now));
    CHECK_EQUAL(Duration::zero(), deadline.remaining(now + 5s));
}

TEST(Deadline, EarlierTakesTheEarlierAndResolvesIt) {
    CHECK(Deadline::earlier(3s, now + 2s, now).at() == now + 2s);
    CHECK(Deadline::earlier(1s, now + 2s, now).at() == now + 1s);
    CHECK(Deadline::earlier(Deadline::never, 1s, now).at() == now + 1s);
    CHECK(Deadline::earlier(1s, Deadline::never, now).at() == now + 1s);
    CHECK(Deadline::earlier(Deadline::never, Deadline::never, now).is_never());
    CHECK(!Deadline::earlier(3s, 4s, now).is_relative());
}

TEST(Deadline, OfATimevalCountsSecondsAndMicroseconds) {
    const timeval timeout = {2, 500000};
    CHECK(Deadline::from(&timeout).resolved(now).at() == now + 2500ms);
}

TEST(Deadline, OfNoTimevalIsNever) { CHECK(Deadline::from(nullptr).is_never()); }

TEST(Deadline, OfAnOddTimevalIsWhatItCounts) {
    const timeval many_microseconds = {1, 2500000};
    CHECK(Deadline::from(&many_microseconds).resolved(now).at() == now + 3500ms);
    const timeval negative = {-1, 500000};
    CHECK(Deadline::from(&negative).passed(now));
}

TEST(Deadline, OfAnEndlessTimevalIsNever) {
    constexpr long kLongest = std::numeric_limits<long>::max();
    for (const timeval& timeout : {timeval{kLongest, 0}, timeval{kLongest, kLongest}, timeval{0, kLongest}})
        CHECK(Deadline::from(&timeout).is_never() || !Deadline::from(&timeout).passed(now));
    const timeval balanced = {9'223'372'036'856, -9'223'372'036'800'000'000};
    CHECK(Deadline::from(&balanced).resolved(now).at() == now + 56s);
    const timeval past = {-kLongest, 0};
    CHECK(Deadline::from(&past).passed(now));
}

TEST(Deadline, OfWhatIsNotANumberIsNever) {
    CHECK(Deadline(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())).is_never());
}

TEST(Deadline, IsAValueOfTwoWords) {
    CHECK(std::is_trivially_copyable_v<Deadline>);
    CHECK(sizeof(Deadline) <= 16);
}

TEST(Deadline, IsKnownAtCompileTime) {
    constexpr Deadline deadline = 3s;
    static_assert(deadline.is_relative());
    static_assert(Deadline::never.is_never());
    static_assert(deadline.resolved(TimePoint{}).at() == TimePoint{3s});
}
