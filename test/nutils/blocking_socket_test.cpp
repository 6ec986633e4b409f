#include "nutils/blocking_socket.h"

#include <poll.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <string>
#include <thread>

#include "nutils/iovecs.h"
#include "nutils/socket_ops.h"
#include "nutils/socket_options.h"
#include "test/support/allocation_faults.h"
#include "test/support/fault_injection.h"
#include "test/support/fd_leak_check.h"
#include "test/support/net_strings.h"
#include "test/support/socket_pairs.h"
#include "test/support/temp_dir.h"

using namespace nutils;
using namespace test_support;
using namespace std::chrono_literals;

// No test here waits for time to pass: what "arrives meanwhile" arrives just before poll(2) is called.
TEST_GROUP_BASE(BlockingSocket, Fixture) {
    FaultInjection faults;
    SocketPair pair = unix_pair();
    BlockingSocket socket{std::move(pair.near)};
    BlockingSocket peer{std::move(pair.far)};
    char buffer[64];

    std::string text(const IoResult& got) const { return {buffer, got.bytes}; }
    void fill() {
        const std::string block(65536, 'x');
        while (send_some(socket.fd(), block)) {
        }
    }
};

TEST(BlockingSocket, TakesWhatIsThereWithoutPolling) {
    CHECK(peer.send("hello", 1s));
    CHECK_EQUAL("hello", text(socket.recv(buffer, 1s)));
    LONGS_EQUAL(0, faults.calls("poll"));
}

TEST(BlockingSocket, TakesWhatIsThereEvenWithoutTime) {
    CHECK(peer.send("hello", 0s));
    CHECK_EQUAL("hello", text(socket.recv(buffer, -5s)));
}

TEST(BlockingSocket, WaitsForBytes) {
    faults.before("poll", [&] { (void)peer.send("hello", 1s); });
    CHECK_EQUAL("hello", text(socket.recv(buffer, 5s)));
    LONGS_EQUAL(1, faults.calls("poll"));
}

TEST(BlockingSocket, WaitsForBytesForEver) {
    faults.before("poll", [&] { (void)peer.send("hello", 1s); });
    CHECK_EQUAL("hello", text(socket.recv(buffer, Deadline::never)));
}

TEST(BlockingSocket, WaitsForBytesFromAnotherThread) {
    std::thread sender([&] { (void)peer.send("hello", 5s); });
    CHECK_EQUAL("hello", text(socket.recv(buffer, 5s)));
    sender.join();
}

TEST(BlockingSocket, WithoutTimeItTimesOutWithoutPolling) {
    CHECK(socket.recv(buffer, 0s).timed_out());
    CHECK(socket.recv(buffer, -1s).timed_out());
    CHECK(socket.recv(buffer, Deadline(cutils::TimePoint{})).timed_out());
    LONGS_EQUAL(0, faults.calls("poll"));
}

TEST(BlockingSocket, TimesOutAndNeverEarly) {
    const auto begin = cutils::monotonic_now();
    CHECK(socket.recv(buffer, 2500us).timed_out());
    CHECK(cutils::monotonic_now() - begin >= 2500us);
}

TEST(BlockingSocket, IsUsableAfterATimeout) {
    CHECK(socket.recv(buffer, 0s).timed_out());
    CHECK(peer.send("hello", 0s));
    CHECK_EQUAL("hello", text(socket.recv(buffer, 0s)));
}

TEST(BlockingSocket, AFalseAlarmGoesOnWaiting) {
    faults.answer("poll", 1, 0, 2);
    faults.before("poll", [&] {
        if (faults.calls("poll") == 2) (void)peer.send("hello", 1s);
    });
    CHECK_EQUAL("hello", text(socket.recv(buffer, 5s)));
    LONGS_EQUAL(3, faults.calls("poll"));
}

TEST(BlockingSocket, AnInterruptedPollGoesOnWaiting) {
    faults.fail("poll", EINTR, 3);
    faults.before("poll", [&] {
        if (faults.calls("poll") == 3) (void)peer.send("hello", 1s);
    });
    CHECK_EQUAL("hello", text(socket.recv(buffer, 5s)));
    LONGS_EQUAL(4, faults.calls("poll"));
}

TEST(BlockingSocket, APollThatEndsEarlyGoesOnWaiting) {
    faults.answer("poll", 0, 0, 2);
    faults.before("poll", [&] {
        if (faults.calls("poll") == 2) (void)peer.send("hello", 1s);
    });
    CHECK_EQUAL("hello", text(socket.recv(buffer, 24h * 365)));
}

TEST(BlockingSocket, ABrokenPollIsAnError) {
    faults.fail("poll", ENOMEM);
    CHECK_EQUAL(errno_code(ENOMEM), socket.recv(buffer, 5s).error);
}

TEST(BlockingSocket, SaysEofAfterThePeerClosed) {
    peer.close();
    CHECK(socket.recv(buffer, 5s).eof());
    CHECK(socket.recv(buffer, 5s).eof());
}

TEST(BlockingSocket, WakesUpWhenThePeerCloses) {
    faults.before("poll", [&] { peer.close(); });
    CHECK(socket.recv(buffer, 5s).eof());
}

TEST(BlockingSocket, SendsAndSendsPieces) {
    CHECK_EQUAL(5, socket.send("hello", 1s).bytes);
    const std::array pieces = {piece_of(" "), piece_of("world")};
    LONGS_EQUAL(6, socket.sendv(pieces, 1s).bytes);
    CHECK_EQUAL("hello world", text(peer.recv(buffer, 1s)));
    LONGS_EQUAL(1, faults.calls("sendmsg"));
}

TEST(BlockingSocket, SendingWaitsForRoom) {
    fill();
    faults.before("poll", [&] {
        std::string all(1 << 20, ' ');
        while (recv_some(peer.fd(), all)) {
        }
    });
    LONGS_EQUAL(1, socket.send("x", 5s).bytes);
    LONGS_EQUAL(1, faults.calls("poll"));
}

TEST(BlockingSocket, SendingTimesOut) {
    fill();
    CHECK(socket.send("x", 0s).timed_out());
    const std::array pieces = {piece_of("x")};
    CHECK(socket.sendv(pieces, 1ms).timed_out());
}

TEST(BlockingSocket, SendAllReportsTheBytesBeforeTheTimeout) {
    CHECK(!set_send_buffer(socket.fd(), 4096));
    const std::string much(1 << 20, 'x');
    const IoResult sent = socket.send_all(much, 0s);
    CHECK(sent.timed_out());
    CHECK(sent.bytes > 0 && sent.bytes < much.size());
}

TEST(BlockingSocket, SendAllGoesOnAfterShortWrites) {
    faults.limit("send", 3);
    LONGS_EQUAL(11, socket.send_all("hello world", 1s).bytes);
    LONGS_EQUAL(4, faults.calls("send"));
    CHECK_EQUAL("hello world", text(peer.recv(buffer, 1s)));
}

TEST(BlockingSocket, SendAllVGoesOnAfterShortWrites) {
    for (const std::size_t limit : {1u, 2u, 3u, 7u, 16u}) {
        faults.limit("sendmsg", limit);
        std::array pieces = {piece_of("hello"), piece_of(" "), piece_of("world")};
        LONGS_EQUAL(11, socket.send_all_v(pieces, 1s).bytes);
        CHECK_EQUAL("hello world", text(peer.recv(buffer, 1s)));
    }
}

TEST(BlockingSocket, RecvExactReportsTheBytesBeforeTheTimeout) {
    CHECK(peer.send("hel", 1s));
    const IoResult got = socket.recv_exact(std::span(buffer, 5), 0s);
    CHECK(got.timed_out());
    CHECK_EQUAL("hel", text(got));
}

TEST(BlockingSocket, RecvExactPutsPiecesTogether) {
    faults.limit("recv", 2);
    CHECK(peer.send("hello", 1s));
    CHECK_EQUAL("hello", text(socket.recv_exact(std::span(buffer, 5), 1s)));
}

TEST(BlockingSocket, RecvUntilPutsPiecesTogether) {
    ByteBuffer input;
    for (const std::size_t limit : {1u, 2u, 3u, 7u, 16u}) {
        faults.limit("recv", limit);
        CHECK(peer.send("hello\r\nrest", 1s));
        const IoResult line = socket.recv_until(input, "\r\n", 100, 1s);
        CHECK_EQUAL("hello\r\n", input.readable().substr(0, line.bytes));
        input.consume(line.bytes);
        CHECK(socket.recv_exact(std::span(buffer, 4 - input.size()), 1s));
        input.clear();
    }
}

TEST(BlockingSocket, ToAGonePeerIsAnErrorAndNoSignal) {
    peer.close();
    CHECK_EQUAL(errno_code(EPIPE), socket.send("x", 1s).error);
}

TEST(BlockingSocket, ShutdownSendEndsOneHalf) {
    CHECK(socket.shutdown_send());
    CHECK(peer.recv(buffer, 1s).eof());
    CHECK(peer.send("still", 1s));
    CHECK_EQUAL("still", text(socket.recv(buffer, 1s)));
}

TEST(BlockingSocket, AfterCloseEverythingIsClosed) {
    socket.close();
    socket.close();
    const std::array pieces = {piece_of("x")};
    CHECK(socket.recv(buffer, 1s).closed());
    CHECK(socket.send("x", 1s).closed());
    CHECK(socket.sendv(pieces, 1s).closed());
    CHECK(socket.shutdown_send().closed());
    LONGS_EQUAL(-1, socket.fd());
}

TEST(BlockingSocket, ReleaseGivesTheDescriptorAway) {
    const UniqueFd fd = socket.release();
    CHECK(bool(fd));
    CHECK(socket.recv(buffer, 1s).closed());
}

TEST(BlockingSocket, AReaderAndAWriterCanUseItAtOnce) {
    constexpr int kRounds = 200;
    std::thread echo([&] {
        char room[64];
        for (int i = 0; i < kRounds; ++i) {
            if (!peer.recv_exact(room, 10s)) break;
            if (!peer.send_all({room, sizeof room}, 10s)) break;
        }
    });
    bool sent = true;
    std::thread writer([&] {
        const std::string block(64, 'x');
        for (int i = 0; i < kRounds && sent; ++i) sent = bool(socket.send_all(block, 10s));
    });
    bool received = true;
    for (int i = 0; i < kRounds && received; ++i) received = bool(socket.recv_exact(buffer, 10s));
    writer.join();
    echo.join();
    CHECK(sent && received);
}

// ---- connecting and accepting ----

TEST_GROUP_BASE(BlockingListener, Fixture) {
    FaultInjection faults;
    BlockingListener listener = BlockingListener::listen(SockAddr::loopback(0)).value();
    SockAddr address = listener.address().value();
    char buffer[64];
};

TEST(BlockingListener, AcceptsAndSaysWhoItIs) {
    BlockingSocket client = BlockingSocket::connect(address, 5s).value();
    SockAddr from;
    BlockingSocket connection = listener.accept(5s, &from).value();
    CHECK_EQUAL(SockAddr::local_of(client.fd()).value(), from);
    CHECK(client.send_all("hello", 5s));
    LONGS_EQUAL(5, connection.recv_exact(std::span(buffer, 5), 5s).bytes);
}

TEST(BlockingListener, WaitsForAConnection) {
    UniqueFd client = socket_stream(AF_INET).value();
    faults.before("poll", [&] {
        if (faults.calls("connect") == 0) (void)connect_start(client.get(), address);
    });
    CHECK(listener.accept(Deadline::never).ok());
}

TEST(BlockingListener, TimesOut) {
    CHECK(listener.accept(0s).error().code() == NetError::timed_out);
    CHECK(listener.accept(1ms).error().code() == NetError::timed_out);
}

TEST(BlockingListener, PassesOverConnectionsThatDied) {
    const BlockingSocket client = BlockingSocket::connect(address, 5s).value();
    faults.fail("accept4", ECONNABORTED, 2);
    CHECK(listener.accept(5s).ok());
}

TEST(BlockingListener, DeadConnectionsWithoutEndDoNotOutlastTheDeadline) {
    const BlockingSocket client = BlockingSocket::connect(address, 5s).value();
    faults.fail("accept4", EPERM, FaultInjection::kAlways);
    CHECK(listener.accept(2ms).error().code() == NetError::timed_out);
}

TEST(BlockingListener, OutOfDescriptorsIsAnErrorAndTheConnectionStillWaits) {
    const BlockingSocket client = BlockingSocket::connect(address, 5s).value();
    faults.fail("accept4", EMFILE);
    CHECK(listener.accept(5s).error() == std::errc::too_many_files_open);
    CHECK(listener.accept(5s).ok());
}

TEST(BlockingListener, AfterCloseItIsClosed) {
    listener.close();
    CHECK(listener.accept(5s).error().code() == NetError::closed);
    LONGS_EQUAL(-1, listener.fd());
}

TEST(BlockingListener, HandsOutWhyItCannotListen) {
    CHECK(BlockingListener::listen(address).error() == std::errc::address_in_use);
}

TEST(BlockingListener, AConnectThatIsRefusedSaysWhom) {
    listener.close();
    const auto socket = BlockingSocket::connect(address, 5s);
    CHECK(!socket && socket.error() == std::errc::connection_refused);
    CHECK_EQUAL("connect " + address.to_string(), socket.error().context());
}

TEST(BlockingListener, AConnectNobodyAnswersTimesOut) {
    faults.answer("poll", 0, 0, FaultInjection::kAlways);
    faults.answer("connect", -1, EINPROGRESS);
    const auto socket = BlockingSocket::connect(address, 1ms);
    CHECK(!socket && socket.error().code() == NetError::timed_out);
}

TEST(BlockingListener, AConnectWokenTooEarlyWaitsOn) {
    faults.answer("poll", 1, 0, 2);
    faults.fail("getpeername", ENOTCONN, 2);
    CHECK(BlockingSocket::connect(address, 5s).ok());
    LONGS_EQUAL(3, faults.calls("poll"));
}

TEST(BlockingListener, ConnectingToNoAddressIsAnError) {
    STRCMP_CONTAINS("socket for none", BlockingSocket::connect(SockAddr(), 1s).error().context().c_str());
}

TEST(BlockingListener, ConnectsToAUnixSocket) {
    const TempDir folder;
    const SockAddr file = SockAddr::unix_path(folder.file("s")).value();
    BlockingListener local = BlockingListener::listen(file).value();
    CHECK(BlockingSocket::connect(file, 1s).ok());
    CHECK(local.accept(1s).ok());
}

TEST(BlockingListener, WhateverFailsLeavesNothingOpen) {
    for (const int error : {EINTR, ENOBUFS, ECONNABORTED, EAGAIN}) {
        const FdLeakCheck descriptors;
        for_each_failing_call(error, [&] {
            // Not for long: a connect that only seems interrupted never ends.
            auto client = BlockingSocket::connect(address, 10ms);
            // Only what has connected can be waited for.
            auto connection = listener.accept(client ? Deadline(1s) : Deadline(0s));
            if (!client || !connection) return;
            (void)client->send_all("hello", 0s);
            (void)connection->recv_exact(std::span(buffer, 5), 0s);
        });
        CHECK_EQUAL("", descriptors.leaked());
    }
}

TEST(BlockingListener, NoMemoryLeavesNothingOpen) {
    const FdLeakCheck descriptors;
    listener.close();
    CHECK(for_each_failing_allocation([&] { (void)BlockingSocket::connect(address, 1s); }) > 0);
    CHECK_EQUAL("", descriptors.leaked());
}
