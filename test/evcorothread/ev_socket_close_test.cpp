#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "evcorothread/ev_socket.h"
#include "evcorothread/ev_thread.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"
#include "test/support/fault_injection.h"

using namespace test_support;

namespace {
bool is_open_fd(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }
}  // namespace

TEST_GROUP_BASE(SocketClose, LoopFixture) {
    FaultInjection faults;
    Connection connection = unix_connection(loop);
    EvSocket& socket = connection.socket;
    char buffer[16] = {};
    int ended = 0;

    // One coroutine waits to receive, one to send.
    void wait_both_ways() {
        fill(socket);
        go([this] {
            CHECK(socket.recv(buffer, Deadline::never).closed());
            ++ended;
        });
        go([this] {
            CHECK(socket.send("x", Deadline::never).closed());
            ++ended;
        });
        run_ready();
        CHECK_EQUAL(0, ended);
    }
};

TEST(SocketClose, ClosesTheDescriptor) {
    const int fd = socket.fd();
    CHECK(is_open_fd(fd));
    socket.close();
    CHECK(!is_open_fd(fd));
    CHECK(!socket.is_open());
    CHECK(!socket);
    CHECK_EQUAL(-1, socket.fd());
}

TEST(SocketClose, Twice) {
    socket.close();
    socket.close();
    EvSocket().close();
}

TEST(SocketClose, TellsThePeer) {
    socket.close();
    CHECK(nutils::recv_some(connection.peer.get(), buffer).eof());
}

TEST(SocketClose, WakesBothWhoWait) {
    wait_both_ways();
    go([&] { socket.close(); });
    run_ready();
    CHECK_EQUAL(2, ended);
}

TEST(SocketClose, FromOutsideACoroutineWakesToo) {
    wait_both_ways();
    socket.close();
    run_ready();
    CHECK_EQUAL(2, ended);
}

TEST(SocketClose, DestructionWakesBothWhoWait) {
    auto doomed = std::make_unique<Connection>(unix_connection(loop));
    fill(doomed->socket);
    go([&] {
        CHECK(doomed->socket.recv(buffer, Deadline::never).closed());
        ++ended;
    });
    go([&] {
        const std::string large(1 << 20, 'x');
        CHECK(doomed->socket.send_all(large, Deadline::never).closed());
        ++ended;
    });
    run_ready();
    doomed.reset();
    run_ready();
    CHECK_EQUAL(2, ended);
}

TEST(SocketClose, DestructionInsideTheOtherWaiterWakesToo) {
    auto doomed = std::make_unique<Connection>(unix_connection(loop));
    go([&] {
        CHECK(doomed->socket.recv(buffer, 1s).timed_out());
        doomed.reset();
    });
    go([&] {
        fill(doomed->socket);
        CHECK(doomed->socket.send("x", Deadline::never).closed());
        ++ended;
    });
    run_loop();
    CHECK_EQUAL(1, ended);
}

TEST(SocketClose, AssignmentClosesAndWakes) {
    Connection other = unix_connection(loop);
    go([&] {
        CHECK(socket.recv(buffer, Deadline::never).closed());
        ++ended;
    });
    run_ready();
    socket = std::move(other.socket);
    run_ready();
    CHECK_EQUAL(1, ended);
    other.peer_sends("new");
    in_coroutine([&] { CHECK_EQUAL("new", received(socket, 1s)); });
}

TEST(SocketClose, BeforeAWaiterThatWasWokenRunsIsSeenByIt) {
    go([&] {
        CHECK(socket.recv(buffer, Deadline::never).closed());
        ++ended;
    });
    run_ready();
    connection.peer_sends("x");
    loop.post([&] { socket.close(); });
    run_ready();
    CHECK_EQUAL(1, ended);
}

TEST(SocketClose, OfOneLeavesADuplicateAlone) {
    const UniqueFd copy(::dup(socket.fd()));
    go([&] { (void)socket.recv(buffer, 1s); });
    run_loop();
    socket.close();
    connection.peer_sends("x");
    run_ready();  // no event for a watch that is gone
    CHECK_EQUAL(1, nutils::recv_some(copy.get(), buffer).bytes);
}

TEST(SocketClose, HalfOfItLeavesReceivingAlone) {
    in_coroutine([&] {
        CHECK(socket.shutdown_send());
        CHECK(nutils::recv_some(connection.peer.get(), buffer).eof());
        connection.peer_sends("answer");
        CHECK_EQUAL("answer", received(socket, 1s));
        CHECK(socket.send("x", 1s).error == std::errc::broken_pipe);
    });
}

TEST(SocketClose, ShutdownReportsItsError) {
    faults.fail("shutdown", ENOTCONN);
    CHECK(socket.shutdown_send().error == std::errc::not_connected);
}

TEST(SocketClose, ReleaseGivesTheDescriptorOutOpen) {
    go([&] { (void)socket.recv(buffer, 1s); });
    run_loop();
    const UniqueFd fd = socket.release();
    CHECK(is_open_fd(fd.get()));
    CHECK(!socket.is_open());
    connection.peer_sends("x");
    run_ready();  // not ours any more
    CHECK_EQUAL(1, nutils::recv_some(fd.get(), buffer).bytes);
    CHECK(!socket.release());
}

TEST(SocketClose, WhatWasReleasedMayBeAdoptedAgain) {
    go([&] { (void)socket.recv(buffer, 1s); });
    run_loop();
    connection.peer_sends("x");
    EvSocket again(loop, socket.release());
    in_coroutine([&] { CHECK_EQUAL("x", received(again, 1s)); });
}

TEST(SocketClose, ReleaseWhileSomebodyWaitsAborts) {
    STRCMP_CONTAINS("release() while a coroutine waits on it",
                    abort_message([this] {
                        go([&] { (void)socket.recv(buffer, Deadline::never); });
                        run_ready();
                        (void)socket.release();
                    }).c_str());
}

TEST(SocketClose, AMovedSocketGoesOn) {
    go([&] { (void)socket.recv(buffer, 1s); });
    run_loop();
    EvSocket moved(std::move(socket));
    connection.peer_sends("x");
    in_coroutine([&] { CHECK_EQUAL("x", received(moved, 1s)); });
    CHECK(!socket.is_open());  // NOLINT: what a moved-from one says
}

TEST(SocketClose, MovingWhileAnotherWaitsDoesNotDisturbIt) {
    EvSocket moved;
    go([&] { CHECK_EQUAL("x", received(socket, Deadline::never)); });
    run_ready();
    moved = std::move(socket);
    connection.peer_sends("x");
    run_loop();
}

TEST(SocketClose, AReusedDescriptorNumberGetsItsOwnEvents) {
    for (int i = 0; i < 20; ++i) {
        Connection next = unix_connection(loop);
        EvThread reader = go([&] { CHECK_EQUAL("y", received(next.socket, Deadline::never)); });
        run_ready();
        next.peer_sends("y");
        run_ready();
        CHECK(reader.finished());
    }
}

TEST(SocketClose, KnowsItsAddresses) {
    Connection tcp = tcp_connection(loop);
    CHECK_EQUAL(SockAddr::local_of(tcp.peer.get()).value(), tcp.socket.peer().value());
    CHECK_EQUAL(SockAddr::peer_of(tcp.peer.get()).value(), tcp.socket.local().value());
    socket.close();
    CHECK(!socket.peer());
    CHECK(!socket.local());
}
