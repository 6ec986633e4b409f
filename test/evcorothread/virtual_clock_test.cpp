// Time and order taken over by a test: the virtual clock, run_ready(), advance(), and shuffling.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "evcorothread/ev_timer.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"

using namespace test_support;

TEST_GROUP_BASE(VirtualClock, LoopFixture) { std::string order; };

TEST(VirtualClock, StandsStillWhileNothingWaits) {
    const TimePoint begin = loop.now();
    in_coroutine([&] {
        for (int i = 0; i < 1000; ++i) this_evthread::yield();
    });
    CHECK(begin == loop.now());
    CHECK(begin == loop.precise_now());
}

TEST(VirtualClock, AYearTakesNoTime) {
    const TimePoint real = cutils::monotonic_now();
    in_coroutine([&] { CHECK(!this_evthread::delay(24h * 365)); });
    CHECK(cutils::monotonic_now() - real < 1s);
}

TEST(VirtualClock, RunReadyDoesNotMoveIt) {
    EvThread sleeper = go([] { (void)this_evthread::delay(1s); });
    const TimePoint begin = loop.now();
    run_ready();
    run_ready();
    CHECK(begin == loop.now());
    CHECK(!sleeper.finished());
    run_loop();
}

TEST(VirtualClock, RunReadyRunsWhatBecomesReadyMeanwhile) {
    Connection connection = unix_connection(loop);
    EvThread reader = go([&] {
        CHECK_EQUAL("x", received(connection.socket, 1h));
        go([&] {
            this_evthread::yield();
            order += "end";
        });
    });
    run_ready();
    connection.peer_sends("x");
    run_ready();
    CHECK_EQUAL("end", order);
}

TEST(VirtualClock, RunReadySeesWhatAPostedFunctionSends) {
    Connection connection = unix_connection(loop);
    EvThread reader = go([&] { CHECK_EQUAL("x", received(connection.socket, 1s)); });
    run_ready();
    loop.post([&] { connection.peer_sends("x"); });
    run_ready();
    CHECK(reader.finished());
}

TEST(VirtualClock, DoesNotJumpOverWhatAPostedFunctionSends) {
    Connection connection = unix_connection(loop);
    go([&] { CHECK_EQUAL("x", received(connection.socket, 1s)); });
    loop.post([&] { connection.peer_sends("x"); });
    run_loop();
}

TEST(VirtualClock, DoesNotJumpOverWhatATimerSends) {
    Connection connection = unix_connection(loop);
    EvTimer timer(loop, [&] { connection.peer_sends("x"); });
    timer.start(1s);
    go([&] { CHECK_EQUAL("x", received(connection.socket, 1001ms)); });
    run_loop();
}

TEST(VirtualClock, AdvanceMovesItByThatMuch) {
    const TimePoint begin = loop.now();
    advance(90s);
    CHECK_EQUAL(90s, loop.now() - begin);
    advance(0s);
    CHECK_EQUAL(90s, loop.now() - begin);
}

TEST(VirtualClock, AdvanceRunsWhatIsDueInOrderAtItsTime) {
    const TimePoint begin = loop.now();
    for (const int s : {3, 1, 2})
        go([&, s] {
            (void)this_evthread::delay(std::chrono::seconds(s));
            CHECK_EQUAL(std::chrono::seconds(s), loop.now() - begin);
            order += std::to_string(s);
        });
    advance(2500ms);
    CHECK_EQUAL("12", order);
    advance(500ms);
    CHECK_EQUAL("123", order);
}

TEST(VirtualClock, AdvanceRunsWhatBecomesDueOnTheWay) {
    int ticks = 0;
    EvThread ticker = go([&] {
        while (!this_evthread::delay(1s)) ++ticks;
    });
    advance(10s);
    CHECK_EQUAL(10, ticks);
    ticker.cancel();
    run_loop();
}

TEST(VirtualClock, AdvanceStopsShortOfALaterDeadline) {
    EvThread sleeper = go([] { (void)this_evthread::delay(10s); });
    advance(9999ms);
    CHECK(!sleeper.finished());
    advance(1ms);
    CHECK(sleeper.finished());
}

TEST(VirtualClock, AdvancingARealOneAborts) {
    STRCMP_CONTAINS("moves a virtual clock; this loop has a real one", abort_message([this] {
                                                                           EvLoop real(stacks);
                                                                           real.advance(1s);
                                                                       }).c_str());
}

// --- the order of what is ready ---

TEST_GROUP_BASE(Shuffle, Fixture){
    // In which order ten coroutines run that yield twice.
    static std::string order(std::optional<std::uint64_t> seed){StackPool pool({.count = 16});
EvLoop loop(pool, {.clock = LoopClock::virtual_time, .shuffle_seed = seed});
std::string text;
for (char name = 'a'; name <= 'j'; ++name)
    loop.spawn([&text, name] {
        for (int i = 0; i < 3; ++i) {
            text += name;
            this_evthread::yield();
        }
    });
loop.run();
return text;
}
}
;

TEST(Shuffle, WithoutASeedIsFirstComeFirstServed) {
    CHECK_EQUAL("abcdefghijabcdefghijabcdefghij", order(std::nullopt));
}

TEST(Shuffle, TheSameSeedGivesTheSameOrder) {
    for (const std::uint64_t seed : {0ULL, 1ULL, 42ULL, ~0ULL}) CHECK_EQUAL(order(seed), order(seed));
}

TEST(Shuffle, OtherSeedsGiveOtherOrders) {
    std::vector<std::string> seen{order(std::nullopt)};
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
        const std::string mine = order(seed);
        for (const std::string& other : seen) CHECK(mine != other);
        seen.push_back(mine);
    }
}

TEST(Shuffle, EverybodyRunsAsOften) {
    std::string text = order(7);
    std::sort(text.begin(), text.end());
    CHECK_EQUAL("aaabbbcccdddeeefffggghhhiiijjj", text);
}

TEST(Shuffle, InputAndOutputGoOn) {
    StackPool pool({.count = 16});
    EvLoop loop(pool, {.shuffle_seed = 3});
    int got = 0;
    std::vector<Connection> connections;
    for (int i = 0; i < 5; ++i) connections.push_back(unix_connection(loop));
    for (Connection& connection : connections) {
        loop.spawn([&] { got += received(connection.socket, 5s) == "x"; });
        loop.spawn([&] {
            this_evthread::yield();
            connection.peer_sends("x");
        });
    }
    loop.run();
    CHECK_EQUAL(5, got);
}
