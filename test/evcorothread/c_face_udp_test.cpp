// The C face: datagrams.
#include "evcorothread/evthread_udp.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "test/evcorothread/c_face_fixture.h"
#include "test/support/temp_dir.h"

using namespace c_face_test;

namespace {

class UdpFace : public CFace {
  public:
    EVUDP* server = nullptr;
    EVUDP* client = nullptr;
    SOCKADDR server_address = {};
    SOCKADDR client_address = {};
    SOCKADDR from = {};
    char buffer[256] = {};

    void setup() override {
        CFace::setup();
        server = make_udp("127.0.0.1:0", server_address);
        client = make_udp("127.0.0.1:0", client_address);
    }
    EVUDP* make_udp(const char* where, SOCKADDR& bound, const EVUDP_OPTIONS* options = nullptr) {
        CHECK_EQUAL(0, SOCKADDR_parse(&bound, where));
        EVUDP* const udp = EVUDP_bind(loop, &bound, options);
        CHECK(udp != nullptr);
        CHECK_EQUAL(0, EVUDP_address(udp, &bound));
        return udp;
    }
    void client_sends(const std::string& text) {
        CHECK_EQUAL(static_cast<int>(text.size()),
                    EVUDP_try_send_to(client, text.data(), text.size(), &server_address));
    }
    static std::string text(const SOCKADDR& address) {
        char bytes[512];
        return SOCKADDR_to_string(&address, bytes, sizeof bytes) > 0 ? bytes : strerror(errno);
    }
    static std::string text(const void* data, std::size_t size) {
        return {static_cast<const char*>(data), size};
    }
};

}  // namespace

TEST_GROUP_BASE(CFaceUdp, UdpFace){};

TEST(CFaceUdp, TakesADatagramAndSaysWhoSentIt) {
    client_sends("hello");
    Outcome got;
    start([&](EVTHREAD*, EVSOCKET*) {
        got = EVUDP_recv_from(server, buffer, sizeof buffer, &from, no_time());
    });
    run_loop();
    CHECK_OUTCOME(5, 0, got);
    CHECK_EQUAL("hello", text(buffer, 5));
    CHECK_EQUAL(text(client_address), text(from));
}

TEST(CFaceUdp, WaitsForADatagramAndAnswers) {
    Outcome got, answered, heard;
    start([&](EVTHREAD*, EVSOCKET*) {
        got = EVUDP_recv_from(server, buffer, sizeof buffer, &from, EVTIMEOUT_never());
        answered = EVUDP_send_to(server, "pong", 4, &from, soon());
    });
    start([&](EVTHREAD* self, EVSOCKET*) {
        char answer[16];
        EVTHREAD_delay(self, EVTIMEOUT_ms(2));
        EVUDP_send_to(client, "ping", 4, &server_address, soon());
        heard = EVUDP_recv_from(client, answer, sizeof answer, nullptr, soon());
    });
    run_loop();
    CHECK_OUTCOME(4, 0, got);
    CHECK_OUTCOME(4, 0, answered);
    CHECK_OUTCOME(4, 0, heard);
}

TEST(CFaceUdp, AnEmptyDatagramIsOne) {
    client_sends("");
    client_sends("x");
    Outcome empty, next;
    start([&](EVTHREAD*, EVSOCKET*) {
        empty = EVUDP_recv_from(server, buffer, sizeof buffer, &from, soon());
        next = EVUDP_recv_from(server, buffer, sizeof buffer, nullptr, soon());
    });
    run_loop();
    CHECK_OUTCOME(0, 0, empty);
    CHECK_EQUAL(text(client_address), text(from));
    CHECK_OUTCOME(1, 0, next);
}

TEST(CFaceUdp, OneThatDoesNotFitSaysSoAndHowLongItWas) {
    client_sends("0123456789");
    client_sends("next");
    Outcome cut, next;
    std::size_t received = 99, full = 99;
    start([&](EVTHREAD*, EVSOCKET*) {
        cut = EVUDP_recv_from_ex(server, buffer, 4, &from, soon(), &received, &full);
        next = EVUDP_recv_from(server, buffer + 10, 4, nullptr, soon());
    });
    run_loop();
    CHECK_OUTCOME(-1, EMSGSIZE, cut);
    CHECK_EQUAL(4, received);
    CHECK_EQUAL(10, full);
    CHECK_EQUAL("0123", text(buffer, 4));
    CHECK_EQUAL(text(client_address), text(from));
    CHECK_OUTCOME(4, 0, next);
}

TEST(CFaceUdp, TheTimeoutPassesAndNothingIsLost) {
    Outcome passed, later, never_came;
    start([&](EVTHREAD*, EVSOCKET*) {
        passed = EVUDP_recv_from(server, buffer, sizeof buffer, nullptr, EVTIMEOUT_ms(2));
        never_came = EVUDP_recv_from(server, buffer, sizeof buffer, nullptr, no_time());
        EVUDP_send_to(client, "x", 1, &server_address, soon());
        later = EVUDP_recv_from(server, buffer, sizeof buffer, nullptr, soon());
    });
    run_loop();
    CHECK_OUTCOME(-1, ETIMEDOUT, passed);
    CHECK_OUTCOME(-1, ETIMEDOUT, never_came);
    CHECK_OUTCOME(1, 0, later);
}

TEST(CFaceUdp, ACanceledOneMovesNothing) {
    Outcome waiting, later, sent;
    EVTHREAD* const canceled = start([&](EVTHREAD*, EVSOCKET*) {
        waiting = EVUDP_recv_from(server, buffer, sizeof buffer, nullptr, EVTIMEOUT_never());
        sent = EVUDP_send_to(client, "x", 1, &server_address, soon());
        later = EVUDP_recv_from(server, buffer, sizeof buffer, nullptr, soon());
    });
    start([&](EVTHREAD*, EVSOCKET*) { EVTHREAD_cancel(canceled); });
    run_loop();
    CHECK_OUTCOME(-1, ECANCELED, waiting);
    CHECK_OUTCOME(-1, ECANCELED, sent);
    CHECK_OUTCOME(-1, ECANCELED, later);
    CHECK_FAILS(EAGAIN, EVUDP_try_recv_from(server, buffer, sizeof buffer, nullptr));
}

TEST(CFaceUdp, ASecondReceiverIsBusy) {
    Outcome first, second;
    start([&](EVTHREAD*, EVSOCKET*) {
        first = EVUDP_recv_from(server, buffer, sizeof buffer, nullptr, soon());
    });
    start([&](EVTHREAD*, EVSOCKET*) {
        second = EVUDP_recv_from(server, buffer, sizeof buffer, nullptr, soon());
        EVUDP_send_to(client, "x", 1, &server_address, soon());
    });
    run_loop();
    CHECK_OUTCOME(1, 0, first);
    CHECK_OUTCOME(-1, EBUSY, second);
}

TEST(CFaceUdp, ClosingAndFreeingWakeWhoReceives) {
    Outcome closed, freed, later;
    start([&](EVTHREAD*, EVSOCKET*) {
        closed = EVUDP_recv_from(server, buffer, sizeof buffer, nullptr, EVTIMEOUT_never());
        later = EVUDP_send_to(server, "x", 1, &client_address, soon());
    });
    start([&](EVTHREAD*, EVSOCKET*) {
        freed = EVUDP_recv_from(client, buffer, sizeof buffer, nullptr, EVTIMEOUT_never());
    });
    start([&](EVTHREAD*, EVSOCKET*) {
        EVUDP_close(server);
        EVUDP_close(server);
        EVUDP_free(client);
    });
    run_loop();
    CHECK_OUTCOME(-1, EBADF, closed);
    CHECK_OUTCOME(-1, EBADF, later);
    CHECK_OUTCOME(-1, EBADF, freed);
    CHECK_FAILS(EBADF, EVUDP_fd(server));
    CHECK_FAILS(EBADF, EVUDP_port(server));
    CHECK_FAILS(EBADF, EVUDP_try_recv_from(server, buffer, 1, nullptr));
    CHECK_FAILS(EBADF, EVUDP_try_send_to(server, buffer, 1, nullptr));
    CHECK_FAILS(EBADF, EVUDP_set_peer(server, &client_address));
}

TEST(CFaceUdp, AConnectedOneSendsWithoutATargetAndHearsItsPeerAlone) {
    EVUDP* const connected = EVUDP_connect(loop, &server_address, nullptr);
    CHECK(connected != nullptr);
    SOCKADDR own = {};
    CHECK_EQUAL(0, EVUDP_address(connected, &own));
    CHECK_EQUAL(2, EVUDP_try_send_to(connected, "up", 2, nullptr));
    CHECK_EQUAL(8, EVUDP_try_send_to(client, "stranger", 8, &own));
    CHECK_EQUAL(4, EVUDP_try_send_to(server, "down", 4, &own));
    Outcome up, down, nothing;
    start([&](EVTHREAD*, EVSOCKET*) {
        up = EVUDP_recv_from(server, buffer, sizeof buffer, &from, soon());
        down = EVUDP_recv_from(connected, buffer, sizeof buffer, nullptr, soon());
        nothing = EVUDP_try_recv_from(connected, buffer + 100, 1, nullptr);
    });
    run_loop();
    CHECK_OUTCOME(2, 0, up);
    CHECK_EQUAL(text(own), text(from));
    CHECK_OUTCOME(4, 0, down);
    CHECK_EQUAL("down", text(buffer, 4));
    CHECK_OUTCOME(-1, EAGAIN, nothing);
}

TEST(CFaceUdp, WithNobodyThereAConnectedOneIsToldLater) {
    EVUDP* const connected = EVUDP_connect(loop, &server_address, nullptr);
    CHECK_EQUAL(0, EVUDP_free(server));
    CHECK_EQUAL(1, EVUDP_try_send_to(connected, "x", 1, nullptr));
    Outcome told;
    start([&](EVTHREAD*, EVSOCKET*) {
        told = EVUDP_recv_from(connected, buffer, sizeof buffer, nullptr, soon());
    });
    run_loop();
    CHECK_OUTCOME(-1, ECONNREFUSED, told);
}

TEST(CFaceUdp, ThePeerCanBeSetAndTakenBack) {
    CHECK_EQUAL(0, EVUDP_set_peer(client, &server_address));
    CHECK_EQUAL(1, EVUDP_try_send_to(client, "x", 1, nullptr));
    CHECK_EQUAL(0, EVUDP_set_peer(client, nullptr));
    CHECK_FAILS(EDESTADDRREQ, EVUDP_try_send_to(client, "x", 1, nullptr));
}

TEST(CFaceUdp, OneTooLongForTheNetworkIsRefused) {
    const std::vector<char> much(70000, 'm');
    CHECK_FAILS(EMSGSIZE, EVUDP_try_send_to(client, much.data(), much.size(), &server_address));
}

TEST(CFaceUdp, TakesOverADescriptor) {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    EVUDP* const udp = EVUDP_init(loop, fd);
    CHECK(udp != nullptr);
    CHECK((::fcntl(EVUDP_fd(udp), F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(EVUDP_fd(udp), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK_EQUAL(1, EVUDP_try_send_to(udp, "x", 1, &server_address));
    CHECK_EQUAL(0, EVUDP_free(udp));
}

TEST(CFaceUdp, WhatIsNoDatagramSocketStaysTheCallers) {
    Pair pair;
    CHECK_FAILS_NULL(EINVAL, EVUDP_init(loop, pair.near));
    CHECK_EQUAL(0, ::close(pair.near));
    CHECK_FAILS_NULL(EBADF, EVUDP_init(loop, pair.near));
    const int file = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK_FAILS_NULL(ENOTSOCK, EVUDP_init(loop, file));
    CHECK_EQUAL(0, ::close(file));
}

TEST(CFaceUdp, AUnixSocketLeavesNoFile) {
    const test_support::TempDir folder;
    const std::string path = folder.file("datagrams");
    EVUDP_OPTIONS options = {};
    options.permissions = 0600;
    SOCKADDR where = {};
    EVUDP* const udp = make_udp(("unix:" + path).c_str(), where, &options);
    struct stat file = {};
    CHECK_EQUAL(0, ::stat(path.c_str(), &file));
    CHECK_EQUAL(0600, static_cast<int>(file.st_mode & 0777));
    EVUDP* const sender = EVUDP_connect(loop, &where, nullptr);
    CHECK_EQUAL(2, EVUDP_try_send_to(sender, "up", 2, nullptr));
    CHECK_EQUAL(2, EVUDP_try_recv_from(udp, buffer, sizeof buffer, nullptr));
    CHECK_EQUAL(0, EVUDP_close(udp));
    CHECK_EQUAL(-1, ::stat(path.c_str(), &file));
}

TEST(CFaceUdp, OptionsReachTheSocket) {
    EVUDP_OPTIONS options = {};
    options.reuse_port = 1;
    options.recv_buffer = 100000;
    SOCKADDR first = {};
    EVUDP* const one = make_udp("127.0.0.1:0", first, &options);
    EVUDP* const two = EVUDP_bind(loop, &first, &options);
    CHECK(two != nullptr);
    CHECK_EQUAL(EVUDP_port(one), EVUDP_port(two));
    int size = 0;
    socklen_t length = sizeof size;
    CHECK_EQUAL(0, ::getsockopt(EVUDP_fd(one), SOL_SOCKET, SO_RCVBUF, &size, &length));
    CHECK_EQUAL(200000, size);  // the kernel doubles it
    CHECK_FAILS_NULL(EADDRINUSE, EVUDP_bind(loop, &server_address, nullptr));
}

TEST(CFaceUdp, AGroupIsJoinedAndLeft) {
    IPADDRESS group;
    CHECK_EQUAL(0, IPADDRESS_parse(&group, "239.1.2.3"));
    // Where there is no route for multicast, the kernel says so; it must not be anything else.
    const int joined = EVUDP_join_group(server, &group, 1);
    CHECK(joined == 0 || errno == ENODEV);
    if (joined == 0) CHECK_EQUAL(0, EVUDP_leave_group(server, &group, 1));
    CHECK_FAILS(EADDRNOTAVAIL, EVUDP_leave_group(server, &group, 1));
    CHECK_EQUAL(0, IPADDRESS_parse(&group, "127.0.0.1"));
    CHECK_FAILS(EINVAL, EVUDP_join_group(server, &group, 1));
}

TEST(CFaceUdp, RefusesNonsense) {
    SOCKADDR nowhere = {};
    EVUDP_OPTIONS options = {};
    options.recv_buffer = -1;
    CHECK_FAILS_NULL(EINVAL, EVUDP_bind(nullptr, &server_address, nullptr));
    CHECK_FAILS_NULL(EINVAL, EVUDP_bind(loop, nullptr, nullptr));
    CHECK_FAILS_NULL(EINVAL, EVUDP_bind(loop, &nowhere, nullptr));
    CHECK_FAILS_NULL(EINVAL, EVUDP_bind(loop, &server_address, &options));
    CHECK_FAILS_NULL(EINVAL, EVUDP_connect(loop, &nowhere, nullptr));
    CHECK_FAILS_NULL(EINVAL, EVUDP_init(loop, -1));
    CHECK_FAILS(EINVAL, EVUDP_recv_from(server, buffer, 1, nullptr, soon()));  // outside a coroutine thread
    CHECK_FAILS(EINVAL, EVUDP_send_to(server, buffer, 1, &client_address, soon()));
    CHECK_FAILS(EINVAL, EVUDP_try_recv_from(server, nullptr, 1, nullptr));
    CHECK_FAILS(EINVAL, EVUDP_try_send_to(server, nullptr, 1, &client_address));
    CHECK_FAILS(EINVAL, EVUDP_try_send_to(server, buffer, 1, &nowhere));
    CHECK_FAILS(EINVAL, EVUDP_set_peer(server, &nowhere));
    CHECK_FAILS(EINVAL, EVUDP_join_group(server, nullptr, 0));
    CHECK_FAILS(EINVAL, EVUDP_address(server, nullptr));
    CHECK_FAILS(EINVAL, EVUDP_port(nullptr));
    CHECK_FAILS(EINVAL, EVUDP_fd(nullptr));
    CHECK_FAILS(EINVAL, EVUDP_close(nullptr));
    CHECK_FAILS(EINVAL, EVUDP_free(nullptr));
}

// --- batches ---

TEST_GROUP_BASE(CFaceUdpBatch, UdpFace) {
    EVUDPBATCH* batch = nullptr;
    EVUDP_DATAGRAM one = {};

    void setup() override {
        UdpFace::setup();
        batch = EVUDPBATCH_init(4, 16);
        CHECK(batch != nullptr);
    }
    void teardown() override {
        CHECK_EQUAL(0, EVUDPBATCH_free(batch));
        UdpFace::teardown();
    }
    // All of it, from the first on.
    std::string all() {
        std::string texts;
        CHECK_EQUAL(0, EVUDPBATCH_rewind(batch));
        while (EVUDPBATCH_next(batch, &one) == 1) texts += text(one.data, one.size) + ";";
        return texts;
    }
    int receive(timeval timeout) {
        Outcome got;
        start([&](EVTHREAD*, EVSOCKET*) { got = EVUDP_recv_batch(server, batch, timeout); });
        run_loop();
        errno = got.error;
        return got.result;
    }
};

TEST(CFaceUdpBatch, TakesManyAtOnce) {
    for (const char* const each : {"one", "two", "three"}) client_sends(each);
    CHECK_EQUAL(3, receive(soon()));
    CHECK_EQUAL(3, EVUDPBATCH_size(batch));
    CHECK_EQUAL(1, EVUDPBATCH_next(batch, &one));
    CHECK_EQUAL("one", text(one.data, one.size));
    CHECK_EQUAL(3, one.full_size);
    CHECK_EQUAL(text(client_address), text(one.peer));
    CHECK_EQUAL("one;two;three;", all());
    CHECK_EQUAL(0, EVUDPBATCH_next(batch, &one));
}

TEST(CFaceUdpBatch, LeavesWhatHasNoRoomForTheNextOne) {
    for (int i = 0; i < 6; ++i) client_sends(std::to_string(i));
    CHECK_EQUAL(4, receive(soon()));
    CHECK_EQUAL(2, receive(soon()));
    CHECK_EQUAL("4;5;", all());
}

TEST(CFaceUdpBatch, OneThatDidNotFitSaysSoItself) {
    client_sends("0123456789abcdef, and more");
    client_sends("short");
    CHECK_EQUAL(2, receive(soon()));
    CHECK_EQUAL(1, EVUDPBATCH_next(batch, &one));
    CHECK_EQUAL(16, one.size);
    CHECK_EQUAL(26, one.full_size);
    CHECK_EQUAL(1, EVUDPBATCH_next(batch, &one));
    CHECK_EQUAL(5, one.full_size);
}

TEST(CFaceUdpBatch, GoesBackToWhomItCameFrom) {
    client_sends("a");
    client_sends("b");
    Outcome sent;
    std::size_t count = 0;
    start([&](EVTHREAD*, EVSOCKET*) {
        EVUDP_recv_batch(server, batch, soon());
        sent = EVUDP_send_batch(server, batch, 0, soon(), &count);
    });
    run_loop();
    CHECK_OUTCOME(2, 0, sent);
    CHECK_EQUAL(2, count);
    for (const char expected : {'a', 'b'}) {
        CHECK_EQUAL(1, EVUDP_try_recv_from(client, buffer, sizeof buffer, nullptr));
        CHECK_EQUAL(expected, buffer[0]);
    }
}

TEST(CFaceUdpBatch, IsFilledAndSentFromTheMiddle) {
    for (const char* const each : {"a", "b", "c"})
        CHECK_EQUAL(0, EVUDPBATCH_add(batch, each, 1, &client_address));
    CHECK_EQUAL("a;b;c;", all());
    Outcome sent;
    start([&](EVTHREAD*, EVSOCKET*) { sent = EVUDP_send_batch(server, batch, 1, soon(), nullptr); });
    run_loop();
    CHECK_OUTCOME(2, 0, sent);
    CHECK_EQUAL(1, EVUDP_try_recv_from(client, buffer, sizeof buffer, nullptr));
    CHECK_EQUAL('b', buffer[0]);
    CHECK_EQUAL(0, EVUDPBATCH_clear(batch));
    CHECK_EQUAL(0, EVUDPBATCH_size(batch));
    CHECK_EQUAL("", all());
}

TEST(CFaceUdpBatch, SaysHowManyWentBeforeAnError) {
    CHECK_EQUAL(0, EVUDPBATCH_add(batch, "a", 1, &client_address));
    CHECK_EQUAL(0, EVUDPBATCH_add(batch, "b", 1, nullptr));  // to nobody
    Outcome sent;
    std::size_t count = 99;
    start([&](EVTHREAD*, EVSOCKET*) { sent = EVUDP_send_batch(server, batch, 0, soon(), &count); });
    run_loop();
    CHECK_OUTCOME(-1, EDESTADDRREQ, sent);
    CHECK_EQUAL(1, count);
}

TEST(CFaceUdpBatch, WhatCameTogetherIsToldApart) {
    EVUDP_OPTIONS options = {};
    options.coalesce = 1;
    SOCKADDR where = {};
    EVUDP* const coalescing = make_udp("127.0.0.1:0", where, &options);
    EVUDPBATCH* const rooms = EVUDPBATCH_init(2, EVUDPBATCH_COALESCED);
    std::string texts;
    for (const char* const each : {"aa", "bb", "cc"}) CHECK_EQUAL(0, EVUDPBATCH_add(batch, each, 2, &where));
    start([&](EVTHREAD*, EVSOCKET*) {
        EVUDP_send_batch(client, batch, 0, soon(), nullptr);
        while (texts.size() < 9 && EVUDP_recv_batch(coalescing, rooms, soon()) > 0)
            while (EVUDPBATCH_next(rooms, &one) == 1) texts += text(one.data, one.size) + ";";
    });
    run_loop();
    CHECK_EQUAL("aa;bb;cc;", texts);
    CHECK_EQUAL(0, EVUDPBATCH_free(rooms));
}

TEST(CFaceUdpBatch, TheTimeoutPasses) { CHECK_FAILS(ETIMEDOUT, receive(EVTIMEOUT_ms(2))); }

TEST(CFaceUdpBatch, RefusesNonsense) {
    CHECK_FAILS_NULL(EINVAL, EVUDPBATCH_init(0, 16));
    CHECK_FAILS_NULL(EINVAL, EVUDPBATCH_init(1, 0));
    CHECK_FAILS_NULL(EINVAL, EVUDPBATCH_init(1, EVUDPBATCH_COALESCED + 1));
    CHECK_FAILS(EINVAL, EVUDPBATCH_free(nullptr));
    CHECK_FAILS(EINVAL, EVUDPBATCH_size(nullptr));
    CHECK_FAILS(EINVAL, EVUDPBATCH_clear(nullptr));
    CHECK_FAILS(EINVAL, EVUDPBATCH_rewind(nullptr));
    CHECK_FAILS(EINVAL, EVUDPBATCH_next(batch, nullptr));
    CHECK_FAILS(EINVAL, EVUDPBATCH_add(batch, nullptr, 1, nullptr));
    CHECK_FAILS(ENOSPC, EVUDPBATCH_add(batch, "a text of more than 16 bytes", 28, nullptr));
    for (int i = 0; i < 4; ++i) CHECK_EQUAL(0, EVUDPBATCH_add(batch, "x", 1, &client_address));
    CHECK_FAILS(EINVAL, EVUDP_recv_batch(server, batch, soon()));  // outside a coroutine thread
    CHECK_FAILS(EINVAL, EVUDP_send_batch(server, batch, 0, soon(), nullptr));
    Outcome none, behind;
    start([&](EVTHREAD*, EVSOCKET*) {
        none = EVUDP_recv_batch(server, nullptr, soon());
        behind = EVUDP_send_batch(server, batch, -1, soon(), nullptr);
    });
    run_loop();
    CHECK_OUTCOME(-1, EINVAL, none);
    CHECK_OUTCOME(-1, EINVAL, behind);
}
