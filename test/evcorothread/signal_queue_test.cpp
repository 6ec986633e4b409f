#include "evcorothread/signal_queue.h"

#include <event2/event.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <system_error>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "evcorothread/signal_watch.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"

using namespace test_support;
using cutils::Result;

TEST_GROUP_BASE(SignalQueues, LoopFixture) {
    std::vector<int> seen;

    // Takes one signal after the other until there is an error, which it returns.
    std::error_code take_all(SignalQueue & signals, Deadline deadline) {
        for (;;) {
            const Result<int> signal = signals.wait(deadline);
            if (!signal) return signal.error().code();
            seen.push_back(*signal);
        }
    }
};

TEST(SignalQueues, WaitReturnsTheNumber) {
    in_coroutine([&] {
        SignalQueue signals(loop, {SIGUSR1, SIGUSR2});
        ::raise(SIGUSR2);
        CHECK_EQUAL(SIGUSR2, signals.wait(1s).value());
    });
}

TEST(SignalQueues, WaitSuspendsUntilTheSignalComes) {
    SignalQueue signals(loop, {SIGUSR1});
    EvThread waiter = go([&] { CHECK_EQUAL(SIGUSR1, signals.wait(Deadline::never).value()); });
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, waiter.state());
    ::raise(SIGUSR1);
    run_ready();
    CHECK(waiter.finished());
}

TEST(SignalQueues, NothingIsLostBetweenWaits) {
    SignalQueue signals(loop, {SIGUSR1, SIGUSR2});
    for (int i = 0; i < 3; ++i) {
        ::raise(SIGUSR1);  // the handler runs at once, so the kernel merges none
    }
    ::raise(SIGUSR2);
    run_ready();
    CHECK_EQUAL(3, signals.pending(SIGUSR1));
    CHECK_EQUAL(1, signals.pending(SIGUSR2));
    in_coroutine([&] { CHECK(take_all(signals, 0s) == NetError::timed_out); });
    CHECK_EQUAL(4, seen.size());
    CHECK_EQUAL(3, std::count(seen.begin(), seen.end(), SIGUSR1));
}

TEST(SignalQueues, DifferentSignalsComeInTheOrderOfTheirFirstArrival) {
    SignalQueue signals(loop, {SIGUSR1, SIGUSR2});
    ::raise(SIGUSR2);
    run_ready();
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    run_ready();
    in_coroutine([&] { CHECK(take_all(signals, 0s) == NetError::timed_out); });
    CHECK(seen == std::vector<int>({SIGUSR2, SIGUSR1, SIGUSR2}));
}

TEST(SignalQueues, ManyAreCounted) {
    SignalQueue signals(loop, {SIGUSR1});
    for (int round = 0; round < 100; ++round) {
        for (int i = 0; i < 100; ++i) ::raise(SIGUSR1);
        run_ready();
    }
    CHECK_EQUAL(10'000, signals.pending(SIGUSR1));
}

TEST_IN_ORDER(SignalQueues, WaitersAreServedInTheirOrder) {
    SignalQueue signals(loop, {SIGUSR1, SIGUSR2});
    std::vector<int> got(2);
    EvThread first = go([&] { got[0] = signals.wait(1h).value(); });
    EvThread second = go([&] { got[1] = signals.wait(1h).value(); });
    run_ready();
    ::raise(SIGUSR1);
    run_ready();
    CHECK(first.finished());
    CHECK(!second.finished());
    ::raise(SIGUSR2);
    run_ready();
    CHECK(got == std::vector<int>({SIGUSR1, SIGUSR2}));
}

TEST(SignalQueues, TheDeadlinePasses) {
    SignalQueue signals(loop, {SIGUSR1});
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        CHECK(signals.wait(5s).error() == NetError::timed_out);
        CHECK_EQUAL(5s, loop.now() - begin);
    });
}

TEST(SignalQueues, ADeadlineAlreadyPassedStillTakesWhatIsThere) {
    SignalQueue signals(loop, {SIGUSR1});
    ::raise(SIGUSR1);
    run_ready();
    in_coroutine([&] {
        CHECK_EQUAL(SIGUSR1, signals.wait(-1s).value());
        CHECK(signals.wait(-1s).error() == NetError::timed_out);
    });
}

TEST(SignalQueues, CancelEndsAWaitAndTheSignalIsTheNextWaiters) {
    SignalQueue signals(loop, {SIGUSR1});
    EvThread first = go([&] { CHECK(signals.wait(1h).error() == NetError::canceled); });
    run_ready();
    first.cancel();
    EvThread second = go([&] { CHECK_EQUAL(SIGUSR1, signals.wait(1h).value()); });
    run_ready();
    ::raise(SIGUSR1);
    run_ready();
    CHECK(second.finished());
}

TEST(SignalQueues, ACancelInTheSamePassLosesNothing) {
    EvThread waiter;
    const auto cancel = [&](int) { waiter.cancel(); };
    // Whichever of the two libevent calls first: one of the watches does it before, the other behind.
    for (const bool before : {true, false}) {
        std::optional<SignalWatch> early, late;
        if (before) early.emplace(loop, std::initializer_list<int>{SIGUSR1}, cancel);
        SignalQueue signals(loop, {SIGUSR1});
        if (!before) late.emplace(loop, std::initializer_list<int>{SIGUSR1}, cancel);
        std::size_t taken = 0;
        waiter = go([&] { taken += signals.wait(1h).ok() ? 1 : 0; });
        run_ready();
        ::raise(SIGUSR1);
        run_ready();
        CHECK(waiter.finished());
        CHECK_EQUAL(1, taken + signals.pending(SIGUSR1));
    }
}

TEST(SignalQueues, ATimeoutInTheSamePassLosesNothing) {
    SignalQueue signals(loop, {SIGUSR1});
    std::size_t taken = 0;
    EvThread waiter = go([&] { taken += signals.wait(1s).ok() ? 1 : 0; });
    run_ready();
    ::raise(SIGUSR1);  // noticed by the loop only when the second has passed
    advance(1s);
    CHECK(waiter.finished());
    CHECK_EQUAL(1, taken + signals.pending(SIGUSR1));
}

TEST(SignalQueues, ACanceledCoroutineTakesNothing) {
    SignalQueue signals(loop, {SIGUSR1});
    ::raise(SIGUSR1);
    run_ready();
    EvThread waiter = go([&] { CHECK(signals.wait(1h).error() == NetError::canceled); });
    waiter.cancel();
    run_ready();
    CHECK_EQUAL(1, signals.pending(SIGUSR1));
}

TEST(SignalQueues, WaitersOfOneThatIsDestroyedReturnClosed) {
    auto signals = std::make_unique<SignalQueue>(loop, std::initializer_list<int>{SIGUSR1});
    int closed = 0;
    for (int i = 0; i < 2; ++i) go([&] { closed += signals->wait(1h).error() == NetError::closed; });
    run_ready();
    signals.reset();
    run_ready();
    CHECK_EQUAL(2, closed);
}

TEST(SignalQueues, TryWaitTakesOnlyWhatIsThere) {
    SignalQueue signals(loop, {SIGUSR1});
    CHECK(!signals.try_wait());
    ::raise(SIGUSR1);
    run_ready();
    CHECK_EQUAL(SIGUSR1, signals.try_wait().value());
    CHECK(!signals.try_wait());
}

TEST(SignalQueues, TwoQueuesAndAWatchEachGetTheSignal) {
    SignalQueue one(loop, {SIGUSR1}), two(loop, {SIGUSR1, SIGUSR2});
    const SignalWatch watch(loop, {SIGUSR1}, [&](int signal) { seen.push_back(signal); });
    ::raise(SIGUSR1);
    run_ready();
    CHECK_EQUAL(1, one.pending(SIGUSR1));
    CHECK_EQUAL(1, two.pending(SIGUSR1));
    CHECK_EQUAL(1, seen.size());
}

TEST(SignalQueues, DispositionsAreRestored) {
    struct sigaction mine = {};
    mine.sa_handler = SIG_IGN;
    struct sigaction before = {};
    ::sigaction(SIGUSR1, &mine, &before);
    { const SignalQueue signals(loop, {SIGUSR1}); }
    struct sigaction after = {};
    ::sigaction(SIGUSR1, &before, &after);
    CHECK(after.sa_handler == SIG_IGN);
}

TEST(SignalQueues, OneThatCannotBeCaughtIsAnError) {
    event_set_log_callback([](int, const char*) {});
    CHECK_THROWS(std::system_error, SignalQueue(loop, {SIGUSR1, SIGKILL}));
    event_set_log_callback(nullptr);
}

TEST(SignalQueues, NumbersThatAreNoneArePendingNever) {
    const SignalQueue signals(loop, {SIGUSR1});
    CHECK_EQUAL(0, signals.pending(-1));
    CHECK_EQUAL(0, signals.pending(1000));
}

TEST(SignalQueues, WaitingOutsideACoroutineAborts) {
    STRCMP_CONTAINS("must be called in a coroutine thread", abort_message([&] {
                                                                SignalQueue signals(loop, {SIGUSR1});
                                                                (void)signals.wait(1s);
                                                            }).c_str());
}
