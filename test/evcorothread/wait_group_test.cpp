#include "evcorothread/wait_group.h"

#include <limits>
#include <string>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "evcorothread/ev_timer.h"
#include "test/evcorothread/orders_fixture.h"
#include "test/support/death.h"

using namespace test_support;

TEST_GROUP_BASE(WaitGroup, LoopFixture) {
    evcorothread::WaitGroup group;
    std::string order;

    EvThread waiter(const char* name, Deadline deadline = Deadline::never) {
        return go(name, [this, name, deadline] {
            const std::error_code error = group.wait(deadline);
            order += name;
            order += error ? error == std::errc::timed_out ? " late " : " canceled " : " ";
        });
    }
};

TEST(WaitGroup, WaitsForTheLastOne) {
    group.add(2);
    waiter("a");
    run_ready();
    group.done();
    run_ready();
    CHECK_EQUAL("", order);
    CHECK_EQUAL(1, group.count());
    group.done();
    run_loop();
    CHECK_EQUAL("a ", order);
    CHECK_EQUAL(0, group.count());
}

TEST(WaitGroup, WithNothingOpenDoesNotSuspend) {
    bool other = false;  // written after the first one has ended
    in_coroutine([&] {
        go([&] { other = true; });
        CHECK(!group.wait(Deadline::never));
        CHECK(!group.wait(0s));
        CHECK(!other);
    });
}

TEST_IN_ORDER(WaitGroup, WakesAllThatWait) {
    group.add();
    waiter("a");
    waiter("b");
    run_ready();
    group.done();
    run_loop();
    CHECK_EQUAL("a b ", order);
}

TEST(WaitGroup, IsUsedAgain) {
    in_coroutine([&] {
        for (int round = 0; round < 3; ++round) {
            int done = 0;
            for (int i = 0; i < 4; ++i) {
                group.add();
                go([&] {
                    (void)this_evthread::delay(1s);
                    ++done;
                    group.done();
                });
            }
            CHECK(!group.wait(Deadline::never));
            CHECK_EQUAL(4, done);
        }
    });
}

TEST(WaitGroup, WhatIsAddedAfterTheLastOneDoesNotHoldThoseBackThatWaited) {
    group.add();
    waiter("a");
    run_ready();
    group.done();
    group.add();
    waiter("b", 1s);
    run_loop();
    CHECK_EQUAL("a b late ", order);
    group.done();
}

TEST(WaitGroup, TheDeadlineEndsTheWait) {
    group.add();
    const TimePoint begin = loop.now();
    waiter("a", 1s);
    run_loop();
    CHECK_EQUAL("a late ", order);
    CHECK_EQUAL(1s, loop.now() - begin);
    group.done();
}

TEST(WaitGroup, APassedDeadlineDoesNotSuspend) {
    group.add();
    bool other = false;  // written after the first one has ended
    in_coroutine([&] {
        go([&] { other = true; });
        CHECK_EQUAL(NetError::timed_out, group.wait(0s));
        CHECK(!other);
    });
    group.done();
}

TEST(WaitGroup, CancelEndsTheWait) {
    group.add();
    EvThread a = waiter("a");
    run_ready();
    a.cancel();
    run_ready();
    CHECK_EQUAL("a canceled ", order);
    group.done();
}

TEST_IN_ORDER(WaitGroup, CanceledAndDoneInOnePassIsTheFirst) {
    group.add();
    EvThread a = waiter("a");
    EvThread b = waiter("b");
    run_ready();
    a.cancel();
    group.done();
    b.cancel();
    run_loop();
    CHECK_EQUAL("a canceled b ", order);
}

TEST(WaitGroup, ACanceledCoroutineDoesNotPassButBehindAShield) {
    EvThread thread = go([&] {
        CHECK_EQUAL(NetError::canceled, group.wait(Deadline::never));
        const CancelShield shield(1s);
        CHECK(!group.wait(Deadline::never));
    });
    thread.cancel();
    run_loop();
}

TEST(WaitGroup, MayBeDoneOutsideACoroutine) {
    group.add();
    EvTimer timer(loop, [&] { group.done(); });
    timer.start(1s);
    waiter("a");
    run_loop();
    CHECK_EQUAL("a ", order);
}

TEST(WaitGroup, MayBeDestroyedByWhoWaitedForIt) {
    go([&] {
        evcorothread::WaitGroup own;
        for (int i = 0; i < 3; ++i) {
            own.add();
            go([&] { own.done(); });
        }
        CHECK(!own.wait(Deadline::never));
        order += "x";
    });
    run_loop();
    CHECK_EQUAL("x", order);
}

TEST(WaitGroup, ItsReasonIsShown) {
    evcorothread::WaitGroup named("the pages");
    named.add();
    go([&] { (void)named.wait(Deadline::never); });
    run_ready();
    std::string reason;
    loop.for_each_thread([&](const EvLoop::ThreadInfo& info) { reason = info.waits_for; });
    CHECK_EQUAL("the pages", reason);
    named.done();
    run_loop();
}

TEST(WaitGroup, ManyChildrenInEveryOrder) {
    in_every_order(kSanitized ? 200 : 2'000, [](OrderedLoop& ordered) {
        evcorothread::WaitGroup children;
        std::size_t done = 0;
        bool waited = false;
        const std::size_t count = ordered.stacks.capacity() - 2;
        for (int i = 0; i < 2; ++i) {
            ordered.go([&] {
                this_evthread::yield();
                CHECK(!children.wait(Deadline::never));
                CHECK_EQUAL(count, done);
                waited = true;
            });
        }
        children.add(count);
        for (std::size_t i = 0; i < count; ++i) {
            ordered.go([&] {
                (void)ordered.dawdle();
                ++done;
                children.done();
            });
        }
        ordered.run();
        CHECK(waited);
    });
}

TEST_GROUP_BASE(WaitGroupMisuse, LoopFixture) { WaitGroup group; };

TEST(WaitGroupMisuse, DoneMoreOftenThanAdded) {
    STRCMP_CONTAINS("called more often than add() said", abort_message([this] { group.done(); }).c_str());
}

TEST(WaitGroupMisuse, MoreThanItCanCount) {
    STRCMP_CONTAINS("more than it can count", abort_message([this] {
                                                  group.add();
                                                  group.add(std::numeric_limits<std::size_t>::max());
                                              }).c_str());
}

TEST(WaitGroupMisuse, WaitingOutsideACoroutine) {
    STRCMP_CONTAINS("use EvLoop::spawn", abort_message([this] { (void)group.wait(1s); }).c_str());
}

TEST(WaitGroupMisuse, DestroyingOneThatIsWaitedFor) {
    STRCMP_CONTAINS("a WaitGroup is destroyed while coroutines wait at it",
                    abort_message([this] {
                        WaitGroup own;
                        own.add();
                        go([&] { (void)own.wait(Deadline::never); });
                        loop.run_ready();
                    }).c_str());
}
