#include "evcorothread/signal_watch.h"

#include <event2/event.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/log_capture.h"

using namespace test_support;

TEST_GROUP_BASE(Signals, LoopFixture) { std::vector<int> seen; };

TEST(Signals, CallTheFunctionWithTheirNumber) {
    const SignalWatch watch(loop, {SIGUSR1, SIGUSR2}, [&](int signal) { seen.push_back(signal); });
    ::raise(SIGUSR2);
    run_ready();
    ::raise(SIGUSR1);
    run_ready();
    CHECK(seen == std::vector<int>({SIGUSR2, SIGUSR1}));
}

TEST(Signals, OneThatIsNamedTwiceIsToldOfOnce) {
    const SignalWatch watch(loop, {SIGUSR1, SIGUSR2, SIGUSR1}, [&](int signal) { seen.push_back(signal); });
    ::raise(SIGUSR1);
    run_ready();
    CHECK(seen == std::vector<int>({SIGUSR1}));
}

TEST(Signals, TheFunctionRunsOnTheLoopAndMaySpawn) {
    bool ran = false;
    const SignalWatch watch(loop, {SIGUSR1}, [&](int) {
        CHECK(!this_evthread::in_evthread());
        go([&] { ran = true; });
    });
    ::raise(SIGUSR1);
    run_ready();
    CHECK(ran);
}

TEST(Signals, WakeALoopThatWaits) {
    const EvLoop::Hold hold(loop);
    const SignalWatch watch(loop, {SIGALRM}, [&](int signal) {
        seen.push_back(signal);
        loop.stop();
    });
    ::ualarm(2000, 0);
    run_loop();
    ::alarm(120);
    CHECK_EQUAL(1, seen.size());
}

TEST(Signals, AreNoWork) {
    const SignalWatch watch(loop, {SIGUSR1}, [](int) {});
    run_loop();
}

TEST(Signals, DispositionsAreRestored) {
    struct sigaction mine = {};
    mine.sa_handler = SIG_IGN;
    struct sigaction before = {};
    ::sigaction(SIGUSR1, &mine, &before);
    {
        const SignalWatch watch(loop, {SIGUSR1}, [](int) {});
    }
    struct sigaction after = {};
    ::sigaction(SIGUSR1, &before, &after);
    CHECK(after.sa_handler == SIG_IGN);
}

TEST(Signals, OneThatCannotBeCaughtIsAnError) {
    event_set_log_callback([](int, const char*) {});
    CHECK_THROWS(std::system_error, SignalWatch(loop, {SIGUSR1, SIGKILL}, [](int) {}));
    event_set_log_callback(nullptr);
}

TEST(Signals, WatchMoves) {
    SignalWatch first(loop, {SIGUSR1}, [&](int signal) { seen.push_back(signal); });
    const SignalWatch second(std::move(first));
    ::raise(SIGUSR1);
    run_ready();
    CHECK_EQUAL(1, seen.size());
}

TEST(Signals, WatchDiesInItsOwnFunction) {
    const auto token = std::make_shared<int>(7);
    std::optional<SignalWatch> watch;
    int after = 0;
    watch.emplace(loop, std::initializer_list<int>{SIGUSR1, SIGUSR2}, [&, token](int) {
        watch.reset();
        after = *token;  // what it captured lives until it returns
    });
    ::raise(SIGUSR1);
    run_ready();
    CHECK_EQUAL(7, after);
    CHECK_EQUAL(1, token.use_count());
}

TEST(Signals, AnExceptionIsLogged) {
    LogCapture log;
    const SignalWatch watch(loop, {SIGUSR1}, [](int) { throw std::runtime_error("signal"); });
    ::raise(SIGUSR1);
    run_ready();
    STRCMP_CONTAINS("signal", log.text().c_str());
    STRCMP_CONTAINS("ended by an exception", log.text().c_str());
}
