#include "evcorothread/condition.h"

#include <deque>
#include <stdexcept>
#include <string>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "evcorothread/ev_timer.h"
#include "test/evcorothread/orders_fixture.h"
#include "test/support/death.h"

using namespace test_support;

TEST_GROUP_BASE(Condition, LoopFixture) {
    Mutex mutex;
    evcorothread::Condition condition;
    std::string order;

    // A coroutine that waits with the mutex held, and writes down how it ended.
    EvThread waiter(const char* name, Deadline deadline = Deadline::never) {
        return go(name, [this, name, deadline] {
            const MutexLock lock(mutex, Deadline::never);
            CHECK(lock);
            const std::error_code error = condition.wait(mutex, deadline);
            CHECK(mutex.held());
            order += name;
            order += error ? error == std::errc::timed_out ? " late " : " canceled " : " ";
        });
    }
};

TEST(Condition, WaitsUntilNotified) {
    EvThread thread = waiter("a");
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, thread.state());
    condition.notify_one();
    run_loop();
    CHECK_EQUAL("a ", order);
}

TEST(Condition, UnlocksWhileItWaits) {
    waiter("a");
    run_ready();
    CHECK(!mutex.locked());
    condition.notify_one();
    run_loop();
}

TEST_IN_ORDER(Condition, WakesTheOneThatHasWaitedLongest) {
    waiter("a");
    waiter("b");
    run_ready();
    condition.notify_one();
    run_ready();
    CHECK_EQUAL("a ", order);
    condition.notify_one();
    run_loop();
    CHECK_EQUAL("a b ", order);
}

TEST_IN_ORDER(Condition, WakesAllInTheOrderOfWaiting) {
    waiter("a");
    waiter("b");
    waiter("c");
    run_ready();
    condition.notify_all();
    run_loop();
    CHECK_EQUAL("a b c ", order);
}

TEST(Condition, ForgetsANotificationThatNobodyWaitsFor) {
    condition.notify_one();
    condition.notify_all();
    waiter("a", 1s);
    run_loop();
    CHECK_EQUAL("a late ", order);
}

TEST_IN_ORDER(Condition, GoesOnOnlyWhenTheMutexIsFree) {
    waiter("a");
    go([&] {
        CHECK(!mutex.lock(Deadline::never));
        condition.notify_one();
        CHECK(!this_evthread::delay(1s));
        CHECK_EQUAL("", order);
        mutex.unlock();
    });
    run_loop();
    CHECK_EQUAL("a ", order);
}

TEST_IN_ORDER(Condition, MayBeNotifiedFromOutsideACoroutine) {
    EvTimer timer(loop, [&] { condition.notify_all(); });
    timer.start(1s);
    waiter("a");
    waiter("b");
    run_loop();
    CHECK_EQUAL("a b ", order);
}

TEST(Condition, TheDeadlineEndsTheWaitWithTheMutexHeld) {
    const TimePoint begin = loop.now();
    waiter("a", 1s);
    run_loop();
    CHECK_EQUAL("a late ", order);
    CHECK_EQUAL(1s, loop.now() - begin);
    CHECK(!mutex.locked());
}

TEST_IN_ORDER(Condition, APassedDeadlineLetsOthersIn) {
    bool other = false;
    go([&] {
        CHECK(!mutex.lock(Deadline::never));
        go([&] {
            CHECK(!mutex.lock(Deadline::never));
            other = true;
            mutex.unlock();
        });
        this_evthread::yield();
        CHECK_EQUAL(NetError::timed_out, condition.wait(mutex, 0s));
        CHECK(mutex.held());
        CHECK(other);
        mutex.unlock();
    });
    run_loop();
    CHECK(other);
}

TEST(Condition, ALateOneWaitsForTheMutexAllTheSame) {
    waiter("a", 1s);
    go([&] {
        CHECK(!mutex.lock(Deadline::never));
        CHECK(!this_evthread::delay(1h));
        CHECK_EQUAL("", order);
        mutex.unlock();
    });
    run_loop();
    CHECK_EQUAL("a late ", order);
}

TEST(Condition, CancelEndsTheWaitWithTheMutexHeld) {
    EvThread thread = waiter("a");
    run_ready();
    thread.cancel();
    run_loop();
    CHECK_EQUAL("a canceled ", order);
    CHECK(!mutex.locked());
}

TEST_IN_ORDER(Condition, ACanceledOneWaitsForTheMutexAllTheSame) {
    EvThread thread = waiter("a");
    go([&] {
        CHECK(!mutex.lock(Deadline::never));
        thread.cancel();
        CHECK(!this_evthread::delay(1h));
        CHECK_EQUAL("", order);
        mutex.unlock();
    });
    run_loop();
    CHECK_EQUAL("a canceled ", order);
}

TEST_IN_ORDER(Condition, OneCanceledWhileItWaitsForTheMutexGetsIt) {
    EvThread thread = waiter("a");
    go([&] {
        CHECK(!mutex.lock(Deadline::never));
        condition.notify_one();
        this_evthread::yield();
        CHECK_EQUAL(EvThreadState::parked, thread.state());
        thread.cancel();
        thread.cancel();
        this_evthread::yield();
        CHECK_EQUAL("", order);
        mutex.unlock();
    });
    run_loop();
    CHECK_EQUAL("a ", order);
}

TEST(Condition, OneThatWasCanceledBeforeDoesNotUnlock) {
    bool other = false;  // written after the first one has ended
    EvThread thread = go([&] {
        CHECK(mutex.try_lock());
        go([&] { other = true; });
        CHECK_EQUAL(NetError::canceled, condition.wait(mutex, Deadline::never));
        CHECK_EQUAL(NetError::canceled, condition.wait(
                                            mutex, [] { return true; }, Deadline::never));
        CHECK(mutex.held());
        CHECK(!other);
        mutex.unlock();
    });
    thread.cancel();
    run_loop();
}

TEST(Condition, ACanceledOneWaitsBehindAShield) {
    EvThread thread = go([&] {
        CHECK(mutex.try_lock());
        const CancelShield shield(1h);
        CHECK(!condition.wait(mutex, Deadline::never));
        CHECK(mutex.held());
        mutex.unlock();
    });
    thread.cancel();
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, thread.state());
    condition.notify_one();
    run_loop();
    CHECK(thread.finished());
}

TEST(Condition, AShieldEndsTheWaitAtItsDeadlineWithTheMutexHeld) {
    EvThread thread = go([&] {
        const TimePoint begin = loop.now();
        CHECK(mutex.try_lock());
        const CancelShield shield(1s);
        CHECK_EQUAL(NetError::canceled, condition.wait(mutex, Deadline::never));
        CHECK_EQUAL(1s, loop.now() - begin);
        CHECK(mutex.held());
        mutex.unlock();
    });
    thread.cancel();
    run_loop();
}

TEST_IN_ORDER(Condition, ACanceledWaiterIsPassedOver) {
    EvThread a = waiter("a");
    waiter("b");
    run_ready();
    a.cancel();
    condition.notify_one();
    run_loop();
    CHECK_EQUAL("a canceled b ", order);
}

TEST_IN_ORDER(Condition, NotifiedAndThenCanceledHasBeenNotified) {
    EvThread a = waiter("a");
    EvThread b = waiter("b");
    run_ready();
    condition.notify_one();
    a.cancel();
    run_ready();
    CHECK_EQUAL("a ", order);
    b.cancel();
    run_loop();
}

TEST_IN_ORDER(Condition, MayBeDestroyedOnceAllAreNotified) {
    go([&] {
        auto own = std::make_unique<evcorothread::Condition>();
        for (int i = 0; i < 3; ++i) {
            go([&] {
                const MutexLock lock(mutex, Deadline::never);
                CHECK(lock);
                CHECK(!own->wait(mutex, Deadline::never));
                order += "x";
            });
        }
        this_evthread::yield();
        own->notify_all();
        own.reset();
    });
    run_loop();
    CHECK_EQUAL("xxx", order);
}

TEST(Condition, WithAPredicateWaitsUntilItIsTrue) {
    bool ready = false;
    go([&] {
        const MutexLock lock(mutex, Deadline::never);
        CHECK(lock);
        CHECK(!condition.wait(
            mutex, [&] { return ready; }, Deadline::never));
        CHECK(ready);
        order += "done";
    });
    run_ready();
    condition.notify_all();
    run_ready();
    CHECK_EQUAL("", order);
    ready = true;
    condition.notify_all();
    run_loop();
    CHECK_EQUAL("done", order);
}

TEST(Condition, WithATruePredicateDoesNotSuspend) {
    bool other = false;  // written after the first one has ended
    in_coroutine([&] {
        go([&] { other = true; });
        const MutexLock lock(mutex, Deadline::never);
        CHECK(lock);
        CHECK(!condition.wait(
            mutex, [] { return true; }, 0s));
        CHECK(!other);
    });
}

TEST(Condition, WithAPredicateTheDurationIsCountedOnce) {
    const EvThread noise = go([&] {
        for (int i = 0; i < 10; ++i) {
            (void)this_evthread::delay(400ms);
            condition.notify_all();
        }
    });
    go([&] {
        const MutexLock lock(mutex, Deadline::never);
        CHECK(lock);
        const TimePoint begin = loop.now();
        CHECK_EQUAL(NetError::timed_out, condition.wait(
                                             mutex, [] { return false; }, 1s));
        CHECK_EQUAL(1s, loop.now() - begin);
        CHECK(mutex.held());
    });
    run_loop();
}

TEST(Condition, WithAPredicateThatIsTrueAtTheDeadlineThereIsNoError) {
    bool ready = false;
    go([&] {
        const MutexLock lock(mutex, Deadline::never);
        CHECK(lock);
        CHECK(!condition.wait(
            mutex, [&] { return ready; }, 1s));
    });
    run_ready();
    ready = true;  // and nobody says so
    run_loop();
}

TEST(Condition, WithAPredicateACancelIsAnError) {
    bool ready = false;
    std::error_code seen;
    EvThread thread = go([&] {
        const MutexLock lock(mutex, Deadline::never);
        CHECK(lock);
        seen = condition.wait(
            mutex, [&] { return ready; }, Deadline::never);
        CHECK(mutex.held());
    });
    run_ready();
    ready = true;
    thread.cancel();
    run_loop();
    CHECK_EQUAL(NetError::canceled, seen);
}

TEST(Condition, WhatThePredicateThrowsComesOutWithTheMutexHeld) {
    in_coroutine([&] {
        bool caught = false;
        const MutexLock lock(mutex, Deadline::never);
        CHECK(lock);
        try {
            (void)condition.wait(
                mutex, []() -> bool { throw std::runtime_error("no idea"); }, 1s);
        } catch (const std::runtime_error&) {
            caught = true;
        }
        CHECK(caught);
        CHECK(mutex.held());
    });
}

TEST(Condition, ItsReasonIsShown) {
    evcorothread::Condition named("more work");
    go([&] {
        const MutexLock lock(mutex, Deadline::never);
        CHECK(lock);
        (void)named.wait(mutex, Deadline::never);
    });
    run_ready();
    std::string reason;
    loop.for_each_thread([&](const EvLoop::ThreadInfo& info) { reason = info.waits_for; });
    CHECK_EQUAL("more work", reason);
    named.notify_one();
    run_loop();
}

TEST(Condition, TenThousandWaitersAllComeBackWithTheMutex) {
    constexpr std::size_t kCount = kSanitized ? 1'000 : 10'000;
    OrderedLoop crowd(kCount + 1, std::nullopt);
    Mutex shared;
    evcorothread::Condition go_on;
    std::size_t waiting = 0, back = 0;
    for (std::size_t i = 0; i < kCount; ++i) {
        crowd.go([&] {
            const MutexLock lock(shared, Deadline::never);
            CHECK(lock);
            ++waiting;
            CHECK(!go_on.wait(shared, Deadline::never));
            ++back;
            this_evthread::yield();
        });
    }
    crowd.go([&] {
        CHECK_EQUAL(kCount, waiting);
        go_on.notify_all();
    });
    crowd.run();
    CHECK_EQUAL(kCount, back);
}

// The classic: what is put in comes out, once, and in order; the buffer is never more than full.
TEST(Condition, ABoundedBufferLosesAndDoublesNothing) {
    in_every_order(12, [](OrderedLoop& ordered) {
        constexpr std::size_t kRoom = 3, kItems = 100, kPairs = 4;
        Mutex shared;
        evcorothread::Condition not_full, not_empty;
        std::deque<std::size_t> buffer;
        std::vector<std::size_t> taken;
        std::size_t next = 0, late = 0;
        for (std::size_t i = 0; i < kPairs; ++i) {
            ordered.go("puts", [&] {
                for (;;) {
                    const MutexLock lock(shared, Deadline::never);
                    CHECK(lock);
                    if (next == kItems) return;
                    const Deadline patience = std::chrono::milliseconds(ordered.below(3));
                    if (not_full.wait(
                            shared, [&] { return buffer.size() < kRoom || next == kItems; }, patience)) {
                        ++late;
                        continue;
                    }
                    CHECK(shared.held());
                    if (next == kItems) return;
                    buffer.push_back(next++);
                    CHECK(buffer.size() <= kRoom);
                    not_empty.notify_one();
                    if (next == kItems) {
                        not_full.notify_all();
                        not_empty.notify_all();
                    }
                }
            });
            ordered.go("takes", [&] {
                for (;;) {
                    if (!ordered.dawdle()) return;
                    const MutexLock lock(shared, Deadline::never);
                    CHECK(lock);
                    CHECK(!not_empty.wait(
                        shared, [&] { return !buffer.empty() || next == kItems; }, Deadline::never));
                    if (buffer.empty()) return;
                    taken.push_back(buffer.front());
                    buffer.pop_front();
                    not_full.notify_one();
                    if (ordered.one_in(3)) this_evthread::yield();
                }
            });
        }
        ordered.run();
        CHECK_EQUAL(kItems, taken.size());
        for (std::size_t i = 0; i < taken.size(); ++i) CHECK_EQUAL(i, taken[i]);
    });
}

// Many readers or one writer; some of both are canceled while they wait or read.
TEST(Condition, ReadersAndWritersKeepApart) {
    in_every_order(24, [](OrderedLoop& ordered) {
        Mutex shared;
        evcorothread::Condition changed;
        int readers = 0, writers = 0, reads = 0, writes = 0;
        std::vector<EvThread> threads;
        const auto enter = [&](auto&& free, int& counter) {
            const MutexLock lock(shared, Deadline::never);
            if (!lock || changed.wait(shared, free, Deadline::never)) return false;
            ++counter;
            return true;
        };
        const auto leave = [&](int& counter) {
            const CancelShield shield(Deadline::never);  // what was entered is left, canceled or not
            const MutexLock lock(shared, Deadline::never);
            CHECK(lock);
            --counter;
            changed.notify_all();
        };
        for (int i = 0; i < 20; ++i) {
            threads.push_back(ordered.go([&, writes_too = i % 4 == 0] {
                for (int round = 0; round < 10; ++round) {
                    if (!ordered.dawdle()) return;
                    int& mine = writes_too ? writers : readers;
                    const auto free = [&] { return writers == 0 && (!writes_too || readers == 0); };
                    if (!enter(free, mine)) return;
                    (void)ordered.dawdle();
                    CHECK(writers <= 1);
                    CHECK(writers == 0 || readers == 0);
                    ++(writes_too ? writes : reads);
                    leave(mine);
                }
            }));
        }
        ordered.go([&] {
            for (int i = 0; i < 5; ++i) {
                (void)this_evthread::delay(std::chrono::milliseconds(ordered.below(20)));
                threads[ordered.below(threads.size())].cancel();
            }
        });
        ordered.run();
        CHECK_EQUAL(0, readers + writers);
        CHECK(reads > 0);
        CHECK(writes > 0);
        CHECK(!shared.locked());
    });
}

TEST_GROUP_BASE(ConditionMisuse, LoopFixture) {
    Mutex mutex;
    Condition condition;
};

TEST(ConditionMisuse, WaitingWithoutTheMutex) {
    const char* const said = "wants a Mutex that the calling coroutine holds";
    STRCMP_CONTAINS(
        said, abort_message([this] { in_coroutine([&] { (void)condition.wait(mutex, 1s); }); }).c_str());
    STRCMP_CONTAINS(said, abort_message([this] {
                              in_coroutine([&] {
                                  (void)condition.wait(
                                      mutex, [] { return true; }, 1s);
                              });
                          }).c_str());
    STRCMP_CONTAINS(said, abort_message([this] {
                              go([&] {
                                  (void)mutex.lock(1s);
                                  (void)this_evthread::delay(1h);
                              });
                              go([&] { (void)condition.wait(mutex, 1s); });
                              loop.run();
                          }).c_str());
}

TEST(ConditionMisuse, WaitingOutsideACoroutine) {
    STRCMP_CONTAINS("use EvLoop::spawn", abort_message([this] { (void)condition.wait(mutex, 1s); }).c_str());
}

TEST(ConditionMisuse, DestroyingOneThatIsWaitedFor) {
    STRCMP_CONTAINS("a Condition is destroyed while coroutines wait at it",
                    abort_message([this] {
                        Condition own;
                        go([&] {
                            (void)mutex.lock(1s);
                            (void)own.wait(mutex, Deadline::never);
                        });
                        loop.run_ready();
                    }).c_str());
}

TEST(ConditionMisuse, OfTwoLoops) {
    STRCMP_CONTAINS("coroutines of two loops wait at the same object", abort_message([this] {
                                                                           const auto wait = [this] {
                                                                               (void)mutex.lock(1s);
                                                                               (void)condition.wait(mutex,
                                                                                                    1h);
                                                                           };
                                                                           go(wait);
                                                                           loop.run_ready();
                                                                           OrderedLoop other(1, std::nullopt);
                                                                           other.go(wait);
                                                                           other.run();
                                                                       }).c_str());
}
