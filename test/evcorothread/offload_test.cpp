// OffloadPool and offload(): blocking code beside the loop.
#include <atomic>
#include <latch>
#include <memory>
#include <optional>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "evcorothread/offload.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"
#include "test/support/log_capture.h"

using namespace test_support;

namespace {

std::error_code code(NetError error) { return error; }

// Something that a job waits for until the test lets it go.
struct Gate {
    std::binary_semaphore begun{0}, open{0};
    void pass() {
        begun.release();
        open.acquire();
    }
};

struct Resource {
    explicit Resource(std::atomic<int>& count) : living(&count) { ++*living; }
    Resource(Resource&& other) noexcept : living(std::exchange(other.living, nullptr)) {}
    ~Resource() {
        if (living != nullptr) --*living;
    }
    std::atomic<int>* living;
};

}  // namespace

TEST_GROUP_BASE(Offload, RealTimeFixture) {
    std::optional<OffloadPool> pool{std::in_place, OffloadOptions{.threads = 1, .queue = 2}};
    Gate gate;
    std::optional<std::error_code> ended;

    // Keeps the pool's only thread busy until gate.open.
    EvThread occupy() {
        EvThread thread = go("occupant", [&] {
            (void)offload(
                *pool, [&] { gate.pass(); }, Deadline::never);
        });
        run_ready();
        gate.begun.acquire();
        return thread;
    }
    void let_go() { gate.open.release(); }
};

TEST(Offload, ReturnsWhatTheFunctionReturned) {
    in_coroutine([&] {
        CHECK_EQUAL(42, offload(
                            *pool, [] { return 42; }, 5s)
                            .value());
        CHECK_EQUAL("text", offload(
                                *pool, [] { return std::string("text"); }, 5s)
                                .value());
        CHECK(*offload(
                   *pool, [] { return std::make_unique<int>(1); }, 5s)
                   .value() == 1);
        CHECK(offload(
                  *pool, [] {}, 5s)
                  .ok());
    });
}

TEST(Offload, RunsOnAnotherThreadWhileTheLoopServesOthers) {
    std::thread::id where;
    bool other = false;
    go([&] {
        (void)offload(
            *pool,
            [&] {
                where = std::this_thread::get_id();
                gate.pass();
            },
            5s);
        CHECK(other);
    });
    go([&] {
        other = true;
        let_go();
    });
    run_loop();
    CHECK(where != std::this_thread::get_id());
}

TEST(Offload, ErrorsOfTheFunctionAreErrorsOfTheCall) {
    in_coroutine([&] {
        const std::error_code no_entry = std::make_error_code(std::errc::no_such_file_or_directory);
        CHECK(offload(
                  *pool, [=] { return no_entry; }, 5s)
                  .error() == no_entry);
        CHECK(offload(
                  *pool, [] { return std::error_code(); }, 5s)
                  .ok());
        CHECK(offload(
                  *pool, [=]() -> cutils::Result<int> { return no_entry; }, 5s)
                  .error() == no_entry);
        CHECK_EQUAL(3, offload(
                           *pool, []() -> cutils::Result<int> { return 3; }, 5s)
                           .value());
    });
}

TEST(Offload, RethrowsInTheCoroutine) {
    std::string said;
    in_coroutine([&] {
        try {
            (void)offload(
                *pool, []() -> int { throw std::runtime_error("broken disk"); }, 5s);
        } catch (const std::runtime_error& error) {
            said = error.what();
        }
    });
    CHECK_EQUAL("broken disk", said);
}

TEST(Offload, ADeadlineThatHasPassedRunsNothing) {
    (void)occupy();
    bool ran = false;
    in_coroutine([&] {
        CHECK_EQUAL(code(NetError::timed_out), offload(
                                                   *pool, [&] { ran = true; }, -1s)
                                                   .error()
                                                   .code());
        let_go();
    });
    CHECK(!ran);
    CHECK_EQUAL(1, pool->figures().withdrawn);
}

TEST(Offload, WhatHasNotBegunWhenItsWaiterIsCanceledNeverRuns) {
    (void)occupy();
    bool ran = false;
    std::atomic<int> living{0};
    EvThread waiter = go([&] {
        ended = offload(
                    *pool, [&ran, r = Resource(living)] { ran = true; }, 5s)
                    .error()
                    .code();
        CHECK_EQUAL(0, living.load());
    });
    run_ready();
    CHECK_EQUAL(1, pool->figures().queued);
    waiter.cancel();
    run_ready();
    CHECK_EQUAL(code(NetError::canceled), *ended);
    let_go();
    run_loop();
    CHECK(!ran);
    CHECK_EQUAL(1, pool->figures().withdrawn);
}

TEST(Offload, WhatRunsGoesOnAndItsResultDiesOnThePoolsThread) {
    struct Tells {
        Tells(std::atomic<std::thread::id>& w) : where(&w) {}
        Tells(Tells&& other) noexcept : where(std::exchange(other.where, nullptr)) {}
        ~Tells() {
            if (where != nullptr) *where = std::this_thread::get_id();
        }
        std::atomic<std::thread::id>* where;
    };
    std::atomic<std::thread::id> died_on{};
    EvThread waiter = go([&] {
        ended = offload(
                    *pool,
                    [&] {
                        gate.pass();
                        return Tells(died_on);
                    },
                    5s)
                    .error()
                    .code();
    });
    run_ready();
    gate.begun.acquire();
    waiter.cancel();
    run_loop();
    CHECK_EQUAL(code(NetError::canceled), *ended);
    CHECK_EQUAL(1, pool->figures().abandoned);
    let_go();
    pool.reset();  // waits for it
    CHECK(died_on.load() != std::thread::id());
    CHECK(died_on.load() != std::this_thread::get_id());
}

TEST(Offload, AnExceptionForWhichNobodyWaitsIsLogged) {
    LogCapture log;
    EvThread waiter = go([&] {
        (void)offload(
            *pool,
            [&]() -> int {
                gate.pass();
                throw std::runtime_error("late");
            },
            5s);
    });
    run_ready();
    gate.begun.acquire();
    waiter.cancel();
    run_loop();
    let_go();
    pool.reset();
    STRCMP_CONTAINS("nobody waited any more ended by an exception: late", log.text().c_str());
}

TEST(Offload, AFunctionIsToldThatNobodyWaits) {
    std::atomic<bool> told{false};
    EvThread waiter = go([&] {
        ended = offload(
                    *pool,
                    [&](std::stop_token stop) {
                        gate.begun.release();
                        while (!stop.stop_requested()) std::this_thread::yield();
                        told = true;
                    },
                    Deadline::never)
                    .error()
                    .code();
    });
    run_ready();
    gate.begun.acquire();
    waiter.cancel();
    run_loop();
    pool.reset();
    CHECK(told.load());
    CHECK_EQUAL(code(NetError::canceled), *ended);
}

TEST(Offload, AFunctionRegisteredWithItsTokenMayUseThePool) {
    OffloadFigures seen;
    EvThread waiter = go([&] {
        (void)offload(
            *pool,
            [&](std::stop_token stop) {
                const std::stop_callback look(stop, [&] { seen = pool->figures(); });
                gate.pass();
            },
            Deadline::never);
    });
    run_ready();
    gate.begun.acquire();
    waiter.cancel();
    run_loop();
    let_go();
    pool.reset();
    CHECK_EQUAL(1, seen.running);
}

TEST_IN_ORDER(Offload, WithAFullQueueTryIsBusyAndOthersWaitForRoom) {
    (void)occupy();
    std::vector<int> order;
    for (int i = 0; i < 3; ++i)
        go([&, i] {
            (void)offload(
                *pool, [&, i] { order.push_back(i); }, Deadline::never);
        });
    run_ready();
    CHECK_EQUAL(2, pool->figures().queued);
    CHECK_EQUAL(1, pool->figures().waiting);
    go([&] {
        ended = try_offload(
                    *pool, [&] { order.push_back(9); }, 5s)
                    .error()
                    .code();
    });
    run_ready();
    CHECK_EQUAL(code(NetError::busy), *ended);
    CHECK_EQUAL(1, pool->figures().refused);
    let_go();
    run_loop();
    CHECK(order == std::vector<int>({0, 1, 2}));
}

TEST(Offload, TryRunsWhenThereIsRoom) {
    in_coroutine([&] {
        CHECK_EQUAL(1, try_offload(
                           *pool, [] { return 1; }, 5s)
                           .value());
    });
}

TEST(Offload, CountsAndTimesItsJobs) {
    (void)occupy();
    go([&] {
        (void)offload(
            *pool, [] {}, Deadline::never);
    });
    run_ready();
    spin_until(cutils::monotonic_now() + 2ms);
    OffloadFigures figures = pool->figures();
    CHECK_EQUAL(1, figures.threads);
    CHECK_EQUAL(1, figures.running);
    CHECK_EQUAL(1, figures.queued);
    let_go();
    run_loop();
    figures = pool->figures();
    CHECK_EQUAL(2, figures.done);
    CHECK_EQUAL(2, figures.queue_times.count);
    CHECK(figures.queue_times.max >= 2ms);
    CHECK(figures.queue_times.mean() >= 1ms);
    CHECK(figures.queue_times.percentile(1) >= 2ms);
    CHECK(figures.queue_times.percentile(0.5) <= figures.queue_times.max);
}

TEST(Offload, StartsNoMoreThreadsThanItMay) {
    pool.emplace(OffloadOptions{.threads = 2});
    CHECK_EQUAL(0, pool->figures().threads);
    std::atomic<int> at_once{0}, most{0};
    for (int i = 0; i < 8; ++i)
        go([&] {
            (void)offload(
                *pool,
                [&] {
                    const int now = ++at_once;
                    if (now > most) most = now;
                    std::this_thread::yield();
                    --at_once;
                },
                Deadline::never);
        });
    run_loop();
    CHECK(most.load() <= 2);
    CHECK(pool->figures().threads <= 2);
    CHECK_EQUAL(8, pool->figures().done);
}

TEST(Offload, AThreadThatIsIdleServesTheNextJob) {
    in_coroutine([&] {
        for (int i = 0; i < 20; ++i)
            (void)offload(
                *pool, [] {}, 5s);
    });
    CHECK_EQUAL(1, pool->figures().threads);
}

TEST(Offload, AThreadEndsWhenItWasIdleForLong) {
    pool.emplace(OffloadOptions{.threads = 3, .idle = 1ms});
    for (int round = 0; round < 3; ++round) {
        in_coroutine([&] {
            (void)offload(
                *pool, [] {}, 5s);
        });
        until([&] { return pool->figures().threads == 0; });
    }
    CHECK_EQUAL(3, pool->figures().done);
}

TEST(Offload, ClosingWakesThoseThatHaveNotBegunAndRefusesOthers) {
    (void)occupy();
    go([&] {
        ended = offload(
                    *pool, [] {}, Deadline::never)
                    .error()
                    .code();
    });
    run_ready();
    pool->close();
    pool->close();
    run_ready();
    CHECK_EQUAL(code(NetError::closed), *ended);
    go([&] {
        ended = offload(
                    *pool, [] { return 1; }, Deadline::never)
                    .error()
                    .code();
    });
    let_go();
    run_loop();
    CHECK_EQUAL(code(NetError::closed), *ended);
}

TEST(Offload, APoolMayEndBeforeItsWaitersHaveRun) {
    EvThread occupant = occupy();
    EvThread queued = go([&] {
        ended = offload(
                    *pool, [] {}, Deadline::never)
                    .error()
                    .code();
    });
    EvThread canceled = go([&] {
        (void)offload(
            *pool, [] {}, Deadline::never);
    });
    run_ready();
    occupant.cancel();  // all three are woken, and have not run
    canceled.cancel();
    pool->close();  // before the thread is free for what is queued
    let_go();
    pool.reset();
    run_loop();
    CHECK_EQUAL(code(NetError::closed), *ended);
}

TEST(Offload, AnOsThreadMayCallItToo) {
    CHECK_EQUAL(5, offload(
                       *pool, [] { return 5; }, 5s)
                       .value());
}

TEST(Offload, InAFunctionThatTheLoopCallsItAborts) {
    STRCMP_CONTAINS("is called in a function that a loop calls", abort_message([this] {
                                                                     loop.post([this] {
                                                                         (void)offload(
                                                                             *pool, [] {}, 1s);
                                                                     });
                                                                     run_ready();
                                                                 }).c_str());
}

// Deadlines and cancels against a pool that finishes at the same moment: each job is one of done, withdrawn
// or abandoned, each result dies once.
TEST(Offload, NothingIsLostBetweenAnEndAndACancel) {
    pool.emplace(OffloadOptions{.threads = 2, .queue = 4});
    std::atomic<int> living{0};
    const int rounds = kTsan ? 200 : 2000;
    long returned = 0, gave_up = 0;
    in_coroutine([&] {
        for (int i = 0; i < rounds; ++i) {
            const auto work = [&](Deadline deadline) {
                const auto result = offload(
                    *pool, [r = Resource(living), &living] { return Resource(living); }, deadline);
                ++(result.ok() ? returned : gave_up);
            };
            EvThread patient = loop.spawn([&] { work(5s); });
            EvThread hasty = loop.spawn([&] { work(std::chrono::microseconds(i % 40)); });
            EvThread doomed = loop.spawn([&] { work(5s); });
            for (int y = 0; y < i % 3; ++y) this_evthread::yield();
            doomed.cancel();
            (void)patient.join(Deadline::never);
            (void)hasty.join(Deadline::never);
            (void)doomed.join(Deadline::never);
        }
    });
    pool->close();
    until([&] { return pool->figures().threads == 0; });
    const OffloadFigures figures = pool->figures();
    CHECK_EQUAL(3L * rounds, returned + gave_up);
    CHECK_EQUAL(3L * rounds, static_cast<long>(figures.done + figures.withdrawn));
    CHECK_EQUAL(gave_up, static_cast<long>(figures.withdrawn + figures.abandoned));
    CHECK_EQUAL(0, living.load());
}
