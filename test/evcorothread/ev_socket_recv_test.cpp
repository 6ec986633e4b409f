#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

#include "evcorothread/ev_socket.h"
#include "evcorothread/ev_thread.h"
#include "nutils/byte_buffer.h"
#include "nutils/socket_options.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"
#include "test/support/fault_injection.h"

using namespace test_support;

TEST_GROUP_BASE(Recv, LoopFixture) {
    FaultInjection faults;
    Connection connection = unix_connection(loop);
    EvSocket& socket = connection.socket;
    char buffer[16] = {};
};

TEST(Recv, TakesWhatIsThereWithoutSuspending) {
    connection.peer_sends("hello");
    bool other = false;
    in_coroutine([&] {
        go([&] { other = true; });
        CHECK_EQUAL("hello", received(socket, 1s));
        CHECK(!other);
    });
}

TEST(Recv, WaitsUntilThereIsSomething) {
    EvThread reader = go([&] { CHECK_EQUAL("late", received(socket, 1h)); });
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, reader.state());
    connection.peer_sends("late");
    run_ready();
    CHECK(reader.finished());
}

TEST(Recv, TakesAtMostTheBuffer) {
    connection.peer_sends("abcdef");
    in_coroutine([&] {
        CHECK_EQUAL("abcd", received(socket, 1s, 4));
        CHECK_EQUAL("ef", received(socket, 1s, 4));
    });
}

TEST(Recv, ABufferThatIsJustFilledIsFollowedByAWait) {
    connection.peer_sends("abcd");
    in_coroutine([&] {
        CHECK_EQUAL("abcd", received(socket, 1s, 4));
        CHECK(socket.recv(buffer, 1s).timed_out());
    });
}

TEST(Recv, TimesOutAndStaysUsable) {
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        CHECK(socket.recv(buffer, 30s).timed_out());
        CHECK_EQUAL(30s, loop.now() - begin);
        connection.peer_sends("x");
        CHECK_EQUAL("x", received(socket, 1s));
    });
}

TEST(Recv, WithAPassedDeadlineTakesWhatIsThere) {
    connection.peer_sends("now");
    in_coroutine([&] {
        CHECK_EQUAL("now", received(socket, 0s));
        CHECK(socket.recv(buffer, 0s).timed_out());
        CHECK(socket.recv(buffer, loop.now() - 1s).timed_out());
    });
}

TEST(Recv, WithAPassedDeadlineTakesWhatTheLoopHasNotHeardOfYet) {
    in_coroutine([&] {
        CHECK(socket.recv(buffer, 0s).timed_out());
        connection.peer_sends("hello");
        CHECK_EQUAL("hello", received(socket, -1s));
        CHECK(socket.recv(buffer, loop.now() - 1h).timed_out());
    });
}

TEST(Recv, WithAPassedDeadlineAsksTheKernelOnceACall) {
    in_coroutine([&] {
        const long before = faults.calls("recv");
        for (int i = 0; i < 3; ++i) CHECK(socket.recv(buffer, 0s).timed_out());
        CHECK_EQUAL(before + 3, faults.calls("recv"));
    });
}

TEST(Recv, ReportsTheEndOfTheStreamEachTime) {
    connection.peer_closes();
    in_coroutine([&] {
        for (int i = 0; i < 3; ++i) CHECK(socket.recv(buffer, 1s).eof());
    });
}

TEST(Recv, SeesAnEndThatComesLater) {
    EvThread reader = go([&] { CHECK(socket.recv(buffer, Deadline::never).eof()); });
    run_ready();
    connection.peer_closes();
    run_ready();
    CHECK(reader.finished());
}

TEST(Recv, GivesDataThenTheEndThatCameWithIt) {
    connection.peer_sends("last words");
    connection.peer_closes();
    in_coroutine([&] {
        CHECK_EQUAL("last words", received(socket, Deadline::never));
        CHECK(socket.recv(buffer, Deadline::never).eof());
    });
}

TEST(Recv, GivesDataThenTheEndThatCameWithItWhenItWaited) {
    EvThread reader = go([&] {
        CHECK_EQUAL("last words", received(socket, Deadline::never));
        CHECK(socket.recv(buffer, Deadline::never).eof());
    });
    run_ready();
    connection.peer_sends("last words");
    connection.peer_closes();
    run_ready();
    CHECK(reader.finished());
}

TEST(Recv, AsksTheKernelOnceForWhatIsThere) {
    EvThread reader = go([&] {
        CHECK_EQUAL("abc", received(socket, Deadline::never));
        CHECK(socket.send_all("ok", 1s));  // proves that no error is pending
        CHECK_EQUAL("def", received(socket, Deadline::never));
    });
    run_ready();
    const long before = faults.calls("recv");
    connection.peer_sends("abc");
    run_ready();
    CHECK_EQUAL(before + 1, faults.calls("recv"));
    connection.peer_sends("def");
    run_ready();
    CHECK_EQUAL(before + 2, faults.calls("recv"));
    CHECK(reader.finished());
}

TEST_IN_ORDER(Recv, IsBusyForASecondReader) {
    EvThread reader = go([&] { CHECK_EQUAL("x", received(socket, Deadline::never)); });
    EvThread second = go([&] { CHECK(socket.recv(buffer, 1s).busy()); });
    run_ready();
    CHECK(second.finished());
    connection.peer_sends("x");
    run_loop();
}

TEST(Recv, InterruptedGoesOn) {
    connection.peer_sends("x");
    faults.fail("recv", EINTR, 3);
    in_coroutine([&] { CHECK_EQUAL("x", received(socket, 1s)); });
}

TEST(Recv, ReportsTheErrorsOfTheKernel) {
    in_coroutine([&] {
        for (const int number : {ECONNRESET, ETIMEDOUT, ENOMEM, EHOSTUNREACH}) {
            faults.fail("recv", number);
            const IoResult got = socket.recv(buffer, 1s);
            CHECK_EQUAL(std::error_code(number, std::generic_category()), got.error);
            CHECK(!got.timed_out());
        }
    });
}

TEST(Recv, AWakeForNothingWaitsOnUntilTheDeadline) {
    EvThread reader = go([&] {
        const TimePoint begin = loop.now();
        CHECK(socket.recv(buffer, 10s).timed_out());
        CHECK_EQUAL(10s, loop.now() - begin);
    });
    advance(4s);
    faults.fail("recv", EAGAIN);
    connection.peer_sends("x");
    run_ready();
    char byte;
    CHECK_EQUAL(1, socket.try_recv({&byte, 1}).bytes == 0 ? ::recv(socket.fd(), &byte, 1, 0) : 1);
    run_loop();
}

TEST(Recv, IntoAnEmptyBufferAborts) {
    STRCMP_CONTAINS("into an empty buffer", abort_message([this] {
                                                go([&] { (void)socket.recv({}, 1s); });
                                                run_loop();
                                            }).c_str());
}

TEST(Recv, OutsideACoroutineAborts) {
    STRCMP_CONTAINS("called in a coroutine thread: use EvLoop::spawn",
                    abort_message([this] { (void)socket.recv(buffer, 1s); }).c_str());
}

TEST(Recv, OnAClosedSocketIsClosed) {
    EvSocket none;
    socket.close();
    in_coroutine([&] {
        CHECK(socket.recv(buffer, 1s).closed());
        CHECK(none.recv(buffer, 1s).closed());
    });
}

// --- never suspending ---

TEST(Recv, TryTakesWhatIsThere) {
    connection.peer_sends("x");
    CHECK_EQUAL(1, socket.try_recv(buffer).bytes);
    CHECK(socket.try_recv(buffer).would_block());
    connection.peer_closes();
    run_ready();
}

TEST(Recv, TryMakesNoSyscallWhenNothingCanBeThere) {
    CHECK(socket.try_recv(buffer).would_block());
    const long before = faults.calls("recv");
    CHECK(!socket.may_recv());
    CHECK(socket.try_recv(buffer).would_block());
    CHECK_EQUAL(before, faults.calls("recv"));
}

TEST(Recv, TrySeesWhatComesLaterThoughNobodyHasEverWaited) {
    in_coroutine([&] {
        CHECK(socket.try_recv(buffer).would_block());
        connection.peer_sends("x");
        CHECK(!this_evthread::delay(1s));
        CHECK_EQUAL(1, socket.try_recv(buffer).bytes);
    });
}

TEST(Recv, TrySeesWhatComesAfterAnAnswerThoughNobodyHasEverWaited) {
    connection.peer_sends("x");
    CHECK_EQUAL(1, socket.try_recv(buffer).bytes);
    CHECK_EQUAL(1, socket.try_send("y").bytes);
    connection.peer_sends("z");
    CHECK_EQUAL(1, socket.try_recv(buffer).bytes);
}

TEST(Recv, TryOnAClosedSocketIsClosed) {
    socket.close();
    CHECK(socket.try_recv(buffer).closed());
    CHECK(!EvSocket().may_recv());
}

// --- whole things ---

TEST(Recv, ExactFillsTheBuffer) {
    std::string text(10, '\0');
    EvThread reader = go([&] {
        const IoResult got = socket.recv_exact(text, 1h);
        CHECK(got);
        CHECK_EQUAL(10, got.bytes);
    });
    for (const char* piece : {"abc", "d", "efgh", "ij"}) {
        run_ready();
        connection.peer_sends(piece);
    }
    run_loop();
    CHECK_EQUAL("abcdefghij", text);
}

TEST(Recv, ExactReportsWhatCameBeforeTheDeadline) {
    connection.peer_sends("abc");
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        const IoResult got = socket.recv_exact({buffer, 10}, 5s);
        CHECK(got.timed_out());
        CHECK_EQUAL(3, got.bytes);
        CHECK_EQUAL(5s, loop.now() - begin);
    });
}

TEST(Recv, ExactHasOneDeadlineForAll) {
    const TimePoint begin = loop.now();
    go([&] {
        for (int i = 0; i < 10; ++i) {
            (void)this_evthread::delay(1s);
            connection.peer_sends("x");
        }
    });
    go([&] {
        const IoResult got = socket.recv_exact({buffer, 10}, 3500ms);
        CHECK(got.timed_out());
        CHECK_EQUAL(3, got.bytes);
        CHECK_EQUAL(3500ms, loop.now() - begin);
    });
    run_loop();
}

TEST(Recv, ExactReportsAnEndInTheMiddle) {
    connection.peer_sends("abc");
    connection.peer_closes();
    in_coroutine([&] {
        const IoResult got = socket.recv_exact({buffer, 10}, 1h);
        CHECK(got.eof());
        CHECK_EQUAL(3, got.bytes);
    });
}

TEST(Recv, UntilFindsLinesInFragmentsOfEverySize) {
    const std::string text = "first\r\nsecond line\r\n\r\n";
    for (const std::size_t size : {1U, 2U, 3U, 7U, 16U}) {
        std::vector<std::string> lines;
        EvThread reader = go([&] {
            nutils::ByteBuffer input(1024);
            for (int i = 0; i < 3; ++i) {
                const IoResult line = socket.recv_until(input, "\r\n", 100, 1h);
                CHECK(line);
                lines.emplace_back(input.readable().substr(0, line.bytes - 2));
                input.consume(line.bytes);
            }
        });
        for (std::size_t at = 0; at < text.size(); at += size) {
            run_ready();
            connection.peer_sends(std::string_view(text).substr(at, size));
        }
        run_loop();
        CHECK(lines == std::vector<std::string>({"first", "second line", ""}));
    }
}

TEST(Recv, UntilReportsTheDeadlineAndLosesNothing) {
    connection.peer_sends("no end");
    in_coroutine([&] {
        nutils::ByteBuffer input(1024);
        CHECK(socket.recv_until(input, "\n", 100, 1s).timed_out());
        connection.peer_sends("!\n");
        CHECK_EQUAL(8, socket.recv_until(input, "\n", 100, 1s).bytes);
        CHECK_EQUAL("no end!\n", input.readable());
    });
}

// --- idle timeout ---

TEST(Recv, TheIdleTimeoutEndsAWait) {
    socket.set_idle_timeout(10s);
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        CHECK(socket.recv(buffer, Deadline::never).timed_out());
        CHECK_EQUAL(10s, loop.now() - begin);
    });
}

TEST(Recv, TheEarlierOfIdleTimeoutAndDeadlineCounts) {
    socket.set_idle_timeout(10s);
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        CHECK(socket.recv(buffer, 3s).timed_out());
        CHECK_EQUAL(3s, loop.now() - begin);
    });
}

TEST(Recv, TheIdleTimeoutBeginsAnewWithEveryWait) {
    socket.set_idle_timeout(3s);
    go([&] {
        for (int i = 0; i < 5; ++i) {
            (void)this_evthread::delay(2s);
            connection.peer_sends("x");
        }
    });
    go([&] {
        const IoResult got = socket.recv_exact({buffer, 6}, 1h);
        CHECK(got.timed_out());
        CHECK_EQUAL(5, got.bytes);
    });
    run_loop();
}

TEST(Recv, TheIdleTimeoutCanBeTurnedOff) {
    socket.set_idle_timeout(1s);
    socket.set_idle_timeout(Duration::max());
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        CHECK(socket.recv(buffer, 1min).timed_out());
        CHECK_EQUAL(1min, loop.now() - begin);
    });
}

// --- TCP ---

TEST_GROUP_BASE(RecvTcp, RealTimeFixture) {
    Connection connection = tcp_connection(loop);
    EvSocket& socket = connection.socket;
    char buffer[16] = {};

    void peer_finishes() { CHECK(!nutils::shutdown_send(connection.peer.get())); }
    void peer_resets() {
        CHECK(!nutils::set_reset_on_close(connection.peer.get(), true));
        connection.peer_closes();
    }
    // Until the kernel has delivered it.
    void arrived(short events) { CHECK(wait_for(socket.fd(), events)); }
};

TEST(RecvTcp, GivesDataThenTheEnd) {
    connection.peer_sends("request");
    peer_finishes();
    arrived(POLLRDHUP);
    in_coroutine([&] {
        CHECK_EQUAL("request", received(socket, 5s));
        CHECK(socket.recv(buffer, 5s).eof());
    });
}

TEST(RecvTcp, AWaitingReaderGetsDataThenTheEnd) {
    EvThread reader = go([&] {
        CHECK_EQUAL("request", received(socket, 5s));
        CHECK(socket.recv(buffer, 5s).eof());
    });
    run_ready();
    connection.peer_sends("request");
    peer_finishes();
    arrived(POLLRDHUP);
    until([&] { return reader.finished(); });
}

TEST(RecvTcp, TheEndAfterAnAnswerIsSeen) {
    EvThread server = go([&] {
        CHECK_EQUAL("request", received(socket, 5s));
        CHECK(socket.send_all("answer", 5s));
        CHECK(socket.recv(buffer, 5s).eof());
    });
    run_ready();
    connection.peer_sends("request");
    peer_finishes();
    arrived(POLLRDHUP);
    until([&] { return server.finished(); });
    CHECK_EQUAL("answer", connection.peer_gets());
}

TEST(RecvTcp, TheEndThatComesBetweenTwoRecvsIsSeen) {
    EvThread reader = go([&] {
        CHECK_EQUAL("request", received(socket, 5s));
        peer_finishes();
        arrived(POLLRDHUP);
        CHECK(socket.recv(buffer, 5s).eof());
    });
    run_ready();
    connection.peer_sends("request");
    until([&] { return reader.finished(); });
}

TEST(RecvTcp, ASendAfterTheEndOfTheOtherDirectionWorks) {
    peer_finishes();
    arrived(POLLRDHUP);
    in_coroutine([&] {
        CHECK(socket.recv(buffer, 5s).eof());
        CHECK(socket.send_all("still", 5s));
    });
    until([&] { return wait_for(connection.peer.get(), POLLIN); });
    CHECK_EQUAL("still", connection.peer_gets());
}

TEST(RecvTcp, AResetIsAnError) {
    EvThread reader = go([&] { CHECK(socket.recv(buffer, 5s).error == std::errc::connection_reset); });
    run_ready();
    peer_resets();
    until([&] { return reader.finished(); });
}

TEST(RecvTcp, AResetBehindDataIsSeenAndNotWaitedFor) {
    EvThread reader = go([&] {
        const IoResult first = socket.recv(buffer, 5s);
        if (first)
            CHECK(socket.recv(buffer, 5s).error == std::errc::connection_reset);
        else
            CHECK(first.error == std::errc::connection_reset);
    });
    run_ready();
    connection.peer_sends("x");
    peer_resets();
    arrived(POLLERR);
    const TimePoint begin = cutils::monotonic_now();
    until([&] { return reader.finished(); });
    CHECK(cutils::monotonic_now() - begin < 2s);
}

TEST(RecvTcp, AResetBehindDataThatWasReadBeforeTheFirstWaitIsSeen) {
    connection.peer_sends("x");
    peer_resets();
    arrived(POLLERR);
    in_coroutine([&] {
        const IoResult first = socket.recv(buffer, 5s);
        if (first) CHECK(socket.recv(buffer, 5s).error == std::errc::connection_reset);
    });
}

TEST(RecvTcp, AResetIsSeenAfterAFailedAnswer) {
    EvThread server = go([&] {
        const IoResult first = socket.recv(buffer, 5s);
        if (!first) return;
        (void)socket.send_all("answer", 5s);
        CHECK(!socket.recv(buffer, 5s));
        CHECK(!socket.recv(buffer, 5s).timed_out());
    });
    run_ready();
    connection.peer_sends("x");
    peer_resets();
    arrived(POLLERR);
    until([&] { return server.finished(); });
}

TEST(RecvTcp, UrgentDataHarmsNothing) {
    EvThread reader = go([&] { CHECK_EQUAL("after", received(socket, 5s)); });
    run_ready();
    CHECK_EQUAL(1, ::send(connection.peer.get(), "!", 1, MSG_OOB));
    until([&] { return true; });
    connection.peer_sends("after");
    until([&] { return reader.finished(); });
}
