// The C face: TLS.
#include <cstdio>
#include <functional>
#include <string>

#include "evcorothread/ev_thread.h"
#include "evcorothread/evthread_tls.h"
#include "test/evcorothread/c_face_fixture.h"
#include "test/evcorothread/tls_certificates.h"
#include "test/support/allocation_faults.h"
#include "test/support/log_capture.h"
#include "test/support/temp_dir.h"

using namespace c_face_test;
using test_support::Authority;
using test_support::TempDir;

TEST_GROUP_BASE(CFaceTls, CFace) {
    TempDir folder;
    Authority authority{folder, "authority"};
    evcorothread::TlsCertificate ours = authority.issue("server", {.hosts = "DNS:localhost,IP:127.0.0.1"});
    std::string ca_file = authority.file();
    EVTLS_OPTIONS server_options = {};
    EVTLS_OPTIONS client_options = {};
    EVTLSCONTEXT* server_context = nullptr;
    EVTLSCONTEXT* client_context = nullptr;
    EVTLS_ERROR why = {99, "nothing was tried"};
    EVTLS_ERROR client_why = {99, "nothing was tried"};
    char buffer[4096] = {};
    Pair pair;

    void setup() override {
        CFace::setup();
        server_options.certificate_file = ours.chain_file.c_str();
        server_options.key_file = ours.key_file.c_str();
        client_options.ca_file = ca_file.c_str();
    }
    void teardown() override {
        CFace::teardown();
        if (pair.near >= 0) ::close(pair.near);
        if (server_context != nullptr) CHECK_EQUAL(0, EVTLSCONTEXT_free(server_context));
        if (client_context != nullptr) CHECK_EQUAL(0, EVTLSCONTEXT_free(client_context));
    }

    int near() { return std::exchange(pair.near, -1); }
    void make_contexts() {
        server_context = EVTLSCONTEXT_server(&server_options, &why);
        CHECK_EQUAL(std::string(), std::string(why.text));
        CHECK(server_context != nullptr);
        client_context = EVTLSCONTEXT_client(&client_options, &why);
        CHECK_EQUAL(std::string(), std::string(why.text));
        CHECK(client_context != nullptr);
    }

    using Talk = std::function<void(EVTLS*)>;
    // Both ends over a unix socket, each in a coroutine thread; a null EVTLS where the handshake failed.
    void both(Talk server, Talk client, const char* host = "localhost") {
        if (server_context == nullptr) make_contexts();
        start_with(near(), [this, server](EVTHREAD*, EVSOCKET* socket) {
            server(EVTLS_accept(socket, server_context, soon(), &why));
        });
        start_with(std::exchange(pair.far, -1), [this, client, host](EVTHREAD*, EVSOCKET* socket) {
            EVTLS* const tls = EVTLS_connect(socket, client_context, host, soon(), &client_why);
            client(tls);
            if (tls != nullptr) finish(tls);
        });
        run_loop();
    }
    static void echo(EVTLS * tls) {
        char bytes[256];
        int got = 0;
        while (tls != nullptr && (got = EVTLS_recv(tls, bytes, sizeof bytes, soon())) > 0)
            if (EVTLS_send(tls, bytes, static_cast<std::size_t>(got), soon()) != got) break;
        if (tls != nullptr) EVTLS_close(tls, soon());
    }
    // Who just leaves may be gone before the other one has shaken hands.
    static void finish(EVTLS * tls) {
        char bytes[256];
        EVTLS_shutdown_send(tls);
        while (EVTLS_recv(tls, bytes, sizeof bytes, soon()) > 0) continue;
    }
    static void nothing(EVTLS*) {}
    // With less of the stack left than a handshake needs.
    static void deep_down(const std::function<void()>& f) {
        volatile char room[1024];
        room[0] = 1;
        if (evcorothread::this_evthread::stack_left() > 14 * 1024)
            deep_down(f);
        else
            f();
        room[1] = room[0];
    }
    static std::string text(const char* from) { return from != nullptr ? from : strerror(errno); }
};

TEST(CFaceTls, IsThere) { CHECK_EQUAL(1, EVTLS_is_available()); }

TEST(CFaceTls, WhatIsSentComesAndTheEndIsSaid) {
    std::string got;
    Outcome sent, end, closed;
    both(echo, [&](EVTLS* tls) {
        sent = EVTLS_send(tls, "in the clear?", 13, soon());
        const int size = EVTLS_recv_all(tls, buffer, 13, soon());
        if (size > 0) got.assign(buffer, static_cast<std::size_t>(size));
        EVTLS_shutdown_send(tls);
        end = EVTLS_recv(tls, buffer, sizeof buffer, soon());
        closed = EVTLS_close(tls, soon());
    });
    CHECK_OUTCOME(13, 0, sent);
    CHECK_EQUAL("in the clear?", got);
    CHECK_OUTCOME(0, 0, end);
    CHECK_OUTCOME(0, 0, closed);
    CHECK_EQUAL(std::string(), std::string(why.text));
    CHECK_EQUAL(static_cast<int>(EVTLS_OTHER), why.kind);
}

TEST(CFaceTls, RecvAllReturnsLessWhenThePeerFinishes) {
    Outcome all;
    std::size_t received = 99;
    both(
        [](EVTLS* tls) {
            EVTLS_send(tls, "abc", 3, soon());
            EVTLS_close(tls, soon());
        },
        [&](EVTLS* tls) { all = EVTLS_recv_all_ex(tls, buffer, 10, soon(), &received); });
    CHECK_OUTCOME(3, 0, all);
    CHECK_EQUAL(3, received);
}

TEST(CFaceTls, SaysWhatTheTwoHaveAgreedOn) {
    const char* const protocols[] = {"h2", "http/1.1", nullptr};
    const char* const spoken[] = {"http/1.1", nullptr};
    const auto mine = authority.issue("ada");
    server_options.alpn = protocols;
    server_options.verify = EVTLS_VERIFY_REQUIRED;
    server_options.ca_file = ca_file.c_str();
    client_options.alpn = spoken;
    client_options.certificate_file = mine.chain_file.c_str();
    client_options.key_file = mine.key_file.c_str();
    std::string seen, shown;
    int verified = -2, resumed = -2;
    both(
        [&](EVTLS* tls) {
            shown = text(EVTLS_peer_subject(tls)) + " by " + text(EVTLS_peer_issuer(tls)) + " for " +
                    text(EVTLS_server_name(tls));
            verified = EVTLS_is_peer_verified(tls);
        },
        [&](EVTLS* tls) {
            seen =
                text(EVTLS_protocol(tls)) + " " + text(EVTLS_alpn(tls)) + " " + text(EVTLS_peer_subject(tls));
            resumed = EVTLS_is_resumed(tls);
            if (text(EVTLS_cipher(tls)).substr(0, 4) != "TLS_") seen += " in no cipher";
        });
    CHECK_EQUAL("TLSv1.3 http/1.1 CN=server", seen);
    CHECK_EQUAL("CN=ada by CN=authority for localhost", shown);
    CHECK_EQUAL(1, verified);
    CHECK_EQUAL(0, resumed);
}

TEST(CFaceTls, AClientWithoutACertificateIsRefusedWhereOneIsRequired) {
    server_options.verify = EVTLS_VERIFY_REQUIRED;
    server_options.ca_file = ca_file.c_str();
    int number = 0;
    both([&](EVTLS* tls) { number = tls == nullptr ? errno : -1; }, nothing);
    CHECK_EQUAL(EKEYREJECTED, number);
    CHECK_EQUAL(static_cast<int>(EVTLS_CERTIFICATE_REFUSED), why.kind);
    CHECK(std::string(why.text).find("TLS handshake with") == 0);
}

TEST(CFaceTls, AStrangersCertificateIsRefusedByTheClient) {
    const std::string stranger = Authority(folder, "stranger").file();
    client_options.ca_file = stranger.c_str();
    int number = 0, refused = 0;
    both([&](EVTLS* tls) { refused = tls == nullptr ? errno : -1; },
         [&](EVTLS* tls) { number = tls == nullptr ? errno : -1; });
    CHECK_EQUAL(EKEYREJECTED, number);
    CHECK_EQUAL(static_cast<int>(EVTLS_CERTIFICATE_REFUSED), client_why.kind);
    CHECK_EQUAL(EPROTO, refused);
    CHECK_EQUAL(static_cast<int>(EVTLS_REFUSED_BY_PEER), why.kind);
}

TEST(CFaceTls, ACertificateOfAnotherHostHasAKindOfItsOwn) {
    int number = 0;
    both(
        nothing, [&](EVTLS* tls) { number = tls == nullptr ? errno : -1; }, "example.org");
    CHECK_EQUAL(EKEYREJECTED, number);
    CHECK_EQUAL(static_cast<int>(EVTLS_WRONG_HOST), client_why.kind);
}

TEST(CFaceTls, AnExpiredCertificateHasAKindOfItsOwn) {
    test_support::LogCapture log;  // the context says so, too
    ours = authority.issue("old", {.hosts = "DNS:localhost", .begins = -7200, .ends = -3600});
    server_options.certificate_file = ours.chain_file.c_str();
    server_options.key_file = ours.key_file.c_str();
    int number = 0;
    both(nothing, [&](EVTLS* tls) { number = tls == nullptr ? errno : -1; });
    CHECK_EQUAL(EKEYEXPIRED, number);
    CHECK_EQUAL(static_cast<int>(EVTLS_CERTIFICATE_EXPIRED), client_why.kind);
}

TEST(CFaceTls, WithoutVerifyingAnybodyWillDo) {
    client_options = {};
    client_options.verify = EVTLS_VERIFY_NONE;
    int verified = -2;
    both(
        nothing, [&](EVTLS* tls) { verified = EVTLS_is_peer_verified(tls); }, nullptr);
    CHECK_EQUAL(0, verified);
}

TEST(CFaceTls, PlainTextIsNamed) {
    test_support::LogCapture log;
    make_contexts();
    int number = 0;
    pair.write("GET / HTTP/1.1\r\n\r\n");
    pair.close_far();
    start_with(near(), [&](EVTHREAD*, EVSOCKET* socket) {
        number = EVTLS_accept(socket, server_context, soon(), &why) == nullptr ? errno : -1;
    });
    run_loop();
    CHECK_EQUAL(EPROTO, number);
    CHECK_EQUAL(static_cast<int>(EVTLS_PLAIN_TEXT), why.kind);
}

TEST(CFaceTls, ASilentHandshakeTimesOut) {
    make_contexts();
    int number = 0, later = 0;
    const int fd = near();
    start_with(fd, [&](EVTHREAD*, EVSOCKET* socket) {
        number = EVTLS_accept(socket, server_context, EVTIMEOUT_ms(5), &why) == nullptr ? errno : -1;
        later = EVSOCKET_fd(socket);  // it is still open
    });
    run_loop();
    CHECK_EQUAL(ETIMEDOUT, number);
    CHECK_EQUAL(fd, later);
    CHECK_EQUAL(static_cast<int>(EVTLS_OTHER), why.kind);
    CHECK(std::string(why.text).find("deadline passed") != std::string::npos);
}

TEST(CFaceTls, ACanceledHandshakeSaysSo) {
    make_contexts();
    int number = 0;
    EVTHREAD* const shaking = start_with(near(), [&](EVTHREAD*, EVSOCKET* socket) {
        number = EVTLS_accept(socket, server_context, soon(), nullptr) == nullptr ? errno : -1;
    });
    start([&](EVTHREAD*, EVSOCKET*) { EVTHREAD_cancel(shaking); });
    run_loop();
    CHECK_EQUAL(ECANCELED, number);
}

TEST(CFaceTls, WhileItShakesHandsTheSocketCannotBeFreedButClosed) {
    make_contexts();
    int number = 0;
    Outcome freed;
    EVSOCKET* shaking = nullptr;
    start_with(near(), [&](EVTHREAD*, EVSOCKET* socket) {
        shaking = socket;
        number = EVTLS_accept(socket, server_context, soon(), nullptr) == nullptr ? errno : -1;
    });
    start([&](EVTHREAD* self, EVSOCKET*) {
        while (shaking == nullptr) EVTHREAD_yield(self);
        EVTHREAD_yield(self);
        freed = EVSOCKET_free(shaking);
        EVSOCKET_close(shaking);
    });
    run_loop();
    CHECK_OUTCOME(-1, EBUSY, freed);
    CHECK_EQUAL(EBADF, number);
}

TEST(CFaceTls, TheSocketBelowIsBusy) {
    Outcome received, all, sent, ended;
    make_contexts();
    start_with(near(), [&](EVTHREAD*, EVSOCKET* socket) {
        EVTLS* const tls = EVTLS_accept(socket, server_context, soon(), nullptr);
        if (tls == nullptr) return;
        received = EVSOCKET_recv(socket, buffer, 1, 0, soon());
        all = EVSOCKET_recv_all(socket, buffer, 1, 0, soon());
        sent = EVSOCKET_send(socket, buffer, 1, 0, soon());
        ended = EVSOCKET_shutdown_send(socket);
        if (EVTLS_accept(socket, server_context, soon(), nullptr) != nullptr || errno != EBUSY) ended = 7;
    });
    start_with(std::exchange(pair.far, -1), [&](EVTHREAD*, EVSOCKET* socket) {
        finish(EVTLS_connect(socket, client_context, "localhost", soon(), nullptr));
    });
    run_loop();
    CHECK_OUTCOME(-1, EBUSY, received);
    CHECK_OUTCOME(-1, EBUSY, all);
    CHECK_OUTCOME(-1, EBUSY, sent);
    CHECK_OUTCOME(-1, EBUSY, ended);
}

TEST(CFaceTls, AStreamThatIsCutOffIsNoEnd) {
    Outcome cut;
    EVTLS_ERROR reason = {99, ""};
    make_contexts();
    start_with(near(), [&](EVTHREAD*, EVSOCKET* socket) {
        EVTLS* const tls = EVTLS_accept(socket, server_context, soon(), nullptr);
        cut = EVTLS_recv(tls, buffer, sizeof buffer, soon());
        EVTLS_error(tls, &reason);
    });
    start_with(std::exchange(pair.far, -1), [&](EVTHREAD*, EVSOCKET* socket) {
        EVTLS* const tls = EVTLS_connect(socket, client_context, "localhost", soon(), nullptr);
        EVTLS_recv(tls, buffer, sizeof buffer, EVTIMEOUT_ms(1));  // the ticket; unread, it would mean a reset
        EVSOCKET_close(socket);
    });
    run_loop();
    CHECK_OUTCOME(-1, ECONNABORTED, cut);
    CHECK_EQUAL("ended in the middle", std::string(reason.text));
    CHECK_EQUAL(static_cast<int>(EVTLS_OTHER), reason.kind);
}

TEST(CFaceTls, WaitsTimeOutAndAreStillUsable) {
    Outcome timed_out, then;
    both(echo, [&](EVTLS* tls) {
        timed_out = EVTLS_recv(tls, buffer, sizeof buffer, EVTIMEOUT_ms(2));
        EVTLS_send(tls, "x", 1, soon());
        then = EVTLS_recv(tls, buffer, sizeof buffer, soon());
    });
    CHECK_OUTCOME(-1, ETIMEDOUT, timed_out);
    CHECK_OUTCOME(1, 0, then);
}

TEST(CFaceTls, FreedUnderOneWhoReceivesItIsClosed) {
    Outcome received, later;
    EVTLS* waited = nullptr;
    make_contexts();
    start_with(near(), [&](EVTHREAD* self, EVSOCKET* socket) {
        waited = EVTLS_accept(socket, server_context, soon(), nullptr);
        while (received.result == -2) EVTHREAD_delay(self, EVTIMEOUT_ms(1));
        later = EVSOCKET_recv(socket, buffer, 1, 0, soon());
    });
    start([&](EVTHREAD* self, EVSOCKET*) {
        while (waited == nullptr) EVTHREAD_delay(self, EVTIMEOUT_ms(1));
        received = EVTLS_recv(waited, buffer, sizeof buffer, soon());
    });
    start_with(std::exchange(pair.far, -1), [&](EVTHREAD* self, EVSOCKET* socket) {
        EVTLS_connect(socket, client_context, "localhost", soon(), nullptr);
        while (waited == nullptr) EVTHREAD_delay(self, EVTIMEOUT_ms(1));
        EVTHREAD_delay(self, EVTIMEOUT_ms(3));
        EVTLS_free(waited);
    });
    run_loop();
    CHECK_OUTCOME(-1, EBADF, received);
    CHECK_OUTCOME(-1, EBADF, later);
}

TEST(CFaceTls, OneReceivesWhileAnotherSends) {
    const std::string much(1 << 20, 'm');
    Outcome sent;
    std::size_t came = 0;
    both(echo, [&](EVTLS* tls) {
        start([&, tls](EVTHREAD*, EVSOCKET*) {
            sent = EVTLS_send(tls, much.data(), much.size(), soon());
            EVTLS_shutdown_send(tls);
        });
        int got = 0;
        while ((got = EVTLS_recv(tls, buffer, sizeof buffer, soon())) > 0)
            came += static_cast<std::size_t>(got);
    });
    CHECK_OUTCOME(static_cast<int>(much.size()), 0, sent);
    CHECK_EQUAL(much.size(), came);
}

TEST(CFaceTls, AReloadBringsTheNewCertificate) {
    make_contexts();
    time_t expires = 0;
    CHECK_EQUAL(0, EVTLSCONTEXT_expires(server_context, &expires));
    const auto renewed = authority.issue("renewed", {.hosts = "DNS:localhost", .ends = 48 * 3600});
    CHECK_EQUAL(0, std::rename(renewed.chain_file.c_str(), ours.chain_file.c_str()));
    CHECK_EQUAL(0, std::rename(renewed.key_file.c_str(), ours.key_file.c_str()));
    CHECK_EQUAL(0, EVTLSCONTEXT_reload(server_context, &why));
    time_t later = 0;
    CHECK_EQUAL(0, EVTLSCONTEXT_expires(server_context, &later));
    CHECK(later > expires + 3600);
    std::string subject;
    both(nothing, [&](EVTLS* tls) { subject = text(EVTLS_peer_subject(tls)); });
    CHECK_EQUAL("CN=renewed", subject);
}

TEST(CFaceTls, AReloadThatFailsLeavesTheOldCertificate) {
    make_contexts();
    CHECK_EQUAL(0, std::rename(authority.issue("other").key_file.c_str(), ours.key_file.c_str()));
    CHECK_FAILS(EBADMSG, EVTLSCONTEXT_reload(server_context, &why));
    CHECK_EQUAL(static_cast<int>(EVTLS_BAD_FILE), why.kind);
    CHECK(std::string(why.text).find(folder.path()) != std::string::npos);
    std::string subject;
    both(nothing, [&](EVTLS* tls) { subject = text(EVTLS_peer_subject(tls)); });
    CHECK_EQUAL("CN=server", subject);
}

TEST(CFaceTls, AClientThatNamesAHostGetsTheCertificateMadeOutForIt) {
    const auto other = authority.issue("second", {.hosts = "DNS:second.example"});
    const EVTLS_CERTIFICATE more[] = {{other.chain_file.c_str(), other.key_file.c_str()}};
    server_options.more_certificates = more;
    server_options.more_certificates_count = 1;
    std::string subject;
    both(
        nothing, [&](EVTLS* tls) { subject = text(EVTLS_peer_subject(tls)); }, "second.example");
    CHECK_EQUAL("CN=second", subject);
}

TEST(CFaceTls, AFileThatIsNotThereIsNamed) {
    server_options.key_file = "/no/such/key.pem";
    CHECK_FAILS_NULL(ENOENT, EVTLSCONTEXT_server(&server_options, &why));
    CHECK(std::string(why.text).find("/no/such/key.pem") != std::string::npos);
    CHECK_EQUAL(static_cast<int>(EVTLS_OTHER), why.kind);
}

TEST(CFaceTls, ALongReasonIsCutAndEnds) {
    const std::string path = "/" + std::string(1000, 'p');
    server_options.certificate_file = path.c_str();
    CHECK_FAILS_NULL(ENAMETOOLONG, EVTLSCONTEXT_server(&server_options, &why));
    CHECK_EQUAL(sizeof why.text - 1, std::string(why.text).size());
}

TEST(CFaceTls, AHandshakeOnTooSmallAStackIsRefused) {
    make_contexts();
    int number = 0;
    start_with(near(), [&](EVTHREAD*, EVSOCKET* socket) {
        deep_down(
            [&] { number = EVTLS_accept(socket, server_context, soon(), &why) == nullptr ? errno : -1; });
    });
    run_loop();
    CHECK_EQUAL(EINVAL, number);
    CHECK(std::string(why.text).find("16 KiB of stack") != std::string::npos);
}

TEST(CFaceTls, WithoutMemoryAContextIsEnomem) {
    test_support::AllocationFaults faults;
    int failures = 0;
    for (std::size_t n = 1; server_context == nullptr && n < 200; ++n) {
        faults.fail_nth(n);
        errno = 0;
        server_context = EVTLSCONTEXT_server(&server_options, &why);
        const int number = errno;
        faults.stop();
        if (server_context != nullptr) break;
        ++failures;
        CHECK_EQUAL(ENOMEM, number);
        CHECK_EQUAL("out of memory", std::string(why.text));
    }
    CHECK(server_context != nullptr);
    CHECK(failures > 3);
}

TEST(CFaceTls, WithoutMemoryAHandshakeIsEnomemAndTheSocketStaysOpen) {
    make_contexts();
    test_support::AllocationFaults faults;
    int number = 0, fd = -1;
    start_with(near(), [&](EVTHREAD*, EVSOCKET* socket) {
        faults.fail_nth(1);
        number = EVTLS_accept(socket, server_context, soon(), &why) == nullptr ? errno : -1;
        faults.stop();
        fd = EVSOCKET_fd(socket);
    });
    run_loop();
    CHECK_EQUAL(ENOMEM, number);
    CHECK(fd >= 0);
}

TEST(CFaceTls, RefusesNonsense) {
    CHECK_FAILS_NULL(EINVAL, EVTLSCONTEXT_server(nullptr, &why));
    CHECK_EQUAL("Invalid argument", std::string(why.text));
    EVTLS_OPTIONS options = {};
    CHECK_FAILS_NULL(EINVAL, EVTLSCONTEXT_server(&options, nullptr));
    options.verify = 4;
    CHECK_FAILS_NULL(EINVAL, EVTLSCONTEXT_client(&options, nullptr));
    options.verify = EVTLS_VERIFY_OPTIONAL;
    CHECK_FAILS_NULL(EINVAL, EVTLSCONTEXT_client(&options, nullptr));
    options = {};
    options.min_version = 11;
    CHECK_FAILS_NULL(EINVAL, EVTLSCONTEXT_client(&options, nullptr));
    options = {};
    options.certificate_file = "alone";
    CHECK_FAILS_NULL(EINVAL, EVTLSCONTEXT_client(&options, nullptr));
    CHECK_FAILS(EINVAL, EVTLSCONTEXT_reload(nullptr, nullptr));
    CHECK_FAILS(EINVAL, EVTLSCONTEXT_free(nullptr));
    time_t when = 0;
    CHECK_FAILS(EINVAL, EVTLSCONTEXT_expires(nullptr, &when));
    make_contexts();
    CHECK_FAILS(EINVAL, EVTLSCONTEXT_expires(server_context, nullptr));
    CHECK_FAILS(ENOENT, EVTLSCONTEXT_expires(client_context, &when));
    CHECK_FAILS_NULL(EINVAL, EVTLS_accept(nullptr, server_context, soon(), nullptr));
    CHECK_FAILS_NULL(EINVAL, EVTLS_connect(nullptr, client_context, "x", soon(), nullptr));
    int wrong_side = 0, no_host = 0, unconnected = 0, outside = 0;
    start_with(near(), [&](EVTHREAD* self, EVSOCKET* socket) {
        wrong_side = EVTLS_accept(socket, client_context, soon(), nullptr) == nullptr ? errno : 0;
        no_host = EVTLS_connect(socket, client_context, nullptr, soon(), nullptr) == nullptr ? errno : 0;
        EVSOCKET* const later = EVSOCKET_init(self, -1, 0);
        unconnected = EVTLS_accept(later, server_context, soon(), nullptr) == nullptr ? errno : 0;
    });
    EVSOCKET* const elses = EVSOCKET_init(make([](EVTHREAD*, EVSOCKET*) {}), -1, 0);
    outside = EVTLS_accept(elses, server_context, soon(), nullptr) == nullptr ? errno : 0;
    run_loop();
    CHECK_EQUAL(EINVAL, wrong_side);
    CHECK_EQUAL(EINVAL, no_host);
    CHECK_EQUAL(EBADF, unconnected);
    CHECK_EQUAL(EINVAL, outside);
    CHECK_FAILS(EINVAL, EVTLS_recv(nullptr, buffer, 1, soon()));
    CHECK_FAILS(EINVAL, EVTLS_recv_all(nullptr, buffer, 1, soon()));
    CHECK_FAILS(EINVAL, EVTLS_send(nullptr, buffer, 1, soon()));
    CHECK_FAILS(EINVAL, EVTLS_shutdown_send(nullptr));
    CHECK_FAILS(EINVAL, EVTLS_close(nullptr, soon()));
    CHECK_FAILS(EINVAL, EVTLS_free(nullptr));
    CHECK_FAILS(EINVAL, EVTLS_error(nullptr, &why));
    CHECK_FAILS(EINVAL, EVTLS_is_peer_verified(nullptr));
    CHECK_FAILS_NULL(EINVAL, EVTLS_alpn(nullptr));
}

TEST(CFaceTls, ATransferThatMakesNoSenseIsRefused) {
    Outcome empty, nowhere, negative;
    both(nothing, [&](EVTLS* tls) {
        empty = EVTLS_recv(tls, buffer, 0, soon());
        nowhere = EVTLS_send(tls, nullptr, 1, soon());
        negative = EVTLS_recv_all(tls, buffer, static_cast<std::size_t>(-1), soon());
    });
    CHECK_OUTCOME(-1, EINVAL, empty);
    CHECK_OUTCOME(-1, EINVAL, nowhere);
    CHECK_OUTCOME(-1, EINVAL, negative);
}
