#include "evcorothread/ev_pipe.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <string>

#include "evcorothread/ev_thread.h"
#include "nutils/byte_buffer.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"
#include "test/support/fault_injection.h"

using namespace test_support;

TEST_GROUP_BASE(EvPipes, LoopFixture) {
    FaultInjection faults;
    nutils::PipeEnds ends;

    void setup() override { ends = nutils::make_pipe().value(); }

    EvPipe reading() { return EvPipe(loop, std::move(ends.reading)); }
    EvPipe writing() { return EvPipe(loop, std::move(ends.writing)); }
    void peer_writes(std::string_view text) const {
        CHECK_EQUAL(text.size(), nutils::write_some(ends.writing.get(), text).bytes);
    }
    static std::string received(EvPipe & pipe, Deadline deadline) {
        std::string text(4096, '\0');
        const IoResult got = pipe.recv(text, deadline);
        if (!got) return std::string("<").append(got.error.message()).append(">");
        text.resize(got.bytes);
        return text;
    }
    static std::size_t fill_up(EvPipe & pipe) {
        const std::string block(64 * 1024, 'f');
        std::size_t sent = 0;
        while (const IoResult some = pipe.try_send(block)) sent += some.bytes;
        return sent;
    }
    std::size_t peer_drains() const {
        std::string block(1024 * 1024, '\0');
        return nutils::read_some(ends.reading.get(), block).bytes;
    }
};

TEST(EvPipes, RecvTakesWhatIsThere) {
    EvPipe pipe = reading();
    peer_writes("hello");
    in_coroutine([&] { CHECK_EQUAL("hello", received(pipe, 0s)); });
}

TEST(EvPipes, ThatWouldBlockTheLoopSaysWhyInstead) {
    faults.fail("fcntl", EPERM);
    EvPipe pipe = writing();
    in_coroutine([&] {
        const std::string more_than_it_holds(1024 * 1024, 'x');
        CHECK(pipe.send(more_than_it_holds, 1s).error == std::errc::operation_not_permitted);
        CHECK(pipe.try_send(more_than_it_holds).error == std::errc::operation_not_permitted);
        faults.fail("fcntl", EPERM);
        EvPipe other = reading();
        char byte;
        CHECK(other.recv({&byte, 1}, 1s).error == std::errc::operation_not_permitted);
        CHECK(other.try_recv({&byte, 1}).error == std::errc::operation_not_permitted);
    });
}

TEST(EvPipes, RecvWaitsUntilSomethingIsWritten) {
    EvPipe pipe = reading();
    std::string got;
    EvThread reader = go([&] { got = received(pipe, 1h); });
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, reader.state());
    peer_writes("late");
    run_ready();
    CHECK_EQUAL("late", got);
}

TEST(EvPipes, TheEndBehindDataThatCameTogetherIsSeen) {
    EvPipe pipe = reading();
    std::string got;
    EvThread reader = go([&] {
        for (int i = 0; i < 3; ++i) got += received(pipe, 1h) + ";";
    });
    run_ready();
    peer_writes("last");
    ends.writing.reset();
    run_ready();
    CHECK(reader.finished());
    CHECK_EQUAL("last;<end of stream>;<end of stream>;", got);
}

TEST(EvPipes, TheEndWakesAWaitingReader) {
    EvPipe pipe = reading();
    EvThread reader = go([&] {
        char byte;
        CHECK(pipe.recv({&byte, 1}, 1h).eof());
    });
    run_ready();
    ends.writing.reset();
    run_ready();
    CHECK(reader.finished());
}

TEST(EvPipes, RecvTimesOutAndThePipeStaysUsable) {
    EvPipe pipe = reading();
    in_coroutine([&] {
        char byte;
        CHECK(pipe.recv({&byte, 1}, 1s).timed_out());
        peer_writes("x");
        CHECK_EQUAL("x", received(pipe, 1h));
        CHECK(pipe.recv({&byte, 1}, -1s).timed_out());
    });
}

TEST(EvPipes, CancelEndsARecv) {
    EvPipe pipe = reading();
    EvThread reader = go([&] {
        char byte;
        CHECK(pipe.recv({&byte, 1}, 1h).canceled());
        peer_writes("x");
        CHECK(pipe.recv({&byte, 1}, 1h).canceled());
    });
    run_ready();
    reader.cancel();
    run_ready();
    CHECK(reader.finished());
}

TEST(EvPipes, CloseWakesWhoWaitsWithClosed) {
    EvPipe pipe = reading();
    EvThread reader = go([&] {
        char byte;
        CHECK(pipe.recv({&byte, 1}, 1h).closed());
    });
    run_ready();
    pipe.close();
    pipe.close();
    run_ready();
    CHECK(reader.finished());
    CHECK(!pipe.is_open());
    CHECK_EQUAL(-1, pipe.fd());
}

TEST(EvPipes, ASecondReaderIsBusy) {
    EvPipe pipe = reading();
    EvThread reader = go([&] { (void)received(pipe, 1h); });
    run_ready();
    in_coroutine([&] {
        char byte;
        CHECK(pipe.recv({&byte, 1}, 1h).busy());
        reader.cancel();
    });
}

TEST(EvPipes, SendWaitsWhileThePipeIsFull) {
    EvPipe pipe = writing();
    CHECK(fill_up(pipe) >= 4096);
    EvThread writer = go([&] { CHECK_EQUAL(4, pipe.send("more", 1h).bytes); });
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, writer.state());
    CHECK(peer_drains() > 0);
    run_ready();
    CHECK(writer.finished());
}

TEST(EvPipes, SendTimesOut) {
    EvPipe pipe = writing();
    (void)fill_up(pipe);
    in_coroutine([&] { CHECK(pipe.send("x", 1s).timed_out()); });
}

TEST(EvPipes, SendAllMovesMoreThanThePipeHolds) {
    EvPipe out = writing(), in = reading();
    const std::string much(300'000, 'm');
    std::size_t got = 0;
    go([&] {
        CHECK_EQUAL(much.size(), out.send_all(much, 1h).bytes);
        out.close();
    });
    go([&] {
        char buffer[1000];
        while (const IoResult some = in.recv(buffer, 1h)) got += some.bytes;
    });
    run_loop();
    CHECK_EQUAL(much.size(), got);
}

TEST(EvPipes, SendvSendsAllPieces) {
    EvPipe out = writing(), in = reading();
    in_coroutine([&] {
        char one[] = "one ", two[] = "two";
        iovec pieces[] = {{one, 4}, {two, 3}};
        CHECK_EQUAL(7, out.send_all_v(pieces, 1s).bytes);
        CHECK_EQUAL("one two", received(in, 1s));
    });
}

TEST(EvPipes, ByteStreamsFunctionsWorkOnIt) {
    EvPipe pipe = reading();
    peer_writes("a line\nand more");
    in_coroutine([&] {
        nutils::ByteBuffer input(64);
        CHECK_EQUAL(7, pipe.recv_until(input, "\n", 100, 1s).bytes);
        CHECK_EQUAL("a line\nand more", input.readable());
    });
}

TEST(EvPipes, AWriterWhoseReaderHasGoneGetsAnErrorAndNoSignal) {
    EvPipe pipe = writing();
    (void)fill_up(pipe);
    EvThread writer = go([&] { CHECK(pipe.send("x", 1h).error == std::errc::broken_pipe); });
    run_ready();
    ends.reading.reset();
    run_ready();
    CHECK(writer.finished());
    CHECK(pipe.try_send("x").error == std::errc::broken_pipe);
    sigset_t pending;
    ::sigpending(&pending);
    CHECK(!::sigismember(&pending, SIGPIPE));
}

TEST(EvPipes, InterruptedCallsAreRepeated) {
    EvPipe out = writing(), in = reading();
    faults.fail("write", EINTR, 2);
    faults.fail("read", EINTR, 2);
    CHECK_EQUAL(2, out.try_send("ok").bytes);
    char buffer[8];
    CHECK_EQUAL(2, in.try_recv(buffer).bytes);
    CHECK(in.try_recv(buffer).would_block());
}

TEST(EvPipes, TheOtherEndStaysBlocking) {
    const EvPipe pipe = reading();
    CHECK_EQUAL(0, ::fcntl(ends.writing.get(), F_GETFL) & O_NONBLOCK);
    CHECK((::fcntl(ends.writing.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST(EvPipes, AnEmptyOneIsClosed) {
    in_coroutine([&] {
        EvPipe pipe;
        char byte;
        CHECK(pipe.recv({&byte, 1}, 1s).closed());
        CHECK(pipe.send("x", 1s).closed());
        CHECK(pipe.try_recv({&byte, 1}).closed());
        CHECK(pipe.try_send("x").closed());
        CHECK(pipe.shutdown_send().closed());
    });
}

TEST(EvPipes, ReleaseGivesTheDescriptorBack) {
    EvPipe pipe = reading();
    go([&] { (void)received(pipe, 0s); });
    run_loop();
    const UniqueFd fd = pipe.release();
    CHECK(!pipe.is_open());
    CHECK(::fcntl(fd.get(), F_GETFD) >= 0);
}

TEST(EvPipes, AnEmptyBufferAborts) {
    STRCMP_CONTAINS("empty buffer", abort_message([&] {
                                        EvPipe pipe = reading();
                                        (void)pipe.try_recv({});
                                    }).c_str());
}
