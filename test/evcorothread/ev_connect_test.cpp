#include "evcorothread/ev_connect.h"

#include <netinet/in.h>

#include <optional>
#include <string>

#include "evcorothread/ev_thread.h"
#include "test/evcorothread/listeners.h"
#include "test/evcorothread/lookup_stub.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"
#include "test/support/fd_leak_check.h"
#include "test/support/temp_dir.h"

using namespace test_support;

TEST_GROUP_BASE(ConnectByName, RealTimeFixture) {
    LookupStub system;
    OffloadPool pool{{.threads = 1}};
    std::optional<Resolver> names{std::in_place, pool, system.function()};
    TempDir folder;
    std::string failed;

    void teardown() override {
        system.open();
        RealTimeFixture::teardown();
    }
    static std::string at(std::string_view host, const SockAddr& where) {
        return std::string(host) + ":" + std::to_string(where.port());
    }
    static std::string message(const cutils::Result<EvSocket>& result) {
        return result ? "connected" : result.error().message();
    }
    static std::error_code code(NetError error) { return error; }
    static std::error_code code_of(const cutils::Result<EvSocket>& result) {
        return result ? std::error_code() : result.error().code();
    }
    std::string peer_of(std::string_view where) {
        auto socket = connect(loop, *names, where, 5s);
        return socket ? socket->peer()->to_string() : socket.error().message();
    }
};

TEST(ConnectByName, LooksTheNameUp) {
    const Listener server(SockAddr::loopback(0));
    system.knows("server", {"127.0.0.1"});
    in_coroutine([&] {
        CHECK_EQUAL(server.address.to_string(), peer_of(at("server", server.address)));
        CHECK_EQUAL(server.address.to_string(), peer_of(at("SERVER", server.address)));
    });
    CHECK_EQUAL(1, system.asked());
}

TEST(ConnectByName, TakesHostAndPortApart) {
    const Listener server(SockAddr::loopback6(0));
    system.knows("server", {"::1"});
    in_coroutine([&] {
        CHECK(connect(loop, *names, "server", server.address.port(), {}, 5s));
        CHECK(connect(loop, *names, "::1", server.address.port(), {}, 5s));
    });
}

TEST(ConnectByName, TakesTheNameOfAPort) {
    system.knows("server", {"127.0.0.1"});
    in_coroutine([&] {
        (void)connect(loop, *names, "server:no-such", 5s);
        CHECK_EQUAL("server/no-such", system.last());
    });
}

TEST(ConnectByName, NumericAddressesAndUnixSocketsNeedNoResolver) {
    const Listener four(SockAddr::loopback(0)), six(SockAddr::loopback6(0));
    const Listener file(SockAddr::unix_path(folder.file("s")).value());
    const Listener abstract(SockAddr::unix_path("@" + folder.file("s")).value());
    pool.close();
    in_coroutine([&] {
        for (const Listener* const one : {&four, &six, &file, &abstract})
            CHECK_EQUAL(one->address.to_string(), peer_of(one->address.to_string()));
        CHECK_EQUAL(
            "[::1]:" + std::to_string(six.address.port()),
            peer_of(at("[::1%lo]", six.address)).substr(0, 5) + ":" + std::to_string(six.address.port()));
    });
    CHECK_EQUAL(0, system.asked());
}

TEST(ConnectByName, SaysWhatIsWrongWithTheText) {
    in_coroutine([&] {
        CHECK_EQUAL("connect to \"server\" (no port: write host:port): Invalid argument", peer_of("server"));
        STRCMP_CONTAINS("(no port behind the colon)", peer_of("server:").c_str());
        STRCMP_CONTAINS("(no port behind the bracket)", peer_of("[::1]").c_str());
        STRCMP_CONTAINS("(no host before the colon)", peer_of(":80").c_str());
        STRCMP_CONTAINS("(no host before the colon)", peer_of("[]:80").c_str());
        STRCMP_CONTAINS("(an IPv6 address stands in brackets", peer_of("::1:80").c_str());
        STRCMP_CONTAINS("Invalid argument", peer_of("[::g]:80").c_str());
        STRCMP_CONTAINS("No such device", peer_of("[fe80::1%nosuch]:80").c_str());
        STRCMP_CONTAINS("Invalid argument", peer_of("server:65536").c_str());
        STRCMP_CONTAINS("Invalid argument", peer_of("unix:").c_str());
    });
    CHECK_EQUAL(0, system.asked());
}

TEST(ConnectByName, OfAnUnknownHostSaysSo) {
    in_coroutine([&] {
        const auto none = connect(loop, *names, "nobody:80", 5s);
        CHECK_EQUAL(make_error_code(NameError::not_found), code_of(none));
        CHECK_EQUAL("looking up nobody (no such host: is the name spelled right?): Name or service not known",
                    message(none));
    });
}

TEST(ConnectByName, RefusedNamesTheHostAndTheAddress) {
    const SockAddr refusing = nowhere();
    system.knows("server", {"127.0.0.1"});
    in_coroutine([&] {
        const auto refused = connect(loop, *names, at("server", refusing), 5s);
        CHECK(refused.error() == std::errc::connection_refused);
        CHECK_EQUAL("server: connect to " + refusing.to_string() +
                        " (nobody listens there: is the server running?): Connection refused",
                    message(refused));
    });
}

TEST(ConnectByName, WhenAllRefuseNamesEach) {
    const SockAddr refusing = nowhere();
    system.knows("server", {"127.0.0.1", "127.0.0.2", "127.0.0.3"});
    in_coroutine([&] {
        const auto refused = connect(loop, *names, at("server", refusing), 5s);
        CHECK(refused.error() == std::errc::connection_refused);
        STRCMP_CONTAINS("server: none of 3 addresses [", message(refused).c_str());
        for (const char* each : {"127.0.0.1", "127.0.0.2", "127.0.0.3"})
            STRCMP_CONTAINS(("connect to " + at(each, refusing)).c_str(), message(refused).c_str());
    });
}

TEST(ConnectByName, TellsUnreachableFromRefused) {
    in_coroutine([&] {
        // 255.255.255.255 is nobody's for a stream: the kernel says so without a packet.
        const auto unreachable = connect(loop, *names, "255.255.255.255:9", 5s);
        CHECK(code_of(unreachable) == std::errc::network_unreachable ||
              code_of(unreachable) == std::errc::permission_denied);
        CHECK(code_of(unreachable) != std::errc::connection_refused);
        STRCMP_CONTAINS("connect to 255.255.255.255:9 (", message(unreachable).c_str());
    });
}

TEST(ConnectByName, OfABlackHoleAndAServerReachesTheServerAfterAQuarterOfASecond) {
    const FullListener hole(SockAddr::loopback(0));
    const Listener server(SockAddr::from(nutils::IpAddress::loopback6(), hole.address.port()));
    system.knows("server", {"127.0.0.1", "::1"});
    in_coroutine([&] {
        const TimePoint begin = loop.precise_now();
        const EvSocket socket = connect(loop, *names, at("server", hole.address), 5s).value();
        const Duration took = loop.precise_now() - begin;
        CHECK_EQUAL(server.address, socket.peer().value());
        CHECK(took >= 250ms);
        CHECK(took < 2s);
    });
}

TEST(ConnectByName, MayPreferAFamilyOrWantOneOnly) {
    const Listener four(SockAddr::loopback(0));
    const Listener six(SockAddr::from(nutils::IpAddress::loopback6(), four.address.port()));
    system.knows("both", {"::1", "127.0.0.1"});
    system.knows("four", {"127.0.0.1"});
    in_coroutine([&] {
        const auto peer = [&](const char* host, Families families) {
            HappyEyeballsOptions options;
            options.families = families;
            const auto socket = connect(loop, *names, at(host, four.address), options, 5s);
            return socket ? socket->peer()->to_string() : socket.error().message();
        };
        CHECK_EQUAL(six.address.to_string(), peer("both", Families::as_sorted));
        CHECK_EQUAL(four.address.to_string(), peer("both", Families::ipv4_first));
        CHECK_EQUAL(four.address.to_string(), peer("both", Families::ipv4_only));
        CHECK_EQUAL(six.address.to_string(), peer("both", Families::ipv6_first));
        CHECK_EQUAL(four.address.to_string(), peer("four", Families::ipv6_first));
        CHECK_EQUAL("four: none of 1 addresses is IPv6, the first " + four.address.to_string() +
                        ": Address family not supported by protocol",
                    peer("four", Families::ipv6_only));
    });
}

TEST(ConnectByName, SetsTheOptionsOfTheSocket) {
    const Listener server(SockAddr::loopback(0));
    system.knows("server", {"127.0.0.1"});
    in_coroutine([&] {
        HappyEyeballsOptions options;
        options.connect.keep_alive.emplace();
        options.connect.recv_buffer = 8192;
        options.connect.no_delay = false;
        const EvSocket socket = connect(loop, *names, at("server", server.address), options, 5s).value();
        const auto option = [&](int level, int name) {
            int value = -1;
            socklen_t size = sizeof value;
            CHECK_EQUAL(0, ::getsockopt(socket.fd(), level, name, &value, &size));
            return value;
        };
        CHECK_EQUAL(1, option(SOL_SOCKET, SO_KEEPALIVE));
        CHECK_EQUAL(16384, option(SOL_SOCKET, SO_RCVBUF));  // the kernel doubles it
        CHECK_EQUAL(0, option(IPPROTO_TCP, 1 /* TCP_NODELAY */));
    });
}

TEST(ConnectByName, HasOneDeadlineForLookingUpAndConnecting) {
    const FullListener hole(SockAddr::loopback(0));
    system.knows("server", {"127.0.0.1"});
    system.shut();
    const TimePoint begin = loop.precise_now();
    go([&] {
        const auto late = connect(loop, *names, at("server", hole.address), 300ms);
        CHECK_EQUAL(code(NetError::timed_out), code_of(late));
        failed = message(late);
    });
    until([&] { return system.asked() == 1 && loop.precise_now() - begin >= 20ms; });
    system.open();
    run_loop();
    CHECK(loop.precise_now() - begin >= 300ms);
    CHECK(loop.precise_now() - begin < 2s);
    STRCMP_CONTAINS(("server: connect to " + hole.address.to_string() +
                     " (no answer within the deadline: is the host up, or a firewall between?)")
                        .c_str(),
                    failed.c_str());
}

TEST(ConnectByName, TheDeadlineComesWhileLookingUp) {
    system.shut();
    in_coroutine([&] {
        const auto late = connect(loop, *names, "server:80", 10ms);
        CHECK_EQUAL(code(NetError::timed_out), code_of(late));
        STRCMP_CONTAINS("looking up server (no answer within the deadline", message(late).c_str());
    });
}

TEST(ConnectByName, IsCanceledWhileNoThreadIsFree) {
    system.shut();
    EvThread occupant = go([&] { (void)names->lookup("occupant", "1", 1h); });
    until([&] { return system.asked() == 1; });
    EvThread client =
        go([&] { CHECK_EQUAL(code(NetError::canceled), code_of(connect(loop, *names, "server:80", 1h))); });
    run_ready();
    CHECK_EQUAL(1, pool.figures().queued);
    client.cancel();
    run_ready();
    CHECK(client.finished());
    system.open();
    run_loop();
    CHECK_EQUAL(1, system.asked());
}

TEST(ConnectByName, IsCanceledWhileLookingUp) {
    system.shut();
    EvThread client = go([&] {
        const auto canceled = connect(loop, *names, "server:80", 1h);
        CHECK_EQUAL(code(NetError::canceled), code_of(canceled));
        CHECK_EQUAL("looking up server: canceled", message(canceled));
    });
    until([&] { return system.asked() == 1; });
    client.cancel();
    run_ready();
    CHECK(client.finished());
}

TEST(ConnectByName, IsCanceledWhileConnecting) {
    const FullListener hole(SockAddr::loopback(0));
    system.knows("server", {"127.0.0.1"});
    const FdLeakCheck descriptors;
    EvThread client = go([&] {
        CHECK(names->lookup("server", "1", 5s));  // known from here on
        failed = "waits";
        const auto canceled = connect(loop, *names, at("server", hole.address), 1h);
        CHECK_EQUAL(code(NetError::canceled), code_of(canceled));
        failed = message(canceled);
    });
    until([&] { return failed == "waits"; });
    run_ready();
    client.cancel();
    run_loop();
    CHECK_EQUAL("server: connect to " + hole.address.to_string() + ": canceled", failed);
    CHECK_EQUAL("", descriptors.leaked());
}

TEST(ConnectByName, AsksTheSystem) {
    const Listener four(SockAddr::loopback(0));
    names.emplace(pool);
    in_coroutine([&] {
        HappyEyeballsOptions options;
        options.families = Families::ipv4_first;
        // ::1 may be localhost's only address.
        const auto socket = connect(loop, *names, at("localhost", four.address), options, 20s);
        CHECK(socket || socket.error() == std::errc::connection_refused);
        STRCMP_CONTAINS("nobody.invalid", peer_of("nobody.invalid:80").c_str());
    });
}

TEST(ConnectByName, InACoroutineOfAnotherLoopAborts) {
    StackPool own({.count = 2, .pages = 16});
    EvLoop other(own);
    STRCMP_CONTAINS(
        "connect() in a coroutine of another loop",
        abort_message([&] { in_coroutine([&] { (void)connect(other, *names, "a:1", 1s); }); }).c_str());
}
