// Handshakes that succeed, and those that must not, each with a reason both sides can read.
#include <openssl/ssl.h>

#include "evcorothread/ev_thread.h"
#include "evcorothread/tls_socket.h"
#include "test/evcorothread/tls_fixture.h"
#include "test/support/death.h"

using namespace test_support;

TEST_GROUP_BASE(TlsHandshake, TlsFixture) {
    Handshake hands;
    LogCapture log;
    char buffer[4096];

    void shake(const std::string& host = "localhost") {
        shake_hands(hands, TlsContext::server(server_options).value(),
                    TlsContext::client(client_options).value(), host);
    }
    // A client may be content before the server is: what it hears when it goes on.
    std::string client_hears() {
        std::string heard = "nothing";
        in_coroutine([&] {
            if (!hands.client) return;
            (void)hands.client->send_all("hello?", 1s);
            heard = hands.client->recv(buffer, 1s).error.message();
        });
        return heard;
    }
    // What the server says to a peer that does `peer`.
    template <class F>
    cutils::Error accept_error(F peer, Deadline deadline = 5s) {
        TlsContext server = TlsContext::server(server_options).value();
        Connection connection = unix_connection(loop);
        std::optional<cutils::Error> error;
        go([&] {
            auto made = TlsSocket::accept(std::move(connection.socket), server, deadline);
            CHECK(!made);
            error = made.error();
        });
        run_ready();
        peer(connection);
        run_loop();
        return *error;
    }
};

TEST(TlsHandshake, OfTls12Works) {
    TlsContext server = TlsContext::server(server_options).value();
    SocketPair pair = unix_pair();
    SSL_CTX* const old = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(old, TLS1_2_VERSION);
    SSL* const ssl = SSL_new(old);
    SSL_set_fd(ssl, pair.far.get());
    in_coroutine([&] {
        EvThread client = go([&] {
            while (SSL_connect(ssl) != 1) this_evthread::yield();
        });
        auto made = TlsSocket::accept(EvSocket(loop, std::move(pair.near)), server, 5s);
        CHECK(made);
        CHECK_EQUAL("TLSv1.2", made->info().protocol);
        CHECK_EQUAL("ECDHE-ECDSA-AES128-GCM-SHA256", made->info().cipher);
        CHECK(!client.join(5s));
    });
    SSL_free(ssl);
    SSL_CTX_free(old);
}

TEST(TlsHandshake, OfTls12CanBeRuledOut) {
    server_options.min_version = TlsVersion::tls1_3;
    TlsContext server = TlsContext::server(server_options).value();
    SocketPair pair = unix_pair();
    SSL_CTX* const old = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(old, TLS1_2_VERSION);
    SSL* const ssl = SSL_new(old);
    SSL_set_fd(ssl, pair.far.get());
    in_coroutine([&] {
        EvThread client = go([&] {
            for (int i = 0; i < 100 && SSL_connect(ssl) != 1; ++i) this_evthread::yield();
            pair.far.reset();
        });
        auto made = TlsSocket::accept(EvSocket(loop, std::move(pair.near)), server, 5s);
        CHECK(!made);
        STRCMP_CONTAINS("unsupported protocol", made.error().message().c_str());
    });
    SSL_free(ssl);
    SSL_CTX_free(old);
}

TEST(TlsHandshake, TrustsAChain) {
    server_options.certificates = {authority.issue_through("middle", "far", {.hosts = "DNS:localhost"})};
    shake();
    CHECK_EQUAL("none", hands.client_error());
    CHECK_EQUAL("CN=middle", hands.client->info().peer_issuer);
}

TEST(TlsHandshake, WorksWithAnRsaKey) {
    server_options.certificates = {authority.issue("rsa", {.hosts = "DNS:localhost", .rsa = true})};
    shake();
    CHECK_EQUAL("none", hands.client_error());
}

TEST(TlsHandshake, ChecksAnAddress) {
    shake("127.0.0.1");
    CHECK_EQUAL("none", hands.client_error());
    CHECK_EQUAL("", hands.server->info().server_name);  // addresses are not sent
    shake("127.0.0.2");
    STRCMP_CONTAINS("IP address mismatch", hands.client_error().c_str());
    CHECK(hands.client.error().code() == TlsError::wrong_host);
}

TEST(TlsHandshake, ChecksAnAddressWithoutItsScope) {
    server_options.certificates = {authority.issue("local", {.hosts = "IP:fe80::1"})};
    shake("fe80::1%1");
    CHECK_EQUAL("none", hands.client_error());
    shake("fe80::2%1");
    CHECK(hands.client.error().code() == TlsError::wrong_host);
}

TEST(TlsHandshake, RefusesTheCertificateOfAnotherHost) {
    shake("example.com");
    CHECK(hands.client.error().code() == TlsError::wrong_host);
    CHECK_EQUAL("TLS handshake with a peer without a name: hostname mismatch", hands.client_error());
    CHECK(hands.server.error().code() == TlsError::refused_by_peer);
    STRCMP_CONTAINS("alert bad certificate", hands.server_error().c_str());
}

TEST(TlsHandshake, RefusesAnExpiredCertificate) {
    server_options.certificates = {authority.issue("old", {.hosts = "DNS:localhost", .ends = -60})};
    shake();
    CHECK(hands.client.error().code() == TlsError::certificate_expired);
    STRCMP_CONTAINS("certificate has expired", hands.client_error().c_str());
    STRCMP_CONTAINS("alert certificate expired", hands.server_error().c_str());
    STRCMP_CONTAINS("old.pem expired at ", log.text().c_str());
}

TEST(TlsHandshake, RefusesACertificateNotValidYet) {
    server_options.certificates = {
        authority.issue("young", {.hosts = "DNS:localhost", .begins = 3600, .ends = 7200})};
    shake();
    CHECK(hands.client.error().code() == TlsError::certificate_expired);
    STRCMP_CONTAINS("certificate is not yet valid", hands.client_error().c_str());
    STRCMP_CONTAINS("young.pem is not valid before ", log.text().c_str());
}

TEST(TlsHandshake, RefusesACertificateOfAnUnknownIssuer) {
    const Authority stranger(folder, "stranger");
    server_options.certificates = {stranger.issue("strange", {.hosts = "DNS:localhost"})};
    shake();
    CHECK(hands.client.error().code() == TlsError::certificate_refused);
    STRCMP_CONTAINS("unable to get local issuer certificate", hands.client_error().c_str());
    STRCMP_CONTAINS("alert unknown ca", hands.server_error().c_str());
}

TEST(TlsHandshake, TrustsTheSystemAndNobodyElse) {
    client_options.ca_file.clear();
    shake();
    CHECK(hands.client.error().code() == TlsError::certificate_refused);
}

TEST(TlsHandshake, TrustsAnybodyWhenTold) {
    client_options = {.verify = false};
    shake("whoever");
    CHECK_EQUAL("none", hands.client_error());
    CHECK(!hands.client->info().peer_verified);
}

TEST(TlsHandshake, ItsContextMayGoMeanwhile) {
    SocketPair pair = unix_pair();
    std::optional<TlsContext> context = TlsContext::server(server_options).value();
    go([&] {
        const auto socket = TlsSocket::accept(EvSocket(loop, std::move(pair.near)), *context, 10s);
        CHECK(socket.error().code() == TlsError::plain_text);
    });
    run_ready();
    context.reset();
    CHECK_EQUAL(4, ::write(pair.far.get(), "GET ", 4));
    CHECK_EQUAL(14, ::write(pair.far.get(), "/ HTTP/1.1\r\n\r\n", 14));
    run_loop();
    STRCMP_CONTAINS("spoke plain HTTP to a TLS port", log.text().c_str());
}

TEST(TlsHandshake, WantsAHostToCheck) {
    server_options.certificates = {authority.issue("one", {.hosts = "DNS:one.example.org"})};
    for (const std::string& host : {std::string(), std::string("."), std::string("local\0host", 10),
                                    std::string(".example.org"), std::string(256, 'a')}) {
        shake(host);
        CHECK(hands.client.error().code() == std::errc::invalid_argument);
        CHECK(hands.server.error().code() == NetError::truncated);
    }
}

TEST(TlsHandshake, TakesANameWithAllItsDots) {
    shake("localhost.");
    CHECK_EQUAL("none", hands.client_error());
    CHECK_EQUAL("localhost", hands.server->info().server_name);
}

TEST(TlsHandshake, AgreesOnAProtocolTheServerPrefers) {
    server_options.alpn = {"h2", "http/1.1"};
    client_options.alpn = {"http/1.1", "h2"};
    shake();
    CHECK_EQUAL("h2", hands.server->alpn());
    CHECK_EQUAL("h2", hands.client->info().alpn);
}

TEST(TlsHandshake, RefusesProtocolsItDoesNotHave) {
    server_options.alpn = {"h2"};
    client_options.alpn = {"gopher"};
    shake();
    STRCMP_CONTAINS("no application protocol", hands.client_error().c_str());
    CHECK(!hands.server);
}

TEST(TlsHandshake, NeedsNoProtocol) {
    server_options.alpn = {"h2"};
    shake();
    CHECK_EQUAL("none", hands.server_error());
    CHECK_EQUAL("", hands.server->alpn());
}

TEST(TlsHandshake, ShowsTheClientsCertificate) {
    server_options.client_auth = TlsClientAuth::required;
    server_options.client_ca_file = authority.file();
    client_options.certificate = authority.issue("ada");
    shake();
    CHECK_EQUAL("none", hands.server_error());
    CHECK_EQUAL("CN=ada", hands.server->info().peer_subject);
    CHECK_EQUAL("CN=authority", hands.server->info().peer_issuer);
    CHECK(hands.server->info().peer_verified);
}

TEST(TlsHandshake, RefusesAClientWithoutACertificate) {
    server_options.client_auth = TlsClientAuth::required;
    server_options.client_ca_file = authority.file();
    shake();
    CHECK(hands.server.error().code() == TlsError::certificate_refused);
    STRCMP_CONTAINS("peer did not return a certificate", hands.server_error().c_str());
    CHECK_EQUAL("tlsv13 alert certificate required", client_hears());
}

TEST(TlsHandshake, TellsAClientThatOnlySendsWhyItIsRefused) {
    server_options.client_auth = TlsClientAuth::required;
    server_options.client_ca_file = authority.file();
    shake();
    IoResult sent;
    in_coroutine([&] {
        for (int i = 0; i < 100 && !sent.error; ++i) sent = hands.client->send_all("news", 1s);
    });
    CHECK(sent.error == TlsError::refused_by_peer);  // and not just a broken pipe
    CHECK_EQUAL("tlsv13 alert certificate required", sent.error.message());
}

TEST(TlsHandshake, CanDoWithoutAClientsCertificate) {
    server_options.client_auth = TlsClientAuth::optional;
    server_options.client_ca_file = authority.file();
    shake();
    CHECK_EQUAL("none", hands.server_error());
    CHECK(!hands.server->info().peer_verified);
}

TEST(TlsHandshake, RefusesAClientsCertificateOfTheWrongIssuer) {
    const Authority stranger(folder, "stranger");
    server_options.client_auth = TlsClientAuth::optional;
    server_options.client_ca_file = authority.file();
    client_options.certificate = stranger.issue("eve");
    shake();
    CHECK(hands.server.error().code() == TlsError::certificate_refused);
    STRCMP_CONTAINS("unable to get local issuer certificate", hands.server_error().c_str());
    CHECK_EQUAL("tlsv1 alert unknown ca", client_hears());
}

TEST(TlsHandshake, RefusesAnExpiredClientsCertificate) {
    server_options.client_auth = TlsClientAuth::required;
    server_options.client_ca_file = authority.file();
    client_options.certificate = authority.issue("late", {.ends = -60});
    shake();
    CHECK(hands.server.error().code() == TlsError::certificate_expired);
    CHECK_EQUAL("sslv3 alert certificate expired", client_hears());
}

TEST(TlsHandshake, OfASilentClientTimesOut) {
    const TimePoint begin = loop.now();
    const cutils::Error error = accept_error([](Connection&) {}, 10s);
    CHECK(error.code() == NetError::timed_out);
    STRCMP_CONTAINS("TLS handshake with ", error.message().c_str());
    CHECK_EQUAL(10s, loop.now() - begin);
}

TEST(TlsHandshake, HasOneDeadlineForAllOfIt) {
    // A client that dribbles a hello for ever.
    const TimePoint begin = loop.now();
    const cutils::Error error = accept_error(
        [&](Connection& connection) {
            go([&] {
                connection.peer_sends(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
                for (int i = 0; i < 20; ++i) {
                    (void)this_evthread::delay(1s);
                    (void)nutils::send_some(connection.peer.get(), "x");
                }
            });
            run_loop();
        },
        10s);
    CHECK(error.code() == NetError::timed_out);
    CHECK(loop.now() - begin < 21s);
}

TEST(TlsHandshake, WithADeadlineInThePastTimesOut) {
    CHECK(accept_error([](Connection&) {}, 0s).code() == NetError::timed_out);
}

TEST(TlsHandshake, IsTruncatedWhenThePeerHangsUp) {
    CHECK(accept_error([](Connection& c) { c.peer_closes(); }).code() == NetError::truncated);
    CHECK(accept_error([](Connection& c) {
              c.peer_sends(std::string("\x16\x03\x01\x02\x00\x01", 6));
              c.peer_closes();
          }).code() == NetError::truncated);
}

TEST(TlsHandshake, LogsPlainHttp) {
    const cutils::Error error =
        accept_error([](Connection& c) { c.peer_sends("GET / HTTP/1.1\r\nHost: x\r\n\r\n"); });
    CHECK(error.code() == TlsError::plain_text);
    STRCMP_CONTAINS("http request", error.message().c_str());
    STRCMP_CONTAINS("spoke plain HTTP to a TLS port\n", log.text().c_str());
}

TEST(TlsHandshake, KnowsPlainTextOfOtherKindsToo) {
    CHECK(accept_error([](Connection& c) { c.peer_sends("OPTIONS * HTTP/1.1\r\n\r\n"); }).code() ==
          TlsError::plain_text);
}

TEST(TlsHandshake, RefusesGarbage) {
    const cutils::Error error = accept_error([&](Connection& c) {
        c.peer_sends(std::string(100, '\x01'));
        run_ready();
        c.peer_closes();
    });
    CHECK(error.code() == TlsError::protocol);
    STRCMP_CONTAINS("wrong version number", error.message().c_str());
}

TEST(TlsHandshake, IsCanceledWithItsCoroutine) {
    TlsContext server = TlsContext::server(server_options).value();
    Connection connection = unix_connection(loop);
    EvThread thread = go([&] {
        auto made = TlsSocket::accept(std::move(connection.socket), server, 10s);
        CHECK(!made && made.error().code() == NetError::canceled);
    });
    run_ready();
    thread.cancel();
    run_loop();
}

TEST(TlsHandshake, IsClosedWithItsSocket) {
    TlsContext server = TlsContext::server(server_options).value();
    Connection connection = unix_connection(loop);
    go([&] {
        auto made = TlsSocket::accept_on(connection.socket, server, 10s);
        CHECK(!made && made.error().code() == NetError::closed);
    });
    run_ready();
    connection.socket.close();
    run_loop();
}

TEST(TlsHandshake, LeavesABorrowedSocketOpenWhenItFails) {
    TlsContext server = TlsContext::server(server_options).value();
    Connection connection = unix_connection(loop);
    connection.peer_sends("GET / HTTP/1.0\r\n\r\n");
    in_coroutine([&] {
        CHECK(!TlsSocket::accept_on(connection.socket, server, 10s));
        CHECK(connection.socket.send_all("HTTP/1.0 400 Speak TLS\r\n\r\n", 1s));
    });
    CHECK_EQUAL("HTTP/1.0 400 Speak TLS\r\n\r\n", connection.peer_gets());
}

TEST(TlsHandshake, OnAClosedSocketFails) {
    TlsContext server = TlsContext::server(server_options).value();
    in_coroutine([&] {
        const auto made = TlsSocket::accept(EvSocket(), server, 10s);
        CHECK(!made && made.error().code() == NetError::closed);
    });
}

TEST(TlsHandshake, MisuseAborts) {
    TlsContext server = TlsContext::server(server_options).value();
    TlsContext client = TlsContext::client(client_options).value();
    STRCMP_CONTAINS("with a client's TlsContext",
                    abort_message([&] {
                        in_coroutine([&] { (void)TlsSocket::accept(EvSocket(), client, 1s); });
                    }).c_str());
    STRCMP_CONTAINS("with a server's TlsContext",
                    abort_message([&] {
                        in_coroutine([&] { (void)TlsSocket::connect(EvSocket(), server, "x", 1s); });
                    }).c_str());
    STRCMP_CONTAINS("needs 16 KiB of stack",
                    abort_message([&] {
                        StackPool small({.count = 1, .pages = 3, .scale = false});
                        EvLoop other(small);
                        other.spawn([&] {
                            (void)TlsSocket::accept(EvSocket(other, std::move(unix_pair().near)), server, 1s);
                        });
                        other.run();
                    }).c_str());
}
