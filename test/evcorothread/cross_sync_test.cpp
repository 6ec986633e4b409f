// CrossEvent, CrossMutex, CrossSemaphore: between coroutines of several loops, and OS threads.
#include <atomic>
#include <limits>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "cutils/scope_exit.h"
#include "evcorothread/cross_event.h"
#include "evcorothread/cross_mutex.h"
#include "evcorothread/cross_semaphore.h"
#include "evcorothread/ev_timer.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/allocation_faults.h"
#include "test/support/death.h"

using namespace test_support;

// --- in one loop, with a virtual clock ---

TEST_GROUP_BASE(CrossSync, LoopFixture) {
    CrossEvent event;
    CrossMutex mutex;
    CrossSemaphore permits{0};
    std::vector<int> order;
    std::optional<std::error_code> ended;
    bool waiting() const { return !ended.has_value(); }
};

TEST(CrossSync, AnEventThatIsSetIsNotWaitedFor) {
    event.set();
    in_coroutine([&] { CHECK(!event.wait(0s)); });
}

TEST_IN_ORDER(CrossSync, AnEventWakesAllWhoWait) {
    for (int i = 0; i < 3; ++i)
        go([&, i] {
            CHECK(!event.wait(1h));
            order.push_back(i);
        });
    run_ready();
    CHECK(order.empty());
    event.set();
    run_loop();
    CHECK(order == std::vector<int>({0, 1, 2}));
}

TEST(CrossSync, AnEventThatWasResetIsWaitedFor) {
    event.set();
    event.reset();
    CHECK(!event.is_set());
    in_coroutine([&] { CHECK_EQUAL(std::error_code(NetError::timed_out), event.wait(1s)); });
}

TEST(CrossSync, ACanceledCoroutineStopsWaiting) {
    EvThread waiter = go([&] { ended = event.wait(1h); });
    run_ready();
    waiter.cancel();
    run_loop();
    CHECK_EQUAL(std::error_code(NetError::canceled), *ended);
    event.set();  // nobody is left to be woken
}

TEST(CrossSync, ACanceledCoroutineGetsNothingThatIsToBeHadAtOnce) {
    event.set();
    permits.release();
    in_coroutine([&] {
        EvThread self = go([&] {
            this_evthread::yield();
            CHECK_EQUAL(std::error_code(NetError::canceled), event.wait(1h));
            CHECK_EQUAL(std::error_code(NetError::canceled), mutex.lock(1h));
            CHECK_EQUAL(std::error_code(NetError::canceled), permits.acquire(1h));
            CHECK(mutex.try_lock());
            mutex.unlock();
            const CancelShield shield(1h);
            CHECK(!event.wait(0s));
            CHECK(!permits.acquire(0s));
        });
        self.cancel();
        CHECK(!self.join(1h));
    });
}

TEST(CrossSync, WhatMayWaitAbortsInAFunctionOfTheLoopAlsoWhenItNeedNot) {
    event.set();
    STRCMP_CONTAINS("use EvLoop::spawn", abort_message([this] {
                                             loop.post([this] { (void)event.wait(1h); });
                                             run_ready();
                                         }).c_str());
}

TEST(CrossSync, MorePermitsThanCanBeCountedAbort) {
    permits.release(std::numeric_limits<std::size_t>::max());
    STRCMP_CONTAINS("more permits than it can count", abort_message([this] { permits.release(); }).c_str());
}

TEST(CrossSync, AnEventBeforeTheWokenHasRunWinsOverACancel) {
    EvThread waiter = go([&] { ended = event.wait(1h); });
    run_ready();
    event.set();
    waiter.cancel();
    run_loop();
    CHECK(!*ended);
}

TEST(CrossSync, AnEventWinsOverACancelThatHasNotRunYet) {
    EvThread waiter = go([&] { ended = event.wait(1h); });
    run_ready();
    waiter.cancel();
    event.set();
    run_loop();
    CHECK(!*ended);
}

TEST(CrossSync, ADeadlineThatHasPassedStillTakesWhatIsThere) {
    permits.release();
    in_coroutine([&] {
        CHECK(!mutex.lock(-1s));
        CHECK(!permits.acquire(-1s));
        CHECK_EQUAL(std::error_code(NetError::timed_out), permits.acquire(-1s));
        mutex.unlock();
    });
}

TEST_IN_ORDER(CrossSync, AMutexIsHandedOverInTheOrderOfWaiting) {
    CHECK(mutex.try_lock());
    for (int i = 0; i < 3; ++i)
        go([&, i] {
            CHECK(!mutex.lock(1h));
            order.push_back(i);
            this_evthread::yield();
            mutex.unlock();
        });
    run_ready();
    CHECK(order.empty());
    CHECK(!mutex.try_lock());
    mutex.unlock();
    run_loop();
    CHECK(order == std::vector<int>({0, 1, 2}));
    CHECK(mutex.try_lock());
    mutex.unlock();
}

TEST(CrossSync, AMutexIsNotOfWhoGaveUp) {
    CHECK(mutex.try_lock());
    EvThread first = go([&] { ended = mutex.lock(1s); });
    go([&] {
        CHECK(!mutex.lock(1h));
        order.push_back(2);
        mutex.unlock();
    });
    advance(1s);
    CHECK_EQUAL(std::error_code(NetError::timed_out), *ended);
    mutex.unlock();
    run_loop();
    CHECK_EQUAL(1, order.size());
}

TEST(CrossSync, AMutexThatWasHandedToACanceledOneIsItsOwn) {
    CHECK(mutex.try_lock());
    EvThread waiter = go([&] { ended = mutex.lock(1h); });
    run_ready();
    mutex.unlock();
    waiter.cancel();
    run_loop();
    CHECK(!*ended);
    CHECK(!mutex.try_lock());
    mutex.unlock();
}

TEST_IN_ORDER(CrossSync, ASemaphoreServesInTheOrderOfWaiting) {
    for (int i = 0; i < 3; ++i)
        go([&, i] {
            CHECK(!permits.acquire(1h));
            order.push_back(i);
        });
    run_ready();
    permits.release(2);
    run_ready();
    CHECK(order == std::vector<int>({0, 1}));
    permits.release(2);
    run_loop();
    CHECK_EQUAL(3, order.size());
    CHECK_EQUAL(1, permits.available());
    CHECK(permits.try_acquire());
    CHECK(!permits.try_acquire());
}

TEST(CrossSync, ASemaphoreKeepsThePermitOfWhoGaveUp) {
    in_coroutine([&] { CHECK_EQUAL(std::error_code(NetError::timed_out), permits.acquire(1s)); });
    permits.release();
    CHECK_EQUAL(1, permits.available());
}

TEST(CrossSync, WaitingTakesNoMemory) {
    std::size_t used = 1;
    go([&] {
        AllocationFaults faults;
        faults.fail_all();
        (void)event.wait(1s);
        (void)permits.acquire(1s);
        used = faults.count();
        faults.stop();
    });
    run_loop();
    CHECK_EQUAL(0, used);
}

TEST(CrossSync, WaitingInAFunctionThatTheLoopCallsAborts) {
    const char* const said = "is called in a function that a loop calls: use EvLoop::spawn";
    STRCMP_CONTAINS(said, abort_message([this] {
                              loop.post([this] { (void)event.wait(1s); });
                              run_ready();
                          }).c_str());
    STRCMP_CONTAINS(said, abort_message([this] {
                              EvTimer timer(loop, [this] { (void)permits.acquire(1s); });
                              timer.start(1s);
                              run_loop();
                          }).c_str());
}

TEST(CrossSync, UnlockingWhatIsNotLockedAborts) {
    STRCMP_CONTAINS("unlock() of one that is not locked", abort_message([this] { mutex.unlock(); }).c_str());
}

TEST(CrossSync, DestroyingUnderAWaiterAborts) {
    STRCMP_CONTAINS("destroyed while somebody waits", abort_message([this] {
                                                          auto mortal = std::make_unique<CrossEvent>();
                                                          go([&] { (void)mortal->wait(1h); });
                                                          run_ready();
                                                          mortal.reset();
                                                      }).c_str());
}

// --- OS threads ---

TEST_GROUP_BASE(CrossThreads, RealTimeFixture){};

TEST(CrossThreads, AnOsThreadBlocksUntilTheEvent) {
    CrossEvent event;
    std::atomic<bool> right{false};
    std::thread waiter([&] { right = !event.wait(Deadline::never); });
    in_coroutine([&] { event.set(); });
    waiter.join();
    CHECK(right.load());
}

TEST(CrossThreads, AnOsThreadsDeadlinePasses) {
    CrossEvent event;
    const TimePoint begin = cutils::monotonic_now();
    CHECK_EQUAL(std::error_code(NetError::timed_out), event.wait(2ms));
    CHECK(cutils::monotonic_now() - begin >= 2ms);
}

TEST(CrossThreads, AnOsThreadWakesACoroutineThatSleeps) {
    CrossEvent event;
    std::thread setter;
    std::error_code error = NetError::closed;
    in_coroutine([&] {
        setter = std::thread([&] { event.set(); });
        error = event.wait(Deadline::never);
    });
    setter.join();
    CHECK(!error);
}

TEST(CrossThreads, AnEventMayBeDestroyedAsSoonAsItsWaitReturns) {
    std::thread setter;
    std::atomic<CrossEvent*> current{nullptr};
    std::atomic<bool> end{false};
    int rounds = 0;
    setter = std::thread([&] {
        while (!end)
            if (CrossEvent* const event = current.exchange(nullptr))
                event->set();
            else
                std::this_thread::yield();
    });
    in_coroutine([&] {
        for (; rounds < (kTsan ? 300 : 3000); ++rounds) {
            auto event = std::make_unique<CrossEvent>();
            current = event.get();
            if (event->wait(5s)) break;
        }
    });
    end = true;
    setter.join();
    CHECK_EQUAL(kTsan ? 300 : 3000, rounds);
}

TEST(CrossThreads, ALoopMayEndAsSoonAsItsLastCoroutineIsWoken) {
    for (int round = 0; round < (kTsan ? 50 : 300); ++round) {
        CrossEvent event;
        std::error_code error = NetError::closed;
        std::thread other([&] {
            StackPool few({.count = 1});
            EvLoop mortal(few, any_order());
            mortal.spawn([&] { error = event.wait(Deadline::never); });
            mortal.run();
        });
        event.set();
        other.join();
        CHECK(!error);
    }
}

// Two loops and two OS threads, all with the same permits; some are canceled while they wait. In the end
// every permit is there: none was lost between a hand-over and a cancel or deadline.
TEST(CrossThreads, NoPermitIsLostBetweenHandOverAndCancel) {
    constexpr std::size_t kPermits = 2;
    CrossSemaphore permits(kPermits);
    std::atomic<int> inside{0}, got{0}, gave_up{0};
    std::atomic<bool> too_many{false};
    const auto use = [&](Deadline deadline) {
        if (permits.acquire(deadline)) return (void)++gave_up;
        too_many = too_many || ++inside > static_cast<int>(kPermits);
        ++got;
        if (this_evthread::in_evthread()) this_evthread::yield();
        --inside;
        permits.release();
    };
    const int rounds = kTsan ? 200 : 2000;
    const auto loop_thread = [&] {
        StackPool own({.count = 8});
        EvLoop mine(own, any_order());
        mine.spawn([&] {
            for (int i = 0; i < rounds; ++i) {
                EvThread patient = mine.spawn([&] { use(5s); });
                EvThread hasty = mine.spawn([&] { use(20us); });
                EvThread doomed = mine.spawn([&] { use(5s); });
                if (i % 3 != 0) this_evthread::yield();
                doomed.cancel();
                (void)patient.join(Deadline::never);
                (void)hasty.join(Deadline::never);
                (void)doomed.join(Deadline::never);
            }
        });
        mine.run();
    };
    std::vector<std::thread> threads;
    threads.emplace_back(loop_thread);
    threads.emplace_back(loop_thread);
    for (int t = 0; t < 2; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < rounds; ++i) use(i % 2 == 0 ? Deadline(5s) : Deadline(10us));
        });
    for (std::thread& thread : threads) thread.join();
    CHECK(!too_many.load());
    CHECK_EQUAL(kPermits, permits.available());
    CHECK_EQUAL(8 * rounds, got.load() + gave_up.load());
}

TEST(CrossThreads, AMutexExcludesCoroutinesAndOsThreads) {
    CrossMutex mutex;
    long plain = 0;
    const int rounds = kTsan ? 300 : 3000;
    const auto add = [&] {
        for (int i = 0; i < rounds; ++i) {
            if (mutex.lock(Deadline::never)) return;
            ++plain;
            mutex.unlock();
        }
    };
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) threads.emplace_back(add);
    for (int t = 0; t < 2; ++t)
        threads.emplace_back([&] {
            StackPool own({.count = 4});
            EvLoop mine(own, any_order());
            mine.spawn(add);
            mine.spawn(add);
            mine.run();
        });
    for (std::thread& thread : threads) thread.join();
    CHECK_EQUAL(6 * rounds, plain);
}
