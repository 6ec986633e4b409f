#include "webby/rate_limiter.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "test/support/allocation_faults.h"
#include "test/support/death.h"

#include "test/support/harness.h"

using namespace webby;
using namespace std::chrono_literals;
using nutils::SockAddr;

namespace {
SockAddr from(const std::string& ip) { return SockAddr::from(nutils::IpAddress::parse(ip).value(), 1); }
constexpr cutils::Duration kNone = cutils::Duration::zero();
}  // namespace

TEST_GROUP_BASE(RateLimiter, test_support::Fixture) { cutils::TimePoint now = cutils::TimePoint(1h); };

TEST(RateLimiter, ABurstIsLetThroughAndThenTheRate) {
    RateLimiter limiter(2, 3, 10);
    const SockAddr client = from("192.0.2.1");
    for (int i = 0; i < 3; ++i) CHECK(limiter.take(client, now) == kNone);
    CHECK_EQUAL(cutils::Duration(500ms), limiter.take(client, now));
    CHECK_EQUAL(cutils::Duration(500ms), limiter.take(client, now));  // asking costs nothing
    CHECK_EQUAL(cutils::Duration(100ms), limiter.take(client, now + 400ms));
    CHECK(limiter.take(client, now + 500ms) == kNone);
    CHECK(limiter.take(client, now + 500ms) != kNone);
    for (int i = 0; i < 3; ++i) CHECK(limiter.take(client, now + 1h) == kNone);
    CHECK(limiter.take(client, now + 1h) != kNone);  // a bucket does not overflow
}

TEST(RateLimiter, AClientThatWaitsAsLongAsItWasToldGetsItsToken) {
    RateLimiter limiter(3, 1, 10);
    const SockAddr client = from("192.0.2.1");
    CHECK(limiter.take(client, now) == kNone);
    for (int i = 0; i < 1000; ++i) {
        now += limiter.take(client, now);
        CHECK(limiter.take(client, now) == kNone);
    }
}

TEST(RateLimiter, EachClientHasItsOwn) {
    RateLimiter limiter(1, 1, 10);
    CHECK(limiter.take(from("192.0.2.1"), now) == kNone);
    CHECK(limiter.take(from("192.0.2.2"), now) == kNone);
    CHECK(limiter.take(from("192.0.2.1"), now) != kNone);
    CHECK(limiter.take(from("::ffff:192.0.2.2"), now) != kNone);
}

TEST(RateLimiter, AnIpv6ClientIsItsFirst64Bits) {
    RateLimiter limiter(1, 1, 10);
    CHECK(limiter.take(from("2001:db8::1"), now) == kNone);
    CHECK(limiter.take(from("2001:db8::ffff:2"), now) != kNone);
    CHECK(limiter.take(from("2001:db8:0:1::1"), now) == kNone);
}

TEST(RateLimiter, AllWithoutAnAddressShareOne) {
    RateLimiter limiter(1, 1, 10);
    CHECK(limiter.take(SockAddr::unix_path("/a").value(), now) == kNone);
    CHECK(limiter.take(SockAddr(), now) != kNone);
    CHECK(limiter.take(from("0.0.0.0"), now) == kNone);
    CHECK(limiter.take(from("::"), now) == kNone);
}

TEST(RateLimiter, ForgetsWhoWasSeenLongestAgo) {
    RateLimiter limiter(0.001, 1, 2);
    CHECK(limiter.take(from("192.0.2.1"), now) == kNone);
    CHECK(limiter.take(from("192.0.2.2"), now) == kNone);
    CHECK(limiter.take(from("192.0.2.1"), now) != kNone);  // seen again
    CHECK(limiter.take(from("192.0.2.3"), now) == kNone);  // .2 goes
    CHECK_EQUAL(2, limiter.size());
    CHECK(limiter.take(from("192.0.2.1"), now) != kNone);
    CHECK(limiter.take(from("192.0.2.2"), now) == kNone);
    for (int i = 0; i < 1000; ++i)
        (void)limiter.take(from("10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250)), now);
    CHECK_EQUAL(2, limiter.size());
}

TEST(RateLimiter, AClockThatSeemsToGoBackTakesNothingAway) {
    RateLimiter limiter(1, 2, 10);
    CHECK(limiter.take(from("192.0.2.1"), now) == kNone);
    CHECK(limiter.take(from("192.0.2.1"), now - 1h) == kNone);
    CHECK_EQUAL(cutils::Duration(1s), limiter.take(from("192.0.2.1"), now - 1h));
}

TEST(RateLimiter, SurvivesWithoutMemory) {
    RateLimiter limiter(1, 1, 3);
    int client = 0;
    test_support::for_each_failing_allocation([&] {
        for (int i = 0; i < 3; ++i) (void)limiter.take(from("10.0.0." + std::to_string(client++ % 200)), now);
    });
    for (int i = 0; i < 10; ++i) CHECK(limiter.take(from("10.1.0." + std::to_string(i)), now) == kNone);
    CHECK_EQUAL(3, limiter.size());
}

TEST(RateLimiter, ThreadsShareOneLimit) {
    RateLimiter limiter(0.001, 100, 10);
    std::atomic<int> taken = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 100; ++i) {
                if (limiter.take(from("192.0.2.1"), now) == kNone) ++taken;
                (void)limiter.take(from("10.0.0." + std::to_string(i)), now);
                (void)limiter.take(from("192.0.2.1"), now - 1s);
            }
        });
    for (std::thread& thread : threads) thread.join();
    CHECK(taken.load() <= 100);
    CHECK(limiter.size() <= 10);
}

TEST(RateLimiter, ARateOfZeroIsABug) {
    STRCMP_CONTAINS("rate of zero",
                    test_support::abort_message([] { RateLimiter limiter(0, 1, 1); }).c_str());
}
