// How a loop ends: everything is canceled, nothing is destroyed under anybody's feet.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "corothread/coroutine.h"
#include "evcorothread/ev_parking.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/ev_timer.h"
#include "evcorothread/wait_fd.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"
#include "test/support/log_capture.h"

using namespace test_support;

TEST_GROUP_BASE(Shutdown, LoopFixture) {
    Connection connection = unix_connection(loop);
    Connection foreign = unix_connection(loop);
    char byte = 0;
    int ended = 0;

    // Coroutines parked in every kind of wait.
    void park_everywhere() {
        fill(connection.socket);
        EvThread sleeper = go("delay", [this] {
            CHECK_EQUAL(NetError::canceled, this_evthread::delay(Deadline::never));
            ++ended;
        });
        go("join", [this, sleeper = std::move(sleeper)]() mutable {
            if (sleeper.join(Deadline::never) == NetError::canceled) ++ended;
        });
        go("recv", [this] {
            CHECK(connection.socket.recv({&byte, 1}, Deadline::never).canceled());
            ++ended;
        });
        go("send", [this] {
            CHECK(connection.socket.send("x", Deadline::never).canceled());
            ++ended;
        });
        go("fd", [this] {
            CHECK_EQUAL(NetError::canceled, wait_readable(foreign.peer.get(), Deadline::never));
            ++ended;
        });
        go("yield", [this] {
            while (!this_evthread::canceled()) this_evthread::yield();
            ++ended;
        });
        loop.post([this] { loop.stop(); });
        run_loop();
    }
};

TEST(Shutdown, EndsCoroutinesParkedEverywhere) {
    park_everywhere();
    CHECK_EQUAL(6, loop.thread_count());
    CHECK(loop.shutdown(1s));
    CHECK(ended >= 5);  // a join may see that its thread has ended before it sees that it is canceled
    CHECK_EQUAL(0, loop.thread_count());
}

TEST(Shutdown, OfNothingReturnsAtOnce) { CHECK(loop.shutdown(0s)); }

TEST(Shutdown, EndsThoseThatHaveNotBegun) {
    bool seen = false;
    EvThread thread = go([&] { seen = this_evthread::canceled(); });
    CHECK(loop.shutdown(1s));
    CHECK(seen);
}

TEST(Shutdown, EndsThoseThatWaitForAStack) {
    int canceled = 0;
    for (int i = 0; i < 40; ++i) go([&] { canceled += this_evthread::delay(1h) == NetError::canceled; });
    CHECK(loop.shutdown(1s));
    CHECK_EQUAL(40, canceled);
}

TEST(Shutdown, EndsWhatIsSpawnedMeanwhile) {
    int canceled = 0;
    go([&] {
        (void)this_evthread::delay(1h);
        go([&] { canceled += this_evthread::delay(1h) == NetError::canceled; });
    });
    run_ready();
    CHECK(loop.shutdown(1s));
    CHECK_EQUAL(1, canceled);
}

TEST(Shutdown, WaitsForAShield) {
    bool said_bye = false;
    go([&] {
        (void)this_evthread::delay(1h);
        CancelShield shield(10s);
        CHECK(!this_evthread::delay(5s));
        said_bye = true;
    });
    run_ready();
    CHECK(loop.shutdown(1min));
    CHECK(said_bye);
}

TEST(Shutdown, WaitsForAShieldUntilItsDeadline) {
    EvThread shielded = go([&] {
        CancelShield shield(10s);
        CHECK_EQUAL(NetError::canceled, this_evthread::delay(Deadline::never));
    });
    run_ready();
    const TimePoint begin = loop.now();
    CHECK(loop.shutdown(1h));
    CHECK_EQUAL(10s, loop.now() - begin);
}

TEST(Shutdown, GivesUpAtItsDeadline) {
    EvThread shielded = go([&] {
        CancelShield shield(1h);
        (void)this_evthread::delay(30min);
    });
    run_ready();
    const TimePoint begin = loop.now();
    CHECK(!loop.shutdown(10s));
    CHECK_EQUAL(10s, loop.now() - begin);
    CHECK(!shielded.finished());
    CHECK(loop.shutdown(1h));
}

TEST(Shutdown, TheLoopIsUsableAfterwards) {
    go([] { (void)this_evthread::delay(1h); });
    CHECK(loop.shutdown(1s));
    in_coroutine([&] { CHECK(!this_evthread::delay(1s)); });
}

TEST(Shutdown, AStopThatWasAskedForBeforeDoesNotEndIt) {
    go([] { (void)this_evthread::delay(1h); });
    run_ready();
    loop.stop();
    CHECK(loop.shutdown(1s));
}

TEST(Shutdown, InsideACoroutineAborts) {
    STRCMP_CONTAINS("shutdown() is called inside a coroutine", abort_message([this] {
                                                                   go([&] { (void)loop.shutdown(1s); });
                                                                   run_loop();
                                                               }).c_str());
}

TEST(Shutdown, OfAnotherLoopInsideACoroutineAborts) {
    STRCMP_CONTAINS("shutdown() is called inside a coroutine",
                    abort_message([this] {
                        EvLoop other(stacks, any_order());
                        other.spawn([] { (void)this_evthread::delay(1h); });
                        go([&] { (void)other.shutdown(1s); });
                        run_loop();
                    }).c_str());
}

TEST(Shutdown, IsWhatDestructionDoes) {
    std::error_code seen;
    {
        EvLoop mortal(stacks, any_order({.clock = LoopClock::virtual_time}));
        mortal.spawn([&] { seen = this_evthread::delay(1h); });
        mortal.run_ready();
    }
    CHECK_EQUAL(NetError::canceled, seen);
    CHECK_EQUAL(0, stacks.in_use());
}

TEST(Shutdown, DestructionClosesWhatCoroutinesOwned) {
    SocketPair pair = unix_pair();
    {
        EvLoop mortal(stacks, any_order());
        mortal.spawn([socket = EvSocket(mortal, std::move(pair.near))]() mutable {
            char buffer[16];
            (void)socket.recv(buffer, Deadline::never);
        });
        mortal.run_ready();
    }
    CHECK(nutils::recv_some(pair.far.get(), {&byte, 1}).eof());
}

TEST(Shutdown, DestructionInsideACoroutineAborts) {
    STRCMP_CONTAINS("destroyed inside one of its coroutines", abort_message([this] {
                                                                  std::optional<EvLoop> mortal(std::in_place,
                                                                                               stacks);
                                                                  mortal->spawn([&] { mortal.reset(); });
                                                                  mortal->run();
                                                              }).c_str());
}

TEST(Shutdown, DestructionWithSpawnsThatCanNeverHaveAStackEnds) {
    // Somebody else has all the stacks, and will not give them back before this loop is gone.
    const corothread::StackPoolOptions one{.count = 1};
    StackPool small(one);
    corothread::Coroutine<void> other(small, [](auto& yield) { yield(); });
    other.resume();
    const auto token = std::make_shared<int>();
    bool ran = false;
    LogCapture log;
    EvThread unlucky;
    {
        EvLoop mortal(small, any_order());
        unlucky = mortal.spawn("unlucky", [&ran, token] { ran = true; });
    }
    CHECK(!ran);
    CHECK(unlucky.finished());
    CHECK_EQUAL(1, token.use_count());
    STRCMP_CONTAINS("coroutine \"unlucky\" never had a stack", log.text().c_str());
}

TEST_GROUP_BASE(ShutdownRealTime, RealTimeFixture){};

TEST(ShutdownRealTime, GivesUpAtItsDeadline) {
    EvThread shielded = go([&] {
        CancelShield shield(1h);
        (void)this_evthread::delay(40ms);
    });
    run_ready();
    const TimePoint begin = loop.precise_now();
    CHECK(!loop.shutdown(5ms));
    CHECK(loop.precise_now() - begin >= 5ms);
    CHECK(loop.shutdown(5s));
}

TEST(ShutdownRealTime, DoesNotWaitForWhatIsSpawnedMeanwhile) {
    go([&] {
        (void)this_evthread::delay(1h);
        go([] { (void)this_evthread::delay(1h); });
    });
    run_ready();
    const TimePoint begin = loop.precise_now();
    CHECK(loop.shutdown(3s));
    CHECK(loop.precise_now() - begin < 1s);
}

TEST(ShutdownRealTime, CostsNoCpuWhileItWaits) {
    go([&] {
        CancelShield shield(1h);
        (void)this_evthread::delay(50ms);
    });
    run_ready();
    const Duration before = cpu_time();
    CHECK(loop.shutdown(5s));
    CHECK(cpu_time() - before < 25ms);
}

// --- again and again ---

TEST_GROUP_BASE(Lifecycle, Fixture){};

TEST(Lifecycle, AThousandLoopsLeaveNothing) {
    StackPool pool({.count = 8});
    for (int i = 0; i < (kTsan ? 100 : 1000); ++i) {
        EvLoop loop(pool, any_order());
        auto acceptor = EvTcpAcceptor::listen_raw(loop, test_support::abstract_address("lifecycle"),
                                                  [](UniqueFd, const SockAddr&) {})
                            .value();
        EvTimer timer(loop, [&] { acceptor.close(); });
        timer.start(0s);
        Connection connection = unix_connection(loop);
        loop.spawn([&] { (void)received(connection.socket, 5s); });
        loop.spawn([&] { connection.peer_sends("x"); });
        if (i % 2 == 0)
            loop.run();
        else
            CHECK(loop.shutdown(5s));
    }
    CHECK_EQUAL(0, pool.in_use());
}
