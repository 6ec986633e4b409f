// Two TLS ends in one loop, again and again, with every system call and every allocation, ours and OpenSSL's,
// failing in turn; and handshakes that are given up half-way. Each ends, nothing is left behind, and the next
// one works.
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "evcorothread/ev_thread.h"
#include "test/evcorothread/tls_fixture.h"
#include "test/evcorothread/tls_memory.h"
#include "test/support/allocation_faults.h"
#include "test/support/fault_injection.h"

using namespace test_support;

TEST_GROUP_BASE(TlsFaults, TlsFixture) {
    LogCapture log;  // what is logged is expected, and not for the terminal
    std::optional<TlsContext> server;
    std::optional<TlsContext> client;
    int succeeded = 0;

    void setup() override {
        server_options.client_auth = TlsClientAuth::required;
        server_options.client_ca_file = authority.file();
        server_options.alpn = {"h2"};
        client_options.certificate = authority.issue("ada");
        client_options.alpn = {"h2"};
        make_contexts();
        attempt();  // what OpenSSL makes once and keeps
        CHECK_EQUAL(1, succeeded);
        CHECK_EQUAL("", log.text());
        succeeded = 0;
    }
    void make_contexts() {
        server.emplace(TlsContext::server(server_options).value());
        client.emplace(TlsContext::client(client_options).value());
    }

    bool serve(EvSocket plain) {
        auto made = TlsSocket::accept(std::move(plain), *server, 3s);
        if (!made) return false;
        char buffer[100];
        IoResult got;
        while ((got = made->recv(buffer, 3s)))
            if (!made->send_all({buffer, got.bytes}, 3s)) return false;
        return got.eof() && !made->close(3s);
    }
    bool ask(EvSocket plain) {
        auto made = TlsSocket::connect(std::move(plain), *client, "localhost", 3s);
        if (!made) return false;
        char buffer[100];
        if (!made->send_all("ping", 3s) || !made->recv_exact({buffer, 4}, 3s)) return false;
        if (SSL_key_update(made->native(), SSL_KEY_UPDATE_REQUESTED) != 1) return false;
        iovec pieces[] = {{buffer, 2}, {buffer + 2, 2}};
        if (!made->send_all_v(pieces, 3s) || !made->recv_exact({buffer, 4}, 3s)) return false;
        if (made->info().alpn != "h2" || made->info().peer_subject != "CN=server") return false;
        return !made->close(3s);
    }
    void attempt() {
        SocketPair pair;
        try {
            pair = unix_pair();
        } catch (const std::system_error&) {
            return;
        }
        int good = 0;
        loop.spawn([&] { good += serve(EvSocket(loop, std::move(pair.near))); });
        loop.spawn([&] { good += ask(EvSocket(loop, std::move(pair.far))); });
        loop.run();
        succeeded += good == 2;
    }
    void check_that_it_works() {
        const int before = succeeded;
        attempt();
        CHECK_EQUAL(before + 1, succeeded);
    }
    // With OpenSSL's first allocation failing, then its second, … There are thousands: without
    // EVC_LONG_TESTS=1 in the environment, the later they come the more of them are left out.
    template <class F>
    std::size_t for_each_failing_allocation_of_openssl(F f) {
        const bool all = std::getenv("EVC_LONG_TESTS") != nullptr;
        if (all) ::alarm(0);
        for (std::size_t n = 1, runs = 0;; n += all ? 1 : 1 + n / 40, ++runs) {
            OpensslMemory memory;
            memory.fail_nth(n);
            f();
            memory.stop();
            if (!memory.failed()) return runs;
        }
    }
};

TEST(TlsFaults, OfEverySystemCall) {
    for (const int number : {EIO, ENOMEM, ECONNRESET, EPIPE, EAGAIN, EINTR}) {
        const long failures = for_each_failing_call(number, [this] { attempt(); });
        CHECK(failures > 10);
        check_that_it_works();
    }
}

TEST(TlsFaults, OfEveryAllocation) {
    const std::size_t failures = for_each_failing_allocation([this] { attempt(); });
    CHECK(failures > 5);
    check_that_it_works();
}

TEST(TlsFaults, OfAllocationsOfOpenssl) {
    const std::size_t failures = for_each_failing_allocation_of_openssl([this] { attempt(); });
    CHECK(failures > 100);
    check_that_it_works();
}

TEST(TlsFaults, OfEveryAllocationWhileAContextIsMade) {
    (void)for_each_failing_allocation([this] { (void)TlsContext::server(server_options); });
    (void)for_each_failing_allocation([this] { (void)TlsContext::client(client_options); });
    check_that_it_works();
}

TEST(TlsFaults, OfAllocationsOfOpensslWhileAContextIsMade) {
    std::size_t failures = for_each_failing_allocation_of_openssl([this] {
        const auto made = TlsContext::server(server_options);
        succeeded += made.ok();
    });
    CHECK(failures > 100);
    CHECK(succeeded > 0);
    failures = for_each_failing_allocation_of_openssl([this] { (void)TlsContext::client(client_options); });
    CHECK(failures > 100);
    check_that_it_works();
}

TEST(TlsFaults, OfAllocationsOfOpensslWhileAContextIsReloaded) {
    (void)for_each_failing_allocation_of_openssl([this] { (void)server->reload(); });
    check_that_it_works();  // by what was there, or by what came instead
}

TEST(TlsFaults, HandshakesGivenUpHalfWayLeaveNothing) {
    // A client's first words.
    std::string hello(4096, '\0');
    {
        SocketPair pair = unix_pair();
        loop.spawn([&] {
            (void)TlsSocket::connect(EvSocket(loop, std::move(pair.near)), *client, "localhost", 0s);
        });
        loop.run();
        hello.resize(nutils::recv_some(pair.far.get(), hello).bytes);
    }
    const auto give_up = [&](int count) {
        for (int i = 0; i < count; ++i) {
            SocketPair pair = unix_pair();
            EvThread thread =
                go([&] { CHECK(!TlsSocket::accept(EvSocket(loop, std::move(pair.near)), *server, 5s)); });
            // Nothing, a part, or all of it, with our answer read or not.
            (void)nutils::send_some(
                pair.far.get(),
                std::string_view(hello).substr(0, static_cast<std::size_t>(i) * 37 % (hello.size() + 37)));
            loop.run_ready();
            if (i % 2 == 0) (void)drain(pair.far.get());
            if (i % 5 == 0) thread.cancel();
            pair.far.reset();
            run_loop();
            CHECK(thread.finished());
        }
    };
    give_up(500);
    const long before = OpensslMemory::blocks();
    give_up(is_watched() ? 1000 : 10'000);
    CHECK_EQUAL(before, OpensslMemory::blocks());
    CHECK_EQUAL(0, stacks.in_use());
    check_that_it_works();
}

TEST(TlsFaults, FinishedConnectionsLeaveNothing) {
    for (int i = 0; i < 20; ++i) attempt();
    const long before = OpensslMemory::blocks();
    for (int i = 0; i < 100; ++i) attempt();
    CHECK_EQUAL(120, succeeded);
    CHECK_EQUAL(before, OpensslMemory::blocks());
}
