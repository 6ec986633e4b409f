#include "evcorothread/copy_stream.h"

#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <string>

#include "evcorothread/ev_thread.h"
#include "nutils/socket_options.h"
#include "test/evcorothread/fill_in_pieces.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/allocation_faults.h"
#include "test/support/fault_injection.h"
#include "test/support/fd_leak_check.h"

using namespace test_support;

namespace {

// What is sent in one direction: no two places of it look alike.
std::string pattern(std::size_t size, std::size_t from = 0) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
        const std::size_t at = from + i;
        text[i] = static_cast<char>(at ^ (at >> 8) ^ (at >> 16));
    }
    return text;
}

std::string everything(int fd) {
    std::string all(1 << 20, '\0');
    std::size_t size = 0;
    while (const IoResult some = nutils::recv_some(fd, std::span(all).subspan(size))) size += some.bytes;
    all.resize(size);
    return all;
}

bool at_end(int fd) {
    char byte;
    return nutils::recv_some(fd, {&byte, 1}).eof();
}

}  // namespace

// a.peer ⇄ a.socket ⇄ (the relay) ⇄ b.socket ⇄ b.peer
TEST_GROUP_BASE(Relay, LoopFixture) {
    FaultInjection faults;
    Connection a = unix_connection(loop);
    Connection b = unix_connection(loop);
    RelayResult result;

    EvThread start(Deadline deadline = Deadline::never) {
        return go("relay", [this, deadline] { result = relay(a.socket, b.socket, deadline); });
    }
    static void end(const UniqueFd& peer) { ::shutdown(peer.get(), SHUT_WR); }
    // A peer that vanishes with a reset.
    static void reset(UniqueFd & peer) {
        (void)nutils::set_reset_on_close(peer.get(), true);
        peer.reset();
    }
};

TEST(Relay, PassesOnWhatComesEitherWay) {
    EvThread relaying = start();
    for (int i = 0; i < 3; ++i) {
        a.peer_sends("question");
        run_ready();
        CHECK_EQUAL("question", everything(b.peer.get()));
        b.peer_sends("answer");
        run_ready();
        CHECK_EQUAL("answer", everything(a.peer.get()));
    }
    end(a.peer);
    end(b.peer);
    run_loop();
    CHECK(result);
    CHECK_EQUAL(24, result.forth.bytes);
    CHECK_EQUAL(18, result.back.bytes);
}

TEST(Relay, AnEndOnOneSideLeavesTheOtherDirectionOpen) {
    EvThread relaying = start();
    a.peer_sends("all there is");
    end(a.peer);
    run_ready();
    CHECK_EQUAL("all there is", everything(b.peer.get()));
    CHECK(at_end(b.peer.get()));
    CHECK(!relaying.finished());
    b.peer_sends("late answer");
    run_ready();
    CHECK_EQUAL("late answer", everything(a.peer.get()));
    end(b.peer);
    run_loop();
    CHECK(at_end(a.peer.get()));
    CHECK(result);
}

TEST(Relay, TheEndsMayComeBeforeItBegins) {
    a.peer_sends("a");
    b.peer_sends("b");
    end(a.peer);
    end(b.peer);
    EvThread relaying = start(0s);
    run_loop();
    CHECK(result);
    CHECK_EQUAL("a", everything(b.peer.get()));
    CHECK_EQUAL("b", everything(a.peer.get()));
}

TEST(Relay, HoldsNoMoreThanAPipeForAReaderThatDoesNotRead) {
    EvThread relaying = start();
    const std::string block(1 << 20, 'x');
    std::size_t sent = 0;
    for (int i = 0; i < 100; ++i) {
        const IoResult some = nutils::send_some(a.peer.get(), block);
        sent += some.bytes;
        run_ready();
    }
    CHECK(sent < 2 << 20);  // it has stopped taking
    CHECK(!relaying.finished());
    std::size_t got = 0;
    while (const std::size_t some = drain(b.peer.get())) {
        got += some;
        run_ready();
    }
    CHECK_EQUAL(sent, got);
    end(a.peer);
    end(b.peer);
    run_loop();
    CHECK(result);
}

TEST(Relay, GoesOnAfterShortTransfers) {
    faults.limit("splice", 7);
    const std::string text = pattern(10000);
    EvThread relaying = start();
    a.peer_sends(text);
    end(a.peer);
    end(b.peer);
    std::string got;
    until([&] {
        got += everything(b.peer.get());  // small pieces fill the kernel's buffer soon
        return relaying.finished();
    });
    CHECK(result);
    CHECK(text == got + everything(b.peer.get()));
}

TEST(Relay, ItsDeadlineIsForAllOfIt) {
    EvThread relaying = start(10s);
    for (int i = 0; i < 9; ++i) {
        a.peer_sends("x");
        advance(1s);
        CHECK(!relaying.finished());
    }
    run_loop();
    CHECK_EQUAL(NetError::timed_out, result.forth.read_error);
    CHECK_EQUAL(NetError::timed_out, result.back.read_error);
    CHECK_EQUAL(9, result.forth.bytes);
    CHECK(!result);
}

TEST(Relay, AnIdleTimeoutIsForEachWait) {
    a.socket.set_idle_timeout(5s);
    EvThread relaying = start();
    for (int i = 0; i < 4; ++i) {
        advance(3s);
        b.peer_sends("x");
        run_ready();
        CHECK(!relaying.finished());
    }
    advance(5s);
    CHECK(relaying.finished());
    CHECK_EQUAL(NetError::timed_out, result.forth.error());
}

TEST(Relay, AReceiverThatReadsSlowlyIsNotIdle) {
    fill_in_pieces(b.socket);
    a.socket.set_idle_timeout(5s);
    a.peer_sends("stuck");
    EvThread relaying = start();
    run_ready();
    for (int i = 0; i < 3; ++i) {
        take_a_piece(b.peer.get());
        advance(5s);
        CHECK(!relaying.finished());
    }
    advance(5s);
    CHECK(relaying.finished());
    CHECK_EQUAL(NetError::timed_out, result.forth.error());
}

TEST(Relay, WhatCouldNotBeDeliveredIsReported) {
    fill(b.socket);
    a.peer_sends("stuck");
    EvThread relaying = start(1s);
    run_loop();
    CHECK_EQUAL(0, result.forth.bytes);
    CHECK_EQUAL(5, result.forth.undelivered);
    CHECK_EQUAL(NetError::timed_out, result.forth.write_error);
    CHECK_EQUAL(NetError::timed_out, result.back.read_error);
}

TEST(Relay, IsCanceled) {
    EvThread relaying = start();
    run_ready();
    relaying.cancel();
    run_loop();
    CHECK_EQUAL(NetError::canceled, result.forth.read_error);
    CHECK_EQUAL(NetError::canceled, result.back.read_error);
}

TEST(Relay, IsCanceledThoughThereIsAlwaysMore) {
    faults.answer("splice", 1, 0, FaultInjection::kAlways);
    EvThread relaying = start();
    for (int i = 0; i < 3; ++i) go([&] { relaying.cancel(); });
    run_loop();
    CHECK_EQUAL(NetError::canceled, result.forth.error());
}

TEST(Relay, TimesOutThoughThereIsAlwaysMore) {
    faults.answer("splice", 1, 0, FaultInjection::kAlways);
    EvThread relaying = start(1s);
    go([&] { (void)this_evthread::delay(2s); });
    for (int i = 0; i < 10 && !relaying.finished(); ++i) {
        EvThread clock = go([&] { loop.stop(); });
        loop.run();
        if (i == 5) faults.fail("splice", EAGAIN, FaultInjection::kAlways);
    }
    run_loop();
    CHECK_EQUAL(NetError::timed_out, result.forth.error());
}

TEST(Relay, ClosingASocketEndsIt) {
    for (Connection* const closed : {&a, &b}) {
        a = unix_connection(loop);
        b = unix_connection(loop);
        EvThread relaying = start();
        run_ready();
        in_coroutine([&] { closed->socket.close(); });
        CHECK(relaying.finished());
        CHECK_EQUAL(NetError::closed, result.forth.error());
        CHECK_EQUAL(NetError::closed, result.back.error());
    }
}

TEST(Relay, OfClosedSocketsIsClosed) {
    a.socket.close();
    in_coroutine([&] {
        CHECK_EQUAL(NetError::closed, relay(a.socket, b.socket, 1s).forth.error());
        EvSocket never;
        CHECK_EQUAL(NetError::closed, relay(never, b.socket, 1s).back.error());
        CHECK_EQUAL(NetError::closed, copy_stream(b.socket, never, 1s).error());
    });
}

TEST(Relay, WithAReaderThereIsBusy) {
    EvThread reader = go([&] {
        char byte;
        CHECK(a.socket.recv({&byte, 1}, 1h));
    });
    run_ready();
    in_coroutine([&] {
        CHECK_EQUAL(NetError::busy, relay(a.socket, b.socket, 1s).forth.error());
        a.peer_sends("x");
    });
}

TEST(Relay, AReaderMeanwhileIsBusy) {
    EvThread relaying = start();
    run_ready();
    in_coroutine([&] {
        char byte;
        CHECK(a.socket.recv({&byte, 1}, 1s).busy());
        CHECK(b.socket.recv({&byte, 1}, 1s).busy());
        end(a.peer);
        end(b.peer);
    });
}

TEST(Relay, APeerThatIsGoneEndsBothDirections) {
    a = tcp_connection(loop);
    b = tcp_connection(loop);
    EvThread relaying = start();
    run_ready();
    reset(a.peer);
    until([&] { return relaying.finished(); });
    CHECK(result.forth.read_error == std::errc::connection_reset);
    CHECK_EQUAL(NetError::canceled, result.back.read_error);
    CHECK(!at_end(b.peer.get()));  // not told of a clean end: that is the caller's to decide
}

TEST(Relay, WhatAPeerSentBeforeItWentIsDelivered) {
    b.peer_sends("nobody wants this");
    a.peer_sends("last words");
    a.peer_closes();
    EvThread relaying = start();
    end(b.peer);
    run_loop();
    CHECK_EQUAL("last words", everything(b.peer.get()));
    CHECK(result.forth.finished);
    CHECK(result.back.write_error == std::errc::broken_pipe);
    CHECK_EQUAL(17, result.back.undelivered);
}

TEST(Relay, AMachineThatCannotSendEndsBothDirections) {
    EvThread relaying = start();
    run_ready();
    faults.fail("splice", ENOMEM, 1, 1);  // out of the pipe
    a.peer_sends("x");
    run_ready();
    CHECK(relaying.finished());
    CHECK(result.forth.write_error == std::errc::not_enough_memory);
    CHECK_EQUAL(1, result.forth.undelivered);
    CHECK_EQUAL(NetError::canceled, result.back.read_error);
}

TEST(Relay, ABlockingDescriptorDoesNotBlockIt) {
    (void)nutils::set_nonblocking(a.socket.fd(), false);
    (void)nutils::set_nonblocking(b.socket.fd(), false);
    EvThread relaying = start(1s);
    run_loop();
    CHECK_EQUAL(NetError::timed_out, result.forth.read_error);
}

TEST(Relay, CarriesAHundredMebibytesBothWaysOverTcp) {
    a = tcp_connection(loop);
    b = tcp_connection(loop);
    EvThread relaying = start();
    constexpr std::size_t kAll = 100 << 20;
    struct Flow {
        int from;
        int to;
        std::size_t sent = 0;
        std::size_t got = 0;
        bool same = true;
    } flows[] = {{a.peer.get(), b.peer.get()}, {b.peer.get(), a.peer.get()}};
    const std::string text = pattern(kAll + 65536);
    std::string buffer(256 * 1024, '\0');
    const auto step = [&](Flow& flow) {
        if (flow.sent < kAll) {
            flow.sent += nutils::send_some(flow.from, {text.data() + flow.sent,
                                                       std::min<std::size_t>(256 * 1024, kAll - flow.sent)})
                             .bytes;
            if (flow.sent == kAll) ::shutdown(flow.from, SHUT_WR);
        }
        const std::size_t some = nutils::recv_some(flow.to, buffer).bytes;
        flow.same = flow.same &&
                    std::string_view(buffer.data(), some) == std::string_view(text.data() + flow.got, some);
        flow.got += some;
    };
    const TimePoint limit = cutils::monotonic_now() + 60s;
    while (!relaying.finished() && cutils::monotonic_now() < limit) {
        for (Flow& flow : flows) step(flow);
        run_ready();
    }
    for (Flow& flow : flows)
        while (flow.got < kAll && cutils::monotonic_now() < limit) step(flow);
    CHECK(result);
    CHECK_EQUAL(kAll, result.forth.bytes);
    CHECK_EQUAL(kAll, result.back.bytes);
    for (const Flow& flow : flows) {
        CHECK_EQUAL(kAll, flow.got);
        CHECK(flow.same);
    }
    CHECK_EQUAL(0, faults.calls("read"));  // nothing came through this process
}

TEST(Relay, LetsOthersRun) {
    faults.answer("splice", 1, 0, 1000);
    EvThread relaying = start();
    bool ran = false;
    EvThread other = go([&] { ran = !relaying.finished(); });
    run_ready();
    CHECK(ran);
    relaying.cancel();
    run_loop();
}

TEST(Relay, ReportsTheErrorsOfTheKernel) {
    in_coroutine([&] {
        faults.fail("pipe2", EMFILE);
        CHECK(relay(a.socket, b.socket, 1s).forth.error() == std::errc::too_many_files_open);
        faults.fail("splice", EIO);
        const RelayResult failed = relay(a.socket, b.socket, 1s);
        CHECK(failed.forth.read_error == std::errc::io_error);
        CHECK_EQUAL(NetError::canceled, failed.back.read_error);
    });
}

TEST(Relay, WhateverFailsLeavesNothingBehind) {
    const FdLeakCheck descriptors;
    for (const int error : {EIO, EAGAIN, EINTR, ENOMEM}) {
        const long failures = for_each_failing_call(error, [&] {
            try {
                Connection one = unix_connection(loop);
                Connection two = unix_connection(loop);
                if (!nutils::send_some(one.peer.get(), "x")) return;
                ::shutdown(one.peer.get(), SHUT_WR);
                go([&] { (void)relay(one.socket, two.socket, 1s); });
                run_loop();
            } catch (const std::system_error&) {  // of the pairs
            }
        });
        CHECK(failures > 8);
    }
    CHECK_EQUAL("", descriptors.leaked());
}

TEST(Relay, OneDirectionAloneLeavesTheOtherToOthers) {
    EvThread copying = go([&] {
        const CopyResult copied = copy_stream(a.socket, b.socket, 1h);
        CHECK(copied);
        CHECK_EQUAL(5, copied.bytes);
    });
    run_ready();
    in_coroutine([&] {
        CHECK(a.socket.send_all("free", 1s));
        b.peer_sends("free, too");
        CHECK_EQUAL("free, too", received(b.socket, 1s));
        a.peer_sends("bytes");
        end(a.peer);
    });
    CHECK_EQUAL("free", everything(a.peer.get()));
    CHECK_EQUAL("bytes", everything(b.peer.get()));
    CHECK(at_end(b.peer.get()));
}

// The same over the general streams, which know nothing of splice.
TEST_GROUP_BASE(StreamRelay, LoopFixture) {
    FaultInjection faults;
    Connection a = unix_connection(loop);
    Connection b = unix_connection(loop);
    nutils::ByteStream& near = a.socket;
    nutils::ByteStream& far = b.socket;
    RelayResult result;
    EvThread start(Deadline deadline = Deadline::never) {
        return go("relay", [this, deadline] { result = relay(near, far, deadline); });
    }
    static void end(const UniqueFd& peer) { ::shutdown(peer.get(), SHUT_WR); }
};

TEST(StreamRelay, PassesOnWhatComesEitherWay) {
    EvThread relaying = start();
    a.peer_sends("question");
    end(a.peer);
    run_ready();
    CHECK_EQUAL("question", everything(b.peer.get()));
    CHECK(at_end(b.peer.get()));
    b.peer_sends("answer");
    end(b.peer);
    run_loop();
    CHECK_EQUAL("answer", everything(a.peer.get()));
    CHECK(result);
    CHECK_EQUAL(8, result.forth.bytes);
    CHECK_EQUAL(6, result.back.bytes);
    CHECK_EQUAL(0, faults.calls("splice"));
}

TEST(StreamRelay, TimesOut) {
    EvThread relaying = start(3s);
    run_loop();
    CHECK_EQUAL(NetError::timed_out, result.forth.read_error);
    CHECK_EQUAL(NetError::timed_out, result.back.read_error);
}

TEST(StreamRelay, IsCanceledAndWaitsForItsChildren) {
    EvThread relaying = start();
    run_ready();
    CHECK_EQUAL(3, loop.thread_count());
    relaying.cancel();
    run_loop();
    CHECK_EQUAL(NetError::canceled, result.forth.read_error);
    CHECK_EQUAL(NetError::canceled, result.back.read_error);
}

// Makes nobody wait, and ends after so many bytes.
struct ReadyStream final : nutils::ByteStream {
    explicit ReadyStream(EvLoop& its_loop) : loop(its_loop) {}
    IoResult recv(std::span<char> buffer, Deadline) override {
        if (received >= kEnd) return {0, NetError::eof};
        received += buffer.size();
        return {buffer.size(), {}};
    }
    IoResult send(std::string_view data, Deadline) override { return {data.size(), {}}; }
    IoResult shutdown_send() override { return {}; }
    void close() noexcept override {}
    [[nodiscard]] TimePoint now() const override { return loop.precise_now(); }

    static constexpr std::size_t kEnd = 64 << 20;
    EvLoop& loop;
    std::size_t received = 0;
};

TEST_IN_ORDER(StreamRelay, LetsOthersRunThoughThereIsAlwaysMore) {
    ReadyStream from(loop);
    ReadyStream to(loop);
    std::size_t seen = 0;
    EvThread copying = go([&] { CHECK_EQUAL(ReadyStream::kEnd, copy_stream(from, to, 1h).bytes); });
    go([&] { seen = from.received; });
    run_loop();
    CHECK_EQUAL(1 << 20, seen);
}

TEST(StreamRelay, TimesOutThoughThereIsAlwaysMore) {
    ReadyStream from(loop);
    ReadyStream to(loop);
    CopyResult copied;
    in_coroutine([&] { copied = copy_stream(from, to, loop.precise_now() - 1s); });
    CHECK_EQUAL(NetError::timed_out, copied.read_error);
    CHECK_EQUAL(1 << 20, copied.bytes);
}

TEST(StreamRelay, AReadErrorEndsBothDirections) {
    EvThread relaying = start();
    run_ready();
    faults.fail("recv", ECONNRESET);
    a.peer_sends("x");
    run_loop();
    CHECK(result.forth.read_error == std::errc::connection_reset);
    CHECK_EQUAL(NetError::canceled, result.back.read_error);
}

TEST(StreamRelay, AMachineThatCannotSendEndsBothDirections) {
    EvThread relaying = start();
    run_ready();
    a.peer_sends("x");
    faults.fail("send", ENOBUFS);
    run_ready();
    CHECK(relaying.finished());
    CHECK(result.forth.write_error == std::errc::no_buffer_space);
    CHECK_EQUAL(NetError::canceled, result.back.read_error);
}

TEST(StreamRelay, WhatCouldNotBeDeliveredIsReported) {
    fill(b.socket);
    a.peer_sends("stuck");
    EvThread relaying = start(1s);
    run_loop();
    CHECK_EQUAL(5, result.forth.undelivered);
    CHECK_EQUAL(NetError::timed_out, result.forth.write_error);
}

TEST(StreamRelay, WithoutStacksIsBusy) {
    std::vector<EvThread> others;
    for (int i = 0; i < 14; ++i) others.push_back(go([] { (void)this_evthread::delay(1h); }));
    EvThread relaying = start();
    run_ready();
    CHECK(relaying.finished());
    CHECK_EQUAL(NetError::busy, result.forth.error());
    CHECK_EQUAL(NetError::busy, result.back.error());
    for (EvThread& other : others) other.cancel();
    run_loop();
}

TEST(StreamRelay, AnExceptionOfAStreamReachesTheCaller) {
    EvThread relaying = go([&] {
        bool caught = false;
        AllocationFaults no_memory;
        no_memory.fail_all();
        try {
            (void)relay(near, far, 1s);
        } catch (const std::bad_alloc&) {
            caught = true;
        }
        no_memory.stop();
        CHECK(caught);
    });
    run_loop();
}
