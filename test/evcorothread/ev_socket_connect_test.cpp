#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "evcorothread/ev_socket.h"
#include "evcorothread/ev_thread.h"
#include "nutils/listen_stream.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"
#include "test/support/fault_injection.h"
#include "test/support/temp_dir.h"

using namespace test_support;

namespace {

struct Listener {
    explicit Listener(const SockAddr& where, int backlog = 16)
        : fd(nutils::listen_stream(where, {.backlog = backlog}).value()),
          address(SockAddr::local_of(fd.get()).value()) {}
    UniqueFd fd;
    SockAddr address;
};

// Where nobody listens.
SockAddr nowhere() {
    const Listener gone(SockAddr::loopback(0));
    return gone.address;
}

// A listener whose queue is full: what connects now gets no answer.
struct FullListener : Listener {
    explicit FullListener(const SockAddr& where) : Listener(where, 0) {
        for (int i = 0; i < 3; ++i) {
            queued.push_back(nutils::socket_stream(address.family()).value());
            if (nutils::connect_start(queued.back().get(), address) == NetError::in_progress)
                (void)::poll(nullptr, 0, 1);
        }
    }
    std::vector<UniqueFd> queued;
};

}  // namespace

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
TEST(Connect, ToAnAbstractName) { check_connects(SockAddr::unix_path("@evcorothread-test-connect").value()); }

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
        CHECK_EQUAL("connect to " + where.to_string() + ": Connection refused", refused.error().message());
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
                        EvLoop other(stacks);
                        Connection connection = unix_connection(other);
                        char byte;
                        go([&] { (void)connection.socket.recv({&byte, 1}, 1s); });
                        run_loop();
                    }).c_str());
}
