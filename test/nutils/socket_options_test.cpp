#include "nutils/socket_options.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "nutils/socket_ops.h"
#include "test/support/fault_injection.h"
#include "test/support/net_strings.h"
#include "test/support/socket_pairs.h"

using namespace nutils;
using namespace test_support;
using namespace std::chrono_literals;

namespace {
int option(int fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    ::getsockopt(fd, level, name, &value, &size);
    return value;
}
}  // namespace

TEST_GROUP_BASE(SocketOptions, Fixture) {
    FaultInjection faults;
    UniqueFd tcp = socket_stream(AF_INET).value();
    UniqueFd local = socket_stream(AF_UNIX).value();
    int fd = tcp.get();
};

TEST(SocketOptions, NoDelayGoesOnAndOff) {
    CHECK(!set_no_delay(fd, true));
    CHECK(option(fd, IPPROTO_TCP, TCP_NODELAY) != 0);
    CHECK(!set_no_delay(fd, false));
    LONGS_EQUAL(0, option(fd, IPPROTO_TCP, TCP_NODELAY));
}

TEST(SocketOptions, CorkGoesOnAndOff) {
    CHECK(!set_cork(fd, true));
    CHECK(option(fd, IPPROTO_TCP, TCP_CORK) != 0);
    CHECK(!set_cork(fd, false));
    LONGS_EQUAL(0, option(fd, IPPROTO_TCP, TCP_CORK));
}

TEST(SocketOptions, KeepAliveSetsAllThreeTimes) {
    CHECK(!set_keep_alive(fd, {.idle = 2min, .interval = 7s, .count = 3}));
    LONGS_EQUAL(120, option(fd, IPPROTO_TCP, TCP_KEEPIDLE));
    LONGS_EQUAL(7, option(fd, IPPROTO_TCP, TCP_KEEPINTVL));
    LONGS_EQUAL(3, option(fd, IPPROTO_TCP, TCP_KEEPCNT));
    CHECK(option(fd, SOL_SOCKET, SO_KEEPALIVE) != 0);
    CHECK(!clear_keep_alive(fd));
    LONGS_EQUAL(0, option(fd, SOL_SOCKET, SO_KEEPALIVE));
}

TEST(SocketOptions, KeepAliveThatFailsHalfWayDoesNotRun) {
    faults.fail("setsockopt", EINVAL, 1, 2);
    CHECK_EQUAL(errno_code(EINVAL), set_keep_alive(fd, {}));
    LONGS_EQUAL(0, option(fd, SOL_SOCKET, SO_KEEPALIVE));
}

TEST(SocketOptions, KeepAliveRefusesTimesThatAreNone) {
    CHECK(set_keep_alive(fd, {.idle = 0s}) == std::errc::invalid_argument);
    CHECK(set_keep_alive(fd, {.interval = -1s}) == std::errc::invalid_argument);
    CHECK(set_keep_alive(fd, {.count = 0}) == std::errc::invalid_argument);
    CHECK(set_keep_alive(fd, {.idle = std::chrono::seconds::max()}) == std::errc::invalid_argument);
}

TEST(SocketOptions, UserTimeoutIsInMilliseconds) {
    CHECK(!set_user_timeout(fd, 5s));
    LONGS_EQUAL(5000, option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT));
    CHECK(set_user_timeout(fd, -1ms) == std::errc::invalid_argument);
}

TEST(SocketOptions, BufferSizesAreTaken) {
    CHECK(!set_recv_buffer(fd, 8192));
    CHECK(!set_send_buffer(fd, 16384));
    LONGS_EQUAL(2 * 8192, option(fd, SOL_SOCKET, SO_RCVBUF));
    LONGS_EQUAL(2 * 16384, option(fd, SOL_SOCKET, SO_SNDBUF));
}

TEST(SocketOptions, ResetOnCloseResets) {
    SocketPair pair = tcp_pair();
    CHECK(!set_reset_on_close(pair.near.get(), true));
    pair.near.reset();
    CHECK(wait_for(pair.far.get(), POLLIN));
    char buffer[4];
    CHECK_EQUAL(errno_code(ECONNRESET), recv_some(pair.far.get(), buffer).error);
}

TEST(SocketOptions, ResetOnCloseCanBeTakenBack) {
    SocketPair pair = tcp_pair();
    CHECK(!set_reset_on_close(pair.near.get(), true));
    CHECK(!set_reset_on_close(pair.near.get(), false));
    pair.near.reset();
    CHECK(wait_for(pair.far.get(), POLLIN));
    char buffer[4];
    CHECK(recv_some(pair.far.get(), buffer).eof());
}

TEST(SocketOptions, NonblockingGoesOffAndOn) {
    CHECK(!set_nonblocking(fd, false));
    LONGS_EQUAL(0, ::fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK(!set_nonblocking(fd, true));
    CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
}

TEST(SocketOptions, NonblockingHandsOutTheErrno) {
    CHECK_EQUAL(errno_code(EBADF), set_nonblocking(-1, true));
    faults.fail("fcntl", EPERM, 1, 1);
    CHECK_EQUAL(errno_code(EPERM), set_nonblocking(fd, false));
}

TEST(SocketOptions, OptionsOfTcpAreRefusedByAUnixSocket) {
    CHECK(set_no_delay(local.get(), true) == std::errc::operation_not_supported);
    CHECK(set_cork(local.get(), true) == std::errc::operation_not_supported);
}

TEST(SocketOptions, KnowsWhoIsAtTheOtherEndOfAUnixSocket) {
    const SocketPair pair = unix_pair();
    const PeerCredentials peer = peer_credentials(pair.near.get()).value();
    LONGS_EQUAL(::getpid(), peer.pid);
    LONGS_EQUAL(::getuid(), peer.uid);
    LONGS_EQUAL(::getgid(), peer.gid);
}

// As a server in a container sees a client outside. Where such a namespace may not be made: nothing.
TEST(SocketOptions, KnowsWhoIsAtTheOtherEndThoughItsProcessIsNotVisible) {
    const SocketPair pair = unix_pair();
    const auto look = [&]() -> int {
        const auto peer = peer_credentials(pair.near.get());
        return peer && peer->pid == 0 ? 0 : 1;
    };
    const pid_t outer = ::fork();
    if (outer == 0) {
        if (::unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) ::_exit(0);
        const pid_t inner = ::fork();
        if (inner == 0) ::_exit(look());
        int status = -1;
        ::waitpid(inner, &status, 0);
        ::_exit(status == 0 ? 0 : 1);
    }
    int status = -1;
    LONGS_EQUAL(outer, ::waitpid(outer, &status, 0));
    LONGS_EQUAL(0, status);
}

TEST(SocketOptions, ThereAreNoCredentialsWithoutAPeer) {
    const UniqueFd alone(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK(peer_credentials(alone.get()).error() == std::errc::operation_not_supported);
}

TEST(SocketOptions, ThereAreNoCredentialsOverTcp) {
    const SocketPair pair = tcp_pair();
    CHECK(peer_credentials(pair.near.get()).error() == std::errc::operation_not_supported);
    CHECK(peer_credentials(-1).error() == std::errc::bad_file_descriptor);
}
