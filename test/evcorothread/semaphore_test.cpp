#include "evcorothread/semaphore.h"

#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "evcorothread/ev_timer.h"
#include "test/evcorothread/orders_fixture.h"
#include "test/support/death.h"

using namespace test_support;

TEST_GROUP_BASE(Semaphore, LoopFixture) {
    evcorothread::Semaphore semaphore{0};
    std::string order;

    // A coroutine that wants `count` permits, keeps them, and writes down how that ended.
    EvThread taker(const char* name, std::size_t count = 1, Deadline deadline = Deadline::never) {
        return go(name, [this, name, count, deadline] {
            const std::error_code error = semaphore.acquire(count, deadline);
            order += name;
            order += error ? error == std::errc::timed_out ? " late " : " canceled " : " ";
        });
    }
};

TEST(Semaphore, GivesAsManyPermitsAsThereAre) {
    in_coroutine([&] {
        evcorothread::Semaphore two(2);
        CHECK(!two.acquire(Deadline::never));
        CHECK(!two.acquire(Deadline::never));
        CHECK_EQUAL(0, two.available());
        CHECK_EQUAL(NetError::timed_out, two.acquire(1s));
        two.release();
        CHECK_EQUAL(1, two.available());
        CHECK(!two.acquire(0s));
    });
}

TEST(Semaphore, WaitsForAPermit) {
    EvThread thread = taker("a");
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, thread.state());
    semaphore.release();
    run_loop();
    CHECK_EQUAL("a ", order);
    CHECK_EQUAL(0, semaphore.available());
}

TEST_IN_ORDER(Semaphore, ServesInTheOrderOfWaiting) {
    taker("a");
    taker("b");
    taker("c");
    run_ready();
    semaphore.release();
    run_ready();
    CHECK_EQUAL("a ", order);
    semaphore.release(2);
    run_loop();
    CHECK_EQUAL("a b c ", order);
}

TEST(Semaphore, GivesSeveralPermitsAtOnceOrNone) {
    taker("a", 3);
    run_ready();
    semaphore.release(2);
    run_ready();
    CHECK_EQUAL("", order);
    CHECK_EQUAL(2, semaphore.available());
    semaphore.release();
    run_loop();
    CHECK_EQUAL("a ", order);
    CHECK_EQUAL(0, semaphore.available());
}

TEST_IN_ORDER(Semaphore, OneThatWantsManyIsNotOvertaken) {
    taker("many", 3);
    taker("few", 1);
    run_ready();
    semaphore.release(2);
    go([&] {
        CHECK(!semaphore.try_acquire());
        CHECK_EQUAL(NetError::timed_out, semaphore.acquire(0s));
    });
    run_ready();
    CHECK_EQUAL("", order);
    semaphore.release(2);
    run_loop();
    CHECK_EQUAL("many few ", order);
}

TEST_IN_ORDER(Semaphore, ThoseBehindALateOneGetWhatItDidNot) {
    taker("many", 3, 1s);
    taker("few", 1);
    taker("two", 2);
    run_ready();
    semaphore.release(2);
    run_ready();
    CHECK_EQUAL("", order);
    advance(1s);
    CHECK_EQUAL("many late few ", order);
    semaphore.release();
    run_loop();
    CHECK_EQUAL("many late few two ", order);
}

TEST_IN_ORDER(Semaphore, ThoseBehindACanceledOneGetWhatItDidNot) {
    EvThread many = taker("many", 3);
    taker("few", 1);
    run_ready();
    semaphore.release(1);
    many.cancel();
    run_loop();
    CHECK_EQUAL("many canceled few ", order);
}

TEST_IN_ORDER(Semaphore, CanceledAndThenReleasedGoesToTheNext) {
    EvThread a = taker("a");
    taker("b");
    run_ready();
    a.cancel();
    semaphore.release();
    run_loop();
    CHECK_EQUAL("a canceled b ", order);
}

TEST(Semaphore, ReleasedAndThenCanceledHasItsPermit) {
    EvThread a = taker("a");
    run_ready();
    semaphore.release();
    a.cancel();
    run_loop();
    CHECK_EQUAL("a ", order);
    CHECK_EQUAL(0, semaphore.available());
}

TEST(Semaphore, AReleaseThatOnlyCanceledOnesWaitForIsKept) {
    EvThread a = taker("a", 2);
    run_ready();
    a.cancel();
    semaphore.release(2);
    CHECK_EQUAL(2, semaphore.available());
    run_loop();
    CHECK_EQUAL("a canceled ", order);
    CHECK_EQUAL(2, semaphore.available());
}

TEST(Semaphore, CancelEndsTheWait) {
    EvThread a = taker("a");
    run_ready();
    a.cancel();
    run_ready();
    CHECK_EQUAL("a canceled ", order);
}

TEST(Semaphore, ACanceledCoroutineGetsNothingButByTrying) {
    semaphore.release(2);
    EvThread thread = go([&] {
        CHECK_EQUAL(NetError::canceled, semaphore.acquire(Deadline::never));
        CHECK(semaphore.try_acquire());
        const CancelShield shield(1s);
        CHECK(!semaphore.acquire(Deadline::never));
        CHECK_EQUAL(NetError::canceled, semaphore.acquire(Deadline::never));
    });
    thread.cancel();
    run_loop();
}

TEST(Semaphore, APassedDeadlineDoesNotSuspend) {
    bool other = false;  // written after the first one has ended
    in_coroutine([&] {
        go([&] { other = true; });
        CHECK_EQUAL(NetError::timed_out, semaphore.acquire(0s));
        CHECK_EQUAL(NetError::timed_out, semaphore.acquire(3, loop.now() - 1s));
        CHECK(!other);
    });
}

TEST(Semaphore, TryAcquireTakesWhatIsThere) {
    semaphore.release(3);
    CHECK(!semaphore.try_acquire(4));
    CHECK(semaphore.try_acquire(3));
    CHECK(!semaphore.try_acquire());
}

TEST(Semaphore, MayBeReleasedFromOutsideACoroutine) {
    EvTimer timer(loop, [&] { semaphore.release(); });
    timer.start(1s);
    taker("a");
    run_loop();
    CHECK_EQUAL("a ", order);
}

TEST_IN_ORDER(Semaphore, MayBeDestroyedOnceAllHaveTheirPermits) {
    go([&] {
        auto own = std::make_unique<evcorothread::Semaphore>(0);
        for (int i = 0; i < 3; ++i) {
            go([&] {
                CHECK(!own->acquire(Deadline::never));
                order += "x";
            });
        }
        this_evthread::yield();
        own->release(3);
        own.reset();
    });
    run_loop();
    CHECK_EQUAL("xxx", order);
}

TEST(Semaphore, ItsReasonIsShown) {
    evcorothread::Semaphore named(0, "a database connection");
    go([&] { (void)named.acquire(Deadline::never); });
    run_ready();
    std::string reason;
    loop.for_each_thread([&](const EvLoop::ThreadInfo& info) { reason = info.waits_for; });
    CHECK_EQUAL("a database connection", reason);
    named.release();
    run_loop();
}

TEST(Semaphore, TenThousandCoroutinesTenAtATime) {
    constexpr std::size_t kCount = kSanitized ? 1'000 : 10'000;
    OrderedLoop crowd(kCount, std::nullopt);
    evcorothread::Semaphore ten(10);
    std::size_t inside = 0, most = 0, served = 0;
    for (std::size_t i = 0; i < kCount; ++i) {
        crowd.go([&] {
            CHECK(!ten.acquire(Deadline::never));
            most = std::max(most, ++inside);
            this_evthread::yield();
            --inside;
            ++served;
            ten.release();
        });
    }
    crowd.run();
    CHECK_EQUAL(10, most);
    CHECK_EQUAL(kCount, served);
    CHECK_EQUAL(10, ten.available());
}

// Permits are neither lost nor made, whoever is canceled or late and when.
TEST(Semaphore, RandomUseKeepsTheNumberOfPermits) {
    in_every_order(33, [](OrderedLoop& ordered) {
        constexpr std::size_t kPermits = 5;
        evcorothread::Semaphore shared(kPermits);
        std::size_t taken = 0, got = 0, failed = 0;
        std::vector<EvThread> threads;
        for (int i = 0; i < 32; ++i) {
            threads.push_back(ordered.go([&] {
                for (int round = 0; round < 20; ++round) {
                    if (!ordered.dawdle()) return;
                    const std::size_t count = 1 + ordered.below(kPermits);
                    std::error_code error;
                    switch (ordered.below(3)) {
                        case 0: error = shared.acquire(count, Deadline::never); break;
                        case 1:
                            error = shared.acquire(count, std::chrono::milliseconds(ordered.below(20)));
                            break;
                        default:
                            if (!shared.try_acquire(count)) error = NetError::would_block;
                    }
                    if (error) {
                        ++failed;
                        continue;
                    }
                    ++got;
                    taken += count;
                    CHECK(taken + shared.available() <= kPermits);
                    (void)ordered.dawdle();
                    taken -= count;
                    shared.release(count);
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
        CHECK_EQUAL(kPermits, shared.available());
        CHECK(got > 0);
        CHECK(failed > 0);
    });
}

TEST_GROUP_BASE(SemaphoreMisuse, LoopFixture) { Semaphore semaphore{0}; };

TEST(SemaphoreMisuse, AskingForNothing) {
    const char* const said = "no permit at all is asked of a Semaphore";
    STRCMP_CONTAINS(said, abort_message([this] {
                              in_coroutine([&] { (void)semaphore.acquire(0, Deadline::never); });
                          }).c_str());
    STRCMP_CONTAINS(said, abort_message([this] { (void)semaphore.try_acquire(0); }).c_str());
}

TEST(SemaphoreMisuse, MorePermitsThanItCanCount) {
    STRCMP_CONTAINS("more permits than it can count",
                    abort_message([this] {
                        semaphore.release();
                        semaphore.release(std::numeric_limits<std::size_t>::max());
                    }).c_str());
}

TEST(SemaphoreMisuse, OutsideACoroutine) {
    STRCMP_CONTAINS("use EvLoop::spawn", abort_message([this] { (void)semaphore.acquire(1s); }).c_str());
}

TEST(SemaphoreMisuse, DestroyingOneThatIsWaitedFor) {
    STRCMP_CONTAINS("a Semaphore is destroyed while coroutines wait at it",
                    abort_message([this] {
                        Semaphore own(0);
                        go([&] { (void)own.acquire(Deadline::never); });
                        loop.run_ready();
                    }).c_str());
}

TEST(SemaphoreMisuse, OnAnotherOsThread) {
    STRCMP_CONTAINS("used on another OS thread", abort_message([this] {
                                                     go([&] { (void)semaphore.acquire(Deadline::never); });
                                                     loop.run_ready();
                                                     std::thread([&] { semaphore.release(); }).join();
                                                 }).c_str());
}
