#include <string>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "test/evcorothread/loop_fixture.h"

using namespace test_support;

TEST_GROUP_BASE(Yield, LoopFixture) { std::string order; };

TEST_IN_ORDER(Yield, LetsTheOthersRunInTurn) {
    for (const char* name : {"a", "b", "c"})
        go([&, name] {
            for (int i = 0; i < 3; ++i) {
                order += name;
                this_evthread::yield();
            }
        });
    run_loop();
    CHECK_EQUAL("abcabcabc", order);
}

TEST(Yield, AloneGoesOn) {
    in_coroutine([&] {
        for (int i = 0; i < 10'000; ++i) this_evthread::yield();
        CHECK_EQUAL(EvThreadState::running, [&] {
            EvThreadState state{};
            loop.for_each_thread([&](const EvLoop::ThreadInfo& info) { state = info.state; });
            return state;
        }());
    });
}

TEST_IN_ORDER(Yield, ManyShareFairly) {
    constexpr int kRounds = 1'000;
    std::vector<int> rounds(10);
    int most = 0;
    for (auto& mine : rounds)
        go([&] {
            for (int i = 0; i < kRounds; ++i) {
                ++mine;
                for (const int theirs : rounds) most = std::max(most, mine - theirs);
                this_evthread::yield();
            }
        });
    run_loop();
    CHECK_EQUAL(1, most);
}

TEST(Yield, DoesNotStarveInputAndOutput) {
    Connection connection = unix_connection(loop);
    bool received_something = false;
    long rounds = 0;
    go([&] { received_something = received(connection.socket, Deadline::never) == "hello"; });
    go([&] {
        this_evthread::yield();  // the reader waits
        connection.peer_sends("hello");
        while (!received_something && rounds < 1'000'000) {
            ++rounds;
            this_evthread::yield();
        }
    });
    run_loop();
    CHECK(received_something);
    CHECK(rounds < 10'000);
}

TEST(Yield, OfTwoDoesNotStarvePosts) {
    bool posted = false;
    loop.post([&] { posted = true; });
    long rounds = 0;
    for (int i = 0; i < 2; ++i)
        go([&] {
            while (!posted && rounds < 1'000'000) {
                ++rounds;
                this_evthread::yield();
            }
        });
    run_loop();
    CHECK(posted);
    CHECK(rounds < 10'000);
}

TEST_GROUP_BASE(YieldRealTime, RealTimeFixture){};

// Somebody computes, and yields after each millisecond.
TEST(YieldRealTime, DoesNotStarveInputThoughATurnTakesLong) {
    Connection connection = unix_connection(loop);
    constexpr int kMost = 300;
    const auto compute = [&] {
        const TimePoint end = cutils::monotonic_now() + 1ms;
        while (cutils::monotonic_now() < end) continue;
        this_evthread::yield();
    };
    bool received_something = false;
    go([&] { received_something = received(connection.socket, Deadline::never) == "hello"; });
    int turns = 0;
    go([&] {
        for (int i = 0; i < 30; ++i) compute();  // the loop has found out how long they take
        connection.peer_sends("hello");
        for (; !received_something && turns < kMost; ++turns) compute();
    });
    until([&] { return received_something; });
    CHECK(turns < 10);
}

TEST(YieldRealTime, DoesNotStarveTimers) {
    bool slept = false;
    go([&] {
        CHECK(!this_evthread::delay(1ms));
        slept = true;
    });
    const TimePoint limit = cutils::monotonic_now() + 2s;
    go([&] {
        while (!slept && cutils::monotonic_now() < limit) this_evthread::yield();
    });
    run_loop();
    CHECK(slept);
    CHECK(cutils::monotonic_now() < limit);
}
