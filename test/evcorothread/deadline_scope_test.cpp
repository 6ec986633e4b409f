// DeadlineScope: the end of every wait inside it, and of nothing outside.
#include <system_error>

#include "evcorothread/bundle.h"
#include "evcorothread/ev_thread.h"
#include "test/evcorothread/loop_fixture.h"

using namespace test_support;

TEST_GROUP_BASE(DeadlineScopes, LoopFixture){// How long a wait of an hour lasts here.
                                             Duration an_hour(){const TimePoint begin = loop.now();
(void)this_evthread::delay(1h);
return loop.now() - begin;
}
}
;

TEST(DeadlineScopes, AWaitInsideEndsWithTimedOut) {
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        const DeadlineScope all(5s);
        CHECK(this_evthread::delay(1h) == std::errc::timed_out);
        CHECK_EQUAL(5s, loop.now() - begin);
        CHECK(this_evthread::delay(1h) == std::errc::timed_out);
        CHECK_EQUAL(5s, loop.now() - begin);  // it has passed: no time at all
    });
}

TEST(DeadlineScopes, AWaitThatEndsEarlierIsNotTouched) {
    in_coroutine([&] {
        const DeadlineScope all(5s);
        CHECK(!this_evthread::delay(2s));
        CHECK(!this_evthread::delay(2s));
        CHECK(this_evthread::delay(2s) == std::errc::timed_out);
    });
}

TEST(DeadlineScopes, BehindItWaitsLastAsLongAsTheyAreAsked) {
    in_coroutine([&] {
        { const DeadlineScope all(5s); }
        CHECK(this_evthread::deadline().is_never());
        CHECK_EQUAL(1h, an_hour());
    });
}

TEST(DeadlineScopes, TheEarliestOfNestedOnesCounts) {
    in_coroutine([&] {
        const DeadlineScope outer(5s);
        {
            const DeadlineScope later(1min);
            CHECK_EQUAL(5s, this_evthread::deadline().at() - loop.now());
        }
        {
            const DeadlineScope earlier(2s);
            CHECK_EQUAL(2s, an_hour());
        }
        CHECK_EQUAL(3s, an_hour());  // the outer one is back, and did not begin anew
    });
}

TEST(DeadlineScopes, NeverIsNone) {
    in_coroutine([&] {
        const DeadlineScope none(Deadline::never);
        CHECK(this_evthread::deadline().is_never());
        const DeadlineScope outer(5s);
        const DeadlineScope inner(Deadline::never);
        CHECK_EQUAL(5s, an_hour());
    });
}

TEST(DeadlineScopes, ChildrenOfBundlesInsideInheritIt) {
    in_coroutine([&] {
        const DeadlineScope all(5s);
        Duration child{};
        {
            Bundle children(loop);
            children.go([&] { child = an_hour(); });
            (void)children.wait(1h);  // ends at the same time as the child
        }
        CHECK_EQUAL(5s, child);
    });
}

TEST(DeadlineScopes, InABundlesChildTheBundlesDeadlineIsBackBehindIt) {
    in_coroutine([&] {
        Bundle children(loop, 10s);
        children.go([&] {
            {
                const DeadlineScope all(2s);
                CHECK_EQUAL(2s, an_hour());
            }
            CHECK_EQUAL(8s, an_hour());
        });
        (void)children.wait(1h);
    });
}

TEST(DeadlineScopes, AreOfOneCoroutineOnly) {
    Duration other{};
    go([&] { other = an_hour(); });
    in_coroutine([&] {
        const DeadlineScope all(5s);
        CHECK_EQUAL(5s, an_hour());
    });
    CHECK_EQUAL(1h, other);
}

TEST(DeadlineScopes, UnderAShieldTheyCountAtOnce) {
    in_coroutine([&] {
        const CancelShield shield(Deadline::never);
        {
            const DeadlineScope all(5s);
            CHECK_EQUAL(5s, an_hour());
        }
        CHECK_EQUAL(1h, an_hour());
    });
}

TEST(DeadlineScopes, UnderAShieldTheyMayEndBehindTheOneAroundIt) {
    in_coroutine([&] {
        const DeadlineScope around(1s);
        const CancelShield shield(1min);
        {
            const DeadlineScope inside(5s);
            CHECK_EQUAL(5s, an_hour());
            {
                const DeadlineScope later(10s);
                CHECK_EQUAL(0s, an_hour());
            }
            const CancelShield again(10s);
            CHECK_EQUAL(10s, an_hour());
        }
        CHECK_EQUAL(45s, an_hour());  // the shield's end
    });
}

TEST(DeadlineScopes, AShieldInsideGoesBeforeThem) {
    in_coroutine([&] {
        const DeadlineScope all(5s);
        {
            const CancelShield shield(1min);
            CHECK_EQUAL(1min, an_hour());
        }
        CHECK_EQUAL(0s, an_hour());
    });
}

TEST(DeadlineScopes, UnderAShieldOfACanceledOneTheEarlierEnds) {
    EvThread self = go([&] {
        this_evthread::yield();
        const CancelShield shield(10s);
        {
            const DeadlineScope all(5s);
            CHECK(this_evthread::delay(1h) == std::errc::timed_out);
        }
        const DeadlineScope all(1h);
        CHECK(this_evthread::delay(1h) == std::errc::operation_canceled);
    });
    run_ready();
    self.cancel();
    const TimePoint begin = loop.now();
    run_loop();
    CHECK_EQUAL(10s, loop.now() - begin);
}
