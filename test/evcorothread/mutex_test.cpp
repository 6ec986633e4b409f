#include "evcorothread/mutex.h"

#include <stdexcept>
#include <string>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "test/evcorothread/orders_fixture.h"
#include "test/support/death.h"

using namespace test_support;

TEST_GROUP_BASE(Mutex, LoopFixture) {
    evcorothread::Mutex mutex;

    // A coroutine that holds the mutex for so long.
    EvThread holder(Duration held) {
        return go("holder", [this, held] {
            CHECK(!mutex.lock(Deadline::never));
            CHECK(!this_evthread::delay(held));
            mutex.unlock();
        });
    }
    // One that locks, says what came of it, and lets go.
    EvThread locker(std::error_code & seen, Deadline deadline = Deadline::never) {
        return go("locker", [this, &seen, deadline] {
            seen = mutex.lock(deadline);
            if (!seen) mutex.unlock();
        });
    }
};

TEST(Mutex, IsHeldFromLockToUnlock) {
    in_coroutine([&] {
        CHECK(!mutex.locked());
        CHECK(!mutex.lock(Deadline::never));
        CHECK(mutex.locked());
        CHECK(mutex.held());
        mutex.unlock();
        CHECK(!mutex.locked());
        CHECK(!mutex.held());
    });
}

TEST_IN_ORDER(Mutex, MakesOthersWait) {
    bool inside = false;
    holder(1h);
    go([&] {
        const MutexLock lock(mutex, Deadline::never);
        CHECK(lock);
        inside = true;
    });
    run_ready();
    CHECK(!inside);
    run_loop();
    CHECK(inside);
}

TEST_IN_ORDER(Mutex, IsHeldByOneCoroutineAndNotByAnother) {
    holder(1h);
    go([&] {
        CHECK(mutex.locked());
        CHECK(!mutex.held());
    });
    run_loop();
}

TEST(Mutex, IsHandedOverInTheOrderOfWaiting) {
    in_every_order(20, [](OrderedLoop& ordered) {
        evcorothread::Mutex shared;
        std::vector<int> came, got;
        for (int i = 0; i < 20; ++i) {
            ordered.go([&, i] {
                for (int round = 0; round < 5; ++round) {
                    came.push_back(i);
                    CHECK(!shared.lock(Deadline::never));
                    got.push_back(i);
                    this_evthread::yield();
                    shared.unlock();
                }
            });
        }
        ordered.run();
        CHECK(came == got);
    });
}

TEST_IN_ORDER(Mutex, IsNotTakenAgainByWhoUnlocksItWhileOthersWait) {
    std::string order;
    go([&] {
        for (int i = 0; i < 2; ++i) {
            CHECK(!mutex.lock(Deadline::never));
            order += "first ";
            this_evthread::yield();
            mutex.unlock();
        }
    });
    go([&] {
        CHECK(!mutex.lock(Deadline::never));
        order += "second ";
        mutex.unlock();
    });
    run_loop();
    CHECK_EQUAL("first second first ", order);
}

TEST_IN_ORDER(Mutex, CannotBeTakenBeforeTheOneItWasHandedToRuns) {
    std::error_code seen;
    go([&] {
        CHECK(!mutex.lock(Deadline::never));
        EvThread second = locker(seen);
        this_evthread::yield();
        mutex.unlock();
        CHECK(mutex.locked());
        CHECK(!mutex.held());
        CHECK(!mutex.try_lock());
        CHECK_EQUAL(second.id(), mutex.owner_id());
    });
    run_loop();
    CHECK(!seen);
    CHECK(!mutex.locked());
}

TEST_IN_ORDER(Mutex, TryLockTakesAFreeOneOnly) {
    in_coroutine([&] {
        CHECK(mutex.try_lock());
        CHECK(!mutex.try_lock());
        go([&] { CHECK(!mutex.try_lock()); });
        this_evthread::yield();
        mutex.unlock();
        go([&] {
            CHECK(mutex.try_lock());
            mutex.unlock();
        });
    });
}

TEST(Mutex, APassedDeadlineTakesAFreeOne) {
    in_coroutine([&] {
        CHECK(!mutex.lock(0s));
        mutex.unlock();
        CHECK(!mutex.lock(loop.now() - 1s));
        mutex.unlock();
    });
}

TEST_IN_ORDER(Mutex, APassedDeadlineDoesNotSuspend) {
    holder(1h);
    bool other = false;  // written after the first one has ended
    in_coroutine([&] {
        go([&] { other = true; });
        CHECK_EQUAL(NetError::timed_out, mutex.lock(0s));
        CHECK_EQUAL(NetError::timed_out, mutex.lock(loop.now() - 1s));
        CHECK(!other);
    });
}

TEST_IN_ORDER(Mutex, TheDeadlineEndsTheWait) {
    holder(1h);
    go([&] {
        const TimePoint begin = loop.now();
        CHECK_EQUAL(NetError::timed_out, mutex.lock(1s));
        CHECK_EQUAL(1s, loop.now() - begin);
        CHECK(!mutex.held());
    });
    run_loop();
    CHECK(!mutex.locked());
}

TEST(Mutex, OneThatComesInTimeGetsIt) {
    std::error_code seen = NetError::busy;
    holder(1s);
    locker(seen, 1h);
    run_loop();
    CHECK(!seen);
}

TEST_IN_ORDER(Mutex, ALateWaiterIsPassedOver) {
    std::error_code late, patient = NetError::busy;
    holder(1h);
    locker(late, 1s);
    locker(patient);
    run_loop();
    CHECK_EQUAL(NetError::timed_out, late);
    CHECK(!patient);
}

TEST(Mutex, AHandOverAndADeadlineInOnePassLoseNothing) {
    in_every_order(3, [](OrderedLoop& ordered) {
        evcorothread::Mutex shared;
        const TimePoint end = ordered.loop.now() + 1s;
        bool got = false, last = false;
        const bool waiter_first = ordered.one_in(2);
        const auto wait = [&] {
            ordered.go([&] {
                got = !shared.lock(end);
                CHECK_EQUAL(got, shared.held());
                if (got) shared.unlock();
            });
        };
        ordered.go([&] {
            CHECK(!shared.lock(Deadline::never));
            if (waiter_first) {
                wait();
                this_evthread::yield();
            }
            CHECK(!this_evthread::delay(end));
            shared.unlock();
        });
        if (!waiter_first) wait();
        ordered.go([&] {
            CHECK(!shared.lock(Deadline::never));
            last = true;
            shared.unlock();
        });
        ordered.run();
        CHECK(last);
        CHECK(!shared.locked());
    });
}

TEST(Mutex, CancelEndsTheWait) {
    std::error_code seen;
    EvThread other = holder(1h);
    run_ready();
    EvThread waiter = locker(seen);
    run_ready();
    waiter.cancel();
    run_ready();
    CHECK_EQUAL(NetError::canceled, seen);
    CHECK(waiter.finished());
    CHECK(!other.finished());
    run_loop();
    CHECK(!mutex.locked());
}

TEST(Mutex, ACanceledCoroutineGetsNotEvenAFreeOne) {
    EvThread thread = go([&] {
        CHECK_EQUAL(NetError::canceled, mutex.lock(Deadline::never));
        CHECK_EQUAL(NetError::canceled, mutex.lock(0s));
        CHECK(mutex.try_lock());
        mutex.unlock();
    });
    thread.cancel();
    run_loop();
}

TEST(Mutex, ACanceledCoroutineLocksBehindAShield) {
    holder(1s);
    run_ready();
    EvThread thread = go([&] {
        const CancelShield shield(1h);
        CHECK(!mutex.lock(Deadline::never));
        mutex.unlock();
        CHECK(!mutex.lock(Deadline::never));
        mutex.unlock();
    });
    thread.cancel();
    run_loop();
    CHECK(thread.finished());
}

TEST(Mutex, AShieldEndsTheWaitAtItsDeadline) {
    holder(1h);
    run_ready();
    EvThread thread = go([&] {
        const CancelShield shield(1s);
        const TimePoint begin = loop.now();
        CHECK_EQUAL(NetError::canceled, mutex.lock(Deadline::never));
        CHECK_EQUAL(1s, loop.now() - begin);
    });
    run_ready();
    thread.cancel();
    run_loop();
}

TEST_IN_ORDER(Mutex, HandedOverAndThenCanceledIsHeld) {
    std::error_code next_wait;
    EvThread waiter;
    go([&] {
        CHECK(!mutex.lock(Deadline::never));
        waiter = go([&] {
            CHECK(!mutex.lock(Deadline::never));
            CHECK(mutex.held());
            next_wait = this_evthread::delay(1s);
            mutex.unlock();
        });
        this_evthread::yield();
        mutex.unlock();
        waiter.cancel();
    });
    run_loop();
    CHECK_EQUAL(NetError::canceled, next_wait);
    CHECK(!mutex.locked());
}

TEST(Mutex, CanceledAndThenUnlockedGoesToTheNext) {
    std::error_code canceled, next = NetError::busy;
    go([&] {
        CHECK(!mutex.lock(Deadline::never));
        EvThread waiter = locker(canceled);
        locker(next);
        this_evthread::yield();
        waiter.cancel();
        mutex.unlock();
    });
    run_loop();
    CHECK_EQUAL(NetError::canceled, canceled);
    CHECK(!next);
}

TEST(Mutex, CanceledAndThenUnlockedIsFreeWhenNobodyElseWaits) {
    std::error_code canceled;
    go([&] {
        CHECK(!mutex.lock(Deadline::never));
        EvThread waiter = locker(canceled);
        this_evthread::yield();
        waiter.cancel();
        mutex.unlock();
        CHECK(!mutex.locked());
        CHECK(mutex.try_lock());
        mutex.unlock();
    });
    run_loop();
    CHECK_EQUAL(NetError::canceled, canceled);
}

TEST(Mutex, TellsItsOwner) {
    EvThread thread = go("the owner", [&] {
        CHECK(!mutex.lock(Deadline::never));
        (void)this_evthread::delay(1s);
        mutex.unlock();
    });
    CHECK_EQUAL("", mutex.owner_name());
    CHECK_EQUAL(0, mutex.owner_id());
    run_ready();
    CHECK_EQUAL("the owner", mutex.owner_name());
    CHECK_EQUAL(thread.id(), mutex.owner_id());
    run_loop();
    CHECK_EQUAL("", mutex.owner_name());
}

TEST_IN_ORDER(Mutex, ItsReasonIsShown) {
    evcorothread::Mutex named("the log file");
    go("holder", [&] {
        CHECK(!named.lock(Deadline::never));
        (void)this_evthread::delay(1s);
        named.unlock();
    });
    go("waiter", [&] {
        CHECK(!named.lock(Deadline::never));
        named.unlock();
    });
    run_ready();
    std::string reason;
    loop.for_each_thread([&](const EvLoop::ThreadInfo& info) {
        if (info.name == "waiter") reason = info.waits_for;
    });
    CHECK_EQUAL("the log file", reason);
    run_loop();
}

TEST(Mutex, TenThousandCoroutinesAreServedInOrder) {
    constexpr std::size_t kCount = kSanitized ? 1'000 : 10'000;
    OrderedLoop crowd(kCount, std::nullopt);
    evcorothread::Mutex shared;
    std::size_t served = 0;
    for (std::size_t i = 0; i < kCount; ++i) {
        crowd.go([&, i] {
            CHECK(!shared.lock(Deadline::never));
            CHECK_EQUAL(i, served);
            this_evthread::yield();
            ++served;
            shared.unlock();
        });
    }
    crowd.run();
    CHECK_EQUAL(kCount, served);
}

TEST(Mutex, TenThousandCanceledWaitersLeaveNothing) {
    constexpr std::size_t kCount = kSanitized ? 1'000 : 10'000;
    OrderedLoop crowd(kCount + 1, std::nullopt);
    evcorothread::Mutex shared;
    std::size_t canceled = 0;
    crowd.go([&] {
        CHECK(!shared.lock(Deadline::never));
        std::vector<EvThread> waiters;
        for (std::size_t i = 0; i < kCount; ++i) {
            waiters.push_back(
                crowd.go([&] { canceled += shared.lock(Deadline::never) == std::errc::operation_canceled; }));
        }
        this_evthread::yield();
        while (!waiters.empty()) {  // the youngest first
            waiters.back().cancel();
            waiters.pop_back();
        }
        this_evthread::yield();
        shared.unlock();
        CHECK(!shared.locked());
    });
    crowd.run();
    CHECK_EQUAL(kCount, canceled);
}

// One at a time, whatever happens meanwhile; and nobody waits for ever.
TEST(Mutex, RandomLocksCancelsAndDeadlinesKeepOneInside) {
    in_every_order(33, [](OrderedLoop& ordered) {
        evcorothread::Mutex shared;
        const evcorothread::Mutex* const same = &shared;
        int inside = 0, locked = 0, failed = 0;
        std::vector<EvThread> threads;
        for (int i = 0; i < 32; ++i) {
            threads.push_back(ordered.go([&] {
                for (int round = 0; round < 20; ++round) {
                    if (!ordered.dawdle()) return;
                    std::error_code error;
                    switch (ordered.below(3)) {
                        case 0: error = shared.lock(Deadline::never); break;
                        case 1: error = shared.lock(std::chrono::milliseconds(ordered.below(20))); break;
                        default:
                            if (!shared.try_lock()) error = NetError::would_block;
                    }
                    CHECK_EQUAL(!error, same->held());
                    if (error) {
                        ++failed;
                        continue;
                    }
                    ++locked;
                    CHECK_EQUAL(1, ++inside);
                    (void)ordered.dawdle();
                    CHECK_EQUAL(0, --inside);
                    shared.unlock();
                }
            }));
        }
        ordered.go([&] {
            for (int i = 0; i < 8; ++i) {
                (void)this_evthread::delay(std::chrono::milliseconds(ordered.below(30)));
                threads[ordered.below(threads.size())].cancel();
            }
        });
        ordered.run();
        CHECK(!shared.locked());
        CHECK(locked > 0);
        CHECK(failed > 0);
    });
}

// Each takes the left fork, then the right one, which is how to starve; a deadline on the second one lets
// them give up the first and try again.
TEST(Mutex, PhilosophersWithDeadlinesAllEat) {
    in_every_order(5, [](OrderedLoop& ordered) {
        constexpr std::size_t kSeats = 5;
        evcorothread::Mutex forks[kSeats];
        int meals[kSeats] = {};
        for (std::size_t seat = 0; seat < kSeats; ++seat) {
            ordered.go([&, seat] {
                while (meals[seat] < 10) {
                    const MutexLock left(forks[seat], Deadline::never);
                    CHECK(left);
                    this_evthread::yield();  // everybody has a fork in the left hand
                    const MutexLock right(forks[(seat + 1) % kSeats],
                                          std::chrono::milliseconds(1 + ordered.below(5)));
                    if (!right) continue;
                    ++meals[seat];
                    (void)this_evthread::delay(1ms);
                }
            });
        }
        ordered.run();
        for (const int eaten : meals) CHECK_EQUAL(10, eaten);
    });
}

TEST_GROUP_BASE(MutexLock, LoopFixture) { Mutex mutex; };

TEST(MutexLock, HoldsUntilTheEndOfTheBlock) {
    in_coroutine([&] {
        {
            const evcorothread::MutexLock lock(mutex, Deadline::never);
            CHECK(lock);
            CHECK(!lock.error());
            CHECK(mutex.held());
            CHECK(&lock.mutex() == &mutex);
        }
        CHECK(!mutex.locked());
    });
}

TEST(MutexLock, LetsGoWhenAnExceptionPasses) {
    in_coroutine([&] {
        bool caught = false;
        try {
            const evcorothread::MutexLock lock(mutex, Deadline::never);
            CHECK(lock);
            this_evthread::yield();
            throw std::runtime_error("in the middle");
        } catch (const std::runtime_error&) {
            caught = true;
        }
        CHECK(caught);
        CHECK(!mutex.locked());
    });
}

TEST(MutexLock, AnExceptionHandsItToTheNext) {
    bool next = false;
    go([&] {
        try {
            const evcorothread::MutexLock lock(mutex, Deadline::never);
            CHECK(lock);
            go([&] {
                const evcorothread::MutexLock mine(mutex, Deadline::never);
                next = static_cast<bool>(mine);
            });
            this_evthread::yield();
            throw std::runtime_error("in the middle");
        } catch (const std::runtime_error&) {
        }
    });
    run_loop();
    CHECK(next);
}

TEST(MutexLock, SaysWhenItDidNotGetIt) {
    in_coroutine([&] {
        CHECK(mutex.try_lock());
        go([&] {
            const evcorothread::MutexLock lock(mutex, 1s);
            CHECK(!lock);
            CHECK_EQUAL(NetError::timed_out, lock.error());
        });
        (void)this_evthread::delay(1h);
        CHECK(mutex.held());
        mutex.unlock();
    });
}

TEST_IN_ORDER(MutexLock, LetsGoEarly) {
    in_coroutine([&] {
        evcorothread::MutexLock lock(mutex, Deadline::never);
        CHECK(lock);
        lock.unlock();
        CHECK(!mutex.locked());
        CHECK(!lock);
        CHECK(!lock.error());
        CHECK(mutex.try_lock());  // and does not unlock it again
        go([&] { CHECK(mutex.locked()); });
        this_evthread::yield();
        mutex.unlock();
    });
}

TEST_GROUP_BASE(MutexMisuse, LoopFixture) {
    Mutex mutex;

    // What is said when `offence` happens in a coroutine while another one holds the mutex.
    template <class F>
    std::string while_held(F offence) {
        return abort_message([&] {
            go("holder", [&] {
                (void)mutex.lock(Deadline::never);
                (void)this_evthread::delay(1h);
                mutex.unlock();
            });
            go(offence);
            loop.run();
        });
    }
};

TEST(MutexMisuse, UnlockingWhatNobodyHolds) {
    STRCMP_CONTAINS("unlocked that nobody holds",
                    abort_message([this] { in_coroutine([&] { mutex.unlock(); }); }).c_str());
    STRCMP_CONTAINS("unlocked that nobody holds", abort_message([this] { mutex.unlock(); }).c_str());
}

TEST_IN_ORDER(MutexMisuse, UnlockingWhatAnotherHolds) {
    STRCMP_CONTAINS("unlocked by a coroutine that does not hold it",
                    while_held([this] { mutex.unlock(); }).c_str());
    STRCMP_CONTAINS("unlocked by a coroutine that does not hold it",
                    abort_message([this] {
                        go([&] {
                            (void)mutex.lock(Deadline::never);
                            (void)this_evthread::delay(1h);
                        });
                        loop.run_ready();
                        mutex.unlock();
                    }).c_str());
}

TEST(MutexMisuse, LockingTwice) {
    STRCMP_CONTAINS("holds it already", abort_message([this] {
                                            in_coroutine([&] {
                                                (void)mutex.lock(Deadline::never);
                                                (void)mutex.lock(1s);
                                            });
                                        }).c_str());
}

TEST(MutexMisuse, LockingOutsideACoroutine) {
    STRCMP_CONTAINS("use EvLoop::spawn", abort_message([this] { (void)mutex.lock(1s); }).c_str());
    STRCMP_CONTAINS("use EvLoop::spawn", abort_message([this] { (void)mutex.try_lock(); }).c_str());
}

TEST(MutexMisuse, DestroyingOneThatIsHeld) {
    STRCMP_CONTAINS("a Mutex is destroyed while it is held", abort_message([this] {
                                                                 in_coroutine([] {
                                                                     Mutex own;
                                                                     (void)own.lock(Deadline::never);
                                                                 });
                                                             }).c_str());
}

TEST_IN_ORDER(MutexMisuse, DestroyingOneThatIsWaitedFor) {
    STRCMP_CONTAINS("a Mutex is destroyed while coroutines wait at it",
                    abort_message([this] {
                        in_coroutine([&] {
                            Mutex own;
                            (void)own.lock(Deadline::never);
                            go([&] { (void)own.lock(Deadline::never); });
                            this_evthread::yield();
                        });
                    }).c_str());
}

TEST(MutexMisuse, OfTwoLoops) {
    STRCMP_CONTAINS("coroutines of two loops use the same Mutex", abort_message([this] {
                                                                      go([&] {
                                                                          (void)mutex.lock(Deadline::never);
                                                                          (void)this_evthread::delay(1h);
                                                                      });
                                                                      loop.run_ready();
                                                                      OrderedLoop other(1, std::nullopt);
                                                                      other.go([&] { (void)mutex.lock(1s); });
                                                                      other.run();
                                                                  }).c_str());
}

TEST_IN_ORDER(MutexMisuse, AGuardThatFailedAndWasNotAsked) {
    STRCMP_CONTAINS("did not get its mutex, and nobody asked it",
                    while_held([this] { const evcorothread::MutexLock lock(mutex, 1s); }).c_str());
}

TEST(MutexMisuse, AGuardThatIsUnlockedTwice) {
    STRCMP_CONTAINS("does not hold its mutex", abort_message([this] {
                                                   in_coroutine([&] {
                                                       evcorothread::MutexLock lock(mutex, 1s);
                                                       lock.unlock();
                                                       lock.unlock();
                                                   });
                                               }).c_str());
}
