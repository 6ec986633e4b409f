#include "nutils/datagram_ops.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "nutils/socket_ops.h"
#include "test/support/fault_injection.h"
#include "test/support/net_strings.h"
#include "test/support/socket_pairs.h"
#include "test/support/temp_dir.h"

using namespace nutils;
using namespace test_support;

TEST_GROUP_BASE(DatagramOps, Fixture) {
    FaultInjection faults;
    UniqueFd one = bind_datagram(SockAddr::loopback(0)).value();
    UniqueFd two = bind_datagram(SockAddr::loopback(0)).value();
    SockAddr one_address = SockAddr::local_of(one.get()).value();
    SockAddr two_address = SockAddr::local_of(two.get()).value();
    char buffer[64];
    SockAddr from;

    DatagramResult received(std::span<char> into) {
        wait_for(two.get(), POLLIN);
        return recv_from(two.get(), into, &from);
    }
};

TEST(DatagramOps, SocketsAreNonblockingAndCloseOnExec) {
    CHECK((::fcntl(one.get(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(one.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST(DatagramOps, CarriesADatagramAndSaysWhoSentIt) {
    LONGS_EQUAL(5, send_to(one.get(), "hello", &two_address).bytes);
    LONGS_EQUAL(5, received(buffer).bytes);
    CHECK_EQUAL("hello", std::string(buffer, 5));
    CHECK_EQUAL(one_address, from);
}

TEST(DatagramOps, AnEmptyDatagramIsNotTheEnd) {
    CHECK(send_to(one.get(), "", &two_address));
    const IoResult got = received(buffer);
    CHECK(got);
    LONGS_EQUAL(0, got.bytes);
}

TEST(DatagramOps, WhatDoesNotFitIsReportedAsTooLong) {
    CHECK(send_to(one.get(), "hello", &two_address));
    const DatagramResult got = received(std::span(buffer, 3));
    CHECK_EQUAL(NetError::too_long, got.error);
    LONGS_EQUAL(3, got.bytes);
    LONGS_EQUAL(5, got.full_size);
    CHECK(recv_from(two.get(), buffer).would_block());
}

TEST(DatagramOps, WithoutATargetItGoesToThePeer) {
    CHECK(!connect_start(one.get(), two_address));
    CHECK(send_to(one.get(), "hello"));
    LONGS_EQUAL(5, received(buffer).bytes);
}

TEST(DatagramOps, SaysWouldBlockWhenNothingIsThere) {
    CHECK(recv_from(two.get(), buffer, &from).would_block());
}

TEST(DatagramOps, NeverLetsEintrOut) {
    faults.fail("sendto", EINTR, 2);
    CHECK(send_to(one.get(), "hello", &two_address));
    faults.fail("recvmsg", EINTR, 2);
    LONGS_EQUAL(5, received(buffer).bytes);
    CHECK_EQUAL(one_address, from);
}

TEST(DatagramOps, TooLargeForTheNetworkIsAnError) {
    CHECK(send_to(one.get(), std::string(70000, 'x'), &two_address).error == std::errc::message_size);
}

TEST(DatagramOps, HandsOutTheErrno) {
    CHECK_EQUAL(errno_code(EBADF), recv_from(-1, buffer).error);
    CHECK_EQUAL(errno_code(EBADF), send_to(-1, "x").error);
    CHECK_EQUAL(errno_code(EDESTADDRREQ), send_to(one.get(), "x").error);
}

TEST(DatagramOps, AnAddressInUseSaysWhich) {
    const auto third = bind_datagram(two_address);
    CHECK(!third && third.error() == std::errc::address_in_use);
    CHECK_EQUAL("bind " + two_address.to_string(), third.error().context());
    STRCMP_CONTAINS("socket for none", bind_datagram(SockAddr()).error().context().c_str());
}

TEST(DatagramOps, WorksOverUnixSockets) {
    const TempDir folder;
    const SockAddr here = SockAddr::unix_path(folder.file("here")).value();
    const SockAddr there = SockAddr::unix_path(folder.file("there")).value();
    one = bind_datagram(here).value();
    two = bind_datagram(there).value();
    CHECK(send_to(one.get(), "hello", &there));
    LONGS_EQUAL(5, received(buffer).bytes);
    CHECK_EQUAL(here, from);
}

TEST(DatagramOps, OptionsThatCannotBeSetAreErrors) {
    DatagramOptions options;
    options.broadcast = options.reuse_address = options.reuse_port = true;
    options.recv_buffer = options.send_buffer = 4096;
    const long failures =
        for_each_failing_call(ENOBUFS, [&] { (void)bind_datagram(SockAddr::loopback6(0), options); });
    LONGS_EQUAL(9, failures);  // socket, six options, bind; and close at the end
    faults.fail("setsockopt", EPERM);
    CHECK_EQUAL("socket options for 127.0.0.1:0: Operation not permitted",
                bind_datagram(SockAddr::loopback(0), options).error().message());
}

TEST(DatagramOps, ConnectsAndDisconnects) {
    faults.fail("connect", EINTR);
    CHECK(!connect_datagram(one.get(), two_address));
    CHECK_EQUAL(two_address, SockAddr::peer_of(one.get()).value());
    CHECK(!connect_datagram(one.get(), SockAddr()));
    CHECK(!SockAddr::peer_of(one.get()));
    CHECK_EQUAL(errno_code(EBADF), connect_datagram(-1, two_address));
}

// Linux takes a port back that it has chosen itself.
TEST(DatagramOps, KeepsItsPortWhenItDisconnects) {
    for (const SockAddr& where :
         {SockAddr::loopback(0), SockAddr::any(0), SockAddr::loopback6(0), SockAddr::any6(0)}) {
        const UniqueFd socket = bind_datagram(where).value();
        const SockAddr before = SockAddr::local_of(socket.get()).value();
        CHECK(!connect_datagram(socket.get(),
                                where.family() == AF_INET ? SockAddr::loopback(9) : SockAddr::loopback6(9)));
        CHECK(!connect_datagram(socket.get(), SockAddr()));
        CHECK_EQUAL(before, SockAddr::local_of(socket.get()).value());
    }
}
