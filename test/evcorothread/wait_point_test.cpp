#include "evcorothread/wait_point.h"

#include <string>

#include "evcorothread/ev_thread.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"

using namespace test_support;

TEST_GROUP_BASE(WaitPoint, LoopFixture) {
    evcorothread::WaitPoint* point = nullptr;
    Wake seen{};

    // A coroutine that waits at `point`.
    EvThread waiter(Deadline deadline = Deadline::never) {
        return go([this, deadline] {
            evcorothread::WaitPoint mine("a test");
            point = &mine;
            seen = mine.wait(deadline);
            point = nullptr;
        });
    }
};

TEST(WaitPoint, WaitsUntilWoken) {
    EvThread thread = waiter();
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, thread.state());
    CHECK(point->wake());
    CHECK_EQUAL(EvThreadState::ready, thread.state());
    run_loop();
    CHECK_EQUAL(Wake::event, seen);
}

TEST(WaitPoint, WakesOnce) {
    EvThread thread = waiter();
    run_ready();
    CHECK(point->wake());
    CHECK(!point->wake());
    CHECK(!point->wake(Wake::closed));
    run_loop();
    CHECK_EQUAL(Wake::event, seen);
}

TEST(WaitPoint, ReportsTheCauseItWasWokenWith) {
    EvThread thread = waiter();
    run_ready();
    point->wake(Wake::closed);
    run_loop();
    CHECK_EQUAL(Wake::closed, seen);
}

TEST(WaitPoint, WokenBeforeItWaitsDoesNotWait) {
    in_coroutine([&] {
        evcorothread::WaitPoint mine("a test");
        CHECK(mine.wake());
        CHECK_EQUAL(Wake::event, mine.wait(Deadline::never));
    });
}

TEST(WaitPoint, TimesOut) {
    EvThread thread = waiter(1h);
    run_loop();
    CHECK_EQUAL(Wake::timed_out, seen);
}

TEST(WaitPoint, APassedDeadlineDoesNotSuspend) {
    bool other = false;  // written after the first one has ended
    in_coroutine([&] {
        go([&] { other = true; });
        evcorothread::WaitPoint mine("a test");
        CHECK_EQUAL(Wake::timed_out, mine.wait(0s));
        CHECK(!other);
    });
}

TEST(WaitPoint, WokenAndTimedOutInOnePassIsTheFirst) {
    EvThread thread = waiter(1s);
    run_ready();
    point->wake();
    advance(1s);
    CHECK_EQUAL(Wake::event, seen);
}

TEST(WaitPoint, WokenAndCanceledInOnePassIsTheFirst) {
    EvThread thread = waiter();
    run_ready();
    point->wake();
    thread.cancel();
    run_loop();
    CHECK_EQUAL(Wake::event, seen);
}

TEST(WaitPoint, CanceledAndWokenInOnePassIsTheFirst) {
    EvThread thread = waiter();
    run_ready();
    thread.cancel();
    CHECK(!point->wake());
    run_loop();
    CHECK_EQUAL(Wake::canceled, seen);
}

TEST(WaitPoint, WakeClosedOverridesAWakeThatHasNotRun) {
    EvThread thread = waiter();
    run_ready();
    point->wake();
    point->wake_closed();
    run_loop();
    CHECK_EQUAL(Wake::closed, seen);
}

TEST(WaitPoint, AnOldTimerDoesNotEndALaterWait) {
    in_coroutine([&] {
        evcorothread::WaitPoint first("first");
        go([&] { first.wake(); });
        CHECK_EQUAL(Wake::event, first.wait(1s));
        evcorothread::WaitPoint second("second");
        go([&] {
            (void)this_evthread::delay(10s);
            second.wake();
        });
        CHECK_EQUAL(Wake::event, second.wait(Deadline::never));
    });
}

TEST_IN_ORDER(WaitPoint, TheWaiterGoesBehindTheReadyOnes) {
    std::string order;
    EvThread thread = go([&] {
        evcorothread::WaitPoint mine("a test");
        point = &mine;
        (void)mine.wait(Deadline::never);
        order += "waiter ";
    });
    run_ready();
    go([&] { order += "ready "; });
    point->wake();
    go([&] { order += "later "; });
    run_loop();
    CHECK_EQUAL("ready waiter later ", order);
}

TEST(WaitPoint, ItsReasonIsShown) {
    EvThread thread = waiter();
    run_ready();
    std::string reason;
    loop.for_each_thread([&](const EvLoop::ThreadInfo& info) { reason = info.waits_for; });
    CHECK_EQUAL("a test", reason);
    point->wake();
    run_loop();
}

TEST(WaitPoint, NamesItsCausesAndTheirErrors) {
    STRCMP_EQUAL("event", to_string(Wake::event));
    STRCMP_EQUAL("timed_out", to_string(Wake::timed_out));
    STRCMP_EQUAL("canceled", to_string(Wake::canceled));
    STRCMP_EQUAL("closed", to_string(Wake::closed));
    CHECK(!to_error(Wake::event));
    CHECK_EQUAL(NetError::timed_out, to_error(Wake::timed_out));
    CHECK_EQUAL(NetError::canceled, to_error(Wake::canceled));
    CHECK_EQUAL(NetError::closed, to_error(Wake::closed));
}

TEST(WaitPoint, OutsideACoroutineAborts) {
    STRCMP_CONTAINS("use EvLoop::spawn",
                    abort_message([] { evcorothread::WaitPoint nowhere("a test"); }).c_str());
}

TEST(WaitPoint, AnothersWaitAborts) {
    STRCMP_CONTAINS("outside the coroutine that made it", abort_message([this] {
                                                              go([&] {
                                                                  evcorothread::WaitPoint mine("a test");
                                                                  go([&] { (void)mine.wait(1s); });
                                                                  (void)this_evthread::delay(1s);
                                                              });
                                                              run_loop();
                                                          }).c_str());
}
