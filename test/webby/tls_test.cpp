// HTTPS: the server over TLS, and what its clients do to it.
#include <string>
#include <utility>

#include "evcorothread/tls_socket.h"
#include "test/evcorothread/tls_certificates.h"
#include "test/support/log_capture.h"
#include "test/support/sanitizers.h"
#include "test/support/temp_dir.h"
#include "test/webby/server_fixture.h"
#include "test/webby/temp_folder.h"

#include "test/support/harness.h"

using namespace webby_test;
using evcorothread::TlsClientAuth;
using evcorothread::TlsClientOptions;
using evcorothread::TlsContext;
using evcorothread::TlsError;
using evcorothread::TlsSocket;
using evcorothread::TlsVersion;
using nutils::NetError;

namespace {

class TlsClient final : public ClientOver<TlsSocket> {
  public:
    TlsClient(EvLoop& loop, const nutils::SockAddr& server, const TlsContext& context,
              const std::string& host)
        : TlsClient(shake(loop, server, context, host)) {}

    // Why there is no connection.
    [[nodiscard]] const std::string& refusal() const { return refusal_; }
    std::string subject() { return socket().info().peer_subject; }
    // Drops the connection without a goodbye.
    void vanish() { socket().abort(); }

  private:
    using Shaken = cutils::Result<TlsSocket>;
    explicit TlsClient(Shaken made)
        : ClientOver(made ? *std::move(made) : TlsSocket()), refusal_(made ? "" : made.error().message()) {}
    static Shaken shake(EvLoop& loop, const nutils::SockAddr& server, const TlsContext& context,
                        const std::string& host) {
        auto plain = EvSocket::connect(loop, server, 1s);
        if (!plain) return plain.error();
        return TlsSocket::connect(*std::move(plain), context, host, 20s);
    }

    std::string refusal_;
};

class TlsServerFixture : public ServerFixture {
  public:
    test_support::TempDir papers;
    test_support::Authority authority{papers, "authority"};
    TlsClientOptions client_options{.ca_file = authority.file()};

    TlsServerFixture() {
        options.listen = {};
        options.listen_tls = {"127.0.0.1:0"};
        options.tls.certificates = {
            authority.issue("server", {.hosts = "DNS:localhost,DNS:one.example,IP:127.0.0.1"})};
    }
    void tls_client(std::function<void(TlsClient&)> talk, std::string host = "localhost") {
        go([this, talk = std::move(talk), host] {
            const TlsContext context = TlsContext::client(client_options).value();
            TlsClient c(loop, address(), context, host);
            talk(c);
        });
    }
    std::string heard_over_tls(const std::string& input) {
        attach();
        std::string heard;
        tls_client([&](TlsClient& c) { heard = c.ask(input); });
        loop.run();
        return heard;
    }
};

std::string numbered(std::size_t size) {
    std::string text;
    while (text.size() < size) text += std::to_string(text.size()) + "\n";
    text.resize(size);
    return text;
}

std::string body_of(const std::string& response) { return response.substr(response.find("\r\n\r\n") + 4); }

}  // namespace

TEST_GROUP_BASE(WebbyTls, TlsServerFixture){};

TEST(WebbyTls, AnswersARequest) { CHECK_EQUAL(ok("hello\n"), heard_over_tls(get("/hello"))); }

TEST(WebbyTls, KeepsAConnectionWithoutAStackBetweenRequests) {
    attach();
    std::string first, second;
    Server::Counts between;
    std::size_t stacks_between = 0;
    tls_client([&](TlsClient& c) {
        first = c.ask(get("/hello"));
        (void)this_evthread::delay(50s);  // less than Timeouts::idle
        between = server->counts();
        stacks_between = stacks.in_use();
        second = c.ask(get("/hello"));
    });
    loop.run();
    CHECK_EQUAL(ok("hello\n"), first);
    CHECK_EQUAL(ok("hello\n"), second);
    LONGS_EQUAL(1, between.connections);
    LONGS_EQUAL(1, between.idle);
    LONGS_EQUAL(1, stacks_between);  // the client's
}

TEST(WebbyTls, AnswersPipelinedRequestsInOrder) {
    attach();
    std::string heard;
    tls_client([&](TlsClient& c) {
        c.say(get("/hello") + "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" +
              get("/hello"));
        for (int i = 0; i < 3; ++i) heard += c.hear();
    });
    loop.run();
    CHECK_EQUAL(ok("hello\n") + ok("abc") + ok("hello\n"), heard);
}

TEST(WebbyTls, AnswersRequestsThatCameInOneRecordOrInManyPieces) {
    attach();
    std::string heard;
    tls_client([&](TlsClient& c) {
        for (const char letter : get("/hello")) c.say({&letter, 1});
        heard = c.hear();
    });
    loop.run();
    CHECK_EQUAL(ok("hello\n"), heard);
}

TEST(WebbyTls, ServesFilesOfAnySize) {
    TempFolder folder;
    serve().files("/f", folder.path());
    attach();
    const std::size_t sizes[] = {0, 1, 1024, 16'000, 16'384, 16'385, 65'536, 3'000'000};
    std::string wrong;
    for (const std::size_t size : sizes) folder.write(std::to_string(size), numbered(size));
    tls_client([&](TlsClient& c) {
        for (const std::size_t size : sizes)
            if (body_of(c.ask(get("/f/" + std::to_string(size)))) != numbered(size))
                wrong += std::to_string(size) + " ";
    });
    loop.run();
    CHECK_EQUAL("", wrong);
}

TEST(WebbyTls, SendsAndTakesLargeBodies) {
    attach();
    std::size_t got = 0;
    std::string counted;
    tls_client([&](TlsClient& c) {
        got = body_of(c.ask(get("/big"))).size();
        c.say("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n" + numbered(5'000'000));
        counted = body_of(c.hear());
    });
    loop.run();
    LONGS_EQUAL(8'000'000, got);
    CHECK_EQUAL("5000000 eof", counted);
}

TEST(WebbyTls, AClientThatGoesWithoutAGoodbyeLeavesNothingBehind) {
    attach();
    std::size_t left = 99;
    tls_client([&](TlsClient& c) {
        (void)c.ask(get("/hello"));
        c.vanish();
        (void)this_evthread::delay(1ms);
        left = server->counts().connections;
    });
    loop.run();
    LONGS_EQUAL(0, left);
}

TEST(WebbyTls, AClientThatGoesInTheMiddleOfAnAnswerLeavesNothingBehind) {
    attach();
    std::size_t left = 99;
    tls_client([&](TlsClient& c) {
        c.say(get("/big"));
        char some[1000];
        (void)c.socket().recv(some, 1s);
        c.vanish();
        (void)this_evthread::delay(1ms);
        left = server->counts().connections;
    });
    loop.run();
    LONGS_EQUAL(0, left);
}

TEST(WebbyTls, ASilentClientHoldsNoStackAndIsClosedAfterTheHeadTimeout) {
    attach();
    bool ended = false;
    std::size_t idle = 0;
    cutils::Duration took{};
    client([&](Client& c) {
        const auto start = loop.now();
        (void)this_evthread::delay(1s);
        idle = server->counts().idle;
        ended = c.ends();
        took = loop.now() - start;
    });
    loop.run();
    LONGS_EQUAL(1, idle);
    CHECK(ended);
    CHECK(took >= 10s && took < 10100ms);
}

TEST(WebbyTls, AHandshakeThatStallsEndsAfterTheHeadTimeout) {
    attach();
    cutils::Duration took{};
    std::string heard;
    client([&](Client& c) {
        const auto start = loop.now();
        c.say({"\x16\x03\x01\x02", 4});  // the front of a record
        heard = c.hear_all();
        took = loop.now() - start;
    });
    loop.run();
    CHECK_EQUAL("", heard);
    CHECK(took >= 10s && took < 10100ms);
}

TEST(WebbyTls, AHeadThatDribblesIs408) {
    attach();
    std::string heard;
    tls_client([&](TlsClient& c) {
        c.say("GET /hello HTTP/1.1\r\n");
        heard = c.hear_all();
    });
    loop.run();
    STRCMP_CONTAINS("HTTP/1.1 408 Request Timeout\r\n", heard.c_str());
}

TEST(WebbyTls, PlainHttpGetsAnAnswerAndALogLine) {
    test_support::LogCapture log;
    attach();
    std::string heard;
    client([&](Client& c) {
        c.say(get("/hello"));
        heard = c.hear_all();
    });
    loop.run();
    STRCMP_CONTAINS("HTTP/1.1 400 Bad Request\r\n", heard.c_str());
    STRCMP_CONTAINS("https://", heard.c_str());
    STRCMP_CONTAINS("spoke plain HTTP to a TLS port", log.text().c_str());
}

TEST(WebbyTls, AFailedHandshakeIsLoggedOnceASecond) {
    test_support::LogCapture log;
    attach();
    client_options = {};  // trusts the system's authorities, not ours
    for (int i = 0; i < 5; ++i) tls_client([](TlsClient&) {});
    loop.run();
    STRCMP_CONTAINS("TLS handshake with 127.0.0.1:", log.text().c_str());
    LONGS_EQUAL(1, log.lines());
}

TEST(WebbyTls, AgreesOnHttp11) {
    attach();
    client_options.alpn = {"h2", "http/1.1"};
    std::string agreed;
    tls_client([&](TlsClient& c) { agreed = c.socket().alpn(); });
    loop.run();
    CHECK_EQUAL("http/1.1", agreed);
}

TEST(WebbyTls, RefusesAClientThatSpeaksSomethingElse) {
    attach();
    client_options.alpn = {"h2"};
    std::string refusal;
    tls_client([&](TlsClient& c) { refusal = c.refusal(); });
    loop.run();
    STRCMP_CONTAINS("no application protocol", refusal.c_str());
}

TEST(WebbyTls, ShowsTheCertificateOfTheHostThatIsAskedFor) {
    options.tls.certificates.push_back(authority.issue("second", {.hosts = "DNS:two.example"}));
    attach();
    std::string one, two;
    tls_client([&](TlsClient& c) { one = c.subject(); }, "one.example");
    tls_client([&](TlsClient& c) { two = c.subject(); }, "two.example");
    loop.run();
    CHECK_EQUAL("CN=server", one);
    CHECK_EQUAL("CN=second", two);
}

TEST(WebbyTls, ReloadingGivesNewConnectionsTheNewCertificateAndKeepsTheOldOnes) {
    attach();
    std::string before, after, heard;
    tls_client([&](TlsClient& c) {
        before = c.socket().info().peer_issuer;
        const test_support::Authority other(papers, "other");
        (void)other.issue("server", {.hosts = "DNS:localhost"});  // the same files
        const bool reloaded = server->reload_certificates().ok();
        TlsClient late(loop, address(), TlsContext::client({.ca_file = other.file()}).value(), "localhost");
        after = reloaded ? late.socket().info().peer_issuer : "not reloaded";
        heard = c.ask(get("/hello"));
    });
    loop.run();
    CHECK_EQUAL("CN=authority", before);
    CHECK_EQUAL("CN=other", after);
    CHECK_EQUAL(ok("hello\n"), heard);
}

TEST(WebbyTls, AReloadThatFailsKeepsTheOldCertificate) {
    attach();
    std::string error, heard;
    tls_client([&](TlsClient&) {
        ::unlink(options.tls.certificates[0].chain_file.c_str());
        const auto done = server->reload_certificates();
        error = done ? "none" : done.error().message();
        const TlsContext context = TlsContext::client(client_options).value();
        TlsClient late(loop, address(), context, "localhost");
        heard = late.ask(get("/hello"));
    });
    loop.run();
    STRCMP_CONTAINS("server.pem", error.c_str());
    CHECK_EQUAL(ok("hello\n"), heard);
}

TEST(WebbyTls, TellsAServletWhoTheClientIs) {
    options.tls.client_auth = TlsClientAuth::required;
    options.tls.client_ca_file = authority.file();
    client_options.certificate = authority.issue("ada");
    serve().get("/who", [](Request& q, Response& r) {
        r.text(q.tls() ? q.tls()->peer_subject + (q.tls()->peer_verified ? " verified" : "") : "nobody");
    });
    CHECK_EQUAL(ok("CN=ada verified"), heard_over_tls(get("/who")));
}

TEST(WebbyTls, RefusesAClientWithoutTheCertificateItAsksFor) {
    options.tls.client_auth = TlsClientAuth::required;
    options.tls.client_ca_file = authority.file();
    test_support::LogCapture log;
    CHECK_EQUAL("", heard_over_tls(get("/hello")));
    STRCMP_CONTAINS("peer did not return a certificate", log.text().c_str());
}

TEST(WebbyTls, SaysThatARequestCameWithoutIt) {
    options.listen = {"127.0.0.1:0"};
    serve().get("/tls", [](Request& q, Response& r) { r.text(q.tls() ? q.tls()->protocol : "none"); });
    attach();
    std::string plain, secure;
    client([&](Client& c) { plain = c.ask(get("/tls")); });
    go([&] {
        const TlsContext context = TlsContext::client(client_options).value();
        secure = TlsClient(loop, server->addresses().at(1), context, "localhost").ask(get("/tls"));
    });
    loop.run();
    CHECK_EQUAL(ok("none"), plain);
    CHECK_EQUAL(ok("TLSv1.3"), secure);
}

TEST(WebbyTls, StoppingSaysGoodbyeToIdleClients) {
    attach();
    bool ended = false;
    tls_client([&](TlsClient& c) {
        (void)c.ask(get("/hello"));
        server->stop();
        ended = c.ends();  // eof, not truncated
    });
    loop.run();
    CHECK(ended);
    LONGS_EQUAL(0, server->counts().connections);
}

TEST(WebbyTls, StoppingFinishesRequestsAndClosesClientsThatNeverShookHands) {
    attach();
    std::string slow;
    bool silent_ended = false;
    tls_client([&](TlsClient& c) { slow = c.ask(get("/slow")); });
    client([&](Client& c) { silent_ended = c.ends(); });
    client([&](Client&) {
        (void)this_evthread::delay(1s);
        server->stop();
    });
    loop.run();
    CHECK_EQUAL(ok("slow\n", "Connection: close\r\n"), slow);
    CHECK(silent_ended);
}

TEST(WebbyTls, AnErrorAnswerArrivesAlthoughTheClientStillSends) {
    attach();
    std::string heard;
    tls_client([&](TlsClient& c) {
        c.say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99000000\r\n\r\n" + numbered(100'000));
        heard = c.hear_all();
    });
    loop.run();
    STRCMP_CONTAINS("HTTP/1.1 413 ", heard.c_str());
}

TEST(WebbyTls, AnIdleConnectionIsClosedWithAGoodbye) {
    attach();
    bool ended = false;
    cutils::Duration took{};
    tls_client([&](TlsClient& c) {
        (void)c.ask(get("/hello"));
        const auto start = loop.now();
        ended = c.ends();
        took = loop.now() - start;
    });
    loop.run();
    CHECK(ended);
    CHECK(took >= 60s && took < 60100ms);
}

TEST(WebbyTls, WithoutACertificateTheServerDoesNotStart) {
    options.tls.certificates.clear();
    serve();
    STRCMP_CONTAINS("needs a certificate", server->attach(loop).error().message().c_str());
}

// Other builds' stacks are several times as large as asked for.
#if defined(__OPTIMIZE__) && !TEST_SUPPORT_ASAN && !TEST_SUPPORT_TSAN
TEST(WebbyTls, WithStacksTooSmallForAHandshakeTheServerDoesNotStart) {
    options.stack_pages = 4;
    serve();
    const auto started = server->start();
    CHECK(!started);
    STRCMP_CONTAINS("eight pages", started.error().message().c_str());
}
#endif

TEST(WebbyTls, ReloadingWithoutTlsSaysSo) {
    options.listen_tls.clear();
    options.listen = {"127.0.0.1:0"};
    attach();
    CHECK(server->reload_certificates().error() == std::errc::not_supported);
}

TEST(WebbyTls, WorkersShareTheCertificates) {
    options.workers = 2;
    serve();
    server->start().value();
    std::string heard;
    EvLoop real(stacks);
    real.spawn("client", [&] {
        const TlsContext context = TlsContext::client(client_options).value();
        for (int i = 0; i < 8; ++i) {
            heard += TlsClient(real, address(), context, "localhost").ask(get("/hello"));
            if (i == 3 && !server->reload_certificates()) heard += "not reloaded";
        }
    });
    real.run();
    server->stop();
    server->join();
    std::string expected;
    for (int i = 0; i < 8; ++i) expected += ok("hello\n");
    CHECK_EQUAL(expected, heard);
}
