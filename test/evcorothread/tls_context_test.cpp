// Certificates and what is wrong with them; host names; sessions; reloading while serving.
#include "evcorothread/tls_context.h"

#include <openssl/ssl.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <thread>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "evcorothread/tls_context_internal.h"
#include "test/evcorothread/tls_fixture.h"

using namespace test_support;

TEST_GROUP_BASE(TlsContext, TlsFixture) {
    LogCapture log;
    char buffer[4096];

    std::string server_error() const {
        const auto made = TlsContext::server(server_options);
        return made ? "none" : made.error().message();
    }
    std::string write(const std::string& name, const std::string& text) const {
        std::ofstream(folder.file(name)) << text;
        return folder.file(name);
    }
    // The subject of what the server shows to a client that asks for `host`.
    std::string shown_to(const TlsContext& server, const std::string& host) {
        TlsContext client = TlsContext::client({.verify = false}).value();
        Handshake hands;
        shake_hands(hands, server, client, host);
        CHECK_EQUAL("none", hands.client_error());
        return hands.client->info().peer_subject;
    }
    // Shakes hands, lets the client see its ticket, and says whether the session was resumed.
    bool resumes(const TlsContext& server, const TlsContext& client, const std::string& host = "localhost") {
        Handshake hands;
        shake_hands(hands, server, client, host);
        CHECK_EQUAL("none", hands.client_error());
        CHECK_EQUAL("none", hands.server_error());
        CHECK(hands.client->try_recv(buffer).would_block());
        CHECK_EQUAL(hands.server->info().resumed, hands.client->info().resumed);
        return hands.client->info().resumed;
    }
};

TEST(TlsContext, NamesAFileThatIsNotThere) {
    server_options.certificates[0].chain_file = "/nowhere/chain.pem";
    CHECK(TlsContext::server(server_options).error() == std::errc::no_such_file_or_directory);
    STRCMP_CONTAINS("certificate /nowhere/chain.pem", server_error().c_str());
    STRCMP_CONTAINS("No such file or directory", server_error().c_str());
    server_options.certificates[0] = authority.issue("x");
    server_options.certificates[0].key_file = "/nowhere/key.pem";
    STRCMP_CONTAINS("key /nowhere/key.pem", server_error().c_str());
}

TEST(TlsContext, NamesAFileThatHoldsSomethingElse) {
    server_options.certificates[0].chain_file = write("garbage.pem", "no certificate\n");
    CHECK(TlsContext::server(server_options).error().code() == TlsError::bad_file);
    STRCMP_CONTAINS("garbage.pem", server_error().c_str());
    STRCMP_CONTAINS("no start line", server_error().c_str());
    server_options.certificates[0] = authority.issue("x");
    server_options.certificates[0].key_file = write("garbage.key", "no key\n");
    CHECK(TlsContext::server(server_options).error().code() == TlsError::bad_file);
    STRCMP_CONTAINS("key ", server_error().c_str());
    STRCMP_CONTAINS("garbage.key", server_error().c_str());
}

TEST(TlsContext, NamesAKeyOfAnotherCertificate) {
    server_options.certificates[0].key_file = authority.issue("other").key_file;
    CHECK(TlsContext::server(server_options).error().code() == TlsError::bad_file);
    STRCMP_CONTAINS("other.key, which is not of the first certificate in ", server_error().c_str());
    STRCMP_CONTAINS("server.pem: key values mismatch", server_error().c_str());
    server_options.certificates[0].key_file = authority.issue("rsa", {.rsa = true}).key_file;
    CHECK(TlsContext::server(server_options).error().code() == TlsError::bad_file);
    STRCMP_CONTAINS("rsa.key, which is not of the first certificate in ", server_error().c_str());
}

TEST(TlsContext, WantsBothACertificateAndItsKey) {
    server_options.certificates[0].key_file.clear();
    CHECK(TlsContext::server(server_options).error() == std::errc::invalid_argument);
    STRCMP_CONTAINS("server.pem without a key", server_error().c_str());
    client_options.certificate.key_file = authority.issue("client").key_file;
    const auto keyed = TlsContext::client(client_options);
    CHECK(keyed.error() == std::errc::invalid_argument);
    STRCMP_CONTAINS("client.key without a certificate", keyed.error().message().c_str());
}

TEST(TlsContext, TakesNoLifetimeOfSessionsBelowZero) {
    server_options.session_lifetime = -1s;
    CHECK(TlsContext::server(server_options).error() == std::errc::invalid_argument);
}

TEST(TlsContext, KeepsSessionsForAWeekAtMost) {
    server_options.session_lifetime = std::chrono::seconds::max();
    const TlsContext server = TlsContext::server(server_options).value();
    CHECK_EQUAL(7 * 24 * 3600, SSL_CTX_get_timeout(server.impl().context.get()));
    CHECK(!resumes(server, TlsContext::client(client_options).value()));
}

TEST(TlsContext, AsksNobodyForThePasswordOfAKey) {
    const KeyPtr key = make_key(false);
    const std::string path = folder.file("locked.key");
    FILE* const out = std::fopen(path.c_str(), "we");
    CHECK_EQUAL(1, PEM_write_PrivateKey(out, key.get(), EVP_aes_128_cbc(), nullptr, 0, nullptr,
                                        const_cast<char*>("secret")));
    std::fclose(out);
    server_options.certificates[0].key_file = path;
    STRCMP_CONTAINS("locked.key, which must not be encrypted", server_error().c_str());
}

TEST(TlsContext, WantsACertificate) {
    server_options.certificates.clear();
    CHECK(TlsContext::server(server_options).error() == std::errc::invalid_argument);
    STRCMP_CONTAINS("needs a certificate", server_error().c_str());
}

TEST(TlsContext, WantsToKnowWhoIssuesClientsCertificates) {
    server_options.client_auth = TlsClientAuth::required;
    CHECK(TlsContext::server(server_options).error() == std::errc::invalid_argument);
    server_options.client_ca_file = "/nowhere/ca.pem";
    STRCMP_CONTAINS("/nowhere/ca.pem", server_error().c_str());
    server_options.client_ca_file.clear();
    server_options.client_ca_dir = folder.path();
    CHECK_EQUAL("none", server_error());
}

TEST(TlsContext, WarnsOfIssuersOfCertificatesThatNobodyIsAskedFor) {
    server_options.client_ca_file = authority.file();
    CHECK_EQUAL("none", server_error());
    STRCMP_CONTAINS("warning: TLS: it is said who issues", log.text().c_str());
}

TEST(TlsContext, ChecksProtocolNames) {
    server_options.alpn = {""};
    CHECK(TlsContext::server(server_options).error() == std::errc::invalid_argument);
    server_options.alpn = {std::string(256, 'x')};
    CHECK(TlsContext::server(server_options).error() == std::errc::invalid_argument);
    CHECK(!TlsContext::client({.alpn = {""}}));
}

TEST(TlsContext, NamesAClientsFiles) {
    const auto trusted = TlsContext::client({.ca_file = "/nowhere/ca.pem"});
    STRCMP_CONTAINS("trusted certificates /nowhere/ca.pem", trusted.error().message().c_str());
    const auto none = TlsContext::client({.ca_dir = "/nowhere/certs"});
    CHECK_EQUAL("trusted certificates in /nowhere/certs: No such file or directory", none.error().message());
    const auto file = TlsContext::client({.ca_dir = authority.file()});
    CHECK(file.error() == std::errc::not_a_directory);
    const auto own = TlsContext::client({.certificate = {"/nowhere/me.pem", "/nowhere/me.key"}});
    STRCMP_CONTAINS("certificate /nowhere/me.pem", own.error().message().c_str());
}

TEST(TlsContext, LogsThatACertificateHasExpiredAndServesIt) {
    server_options.certificates = {authority.issue("old", {.ends = -60})};
    CHECK_EQUAL("none", server_error());
    STRCMP_CONTAINS("warning: certificate ", log.text().c_str());
    STRCMP_CONTAINS("old.pem expired at ", log.text().c_str());
}

TEST(TlsContext, KnowsWhenTheFirstCertificateExpires) {
    server_options.certificates = {authority.issue("long", {.ends = 7200}),
                                   authority.issue("short", {.ends = 3600})};
    const auto left = TlsContext::server(server_options).value().expires() - std::chrono::system_clock::now();
    CHECK(left > 3500s && left <= 3600s);
    const auto never = TlsContext::client(client_options).value().expires();
    CHECK(never == std::chrono::system_clock::time_point::max());
}

TEST(TlsContext, ShowsTheCertificateOfTheHostThatIsNamed) {
    server_options.certificates = {
        authority.issue("first", {.hosts = "DNS:first.test"}),
        authority.issue("second", {.hosts = "DNS:second.test,DNS:other.test"}),
        authority.issue("wild", {.hosts = "DNS:*.wild.test"}),
        authority.issue("exact", {.hosts = "DNS:exact.wild.test"}),
        authority.issue("plain.test"),
    };
    TlsContext server = TlsContext::server(server_options).value();
    CHECK_EQUAL("CN=first", shown_to(server, "first.test"));
    CHECK_EQUAL("CN=second", shown_to(server, "second.test"));
    CHECK_EQUAL("CN=second", shown_to(server, "OTHER.Test"));
    CHECK_EQUAL("CN=wild", shown_to(server, "any.wild.test"));
    CHECK_EQUAL("CN=exact", shown_to(server, "exact.wild.test"));
    CHECK_EQUAL("CN=plain.test", shown_to(server, "plain.test"));
    CHECK_EQUAL("CN=first", shown_to(server, "a.b.wild.test"));  // one label only
    CHECK_EQUAL("CN=first", shown_to(server, "wild.test"));
    CHECK_EQUAL("CN=first", shown_to(server, "unknown.test"));
    CHECK_EQUAL("CN=first", shown_to(server, "127.0.0.1"));  // names no host
    CHECK_EQUAL("CN=first", shown_to(server, ""));
}

TEST(TlsContext, EveryCertificateAgreesOnProtocolsAndAsksClients) {
    server_options.certificates.push_back(authority.issue("second", {.hosts = "DNS:second.test"}));
    server_options.alpn = {"h2"};
    server_options.client_auth = TlsClientAuth::required;
    server_options.client_ca_file = authority.file();
    TlsContext server = TlsContext::server(server_options).value();
    client_options.alpn = {"h2"};
    client_options.certificate = authority.issue("ada");
    Handshake hands;
    shake_hands(hands, server, TlsContext::client(client_options).value(), "second.test");
    CHECK_EQUAL("none", hands.server_error());
    CHECK_EQUAL("h2", hands.server->alpn());
    CHECK_EQUAL("CN=ada", hands.server->info().peer_subject);
    client_options.certificate = {};
    shake_hands(hands, server, TlsContext::client(client_options).value(), "second.test");
    CHECK(hands.server.error().code() == TlsError::certificate_refused);
}

TEST(TlsContext, CertificatesOfTheSameNamesMayHaveKeysOfDifferentKinds) {
    server_options.certificates = {authority.issue("ec", {.hosts = "DNS:localhost"}),
                                   authority.issue("rsa", {.hosts = "DNS:localhost", .rsa = true})};
    TlsContext server = TlsContext::server(server_options).value();
    CHECK_EQUAL("CN=ec", shown_to(server, "localhost"));
    // A client that knows RSA only.
    SSL_CTX* const old = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set1_sigalgs_list(old, "RSA-PSS+SHA256");
    SSL* const ssl = SSL_new(old);
    SocketPair pair = unix_pair();
    SSL_set_fd(ssl, pair.far.get());
    in_coroutine([&] {
        EvThread client = go([&] {
            for (int i = 0; i < 1000 && SSL_connect(ssl) != 1; ++i) this_evthread::yield();
        });
        CHECK(TlsSocket::accept(EvSocket(loop, std::move(pair.near)), server, 5s));
        CHECK(!client.join(5s));
    });
    CHECK_EQUAL(EVP_PKEY_RSA, EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(ssl))));
    SSL_free(ssl);
    SSL_CTX_free(old);
}

TEST(TlsContext, ResumesSessions) {
    TlsContext server = TlsContext::server(server_options).value();
    TlsContext client = TlsContext::client(client_options).value();
    CHECK(!resumes(server, client));
    CHECK(resumes(server, client));
    CHECK(resumes(server, client));
}

TEST(TlsContext, ResumesOnlySessionsOfTheSameHost) {
    TlsContext server = TlsContext::server(server_options).value();
    TlsContext client = TlsContext::client(client_options).value();
    CHECK(!resumes(server, client, "localhost"));
    CHECK(!resumes(server, client, "127.0.0.1"));
}

TEST(TlsContext, ResumesSessionsWhateverTheCaseOfTheHost) {
    TlsContext server = TlsContext::server(server_options).value();
    TlsContext client = TlsContext::client(client_options).value();
    CHECK(!resumes(server, client, "localhost"));
    CHECK(resumes(server, client, "LocalHost"));
}

TEST(TlsContext, AClientThatReadsItsFilesAgainForgetsItsSessions) {
    TlsContext server = TlsContext::server(server_options).value();
    TlsContext client = TlsContext::client(client_options).value();
    CHECK(!resumes(server, client));
    CHECK(client.reload());
    CHECK(!resumes(server, client));
}

TEST(TlsContext, UsesATicketOnce) {
    TlsContext server = TlsContext::server(server_options).value();
    TlsContext client = TlsContext::client(client_options).value();
    CHECK(!resumes(server, client));
    Handshake hands;
    shake_hands(hands, server, client);
    CHECK(hands.client->info().resumed);
    // Its own ticket has not been looked at, and the first one is gone.
    CHECK(!resumes(server, client));
}

TEST(TlsContext, ResumptionCanBeTurnedOff) {
    TlsContext client = TlsContext::client(client_options).value();
    server_options.session_lifetime = 0s;
    TlsContext without = TlsContext::server(server_options).value();
    CHECK(!resumes(without, client));
    CHECK(!resumes(without, client));
    server_options.session_lifetime = 1h;
    TlsContext server = TlsContext::server(server_options).value();
    client_options.cached_sessions = 0;
    TlsContext forgetful = TlsContext::client(client_options).value();
    CHECK(!resumes(server, forgetful));
    CHECK(!resumes(server, forgetful));
}

TEST(TlsContext, AClientForgetsTheOldestOfTooManySessions) {
    client_options.cached_sessions = 1;
    TlsContext server = TlsContext::server(server_options).value();
    TlsContext client = TlsContext::client(client_options).value();
    CHECK(!resumes(server, client, "localhost"));
    CHECK(!resumes(server, client, "127.0.0.1"));
    CHECK(!resumes(server, client, "localhost"));
    CHECK(resumes(server, client, "localhost"));
}

TEST(TlsContext, AnotherServersTicketIsNoHarm) {
    TlsContext one = TlsContext::server(server_options).value();
    TlsContext two = TlsContext::server(server_options).value();
    TlsContext client = TlsContext::client(client_options).value();
    CHECK(!resumes(one, client));
    CHECK(!resumes(two, client));
    CHECK(resumes(two, client));
}

TEST(TlsContext, ResumesAClientThatHasShownACertificate) {
    server_options.client_auth = TlsClientAuth::required;
    server_options.client_ca_file = authority.file();
    client_options.certificate = authority.issue("ada");
    TlsContext server = TlsContext::server(server_options).value();
    TlsContext client = TlsContext::client(client_options).value();
    CHECK(!resumes(server, client));
    Handshake hands;
    shake_hands(hands, server, client);
    CHECK(hands.server->info().resumed);
    CHECK_EQUAL("CN=ada", hands.server->info().peer_subject);
    CHECK(hands.server->info().peer_verified);
}

TEST(TlsContext, ReloadShowsTheNewCertificateToNewConnections) {
    TlsContext server = TlsContext::server(server_options).value();
    TlsContext client = TlsContext::client(client_options).value();
    Handshake old;
    shake_hands(old, server, client);
    const TlsCertificate fresh = authority.issue("renewed", {.hosts = "DNS:localhost"});
    std::rename(fresh.chain_file.c_str(), server_options.certificates[0].chain_file.c_str());
    std::rename(fresh.key_file.c_str(), server_options.certificates[0].key_file.c_str());
    CHECK(server.reload());
    CHECK_EQUAL("CN=renewed", shown_to(server, "localhost"));
    in_coroutine([&] {  // and the old one goes on
        CHECK(old.client->send_all("still here", 1s));
        CHECK_EQUAL("still here", received(*old.server, 1s));
        CHECK_EQUAL("CN=server", old.client->info().peer_subject);
    });
}

TEST(TlsContext, ReloadOfBadFilesChangesNothing) {
    TlsContext server = TlsContext::server(server_options).value();
    write("server.pem", "not any more\n");
    const auto done = server.reload();
    CHECK(!done);
    STRCMP_CONTAINS("server.pem", done.error().message().c_str());
    CHECK_EQUAL("CN=server", shown_to(server, "localhost"));
}

TEST(TlsContext, ReloadKeepsSessions) {
    TlsContext server = TlsContext::server(server_options).value();
    TlsContext client = TlsContext::client(client_options).value();
    CHECK(!resumes(server, client));
    CHECK(server.reload());
    CHECK(resumes(server, client));
    CHECK(client.reload());
    CHECK(!resumes(server, client));  // a client begins anew: whom it trusts may have changed
}

TEST(TlsContext, ReloadForgetsSessionsOfClientsWithCertificates) {
    server_options.client_auth = TlsClientAuth::required;
    server_options.client_ca_file = authority.file();
    client_options.certificate = authority.issue("ada");
    TlsContext server = TlsContext::server(server_options).value();
    TlsContext client = TlsContext::client(client_options).value();
    CHECK(!resumes(server, client));
    CHECK(server.reload());
    CHECK(!resumes(server, client));
}

TEST(TlsContext, MayGoBeforeItsConnections) {
    Handshake hands = shaken();  // its contexts are gone
    in_coroutine([&] {
        CHECK(hands.client->send_all("x", 1s));
        CHECK_EQUAL("x", received(*hands.server, 1s));
        CHECK(hands.server->send_all("y", 1s));  // a ticket comes with it
        CHECK_EQUAL("y", received(*hands.client, 1s));
    });
}

TEST(TlsContext, ServesSeveralLoopsWhileItIsReloaded) {
    TlsContext server = TlsContext::server(server_options).value();
    TlsContext client = TlsContext::client(client_options).value();
    std::atomic<int> good{0};
    std::atomic<int> running{2};
    const auto work = [&] {
        StackPool own_stacks({.count = 4});
        EvLoop own(own_stacks);
        for (int i = 0; i < 20; ++i) {
            SocketPair pair = unix_pair();
            own.spawn([&] {
                auto made = TlsSocket::accept(EvSocket(own, std::move(pair.near)), server, 10s);
                if (made && made->send_all("hello", 10s)) (void)made->close(10s);
            });
            own.spawn([&] {
                auto made = TlsSocket::connect(EvSocket(own, std::move(pair.far)), client, "localhost", 10s);
                char text[5];
                if (made && made->recv_exact(text, 10s)) ++good;
            });
            own.run();
        }
        --running;
    };
    std::thread one(work);
    std::thread two(work);
    int reloads = 0;
    while (running > 0) reloads += server.reload().ok();
    one.join();
    two.join();
    CHECK_EQUAL(40, good.load());
    CHECK(reloads > 0);
}
