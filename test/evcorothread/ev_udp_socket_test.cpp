#include "evcorothread/ev_udp_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#include "evcorothread/ev_thread.h"
#include "nutils/socket_options.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/allocation_faults.h"
#include "test/support/death.h"
#include "test/support/fault_injection.h"
#include "test/support/fd_leak_check.h"
#include "test/support/temp_dir.h"

using namespace test_support;

// Loopback datagrams arrive before sendto(2) returns, so the virtual clock does.
TEST_GROUP_BASE(Udp, LoopFixture) {
    FaultInjection faults;
    TempDir folder;
    EvUdpSocket socket = EvUdpSocket::bind(loop, SockAddr::loopback(0)).value();
    UniqueFd peer = nutils::bind_datagram(SockAddr::loopback(0)).value();
    SockAddr here = socket.local().value();
    SockAddr there = SockAddr::local_of(peer.get()).value();
    char buffer[64];
    SockAddr from;

    void peer_sends(std::string_view text) { CHECK(nutils::send_to(peer.get(), text, &here)); }
    std::string peer_gets() {
        char bytes[256];
        const IoResult got = nutils::recv_from(peer.get(), bytes);
        return got.error ? "<" + got.error.message() + ">" : std::string(bytes, got.bytes);
    }
    std::string text_of(const IoResult& got) {
        return got.error ? "<" + got.error.message() + ">" : std::string(buffer, got.bytes);
    }
    // A unix receiver that takes no more.
    static void fill_queue(const UniqueFd& sender, const SockAddr& to) {
        while (nutils::send_to(sender.get(), "x", &to)) continue;
    }
};

TEST(Udp, ReceivesWhatIsThereWithoutWaiting) {
    peer_sends("hello");
    in_coroutine([&] {
        CHECK_EQUAL("hello", text_of(socket.recv_from(buffer, from, 0s)));
        CHECK_EQUAL(there, from);
    });
}

TEST(Udp, WaitsForADatagram) {
    EvThread reader = go([&] { CHECK_EQUAL("late", text_of(socket.recv_from(buffer, from, 1h))); });
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, reader.state());
    peer_sends("late");
    run_loop();
}

TEST(Udp, TakesAnEmptyDatagram) {
    peer_sends("");
    in_coroutine([&] {
        const DatagramResult got = socket.recv(buffer, 1s);
        CHECK(got);
        CHECK_EQUAL(0, got.bytes);
    });
}

TEST(Udp, SendsAnEmptyDatagram) {
    in_coroutine([&] { CHECK(socket.send_to("", there, 1s)); });
    CHECK_EQUAL("", peer_gets());
}

TEST(Udp, ReportsWhatDoesNotFitAndItsSize) {
    peer_sends(std::string(100, 'x'));
    peer_sends("next");
    in_coroutine([&] {
        const DatagramResult got = socket.recv_from(buffer, from, 1s);
        CHECK_EQUAL(NetError::too_long, got.error);
        CHECK_EQUAL(64, got.bytes);
        CHECK_EQUAL(100, got.full_size);
        CHECK_EQUAL(there, from);
        CHECK_EQUAL("next", text_of(socket.recv(buffer, 1s)));
    });
}

TEST(Udp, EmptyBuffersTellTheSize) {
    peer_sends("12345");
    in_coroutine([&] { CHECK_EQUAL(5, socket.recv({}, 1s).full_size); });
}

TEST(Udp, TimesOutAndStaysUsable) {
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        CHECK(socket.recv(buffer, 3s).timed_out());
        CHECK_EQUAL(3s, loop.now() - begin);
        peer_sends("after");
        CHECK_EQUAL("after", text_of(socket.recv(buffer, 3s)));
    });
}

TEST(Udp, TakesWhatIsThereThoughTheDeadlineHasPassed) {
    peer_sends("there");
    in_coroutine([&] {
        CHECK_EQUAL("there", text_of(socket.recv(buffer, -1s)));
        CHECK(socket.recv(buffer, -1s).timed_out());
    });
}

TEST(Udp, DataAndDeadlineInOnePassLoseNothing) {
    EvThread reader = go([&] {
        const DatagramResult got = socket.recv(buffer, 1s);
        if (got.timed_out()) CHECK_EQUAL("both", text_of(socket.recv(buffer, 0s)));
    });
    run_ready();
    peer_sends("both");
    advance(1s);
    run_loop();
}

TEST(Udp, IsCanceledWhileItWaits) {
    EvThread reader = go([&] { CHECK(socket.recv(buffer, 1h).canceled()); });
    run_ready();
    reader.cancel();
    run_loop();
}

TEST(Udp, CanceledAfterBeingWokenLosesNoDatagram) {
    EvThread reader = go([&] { CHECK(socket.recv(buffer, 1h).canceled()); });
    run_ready();
    peer_sends("kept");
    EvThread other = go([&] { reader.cancel(); });
    run_loop();
    in_coroutine([&] { CHECK_EQUAL("kept", text_of(socket.recv(buffer, 1s))); });
}

TEST(Udp, CanceledItMovesNothing) {
    peer_sends("stays");
    EvThread canceled = go([&] {
        DatagramBatch batch(2, 16);
        CHECK(batch.add("x", there));
        CHECK(socket.recv(buffer, 1s).canceled());
        CHECK(socket.send_to("x", there, 1s).canceled());
        CHECK(socket.send_batch(batch, 1s).canceled());
        CHECK(socket.recv_batch(batch, 1s).canceled());
    });
    canceled.cancel();
    run_loop();
    CHECK_EQUAL("<would have to wait>", peer_gets());
    in_coroutine([&] { CHECK_EQUAL("stays", text_of(socket.recv(buffer, 1s))); });
}

TEST(Udp, ASecondReaderIsBusy) {
    EvThread first = go([&] { CHECK_EQUAL("one", text_of(socket.recv(buffer, 1h))); });
    run_ready();
    in_coroutine([&] {
        char byte[1];
        DatagramBatch batch(2, 16);
        CHECK(socket.recv(byte, 1h).busy());
        CHECK_EQUAL(NetError::busy, socket.recv_batch(batch, 1h).error);
        peer_sends("one");
    });
}

TEST(Udp, AReaderAndAWriterWorkAtOnce) {
    EvThread reader = go([&] { CHECK_EQUAL("in", text_of(socket.recv(buffer, 1h))); });
    run_ready();
    in_coroutine([&] {
        CHECK(socket.send_to("out", there, 1s));
        peer_sends("in");
    });
    CHECK_EQUAL("out", peer_gets());
}

TEST(Udp, ClosingWakesTheReader) {
    EvThread reader = go([&] { CHECK(socket.recv(buffer, 1h).closed()); });
    run_ready();
    in_coroutine([&] { socket.close(); });
    CHECK(!socket.is_open());
}

TEST(Udp, MayBeDestroyedUnderItsReader) {
    auto owned = std::make_unique<EvUdpSocket>(EvUdpSocket::bind(loop, SockAddr::loopback(0)).value());
    EvThread reader = go([&] { CHECK(owned->recv(buffer, 1h).closed()); });
    run_ready();
    in_coroutine([&] { owned.reset(); });
}

TEST(Udp, ClosedEverythingIsClosed) {
    socket.close();
    socket.close();
    in_coroutine([&] {
        DatagramBatch batch(2, 16);
        CHECK(socket.recv(buffer, 1s).closed());
        CHECK(socket.recv_from(buffer, from, 1s).closed());
        CHECK(socket.send_to("x", there, 1s).closed());
        CHECK(socket.send("x", 1s).closed());
        CHECK(socket.recv_batch(batch, 1s).closed());
        CHECK(socket.send_batch(batch, 1s).closed());
        CHECK(socket.try_recv_from(buffer, from).closed());
        CHECK(socket.try_send_to("x", there).closed());
    });
    CHECK_EQUAL(NetError::closed, socket.connect(there));
    CHECK_EQUAL(NetError::closed, socket.join_group(nutils::IpAddress::loopback()));
    CHECK_EQUAL(NetError::closed, socket.leave_group(nutils::IpAddress::loopback()));
    CHECK_EQUAL(-1, socket.fd());
    CHECK(!socket.release());
    CHECK(!socket.local());
    const EvUdpSocket never;
    CHECK(!never);
}

TEST(Udp, TriesWithoutACoroutine) {
    CHECK(socket.try_recv_from(buffer, from).would_block());
    CHECK(socket.try_send_to("hi", there));
    CHECK_EQUAL("hi", peer_gets());
    peer_sends("ho");
    CHECK_EQUAL("ho", text_of(socket.try_recv_from(buffer, from)));
}

TEST(Udp, OutsideACoroutineAborts) {
    STRCMP_CONTAINS("use EvLoop::spawn", abort_message([&] { (void)socket.recv(buffer, 1s); }).c_str());
}

TEST(Udp, ConnectedItHearsItsPeerAlone) {
    const UniqueFd stranger = nutils::bind_datagram(SockAddr::loopback(0)).value();
    CHECK(!socket.connect(there));
    CHECK(nutils::send_to(stranger.get(), "spam", &here));
    peer_sends("from the peer");
    in_coroutine([&] {
        CHECK_EQUAL("from the peer", text_of(socket.recv(buffer, 1s)));
        CHECK(socket.recv(buffer, 1s).timed_out());
        CHECK(socket.send("answer", 1s));
    });
    CHECK_EQUAL("answer", peer_gets());
    CHECK_EQUAL(there, socket.peer().value());
}

TEST(Udp, DisconnectedItHearsEverybodyAgain) {
    const UniqueFd stranger = nutils::bind_datagram(SockAddr::loopback(0)).value();
    socket.close();
    socket = EvUdpSocket::bind(loop, here).value();  // a port that was asked for stays
    CHECK(!socket.connect(there));
    CHECK(!socket.connect(SockAddr()));
    CHECK(!socket.peer());
    CHECK(nutils::send_to(stranger.get(), "hello", &here));
    in_coroutine([&] { CHECK_EQUAL("hello", text_of(socket.recv(buffer, 1s))); });
}

TEST(Udp, AConnectedClientGetsAFreePort) {
    in_coroutine([&] {
        EvUdpSocket client = EvUdpSocket::connect(loop, there).value();
        CHECK(client.send("ping", 1s));
        CHECK_EQUAL("ping", peer_gets());
        here = client.local().value();
        CHECK(here.port() != 0);
        peer_sends("pong");
        CHECK_EQUAL("pong", text_of(client.recv(buffer, 1s)));
    });
}

TEST(Udp, ConnectedItIsToldThatNobodyIsThere) {
    EvUdpSocket client = EvUdpSocket::connect(loop, there).value();
    peer.reset();
    in_coroutine([&] {
        CHECK(client.send("anybody?", 1s));
        CHECK(client.recv(buffer, 1s).error == std::errc::connection_refused);
        CHECK(client.recv(buffer, 1s).timed_out());  // told once; and it is still usable
    });
}

TEST(Udp, AWaitingReaderIsToldThatNobodyIsThere) {
    EvUdpSocket client = EvUdpSocket::connect(loop, there).value();
    peer.reset();
    EvThread reader = go([&] { CHECK(client.recv(buffer, 1h).error == std::errc::connection_refused); });
    run_ready();
    in_coroutine([&] { CHECK(client.send("anybody?", 1s)); });
}

TEST(Udp, ABatchIsToldThatNobodyIsThere) {
    EvUdpSocket client = EvUdpSocket::connect(loop, there).value();
    peer.reset();
    in_coroutine([&] {
        DatagramBatch batch(4, 64);
        CHECK(batch.add("anybody?"));
        CHECK(client.send_batch(batch, 1s));
        CHECK(client.recv_batch(batch, 1s).error == std::errc::connection_refused);
    });
}

TEST(Udp, AnErrorBehindABatchIsNotForgotten) {
    // Between the last datagram and the wait for the next one an error arrives, and makes no edge any more.
    EvUdpSocket client = EvUdpSocket::connect(loop, there).value();
    here = client.local().value();
    in_coroutine([&] {
        DatagramBatch batch(4, 64);
        CHECK(client.recv(buffer, 0s).timed_out());  // registered from here on
        peer_sends("data");
        (void)this_evthread::delay(1ms);
        const SockAddr nobody = there;
        peer.reset();
        CHECK(client.try_send_to("anybody?", nobody));
        const BatchResult got = client.recv_batch(batch, 1h);
        if (!got.error) CHECK(client.recv_batch(batch, 1h).error == std::errc::connection_refused);
    });
}

TEST(Udp, TakesManyWithOneCall) {
    for (int i = 0; i < 5; ++i) peer_sends("text");
    in_coroutine([&] {
        DatagramBatch batch(8, 64);
        CHECK_EQUAL(5, socket.recv_batch(batch, 1s).count);
        CHECK_EQUAL(1, faults.calls("recvmmsg"));
        CHECK_EQUAL(5, socket.send_batch(batch, 1s).count);
        CHECK_EQUAL(1, faults.calls("sendmmsg"));
    });
    for (int i = 0; i < 5; ++i) CHECK_EQUAL("text", peer_gets());
}

TEST(Udp, ABatchWaitsForTheFirst) {
    EvThread reader = go([&] {
        DatagramBatch batch(8, 64);
        for (int i = 0; i < 3; ++i) {
            CHECK_EQUAL(1, socket.recv_batch(batch, 1h).count);
            CHECK_EQUAL(std::to_string(i), batch.begin()->data());
        }
    });
    for (int i = 0; i < 3; ++i) {
        run_ready();
        peer_sends(std::to_string(i));
    }
    run_loop();
}

TEST(Udp, ABatchTimesOutEmpty) {
    in_coroutine([&] {
        DatagramBatch batch(8, 64);
        CHECK(batch.add("old"));
        CHECK(socket.recv_batch(batch, 1s).timed_out());
        CHECK(batch.empty());
    });
}

TEST(Udp, AfterAFullBatchTheRestIsTaken) {
    for (int i = 0; i < 5; ++i) peer_sends(std::to_string(i));
    in_coroutine([&] {
        DatagramBatch batch(2, 64);
        for (const int expected : {2, 2, 1}) CHECK_EQUAL(expected, socket.recv_batch(batch, 1s).count);
        CHECK(socket.recv_batch(batch, 1s).timed_out());
    });
}

TEST(Udp, ABatchIsSentWholeThoughTheKernelTakesLittle) {
    faults.limit("sendmmsg", 1);
    in_coroutine([&] {
        DatagramBatch batch(8, 64);
        for (const char* text : {"a", "bb", "ccc", "dddd"}) CHECK(batch.add(text, there));
        CHECK_EQUAL(4, socket.send_batch(batch, 1s).count);
    });
    for (const char* text : {"a", "bb", "ccc", "dddd"}) CHECK_EQUAL(text, peer_gets());
}

TEST(Udp, ABatchStopsAtTheDatagramThatFails) {
    in_coroutine([&] {
        DatagramBatch batch(8, DatagramBatch::kCoalesced);
        CHECK(batch.add("good", there));
        CHECK(batch.add(std::string(65530, 'x'), there));
        CHECK(batch.add("good, too", there));
        const BatchResult sent = socket.send_batch(batch, 1s);
        CHECK_EQUAL(1, sent.count);
        CHECK(sent.error == std::errc::message_size);
        CHECK_EQUAL(1, socket.send_batch(batch, sent.count + 1, 1s).count);
    });
    CHECK_EQUAL("good", peer_gets());
    CHECK_EQUAL("good, too", peer_gets());
}

TEST(Udp, ReceivesCoalescedWhenAsked) {
    socket = EvUdpSocket::bind(loop, SockAddr::loopback(0), {{}, true}).value();
    in_coroutine([&] {
        EvUdpSocket client = EvUdpSocket::connect(loop, socket.local().value()).value();
        DatagramBatch batch(4, DatagramBatch::kCoalesced);
        for (int i = 0; i < 40; ++i) CHECK(batch.add("0123456789", SockAddr()));
        CHECK_EQUAL(40, client.send_batch(batch, 1s).count);
        CHECK_EQUAL(40, socket.recv_batch(batch, 1s).count);
        CHECK_EQUAL(1, batch.rooms_used());
    });
}

TEST(Udp, AWriterWaitsForRoom) {
    faults.fail("sendto", EAGAIN, 1);
    EvThread writer = go([&] { CHECK(socket.send_to("x", there, 1h)); });
    run_ready();
    run_loop();  // registered as writable: it goes on
    CHECK_EQUAL("x", peer_gets());
}

TEST(Udp, AWriterTimesOut) {
    faults.fail("sendto", EAGAIN, FaultInjection::kAlways);
    faults.fail("sendmmsg", EAGAIN, FaultInjection::kAlways);
    in_coroutine([&] {
        CHECK(socket.send_to("x", there, 1s).timed_out());
        DatagramBatch batch(4, 64);
        CHECK(batch.add("x", there));
        CHECK(socket.send_batch(batch, 1s).timed_out());
    });
}

TEST(Udp, HandsOutTheErrno) {
    in_coroutine([&] {
        CHECK(socket.send("x", 1s).error == std::errc::destination_address_required);
        CHECK(socket.send_to(std::string(70000, 'x'), there, 1s).error == std::errc::message_size);
        faults.fail("recvmsg", ENOMEM);
        CHECK(socket.recv(buffer, 1s).error == std::errc::not_enough_memory);
        faults.fail("recvmmsg", ENOMEM);
        DatagramBatch batch(4, 64);
        CHECK(socket.recv_batch(batch, 1s).error == std::errc::not_enough_memory);
    });
}

TEST(Udp, OverIpv6) {
    socket = EvUdpSocket::bind(loop, SockAddr::loopback6(0)).value();
    in_coroutine([&] {
        EvUdpSocket client = EvUdpSocket::connect(loop, socket.local().value()).value();
        CHECK(client.send("six", 1s));
        CHECK_EQUAL("six", text_of(socket.recv_from(buffer, from, 1s)));
        CHECK(socket.send_to("answer", from, 1s));
        CHECK_EQUAL("answer", text_of(client.recv(buffer, 1s)));
    });
}

TEST(Udp, OverUnixSockets) {
    const SockAddr a = SockAddr::unix_path(folder.file("a")).value();
    const SockAddr b = abstract_address("udp-b");
    in_coroutine([&] {
        EvUdpSocket one = EvUdpSocket::bind(loop, a).value();
        EvUdpSocket two = EvUdpSocket::bind(loop, b).value();
        CHECK(one.send_to("unix", b, 1s));
        CHECK_EQUAL("unix", text_of(two.recv_from(buffer, from, 1s)));
        CHECK_EQUAL(a, from);
        DatagramBatch batch(4, 64);
        for (int i = 0; i < 3; ++i) CHECK(batch.add("same", a));
        CHECK_EQUAL(3, two.send_batch(batch, 1s).count);
        CHECK_EQUAL(3, one.recv_batch(batch, 1s).count);
    });
}

TEST(Udp, ItsSocketFileGoesWhenItCloses) {
    const std::string path = folder.file("gone");
    EvUdpSocket one = EvUdpSocket::bind(loop, SockAddr::unix_path(path).value()).value();
    struct stat status = {};
    CHECK_EQUAL(0, ::lstat(path.c_str(), &status));
    EvUdpSocket moved = std::move(one);
    CHECK_EQUAL(0, ::lstat(path.c_str(), &status));
    moved = EvUdpSocket();
    CHECK_EQUAL(-1, ::lstat(path.c_str(), &status));
}

TEST(Udp, WaitsForAUnixReceiverThatIsFull) {
    const SockAddr full = abstract_address("udp-full");
    const UniqueFd receiver = nutils::bind_datagram(full).value();
    const UniqueFd filler = nutils::socket_datagram(AF_UNIX).value();
    fill_queue(filler, full);
    EvUdpSocket one = EvUdpSocket::bind(loop, abstract_address("udp-sender")).value();
    EvThread writer = go([&] { CHECK(one.send_to("patient", full, 1h)); });
    advance(10ms);
    CHECK_EQUAL(EvThreadState::parked, writer.state());
    while (nutils::recv_from(receiver.get(), buffer)) continue;
    advance(2ms);
    CHECK(writer.finished());
}

TEST(Udp, WaitsForTheUnixPeerThatIsFull) {
    const SockAddr full = abstract_address("udp-full");
    const UniqueFd receiver = nutils::bind_datagram(full).value();
    const UniqueFd filler = nutils::socket_datagram(AF_UNIX).value();
    fill_queue(filler, full);
    EvUdpSocket one = EvUdpSocket::connect(loop, full).value();
    EvThread writer = go([&] { CHECK(one.send("patient", 1h)); });
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, writer.state());
    while (nutils::recv_from(receiver.get(), buffer)) continue;
    run_ready();
    CHECK(writer.finished());
}

TEST(Udp, TimesOutAtAUnixReceiverThatIsFull) {
    const SockAddr full = abstract_address("udp-full");
    const UniqueFd receiver = nutils::bind_datagram(full).value();
    const UniqueFd filler = nutils::socket_datagram(AF_UNIX).value();
    fill_queue(filler, full);
    in_coroutine([&] {
        EvUdpSocket one = EvUdpSocket::bind(loop, abstract_address("udp-sender")).value();
        const TimePoint begin = loop.now();
        CHECK(one.send_to("patient", full, 20ms).timed_out());
        CHECK_EQUAL(20ms, loop.now() - begin);
    });
}

TEST(Udp, OptionsAreSet) {
    const auto option = [](int fd, int level, int name) {
        int value = -1;
        socklen_t size = sizeof value;
        ::getsockopt(fd, level, name, &value, &size);
        return value;
    };
    UdpOptions options;
    options.recv_buffer = 65536;
    options.send_buffer = 32768;
    options.broadcast = options.reuse_address = options.reuse_port = true;
    options.ipv6_only = false;
    const EvUdpSocket one = EvUdpSocket::bind(loop, SockAddr::any6(0), options).value();
    CHECK_EQUAL(2 * 65536, option(one.fd(), SOL_SOCKET, SO_RCVBUF));
    CHECK_EQUAL(2 * 32768, option(one.fd(), SOL_SOCKET, SO_SNDBUF));
    CHECK_EQUAL(1, option(one.fd(), SOL_SOCKET, SO_BROADCAST));
    CHECK_EQUAL(1, option(one.fd(), SOL_SOCKET, SO_REUSEADDR));
    CHECK_EQUAL(1, option(one.fd(), SOL_SOCKET, SO_REUSEPORT));
    CHECK_EQUAL(0, option(one.fd(), IPPROTO_IPV6, IPV6_V6ONLY));
    CHECK(EvUdpSocket::bind(loop, one.local().value(), options).ok());
}

TEST(Udp, AnAddressInUseSaysWhich) {
    const auto second = EvUdpSocket::bind(loop, here);
    CHECK(second.error() == std::errc::address_in_use);
    CHECK_EQUAL("bind " + here.to_string() + ": Address already in use", second.error().message());
}

TEST(Udp, JoinsAndLeavesAGroup) {
    const auto group = nutils::IpAddress::parse("239.1.2.3").value();
    socket = EvUdpSocket::bind(loop, SockAddr::any(0)).value();
    const SockAddr target = SockAddr::from(group, socket.local()->port());
    const unsigned loopback = 1;
    CHECK(!socket.join_group(group, loopback));
    const ip_mreqn out = {{}, {htonl(INADDR_LOOPBACK)}, static_cast<int>(loopback)};
    CHECK_EQUAL(0, ::setsockopt(peer.get(), IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof out));
    in_coroutine([&] {
        CHECK(nutils::send_to(peer.get(), "to all", &target));
        CHECK_EQUAL("to all", text_of(socket.recv(buffer, 1s)));
        CHECK(!socket.leave_group(group, loopback));
        CHECK(nutils::send_to(peer.get(), "to others", &target));
        CHECK(socket.recv(buffer, 1s).timed_out());
    });
    CHECK(socket.join_group(nutils::IpAddress::loopback(), loopback) == std::errc::invalid_argument);
}

TEST(Udp, GivesItsDescriptorAway) {
    const UniqueFd taken = socket.release();
    CHECK(taken);
    CHECK(!socket);
    CHECK_EQUAL(here, SockAddr::local_of(taken.get()).value());
}

TEST(Udp, ReleasedUnderAReaderAborts) {
    EvThread reader = go([&] { (void)socket.recv(buffer, 1h); });
    run_ready();
    STRCMP_CONTAINS("waits on it", abort_message([&] { (void)socket.release(); }).c_str());
    reader.cancel();
    run_loop();
}

TEST(Udp, WhateverFailsLeavesNothingBehind) {
    const SockAddr file = SockAddr::unix_path(folder.file("f")).value();
    const FdLeakCheck descriptors;
    const auto attempt = [&] {
        try {
            UdpOptions options;
            options.permissions = 0600;
            options.recv_buffer = 4096;
            auto one = EvUdpSocket::bind(loop, file, options);
            auto two = EvUdpSocket::connect(loop, there, options);
            if (!one || !two) return;
            in_coroutine([&] {
                DatagramBatch batch(4, 64);
                if (!two->send("x", 1s) || !batch.add("y") || !two->send_batch(batch, 1s)) return;
                (void)one->recv(buffer, 1s);
                (void)one->recv_batch(batch, 1s);
            });
        } catch (const std::bad_alloc&) {
        }
    };
    for (const int error : {EIO, ENOBUFS, EAGAIN, EINTR}) CHECK(for_each_failing_call(error, attempt) > 10);
    CHECK(for_each_failing_allocation(attempt) > 2);
    CHECK_EQUAL("", descriptors.leaked());
}
