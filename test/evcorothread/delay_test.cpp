#include <memory>
#include <string>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "test/evcorothread/loop_fixture.h"

using namespace test_support;

TEST_GROUP_BASE(Delay, LoopFixture) { std::string order; };

TEST(Delay, LastsAsLongAsAsked) {
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        CHECK(!this_evthread::delay(90min));
        CHECK_EQUAL(90min, loop.now() - begin);
    });
}

TEST(Delay, EndsInTheOrderOfTime) {
    for (const int i : {3, 1, 4, 2, 5})
        go([&, i] {
            CHECK(!this_evthread::delay(std::chrono::milliseconds(i)));
            order += std::to_string(i);
        });
    run_loop();
    CHECK_EQUAL("12345", order);
}

TEST(Delay, TakesAPointInTimeToo) {
    in_coroutine([&] {
        const TimePoint end = loop.now() + 10s;
        CHECK(!this_evthread::delay(4s));
        CHECK(!this_evthread::delay(end));
        CHECK(end == loop.now());
    });
}

TEST(Delay, ThatHasPassedDoesNotSuspend) {
    in_coroutine([&] {
        go([&] { order += "other "; });
        CHECK(!this_evthread::delay(0s));
        CHECK(!this_evthread::delay(-1h));
        CHECK(!this_evthread::delay(loop.now() - 1s));
        order += "self ";
    });
    CHECK_EQUAL("self other ", order);
}

TEST(Delay, WithoutEndIsEndedByCancel) {
    EvThread sleeper = go([&] { CHECK_EQUAL(NetError::canceled, this_evthread::delay(Deadline::never)); });
    run_ready();
    sleeper.cancel();
    run_loop();
    CHECK(sleeper.finished());
}

TEST(Delay, OfManyThreadsAllEnd) {
    int ended = 0;
    in_coroutine([&] {
        for (int i = 0; i < 2'000; ++i)
            go([&, i] {
                CHECK(!this_evthread::delay(std::chrono::milliseconds((i * 7919) % 1000)));
                ++ended;
            });
    });
    CHECK_EQUAL(2'000, ended);
}

TEST_GROUP_BASE(RealDelay, RealTimeFixture){};

TEST(RealDelay, IsNeverEarly) {
    int early = 0;
    in_coroutine([&] {
        std::vector<EvThread> sleepers;
        for (int i = 0; i < 12; ++i)
            sleepers.push_back(go([&, i] {
                const Duration wanted = std::chrono::microseconds(100 + 250 * i);
                const TimePoint begin = loop.precise_now();
                CHECK(!this_evthread::delay(wanted));
                early += loop.precise_now() - begin < wanted;
            }));
        for (EvThread& sleeper : sleepers) CHECK(!sleeper.join(5s));
    });
    CHECK_EQUAL(0, early);
}

TEST(RealDelay, CostsNoCpu) {
    const Duration before = cpu_time();
    in_coroutine([&] { CHECK(!this_evthread::delay(50ms)); });
    CHECK(cpu_time() - before < 25ms);
}
