#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "evcorothread/ev_socket.h"
#include "evcorothread/ev_thread.h"
#include "nutils/listen_stream.h"
#include "test/evcorothread/listeners.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"
#include "test/support/fault_injection.h"
#include "test/support/fd_leak_check.h"
#include "test/support/temp_dir.h"

using namespace test_support;

TEST_GROUP_BASE(Connect, RealTimeFixture) {
    FaultInjection faults;
    TempDir folder;

    void check_connects(const SockAddr& where) {
        const Listener listener(where);
        in_coroutine([&] {
            EvSocket client = EvSocket::connect(loop, listener.address, 5s).value();
            CHECK(wait_for(listener.fd.get(), POLLIN));
            const UniqueFd server = nutils::accept_one(listener.fd.get()).fd;
            CHECK(client.send_all("hello", 5s));
            CHECK(wait_for(server.get(), POLLIN));
            char buffer[16];
            CHECK_EQUAL(5, nutils::recv_some(server.get(), buffer).bytes);
        });
    }
};

TEST(Connect, ToTcp) { check_connects(SockAddr::loopback(0)); }
TEST(Connect, ToTcp6) { check_connects(SockAddr::loopback6(0)); }
TEST(Connect, ToASocketFile) { check_connects(SockAddr::unix_path(folder.file("s")).value()); }
TEST(Connect, ToAnAbstractName) { check_connects(test_support::abstract_address("connect")); }

TEST(Connect, SetsNoDelay) {
    const Listener listener(SockAddr::loopback(0));
    in_coroutine([&] {
        const EvSocket client = EvSocket::connect(loop, listener.address, 5s).value();
        int on = 0;
        socklen_t size = sizeof on;
        ::getsockopt(client.fd(), IPPROTO_TCP, TCP_NODELAY, &on, &size);
        CHECK_EQUAL(1, on);
    });
}

TEST(Connect, TheDescriptorIsCloseOnExec) {
    const Listener listener(SockAddr::loopback(0));
    in_coroutine([&] {
        const EvSocket client = EvSocket::connect(loop, listener.address, 5s).value();
        CHECK((::fcntl(client.fd(), F_GETFD) & FD_CLOEXEC) != 0);
    });
}

TEST(Connect, RefusedSaysWhereAndWhy) {
    const SockAddr where = nowhere();
    in_coroutine([&] {
        const auto refused = EvSocket::connect(loop, where, 5s);
        CHECK(refused.error() == std::errc::connection_refused);
        CHECK_EQUAL("connect to " + where.to_string() +
                        " (nobody listens there: is the server running?): Connection refused",
                    refused.error().message());
    });
}

TEST(Connect, ToAMissingFileIsAnError) {
    in_coroutine([&] {
        const auto refused = EvSocket::connect(loop, SockAddr::unix_path(folder.file("none")).value(), 5s);
        CHECK(refused.error() == std::errc::no_such_file_or_directory);
    });
}

TEST(Connect, ToNoAddressIsAnError) {
    in_coroutine([&] { CHECK(!EvSocket::connect(loop, SockAddr(), 5s)); });
}

TEST(Connect, TimesOutWhenNobodyAnswers) {
    const FullListener listener(SockAddr::loopback(0));
    in_coroutine([&] {
        const auto late = EvSocket::connect(loop, listener.address, 20ms);
        CHECK(!late);
        CHECK_EQUAL(NetError::timed_out, late.error().code());
    });
}

TEST(Connect, OverTcpIsCanceled) {
    const FullListener listener(SockAddr::loopback(0));
    EvThread client = go([&] {
        CHECK_EQUAL(NetError::canceled, EvSocket::connect(loop, listener.address, 1h).error().code());
    });
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, client.state());
    client.cancel();
    run_loop();
}

TEST(Connect, ToAFullUnixQueueWaitsForRoom) {
    const FullListener listener(SockAddr::unix_path(folder.file("full")).value());
    EvThread client = go([&] { CHECK(EvSocket::connect(loop, listener.address, 5s)); });
    run_ready();
    CHECK(!client.finished());
    while (nutils::accept_one(listener.fd.get())) continue;
    until([&] { return client.finished(); });
}

TEST(Connect, ToAFullUnixQueueTimesOut) {
    const FullListener listener(SockAddr::unix_path(folder.file("full")).value());
    in_coroutine([&] {
        const TimePoint begin = loop.precise_now();
        CHECK_EQUAL(NetError::timed_out, EvSocket::connect(loop, listener.address, 10ms).error().code());
        CHECK(loop.precise_now() - begin >= 10ms);
    });
}

TEST(Connect, InACanceledCoroutineIsCanceled) {
    const Listener listener(SockAddr::loopback(0));
    EvThread client = go([&] {
        CHECK_EQUAL(NetError::canceled, EvSocket::connect(loop, listener.address, 5s).error().code());
    });
    client.cancel();
    run_loop();
}

TEST(Connect, OutsideACoroutineAborts) {
    const Listener listener(SockAddr::loopback(0));
    STRCMP_CONTAINS("use EvLoop::spawn",
                    abort_message([&] { (void)EvSocket::connect(loop, listener.address, 5s); }).c_str());
}

TEST(Connect, ReportsTheErrorsOfTheKernel) {
    const Listener listener(SockAddr::loopback(0));
    in_coroutine([&] {
        faults.fail("socket", EMFILE);
        CHECK(EvSocket::connect(loop, listener.address, 5s).error() == std::errc::too_many_files_open);
        faults.fail("connect", ENETUNREACH);
        CHECK(EvSocket::connect(loop, listener.address, 5s).error() == std::errc::network_unreachable);
        faults.fail("getsockopt", ENOBUFS);
        CHECK(EvSocket::connect(loop, listener.address, 5s).error() == std::errc::no_buffer_space);
    });
}

TEST(Connect, InterruptedGoesOn) {
    const Listener listener(SockAddr::loopback(0));
    in_coroutine([&] {
        faults.fail("connect", EINTR);  // as if it went on by itself; it does not, here
        CHECK_EQUAL(NetError::timed_out, EvSocket::connect(loop, listener.address, 10ms).error().code());
    });
}

TEST(Connect, EachFailureSaysWhatToLookAt) {
    const Listener listener(SockAddr::loopback(0));
    const auto message = [&](int error) {
        faults.fail("connect", error);
        return EvSocket::connect(loop, listener.address, 5s).error().message();
    };
    in_coroutine([&] {
        STRCMP_CONTAINS("is this machine connected?", message(ENETUNREACH).c_str());
        STRCMP_CONTAINS("cannot be reached", message(EHOSTUNREACH).c_str());
        STRCMP_CONTAINS("the network gave up", message(ETIMEDOUT).c_str());
        STRCMP_CONTAINS("permissions of the socket file", message(EACCES).c_str());
        STRCMP_CONTAINS("no free local port", message(EADDRNOTAVAIL).c_str());
        const auto missing = EvSocket::connect(loop, SockAddr::unix_path(folder.file("no")).value(), 5s);
        STRCMP_CONTAINS("no such socket file", missing.error().message().c_str());
    });
}

TEST(Connect, OurDeadlineIsNotTheNetworksTimeout) {
    const FullListener listener(SockAddr::loopback(0));
    in_coroutine([&] {
        const auto late = EvSocket::connect(loop, listener.address, 5ms);
        STRCMP_CONTAINS("no answer within the deadline", late.error().message().c_str());
        faults.fail("connect", ETIMEDOUT);
        const auto gone = EvSocket::connect(loop, listener.address, 5s);
        CHECK(gone.error() == std::errc::timed_out);
        CHECK(gone.error().code() != NetError::timed_out);
    });
}

namespace {
int option(int fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    ::getsockopt(fd, level, name, &value, &size);
    return value;
}
}  // namespace

TEST(Connect, SetsTheOptionsAskedFor) {
    const Listener listener(SockAddr::loopback(0));
    in_coroutine([&] {
        nutils::ConnectOptions options;
        options.no_delay = false;
        options.keep_alive = {.idle = 7s, .interval = 3s, .count = 4};
        options.user_timeout = 1234ms;
        options.recv_buffer = 16384;
        options.send_buffer = 32768;
        const EvSocket client = EvSocket::connect(loop, listener.address, options, 5s).value();
        CHECK_EQUAL(0, option(client.fd(), IPPROTO_TCP, TCP_NODELAY));
        CHECK_EQUAL(1, option(client.fd(), SOL_SOCKET, SO_KEEPALIVE));
        CHECK_EQUAL(7, option(client.fd(), IPPROTO_TCP, TCP_KEEPIDLE));
        CHECK_EQUAL(3, option(client.fd(), IPPROTO_TCP, TCP_KEEPINTVL));
        CHECK_EQUAL(4, option(client.fd(), IPPROTO_TCP, TCP_KEEPCNT));
        CHECK_EQUAL(1234, option(client.fd(), IPPROTO_TCP, TCP_USER_TIMEOUT));
        CHECK_EQUAL(2 * 16384, option(client.fd(), SOL_SOCKET, SO_RCVBUF));
        CHECK_EQUAL(2 * 32768, option(client.fd(), SOL_SOCKET, SO_SNDBUF));
    });
}

TEST(Connect, IgnoresOptionsOfTcpOnUnixSockets) {
    const Listener listener(SockAddr::unix_path(folder.file("s")).value());
    in_coroutine([&] {
        nutils::ConnectOptions options;
        options.keep_alive = nutils::KeepAlive{};
        options.user_timeout = 1s;
        CHECK(EvSocket::connect(loop, listener.address, options, 5s));
    });
}

TEST(Connect, FromTheLocalAddressAskedFor) {
    const Listener listener(SockAddr::loopback(0));
    in_coroutine([&] {
        nutils::ConnectOptions options;
        options.local = SockAddr::parse("127.0.0.9:0").value();
        const EvSocket client = EvSocket::connect(loop, listener.address, options, 5s).value();
        CHECK_EQUAL(options.local.ip(), client.local()->ip());
        options.local = client.local().value();  // its very port, for another peer
        const Listener other(SockAddr::loopback(0));
        CHECK(EvSocket::connect(loop, other.address, options, 5s));
    });
}

TEST(Connect, FromAnAddressThatIsNotOursIsAnError) {
    const Listener listener(SockAddr::loopback(0));
    in_coroutine([&] {
        nutils::ConnectOptions options;
        options.local = SockAddr::parse("192.0.2.1:0").value();
        const auto refused = EvSocket::connect(loop, listener.address, options, 5s);
        CHECK(refused.error() == std::errc::address_not_available);
        CHECK_EQUAL("bind 192.0.2.1:0 to connect to " + listener.address.to_string(),
                    refused.error().context());
    });
}

TEST(Connect, WithASocketThereIsAlready) {
    const Listener listener(SockAddr::loopback(0));
    in_coroutine([&] {
        UniqueFd own(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));  // blocking
        const int number = own.get();
        const EvSocket client = EvSocket::connect(loop, std::move(own), listener.address, 5s).value();
        CHECK_EQUAL(number, client.fd());
        CHECK((::fcntl(number, F_GETFL) & O_NONBLOCK) != 0);
    });
}

TEST(Connect, ASocketOfOursThatFailsIsClosed) {
    const SockAddr where = nowhere();
    const FdLeakCheck descriptors;
    in_coroutine([&] {
        CHECK(!EvSocket::connect(loop, nutils::socket_stream(AF_INET).value(), where, 5s));
        CHECK(EvSocket::connect(loop, UniqueFd(), where, 5s).error() == std::errc::bad_file_descriptor);
    });
    CHECK_EQUAL("", descriptors.leaked());
}

TEST(Connect, TellsWhoIsAtTheOtherEndOfAUnixSocket) {
    const Listener listener(abstract_address("credentials"));
    in_coroutine([&] {
        const EvSocket client = EvSocket::connect(loop, listener.address, 5s).value();
        const auto who = client.peer_credentials().value();
        CHECK_EQUAL(::getpid(), who.pid);
        CHECK_EQUAL(::getuid(), who.uid);
        CHECK_EQUAL(::getgid(), who.gid);
        const Connection tcp = tcp_connection(loop);
        CHECK(tcp.socket.peer_credentials().error() == std::errc::operation_not_supported);
        CHECK(!EvSocket().peer_credentials());
    });
}

TEST(Connect, ManyAtOnce) {
    const Listener listener(SockAddr::loopback(0), 64);
    int connected = 0;
    for (int i = 0; i < 40; ++i) go([&] { connected += EvSocket::connect(loop, listener.address, 5s).ok(); });
    run_loop();
    CHECK_EQUAL(40, connected);
}

TEST(Connect, TheSocketOfAnotherLoopAborts) {
    STRCMP_CONTAINS("used by a coroutine of another loop",
                    abort_message([&] {
                        EvLoop other(stacks, any_order());
                        Connection connection = unix_connection(other);
                        char byte;
                        go([&] { (void)connection.socket.recv({&byte, 1}, 1s); });
                        run_loop();
                    }).c_str());
}
