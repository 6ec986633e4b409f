#include "evcorothread/ev_timer.h"

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"
#include "test/support/log_capture.h"

using namespace test_support;

TEST_GROUP_BASE(Timer, LoopFixture) {
    int calls = 0;
    std::optional<EvTimer> timer{std::in_place, loop, [this] { ++calls; }};
};

TEST(Timer, CallsOnceWhenTheTimeComes) {
    timer->start(10s);
    advance(9s);
    CHECK_EQUAL(0, calls);
    CHECK(timer->running());
    advance(1s);
    CHECK_EQUAL(1, calls);
    CHECK(!timer->running());
    advance(1h);
    CHECK_EQUAL(1, calls);
}

TEST(Timer, RunsOutsideAnyCoroutine) {
    bool inside = true;
    EvTimer other(loop, [&] { inside = this_evthread::in_evthread(); });
    other.start(1s);
    run_loop();
    CHECK(!inside);
}

TEST(Timer, TakesAPointInTime) {
    timer->start(loop.now() + 5s);
    advance(4999ms);
    CHECK_EQUAL(0, calls);
    advance(1ms);
    CHECK_EQUAL(1, calls);
}

TEST(Timer, ThatHasPassedRunsInTheNextPassNotAtOnce) {
    timer->start(-1s);
    CHECK_EQUAL(0, calls);
    run_loop();
    CHECK_EQUAL(1, calls);
}

TEST(Timer, ThatIsDueIsReady) {
    timer->start(0s);
    const TimePoint before = loop.now();
    run_ready();
    CHECK_EQUAL(1, calls);
    CHECK(loop.now() == before);
}

TEST(Timer, ThatIsStartedAgainForNowByItsFunctionDoesNotKeepRunReady) {
    timer.emplace(loop, [this] {
        ++calls;
        timer->start(0s);
    });
    timer->start(0s);
    run_ready();
    CHECK_EQUAL(1, calls);
    timer->stop();
}

TEST(Timer, ForNeverDoesNotRun) {
    timer->start(1s);
    timer->start(Deadline::never);
    CHECK(!timer->running());
    run_loop();
    CHECK_EQUAL(0, calls);
}

TEST(Timer, PeriodicRunsAgainAndAgain) {
    timer->start_periodic(10s);
    advance(35s);
    CHECK_EQUAL(3, calls);
    CHECK(timer->running());
    timer->stop();
    advance(1h);
    CHECK_EQUAL(3, calls);
}

TEST(Timer, PeriodicDoesNotDrift) {
    const TimePoint begin = loop.now();
    std::vector<Duration> times;
    EvTimer regular(loop, [&] { times.push_back(loop.now() - begin); });
    regular.start_periodic(1s);
    for (int i = 0; i < 6; ++i) advance(700ms);
    CHECK(times == std::vector<Duration>({1s, 2s, 3s, 4s}));
}

TEST(Timer, IsSetAnewByStart) {
    timer->start(10s);
    advance(9s);
    timer->start(10s);
    advance(9s);
    CHECK_EQUAL(0, calls);
    advance(1s);
    CHECK_EQUAL(1, calls);
}

TEST(Timer, MaySetItselfEarlier) {
    timer->start(1h);
    timer->start(1s);
    advance(1s);
    CHECK_EQUAL(1, calls);
    run_loop();
}

TEST(Timer, BecomesPeriodicAndOneShotAgain) {
    timer->start(1s);
    timer->start_periodic(2s);
    advance(4s);
    CHECK_EQUAL(2, calls);
    timer->start(1s);
    run_loop();
    CHECK_EQUAL(3, calls);
}

TEST(Timer, StopsTwice) {
    timer->start(1s);
    timer->stop();
    timer->stop();
    run_loop();
    CHECK_EQUAL(0, calls);
}

TEST(Timer, IsStoppedByItsEnd) {
    timer->start(1s);
    timer.reset();
    run_loop();
    CHECK_EQUAL(0, calls);
}

TEST(Timer, IsWorkWhileItRuns) {
    timer->start(1h);
    run_loop();
    CHECK_EQUAL(1, calls);
}

TEST(Timer, StopsInItsOwnFunction) {
    EvTimer regular(loop, [&] {
        if (++calls == 3) regular.stop();
    });
    regular.start_periodic(1s);
    run_loop();
    CHECK_EQUAL(3, calls);
}

TEST(Timer, StartsAnewInItsOwnFunction) {
    EvTimer again(loop, [&] {
        if (++calls < 3) again.start(1s);
    });
    again.start(1s);
    run_loop();
    CHECK_EQUAL(3, calls);
}

TEST(Timer, DiesInItsOwnFunction) {
    const auto token = std::make_shared<int>(7);
    std::optional<EvTimer> mortal;
    int after = 0;
    mortal.emplace(loop, [&, token] {
        mortal.reset();
        after = *token;  // what it captured lives until it returns
    });
    mortal->start_periodic(1s);
    run_loop();
    CHECK_EQUAL(7, after);
    CHECK_EQUAL(1, token.use_count());
}

TEST(Timer, ReplacesItselfInItsOwnFunction) {
    EvTimer first(loop, [&] {
        first = EvTimer(loop, [&] { calls += 10; });
        first.start(1s);
    });
    first.start(1s);
    run_loop();
    CHECK_EQUAL(10, calls);
}

TEST(Timer, MovesWhileItRuns) {
    timer->start(1s);
    EvTimer moved(std::move(*timer));
    timer.reset();
    CHECK(moved.running());
    run_loop();
    CHECK_EQUAL(1, calls);
}

TEST(Timer, OthersDueAtTheSameTimeMayBeStoppedByIt) {
    std::optional<EvTimer> a, b;
    a.emplace(loop, [&] {
        ++calls;
        b.reset();
    });
    b.emplace(loop, [&] {
        ++calls;
        a.reset();
    });
    a->start(1s);
    b->start(1s);
    run_loop();
    CHECK_EQUAL(1, calls);
}

TEST(Timer, StartedForNowByItselfDoesNotKeepOthersFromRunning) {
    bool other = false;
    EvTimer busy(loop, [&] {
        if (++calls < 1000 && !other) busy.start(0s);
    });
    busy.start(0s);
    loop.post([&] { other = true; });
    run_loop();
    CHECK(other);
    CHECK(calls < 10);
}

TEST(Timer, AnExceptionIsLogged) {
    LogCapture log;
    EvTimer failing(loop, [] { throw std::runtime_error("tick"); });
    failing.start(1s);
    run_loop();
    STRCMP_CONTAINS("a timer's function ended by an exception: tick", log.text().c_str());
}

TEST(Timer, APeriodicOneGoesOnAfterAnException) {
    LogCapture log;
    EvTimer failing(loop, [&] {
        ++calls;
        throw 42;
    });
    failing.start_periodic(1s);
    advance(3s);
    CHECK_EQUAL(3, calls);
    CHECK_EQUAL(3, log.lines());
}

TEST(Timer, MaySpawn) {
    EvTimer starter(loop, [&] { go([&] { ++calls; }); });
    starter.start(1s);
    run_loop();
    CHECK_EQUAL(1, calls);
}

TEST(Timer, APeriodOfZeroAborts) {
    STRCMP_CONTAINS("a period above zero", abort_message([this] { timer->start_periodic(0s); }).c_str());
}

TEST(Timer, APeriodWithoutEndIsNever) {
    timer->start_periodic(Duration::max());
    timer->start_periodic(Duration::max() - 1ns);
    run_loop();
    CHECK_EQUAL(0, calls);
}

TEST(Timer, APeriodThatReachesBeyondTheEndOfTimeEndsThere) {
    timer->start_periodic(24h * 365 * 200);
    run_loop();
    CHECK_EQUAL(1, calls);
    CHECK(!timer->running());
}

TEST(Timer, MovedFromIsNotRunning) {
    const EvTimer other = std::move(*timer);
    timer->stop();
    CHECK(!timer->running());
}

TEST(Timer, MovedFromAbortsWhenStarted) {
    const EvTimer other = std::move(*timer);
    const char* const complaint = "after it was moved away";
    STRCMP_CONTAINS(complaint, abort_message([this] { timer->start(1s); }).c_str());
    STRCMP_CONTAINS(complaint, abort_message([this] { timer->start_periodic(1s); }).c_str());
}

TEST(Timer, ManyRunInOrder) {
    std::vector<std::unique_ptr<EvTimer>> many;
    std::vector<int> order;
    for (int i = 0; i < 500; ++i) {
        many.push_back(std::make_unique<EvTimer>(loop, [&, i] { order.push_back((i * 7919) % 500); }));
        many.back()->start(std::chrono::milliseconds((i * 7919) % 500));
    }
    run_loop();
    CHECK_EQUAL(500, order.size());
    CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_GROUP_BASE(RealTimer, RealTimeFixture) { int calls = 0; };

TEST(RealTimer, IsNeverEarly) {
    const TimePoint begin = loop.precise_now();
    EvTimer timer(loop, [&] {
        CHECK(loop.precise_now() - begin >= 3ms);
        ++calls;
    });
    timer.start(3ms);
    run_loop();
    CHECK_EQUAL(1, calls);
}

TEST(RealTimer, SkipsThePeriodsItMissed) {
    EvTimer regular(loop, [&] {
        if (++calls == 1) spin_until(cutils::monotonic_now() + 10ms);
    });
    regular.start_periodic(1ms);
    const TimePoint end = cutils::monotonic_now() + 15ms;
    EvTimer stop(loop, [&] { regular.stop(); });
    stop.start(end);
    run_loop();
    CHECK(calls < 12);
}
