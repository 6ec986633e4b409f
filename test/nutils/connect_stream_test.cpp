#include "nutils/connect_stream.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "nutils/listen_stream.h"
#include "nutils/socket_ops.h"
#include "test/support/fault_injection.h"
#include "test/support/fd_leak_check.h"
#include "test/support/net_strings.h"
#include "test/support/socket_pairs.h"

using namespace nutils;
using namespace test_support;

TEST_GROUP_BASE(ConnectStream, Fixture) {
    FaultInjection faults;
    const SockAddr peer = SockAddr::loopback(9);

    static int option(const UniqueFd& fd, int level, int name) {
        int value = -1;
        socklen_t size = sizeof value;
        ::getsockopt(fd.get(), level, name, &value, &size);
        return value;
    }
};

TEST(ConnectStream, SocketsAreNonblockingCloseOnExecAndWithoutDelay) {
    const UniqueFd fd = open_stream(peer).value();
    CHECK((::fcntl(fd.get(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
    LONGS_EQUAL(1, option(fd, IPPROTO_TCP, TCP_NODELAY));
    LONGS_EQUAL(0, option(fd, SOL_SOCKET, SO_KEEPALIVE));
}

TEST(ConnectStream, IsBoundWhereAskedFor) {
    ConnectOptions options;
    options.local = SockAddr::parse("127.0.0.3:0").value();
    const UniqueFd fd = open_stream(peer, options).value();
    CHECK_EQUAL(options.local.ip(), SockAddr::local_of(fd.get())->ip());
}

TEST(ConnectStream, WithoutSuchAnAddressSaysWhich) {
    ConnectOptions options;
    options.local = SockAddr::parse("192.0.2.1:0").value();
    CHECK_EQUAL("bind 192.0.2.1:0 to connect to 127.0.0.1:9: Cannot assign requested address",
                open_stream(peer, options).error().message());
}

TEST(ConnectStream, NoDelayIsNoCondition) {
    faults.fail("setsockopt", EPERM);
    CHECK(open_stream(peer).ok());
}

TEST(ConnectStream, OptionsThatCannotBeAreErrors) {
    ConnectOptions options;
    options.keep_alive = KeepAlive{.idle = std::chrono::seconds(0)};
    CHECK(open_stream(peer, options).error() == std::errc::invalid_argument);
    CHECK_EQUAL("options of a socket to connect to 127.0.0.1:9",
                open_stream(peer, options).error().context());
}

TEST(ConnectStream, WhateverFailsLeavesNothingOpen) {
    const FdLeakCheck descriptors;
    ConnectOptions options;
    options.local = SockAddr::loopback(0);
    options.keep_alive = KeepAlive{};
    options.user_timeout = std::chrono::seconds(1);
    options.recv_buffer = options.send_buffer = 4096;
    CHECK(for_each_failing_call(ENOBUFS, [&] { (void)open_stream(peer, options); }) > 8);
    CHECK_EQUAL("", descriptors.leaked());
}

TEST(ConnectStream, AnErrorWithoutAdviceNamesThePeer) {
    CHECK_EQUAL("connect to 127.0.0.1:9: canceled", connect_error(NetError::canceled, peer).message());
}

TEST(ConnectStream, AnErrorWithAdviceGivesIt) {
    const auto text = [&](int number) { return connect_error(errno_code(number), peer).message(); };
    CHECK_EQUAL("connect to 127.0.0.1:9 (nobody listens there: is the server running?): Connection refused",
                text(ECONNREFUSED));
    for (const int number :
         {ENETUNREACH, EHOSTUNREACH, ETIMEDOUT, ENOENT, EACCES, EPERM, EADDRNOTAVAIL, EPROTOTYPE})
        STRCMP_CONTAINS("connect to 127.0.0.1:9 (", text(number).c_str());
}
