// StallDetector: who keeps the loop, and where; and that nobody else is accused.
#include "evcorothread/stall_detector.h"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "evcorothread/ev_timer.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"
#include "test/support/log_capture.h"

using namespace test_support;

namespace {
[[gnu::noinline]] void hog_the_loop(const std::function<bool()>& enough) {
    while (!enough()) continue;
    __asm__ volatile("" ::: "memory");
}
}  // namespace

// Under TSan signals wait for the next blocking call, and a stall is over then: only what is counted is
// looked at.
TEST_GROUP_BASE(StallDetection, RealTimeFixture) {
    std::mutex mutex;
    std::vector<StallReport> reports;
    std::atomic<int> count{0};

    StallDetectorOptions options(Duration limit = 20ms) {
        return {.limit = limit, .every = 0s, .report = [this](const StallReport& report) {
                    const std::lock_guard lock(mutex);
                    reports.push_back(report);
                    ++count;
                }};
    }
    // Keeps the OS thread until so many reports have come, at most five seconds.
    void hog_until_reported(int wanted) {
        const TimePoint limit = cutils::monotonic_now() + 5s;
        hog_the_loop([&] { return count >= wanted || cutils::monotonic_now() > limit; });
    }
};

TEST(StallDetection, NamesTheCoroutineAndWhereItIs) {
    const StallDetector detector(loop, options());
    go("hog", [&] { hog_until_reported(1); });
    run_loop();
    CHECK_EQUAL(1, count.load());
    if (!kTsan) {
        CHECK_EQUAL("hog", reports[0].name);
        CHECK(reports[0].id != 0);
        const corothread::Backtrace& trace = reports[0].backtrace;
        CHECK(std::any_of(trace.begin(), trace.end(), [](const void* frame) {
            return corothread::symbol_of(frame).find("hog_the_loop") != std::string::npos;
        }));
    }
    if (!kTsan) STRCMP_CONTAINS("stall_detector_test.cpp:", to_string(reports[0]).c_str());
    CHECK(reports[0].lasted >= 20ms);
    CHECK(detector.longest() >= 20ms);
    CHECK_EQUAL(1, detector.count());
}

TEST(StallDetection, ReportsOneStallOnce) {
    const StallDetector detector(loop, options(5ms));
    go("hog", [&] {
        hog_until_reported(1);
        const TimePoint end = cutils::monotonic_now() + 40ms;
        hog_the_loop([&] { return cutils::monotonic_now() > end; });
    });
    run_loop();
    CHECK_EQUAL(1, count.load());
}

TEST(StallDetection, AFunctionThatTheLoopCallsIsSeenToo) {
    const StallDetector detector(loop, options());
    loop.post([&] { hog_until_reported(1); });
    go([] { (void)this_evthread::delay(1ms); });
    run_loop();
    CHECK_EQUAL(1, count.load());
    CHECK_EQUAL(0, reports[0].id);
}

TEST(StallDetection, ALoopThatWaitsIsNotStuck) {
    const StallDetector detector(loop, options(5ms));
    go([] { (void)this_evthread::delay(60ms); });
    run_loop();
    CHECK_EQUAL(0, count.load());
}

TEST(StallDetection, CoroutinesThatSwitchAreNotStuck) {
    const StallDetector detector(loop, options(200ms));
    for (int i = 0; i < 2; ++i)
        go([] {
            const TimePoint end = cutils::monotonic_now() + 300ms;
            while (cutils::monotonic_now() < end) this_evthread::yield();
        });
    run_loop();
    CHECK_EQUAL(0, count.load());
}

TEST(StallDetection, IsLimitedInItsRate) {
    StallDetectorOptions rare = options(5ms);
    rare.every = 1h;
    const StallDetector detector(loop, std::move(rare));
    for (int i = 0; i < 2; ++i)
        go("hog", [&] {
            const TimePoint limit = cutils::monotonic_now() + 5s;
            const std::uint64_t wanted = detector.count() + 1;
            hog_the_loop([&] { return detector.count() >= wanted || cutils::monotonic_now() > limit; });
        });
    run_loop();
    CHECK_EQUAL(2, detector.count());
    CHECK_EQUAL(1, count.load());
}

TEST(StallDetection, GoesToTheLogWhenNobodyElseWantsIt) {
    LogCapture log;
    const StallDetector detector(loop, {.limit = 10ms});
    go("hog", [&] {
        const TimePoint limit = cutils::monotonic_now() + 5s;
        hog_the_loop([&] { return log.lines() > 0 || cutils::monotonic_now() > limit; });
    });
    run_loop();
    STRCMP_CONTAINS("has kept the loop for", log.text().c_str());
    if (!kTsan) STRCMP_CONTAINS("warning: coroutine \"hog\" (id ", log.text().c_str());
}

TEST(StallDetection, PutsTheSignalsDispositionBack) {
    struct sigaction before = {}, during = {}, after = {};
    ::sigaction(SIGRTMIN + 7, nullptr, &before);
    {
        const StallDetector detector(loop, options());
        ::sigaction(SIGRTMIN + 7, nullptr, &during);
    }
    ::sigaction(SIGRTMIN + 7, nullptr, &after);
    CHECK(before.sa_handler == after.sa_handler);
    CHECK(during.sa_handler != before.sa_handler);
}

TEST(StallDetection, WantsARealClock) {
    StallDetectorOptions wanted = options();
    STRCMP_CONTAINS("a StallDetector measures real time", abort_message([&] {
                                                              EvLoop dreaming(
                                                                  stacks, {.clock = LoopClock::virtual_time});
                                                              const StallDetector detector(dreaming, {});
                                                          }).c_str());
}
