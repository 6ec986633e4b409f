#include "nutils/listen_stream.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>

#include "nutils/datagram_ops.h"
#include "nutils/socket_ops.h"
#include "test/support/allocation_faults.h"
#include "test/support/fault_injection.h"
#include "test/support/fd_leak_check.h"
#include "test/support/net_strings.h"
#include "test/support/socket_pairs.h"
#include "test/support/temp_dir.h"

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

bool exists(const std::string& path) {
    struct stat status = {};
    return ::lstat(path.c_str(), &status) == 0;
}

}  // namespace

TEST_GROUP_BASE(ListenStream, Fixture) {
    FaultInjection faults;
    TempDir folder;
    std::string path = folder.file("s");
    SockAddr file = SockAddr::unix_path(path).value();

    std::string refusal(const SockAddr& address, const ListenOptions& options = {}) {
        const auto listener = listen_stream(address, options);
        return listener ? "listens" : listener.error().message();
    }
    // A server that was killed: its socket file stays.
    void leave_stale_file() { listen_stream(file).value().reset(); }
    bool can_connect() {
        const UniqueFd client = socket_stream(AF_UNIX).value();
        return !connect_start(client.get(), file);
    }
};

TEST(ListenStream, ListensOnEveryKindOfAddress) {
    for (const SockAddr& address : {SockAddr::loopback(0), SockAddr::loopback6(0), SockAddr::any(0),
                                    SockAddr::any6(0), file, abstract_address("listen")}) {
        const UniqueFd listener = listen_stream(address).value();
        LONGS_EQUAL(1, option(listener.get(), SOL_SOCKET, SO_ACCEPTCONN));
    }
}

TEST(ListenStream, TheListenerIsNonblockingAndCloseOnExec) {
    const UniqueFd listener = listen_stream(SockAddr::loopback(0)).value();
    CHECK((::fcntl(listener.get(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(listener.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST(ListenStream, PortZeroTakesAFreeOne) {
    const UniqueFd listener = listen_stream(SockAddr::loopback(0)).value();
    CHECK(SockAddr::local_of(listener.get())->port() != 0);
}

TEST(ListenStream, APortInUseSaysWhich) {
    const UniqueFd listener = listen_stream(SockAddr::loopback(0)).value();
    const SockAddr taken = SockAddr::local_of(listener.get()).value();
    const auto second = listen_stream(taken);
    CHECK(!second && second.error() == std::errc::address_in_use);
    CHECK_EQUAL("bind " + taken.to_string(), second.error().context());
}

TEST(ListenStream, SeveralCanShareAPortWhenAsked) {
    const UniqueFd one = listen_stream(SockAddr::loopback(0), {.reuse_port = true}).value();
    CHECK(listen_stream(SockAddr::local_of(one.get()).value(), {.reuse_port = true}).ok());
}

TEST(ListenStream, ReusesAnAddressUnlessToldNotTo) {
    LONGS_EQUAL(1, option(listen_stream(SockAddr::loopback(0)).value().get(), SOL_SOCKET, SO_REUSEADDR));
    const UniqueFd strict = listen_stream(SockAddr::loopback(0), {.reuse_address = false}).value();
    LONGS_EQUAL(0, option(strict.get(), SOL_SOCKET, SO_REUSEADDR));
}

TEST(ListenStream, SetsBufferSizesOnlyWhenAsked) {
    (void)listen_stream(SockAddr::loopback(0)).value();
    LONGS_EQUAL(1, faults.calls("setsockopt"));
    const UniqueFd small =
        listen_stream(SockAddr::loopback(0), {.recv_buffer = 8192, .send_buffer = 16384}).value();
    LONGS_EQUAL(2 * 8192, option(small.get(), SOL_SOCKET, SO_RCVBUF));
    LONGS_EQUAL(2 * 16384, option(small.get(), SOL_SOCKET, SO_SNDBUF));
}

TEST(ListenStream, AcceptedTcpConnectionsInheritTheBufferSizes) {
    const UniqueFd listener = listen_stream(SockAddr::loopback(0), {.send_buffer = 16384}).value();
    const UniqueFd client = socket_stream(AF_INET).value();
    (void)connect_start(client.get(), SockAddr::local_of(listener.get()).value());
    CHECK(wait_for(listener.get(), POLLIN));
    const Accepted connection = accept_one(listener.get());
    LONGS_EQUAL(2 * 16384, option(connection.fd.get(), SOL_SOCKET, SO_SNDBUF));
}

TEST(ListenStream, AcceptsAConnectionWhenItsClientHasSpokenIfAsked) {
    const UniqueFd listener = listen_stream(SockAddr::loopback(0), {.defer_accept = 1s}).value();
    const UniqueFd client = socket_stream(AF_INET).value();
    (void)connect_start(client.get(), SockAddr::local_of(listener.get()).value());
    CHECK(wait_for(client.get(), POLLOUT));
    CHECK(accept_one(listener.get()).outcome() == AcceptOutcome::empty);
    CHECK(send_some(client.get(), "x").bytes == 1);
    CHECK(wait_for(listener.get(), POLLIN));
    CHECK(accept_one(listener.get()).outcome() == AcceptOutcome::accepted);
}

TEST(ListenStream, ADeferralThatIsNegativeIsRefused) {
    const auto refused = listen_stream(SockAddr::loopback(0), {.defer_accept = -1s});
    CHECK(!refused && refused.error() == std::errc::invalid_argument);
}

TEST(ListenStream, AUnixSocketHasNoDeferral) {
    CHECK(listen_stream(SockAddr::unix_path("@" + std::to_string(::getpid()) + "-defer").value(),
                        {.defer_accept = 1s})
              .ok());
}

TEST(ListenStream, Ipv6LeavesIpv4Alone) {
    const UniqueFd six = listen_stream(SockAddr::any6(0)).value();
    LONGS_EQUAL(1, option(six.get(), IPPROTO_IPV6, IPV6_V6ONLY));
    CHECK(listen_stream(SockAddr::any(SockAddr::local_of(six.get())->port())).ok());
}

TEST(ListenStream, Ipv6TakesIpv4WhenAsked) {
    const UniqueFd both = listen_stream(SockAddr::any6(0), {.ipv6_only = false}).value();
    LONGS_EQUAL(0, option(both.get(), IPPROTO_IPV6, IPV6_V6ONLY));
    const UniqueFd client = socket_stream(AF_INET).value();
    const std::error_code begun =
        connect_start(client.get(), SockAddr::loopback(SockAddr::local_of(both.get())->port()));
    CHECK(!begun || begun == NetError::in_progress);
}

TEST(ListenStream, NoAddressIsAnError) { STRCMP_CONTAINS("socket for none", refusal(SockAddr()).c_str()); }

TEST(ListenStream, AFileLeftBehindIsReplaced) {
    leave_stale_file();
    CHECK(exists(path));
    CHECK(!can_connect());
    const UniqueFd listener = listen_stream(file).value();
    CHECK(can_connect());
}

TEST(ListenStream, AFileInUseIsNotReplaced) {
    const UniqueFd listener = listen_stream(file).value();
    CHECK(listen_stream(file).error() == std::errc::address_in_use);
    STRCMP_CONTAINS("somebody is listening at", refusal(file).c_str());
    CHECK(can_connect());
    LONGS_EQUAL(0, faults.calls("unlink"));
}

TEST(ListenStream, AFileWhoseQueueIsFullIsNotReplaced) {
    const UniqueFd listener = listen_stream(file, {.backlog = 0}).value();
    while (true) {
        const UniqueFd client = socket_stream(AF_UNIX).value();
        if (connect_start(client.get(), file)) break;
    }
    STRCMP_CONTAINS("somebody is listening at", refusal(file).c_str());
    CHECK(exists(path));
}

TEST(ListenStream, ADatagramSocketIsNotReplaced) {
    const UniqueFd datagram = bind_datagram(file).value();
    STRCMP_CONTAINS("somebody is listening at", refusal(file).c_str());
    CHECK(exists(path));
}

TEST(ListenStream, AnOrdinaryFileIsNeverTouched) {
    UniqueFd(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)).reset();
    CHECK(listen_stream(file).error() == std::errc::address_in_use);
    STRCMP_CONTAINS("a file that is not a socket is at", refusal(file).c_str());
    CHECK(exists(path));
    LONGS_EQUAL(0, faults.calls("unlink"));
}

TEST(ListenStream, ASymbolicLinkIsNeverTouched) {
    const std::string target = folder.file("target");
    listen_stream(SockAddr::unix_path(target).value()).value().reset();
    LONGS_EQUAL(0, ::symlink(target.c_str(), path.c_str()));
    STRCMP_CONTAINS("a file that is not a socket is at", refusal(file).c_str());
    CHECK(exists(path) && exists(target));
}

TEST(ListenStream, AFileThatSomebodyElseReplacesMeanwhileIsNotRemoved) {
    leave_stale_file();
    UniqueFd rival;
    faults.before("connect", [&] {
        // A new file gets the old one's number unless something else takes that first.
        ::unlink(path.c_str());
        UniqueFd(::open(folder.file("other").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)).reset();
        rival.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        ::bind(rival.get(), file.data(), file.size());
        faults.before("connect", nullptr);
    });
    STRCMP_CONTAINS("somebody has just begun to use", refusal(file).c_str());
    CHECK(exists(path));
}

TEST(ListenStream, AFileThatVanishesMeanwhileIsNoObstacle) {
    leave_stale_file();
    long binds = 0;
    faults.before("bind", [&] { ++binds; });
    faults.answer("bind", -1, EADDRINUSE);
    ::unlink(path.c_str());
    CHECK(listen_stream(file).ok());
    LONGS_EQUAL(2, binds);
}

TEST(ListenStream, AnUndecidedProbeRemovesNothing) {
    for (const int error : {EACCES, EINTR, EAGAIN, ENOMEM}) {
        leave_stale_file();
        faults.fail("connect", error);
        CHECK(listen_stream(file).error() == std::errc::address_in_use);
        CHECK(exists(path));
    }
}

TEST(ListenStream, AFolderThatIsNotThereSaysSo) {
    const SockAddr address = SockAddr::unix_path(folder.file("no/s")).value();
    CHECK(listen_stream(address).error() == std::errc::no_such_file_or_directory);
    CHECK_EQUAL("bind " + address.to_string(), listen_stream(address).error().context());
}

TEST(ListenStream, WhateverFailsLeavesNothingOpen) {
    for (const SockAddr& address : {SockAddr::loopback6(0), file}) {
        const ListenOptions options = {.recv_buffer = 8192, .send_buffer = 8192, .reuse_port = true};
        const FdLeakCheck descriptors;
        leave_stale_file();
        const long failures = for_each_failing_call(ENOBUFS, [&] { (void)listen_stream(address, options); });
        CHECK(failures > 5);
        CHECK_EQUAL("", descriptors.leaked());
    }
}

TEST(ListenStream, AFailedCallIsNamedWithTheAddress) {
    faults.fail("listen", ENOBUFS);
    STRCMP_CONTAINS("listen 127.0.0.1:0: ", refusal(SockAddr::loopback(0)).c_str());
    faults.fail("setsockopt", ENOBUFS);
    STRCMP_CONTAINS("options of 127.0.0.1:0: ", refusal(SockAddr::loopback(0)).c_str());
    leave_stale_file();
    faults.fail("unlink", EPERM);
    CHECK_EQUAL("unlink unix:" + path + ": Operation not permitted", refusal(file));
}

TEST(ListenStream, NoMemoryLeavesNothingOpen) {
    const UniqueFd taken = listen_stream(file).value();
    const FdLeakCheck descriptors;
    CHECK(for_each_failing_allocation([&] { (void)listen_stream(file); }) > 0);
    CHECK_EQUAL("", descriptors.leaked());
}
