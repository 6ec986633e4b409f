#include <functional>
#include <string>
#include <vector>

#include "evcorothread/channel.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/mutex.h"
#include "evcorothread/wait_fd.h"
#include "test/evcorothread/loop_fixture.h"

using namespace test_support;

// Waits in one way or another, for ever.
TEST_GROUP_BASE(Cancel, LoopFixture) {
    Connection connection = unix_connection(loop);
    char byte = 0;

    // Parked in `wait`, then canceled: what did it see, there and in a second wait of the same kind?
    void check_sticky(const std::function<std::error_code()>& wait) {
        std::error_code first, second;
        bool was_parked = false;
        EvThread waiter = go([&] {
            first = wait();
            CHECK(this_evthread::canceled());
            second = wait();
        });
        run_ready();
        was_parked = waiter.state() == EvThreadState::parked;
        waiter.cancel();
        run_ready();
        CHECK(was_parked);
        CHECK_EQUAL(NetError::canceled, first);
        CHECK_EQUAL(NetError::canceled, second);
        CHECK(waiter.finished());
    }
};

TEST(Cancel, EndsADelay) {
    check_sticky([] { return this_evthread::delay(1h); });
}

TEST(Cancel, EndsAJoin) {
    EvThread other = go([] { (void)this_evthread::delay(Deadline::never); });
    check_sticky([&] { return other.join(Deadline::never); });
    other.cancel();
    run_loop();
}

TEST(Cancel, EndsARecv) {
    check_sticky([&] { return connection.socket.recv({&byte, 1}, Deadline::never).error; });
}

TEST(Cancel, EndsASend) {
    fill(connection.socket);
    check_sticky([&] { return connection.socket.send("x", Deadline::never).error; });
}

TEST(Cancel, EndsASendAll) {
    const std::string large(4 << 20, 'x');
    check_sticky([&] { return connection.socket.send_all(large, Deadline::never).error; });
}

TEST(Cancel, EndsWaitReadable) {
    check_sticky([&] { return wait_readable(connection.peer.get(), Deadline::never); });
}

TEST(Cancel, EndsWaitWritable) {
    EvSocket unused;
    EvSocket filler(loop, UniqueFd(::dup(connection.peer.get())));
    fill(filler);
    check_sticky([&] { return wait_writable(connection.peer.get(), Deadline::never); });
}

TEST(Cancel, EndsAnyWaitPoint) {
    check_sticky([] { return to_error(WaitPoint("a test").wait(Deadline::never)); });
}

TEST(Cancel, BeforeItRunsIsSeenByTheFirstWait) {
    std::error_code seen;
    EvThread thread = go([&] { seen = this_evthread::delay(1h); });
    thread.cancel();
    run_loop();
    CHECK_EQUAL(NetError::canceled, seen);
}

TEST(Cancel, OfItselfIsSeenByTheNextWait) {
    EvThread self;
    self = go([&] {
        self.cancel();
        CHECK_EQUAL(NetError::canceled, this_evthread::delay(1h));
    });
    run_loop();
}

TEST(Cancel, MovesNothingMore) {
    connection.peer_sends("data");
    EvThread thread = go([&] {
        const IoResult got = connection.socket.recv({&byte, 1}, Deadline::never);
        CHECK(got.canceled());
        CHECK_EQUAL(0, got.bytes);
        const IoResult sent = connection.socket.send("x", Deadline::never);
        CHECK(sent.canceled());
    });
    thread.cancel();
    run_loop();
    CHECK_EQUAL("", connection.peer_gets());
}

TEST(Cancel, LeavesTryCallsWorking) {
    connection.peer_sends("d");
    EvThread thread = go([&] {
        CHECK_EQUAL(1, connection.socket.try_recv({&byte, 1}).bytes);
        CHECK_EQUAL(1, connection.socket.try_send("x").bytes);
    });
    thread.cancel();
    run_loop();
}

TEST(Cancel, DoesNotStopAYield) {
    int rounds = 0;
    EvThread thread = go([&] {
        for (; rounds < 3; ++rounds) this_evthread::yield();
    });
    thread.cancel();
    run_loop();
    CHECK_EQUAL(3, rounds);
}

TEST(Cancel, OfAFinishedThreadIsNothing) {
    EvThread thread = go([] {});
    run_loop();
    thread.cancel();
    EvThread().cancel();
}

TEST(Cancel, TwiceIsOnce) {
    int ends = 0;
    EvThread thread = go([&] { ends += this_evthread::delay(1h) == NetError::canceled; });
    run_ready();
    thread.cancel();
    thread.cancel();
    run_loop();
    CHECK_EQUAL(1, ends);
}

TEST(Cancel, ConnectsAreEnded) {
    // Nobody answers: a listener whose queue is full.
    const UniqueFd listener =
        nutils::listen_stream(test_support::abstract_address("cancel"), {.backlog = 0}).value();
    const SockAddr address = SockAddr::local_of(listener.get()).value();
    const UniqueFd first = nutils::socket_stream(AF_UNIX).value();
    CHECK(!nutils::connect_start(first.get(), address));
    std::error_code seen;
    EvThread thread = go([&] {
        const auto refused = EvSocket::connect(loop, address, Deadline::never);
        seen = refused.error().code();
    });
    advance(10ms);
    CHECK(!thread.finished());
    thread.cancel();
    run_loop();
    CHECK_EQUAL(NetError::canceled, seen);
}

// --- shields ---

TEST_GROUP_BASE(Shield, LoopFixture) {
    Connection connection = unix_connection(loop);
    EvThread thread;
    std::string story;

    void tell(const std::error_code& error) { story += error ? error.message() + "; " : "done; "; }
};

TEST(Shield, LetsWaitsGoOn) {
    thread = go([&] {
        tell(this_evthread::delay(1s));
        CancelShield shield(1min);
        tell(this_evthread::delay(1s));
    });
    thread.cancel();
    run_loop();
    CHECK_EQUAL("canceled; done; ", story);
}

TEST(Shield, LetsTheLastWordsBeSent) {
    thread = go([&] {
        tell(this_evthread::delay(1h));
        CancelShield shield(1s);
        CHECK(connection.socket.send_all("bye", 1s));
    });
    run_ready();
    thread.cancel();
    run_loop();
    CHECK_EQUAL("bye", connection.peer_gets());
}

TEST(Shield, EndsWithItsScope) {
    thread = go([&] {
        { CancelShield shield(1min); }
        tell(this_evthread::delay(1s));
    });
    thread.cancel();
    run_loop();
    CHECK_EQUAL("canceled; ", story);
}

TEST(Shield, StillTellsThatItIsCanceled) {
    thread = go([&] {
        CancelShield shield(1min);
        CHECK(this_evthread::canceled());
    });
    thread.cancel();
    run_loop();
}

TEST(Shield, DefersACancelThatComesMeanwhile) {
    thread = go([&] {
        {
            CancelShield shield(1min);
            tell(this_evthread::delay(1s));
        }
        tell(this_evthread::delay(1s));
    });
    run_ready();
    thread.cancel();
    run_loop();
    CHECK_EQUAL("done; canceled; ", story);
}

TEST(Shield, EndsAtItsOwnDeadline) {
    thread = go([&] {
        CancelShield shield(5s);
        const TimePoint begin = loop.now();
        tell(this_evthread::delay(1h));
        CHECK_EQUAL(5s, loop.now() - begin);
        tell(this_evthread::delay(1s));
    });
    thread.cancel();
    run_loop();
    CHECK_EQUAL("canceled; canceled; ", story);
}

TEST(Shield, EndsAtItsOwnDeadlineAlsoWhenTheCancelComesDuringTheWait) {
    thread = go([&] {
        CancelShield shield(5s);
        const TimePoint begin = loop.now();
        tell(this_evthread::delay(1h));
        CHECK_EQUAL(5s, loop.now() - begin);
    });
    advance(2s);
    thread.cancel();
    advance(10s);
    CHECK_EQUAL("canceled; ", story);
    run_loop();
}

TEST(Shield, EndsAWaitWithoutADeadlineToo) {
    thread = go([&] {
        CancelShield shield(5s);
        tell(this_evthread::delay(Deadline::never));
        tell(this_evthread::delay(Deadline::never));
    });
    advance(2s);
    thread.cancel();
    advance(10s);
    CHECK_EQUAL("canceled; canceled; ", story);
    CHECK(thread.finished());
}

TEST(Shield, ThatIsOverWhenTheCancelComesHelpsNoMore) {
    thread = go([&] {
        CancelShield shield(1s);
        tell(this_evthread::delay(1h));
    });
    advance(2s);
    thread.cancel();
    run_ready();
    CHECK_EQUAL("canceled; ", story);
    CHECK(thread.finished());
}

// Else whoever reads from a peer that never pauses would never learn that it is canceled.
TEST(Shield, ThatIsOverLetsNothingMoreBeDoneEvenWithoutWaiting) {
    Channel<int> channel(2);
    Mutex mutex;
    thread = go([&] {
        CancelShield shield(1s);
        CHECK(!this_evthread::delay(2s));
        CHECK(!channel.send(1, Deadline::never));  // not canceled yet
        connection.peer_sends("x");
        thread.cancel();
        char byte;
        CHECK(connection.socket.recv({&byte, 1}, Deadline::never).canceled());
        CHECK(channel.send(2, Deadline::never) == std::errc::operation_canceled);
        CHECK(channel.recv(Deadline::never).error() == std::errc::operation_canceled);
        CHECK(mutex.lock(Deadline::never) == std::errc::operation_canceled);
        CHECK(this_evthread::delay(0s) == std::errc::operation_canceled);
        CHECK(this_evthread::delay(Deadline(loop.now() - 1min)) == std::errc::operation_canceled);
    });
    run_loop();
    LONGS_EQUAL(1, channel.size());
}

TEST(Shield, DoesNotMakeWaitsLonger) {
    thread = go([&] {
        CancelShield shield(1h);
        char byte;
        CHECK(connection.socket.recv({&byte, 1}, 1s).timed_out());
    });
    run_ready();
    thread.cancel();
    run_loop();
}

TEST(Shield, WithoutCancelChangesNothing) {
    thread = go([&] {
        CancelShield shield(1s);
        tell(this_evthread::delay(1h));
    });
    run_loop();
    CHECK_EQUAL("done; ", story);
}

TEST(Shield, Nests) {
    thread = go([&] {
        CancelShield outer(1h);
        {
            CancelShield inner(1s);
            tell(this_evthread::delay(10s));
        }
        tell(this_evthread::delay(10s));
    });
    thread.cancel();
    run_loop();
    CHECK_EQUAL("canceled; done; ", story);
}
