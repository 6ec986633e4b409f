#include "evcorothread/event.h"

#include <string>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "evcorothread/ev_timer.h"
#include "test/evcorothread/orders_fixture.h"
#include "test/support/death.h"

using namespace test_support;

TEST_GROUP_BASE(Event, LoopFixture) {
    evcorothread::Event event;
    evcorothread::Event gate{EventReset::automatic};
    std::string order;

    EvThread waiter(evcorothread::Event & which, const char* name, Deadline deadline = Deadline::never) {
        return go(name, [this, &which, name, deadline] {
            const std::error_code error = which.wait(deadline);
            order += name;
            order += error ? error == std::errc::timed_out ? " late " : " canceled " : " ";
        });
    }
};

TEST(Event, LetsNobodyPassBeforeItIsSet) {
    waiter(event, "a");
    run_ready();
    CHECK_EQUAL("", order);
    event.set();
    run_loop();
    CHECK_EQUAL("a ", order);
}

TEST_IN_ORDER(Event, LetsEverybodyPassInTheOrderOfWaiting) {
    waiter(event, "a");
    waiter(event, "b");
    run_ready();
    event.set();
    run_loop();
    CHECK_EQUAL("a b ", order);
}

TEST(Event, OnceSetDoesNotSuspend) {
    event.set();
    event.set();
    bool other = false;  // written after the first one has ended
    in_coroutine([&] {
        go([&] { other = true; });
        CHECK(!event.wait(Deadline::never));
        CHECK(!event.wait(0s));
        CHECK(event.is_set());
        CHECK(!other);
    });
}

TEST(Event, OnceResetLetsNobodyPass) {
    event.set();
    event.reset();
    CHECK(!event.is_set());
    waiter(event, "a", 1s);
    run_loop();
    CHECK_EQUAL("a late ", order);
}

TEST_IN_ORDER(Event, SetAndResetAtOnceLetsThosePassThatWaited) {
    waiter(event, "a");
    waiter(event, "b");
    run_ready();
    event.set();
    event.reset();
    waiter(event, "c", 1s);
    run_loop();
    CHECK_EQUAL("a b c late ", order);
}

TEST(Event, APassedDeadlineDoesNotSuspend) {
    bool other = false;  // written after the first one has ended
    in_coroutine([&] {
        go([&] { other = true; });
        CHECK_EQUAL(NetError::timed_out, event.wait(0s));
        CHECK_EQUAL(NetError::timed_out, gate.wait(loop.now() - 1s));
        CHECK(!other);
    });
}

TEST(Event, TheDeadlineEndsTheWait) {
    const TimePoint begin = loop.now();
    waiter(event, "a", 1s);
    run_loop();
    CHECK_EQUAL("a late ", order);
    CHECK_EQUAL(1s, loop.now() - begin);
}

TEST(Event, CancelEndsTheWait) {
    EvThread a = waiter(event, "a");
    EvThread b = waiter(gate, "b");
    run_ready();
    a.cancel();
    run_ready();
    b.cancel();
    run_loop();
    CHECK_EQUAL("a canceled b canceled ", order);
}

TEST(Event, ACanceledCoroutineDoesNotPassButBehindAShield) {
    event.set();
    gate.set();
    EvThread thread = go([&] {
        CHECK_EQUAL(NetError::canceled, event.wait(Deadline::never));
        CHECK_EQUAL(NetError::canceled, gate.wait(Deadline::never));
        CHECK(gate.is_set());
        const CancelShield shield(1s);
        CHECK(!event.wait(Deadline::never));
        CHECK(!gate.wait(Deadline::never));
        CHECK_EQUAL(NetError::canceled, gate.wait(Deadline::never));
    });
    thread.cancel();
    run_loop();
}

TEST_IN_ORDER(Event, SetAndThenCanceledHasPassed) {
    EvThread a = waiter(event, "a");
    EvThread b = waiter(gate, "b");
    run_ready();
    event.set();
    gate.set();
    a.cancel();
    b.cancel();
    run_loop();
    CHECK_EQUAL("a b ", order);
    CHECK(!gate.is_set());
}

TEST_IN_ORDER(Event, AutomaticLetsOnePassAtATime) {
    waiter(gate, "a");
    waiter(gate, "b");
    run_ready();
    gate.set();
    CHECK(!gate.is_set());
    run_ready();
    CHECK_EQUAL("a ", order);
    gate.set();
    run_loop();
    CHECK_EQUAL("a b ", order);
}

TEST(Event, AutomaticStaysSetUntilOneComes) {
    gate.set();
    gate.set();
    CHECK(gate.is_set());
    in_coroutine([&] {
        CHECK(!gate.wait(Deadline::never));
        CHECK(!gate.is_set());
        CHECK_EQUAL(NetError::timed_out, gate.wait(1s));
    });
}

TEST_IN_ORDER(Event, AutomaticPassesOverACanceledOne) {
    EvThread a = waiter(gate, "a");
    waiter(gate, "b");
    run_ready();
    a.cancel();
    gate.set();
    run_loop();
    CHECK_EQUAL("a canceled b ", order);
}

TEST(Event, AutomaticIsKeptWhenOnlyCanceledOnesWait) {
    EvThread a = waiter(gate, "a");
    run_ready();
    a.cancel();
    gate.set();
    CHECK(gate.is_set());
    run_loop();
    CHECK_EQUAL("a canceled ", order);
    CHECK(gate.is_set());
}

TEST(Event, MayBeSetFromOutsideACoroutine) {
    EvTimer timer(loop, [&] { event.set(); });
    timer.start(1s);
    waiter(event, "a");
    run_loop();
    CHECK_EQUAL("a ", order);
}

TEST_IN_ORDER(Event, MayBeDestroyedOnceItIsSet) {
    go([&] {
        auto own = std::make_unique<evcorothread::Event>();
        for (int i = 0; i < 3; ++i) {
            go([&] {
                CHECK(!own->wait(Deadline::never));
                order += "x";
            });
        }
        this_evthread::yield();
        own->set();
        own.reset();
    });
    run_loop();
    CHECK_EQUAL("xxx", order);
}

TEST(Event, ItsReasonIsShown) {
    evcorothread::Event named("the configuration");
    go([&] { (void)named.wait(Deadline::never); });
    run_ready();
    std::string reason;
    loop.for_each_thread([&](const EvLoop::ThreadInfo& info) { reason = info.waits_for; });
    CHECK_EQUAL("the configuration", reason);
    named.set();
    run_loop();
}

TEST(Event, TenThousandWaitersAllPass) {
    constexpr std::size_t kCount = kSanitized ? 1'000 : 10'000;
    OrderedLoop crowd(kCount + 1, std::nullopt);
    evcorothread::Event start;
    std::size_t passed = 0;
    for (std::size_t i = 0; i < kCount; ++i) {
        crowd.go([&] {
            CHECK(!start.wait(Deadline::never));
            ++passed;
        });
    }
    crowd.go([&] { start.set(); });
    crowd.run();
    CHECK_EQUAL(kCount, passed);
}

// As many pass an automatic event as set() said, one more at most than are still to come.
TEST(Event, RandomSetsOfAnAutomaticOneLoseNothing) {
    in_every_order(33, [](OrderedLoop& ordered) {
        evcorothread::Event shared(EventReset::automatic);
        std::size_t set = 0, passed = 0, failed = 0;
        std::vector<EvThread> threads;
        for (int i = 0; i < 30; ++i) {
            threads.push_back(ordered.go([&] {
                for (int round = 0; round < 10; ++round) {
                    const std::error_code error =
                        ordered.one_in(2) ? shared.wait(std::chrono::milliseconds(ordered.below(5)))
                                          : shared.wait(100ms);
                    ++(error ? failed : passed);
                    CHECK(passed <= set);
                }
            }));
        }
        ordered.go([&] {
            for (int i = 0; i < 200; ++i) {
                if (!shared.is_set()) ++set;
                shared.set();
                if (ordered.one_in(3)) (void)ordered.dawdle();
                if (ordered.one_in(20)) threads[ordered.below(threads.size())].cancel();
            }
        });
        ordered.run();
        CHECK_EQUAL(set, passed + (shared.is_set() ? 1 : 0));
        CHECK(passed > 0);
        CHECK(failed > 0);
    });
}

TEST_GROUP_BASE(EventMisuse, LoopFixture){};

TEST(EventMisuse, WaitingOutsideACoroutine) {
    STRCMP_CONTAINS("use EvLoop::spawn", abort_message([] { (void)Event().wait(1s); }).c_str());
}

TEST(EventMisuse, DestroyingOneThatIsWaitedFor) {
    STRCMP_CONTAINS("an Event is destroyed while coroutines wait at it",
                    abort_message([this] {
                        Event own;
                        go([&] { (void)own.wait(Deadline::never); });
                        loop.run_ready();
                    }).c_str());
}
