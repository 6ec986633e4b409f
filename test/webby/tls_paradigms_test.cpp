// HTTPS under every paradigm: the same bytes, the same ends.
#include <fcntl.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "evcorothread/cross_event.h"
#include "evcorothread/tls_socket.h"
#include "test/evcorothread/tls_certificates.h"
#include "test/support/log_capture.h"
#include "test/support/temp_dir.h"
#include "test/webby/server_fixture.h"
#include "test/webby/temp_folder.h"

#include "test/support/harness.h"

using namespace webby_test;
using namespace std::chrono_literals;
using evcorothread::TlsClientOptions;
using evcorothread::TlsContext;
using evcorothread::TlsSocket;

namespace {

constexpr Paradigm kAll[] = {Paradigm::coroutine, Paradigm::thread, Paradigm::event};

class TlsClient final : public ClientOver<TlsSocket> {
  public:
    using ClientOver::ClientOver;
};

class TlsParadigmsFixture : public test_support::Fixture {
  public:
    TlsParadigmsFixture() { ::alarm(300); }
    ~TlsParadigmsFixture() override { ::alarm(0); }
    void setup() override {
        log.emplace();
        folder.emplace();
        big.resize(300'000);
        for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 7 + i / 251);
        folder->write("big.bin", big);
        options.listen = {};
        options.listen_tls = {"127.0.0.1:0"};
        options.tls.certificates = {authority.issue("server", {.hosts = "DNS:localhost"})};
        options.limits.body = 10'000'000;
        options.threads = 4;
        options.timeouts.linger = 200ms;
    }
    void teardown() override {
        may_go_on.set();
        server.reset();
        folder.reset();
        log.reset();
    }

    void start(Paradigm paradigm) {
        server.reset();
        options.paradigm = paradigm;
        server = std::make_unique<Server>(options);
        server->get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
        server->post("/echo", [](Request& q, Response& r) { r.text(q.body()); });
        server->get("/wait", [this](Request&, Response& r) {
            in_progress = true;
            (void)may_go_on.wait(20s);
            r.text("waited\n");
        });
        server->get("/tls", [](Request& q, Response& r) { r.text(q.tls() ? q.tls()->protocol : "none"); });
        server->files("/files", folder->path());
        server->start().value();
    }
    void plainly(const std::function<void(Client&)>& talk) {
        corothread::StackPool stacks({.count = 2, .pages = 16});
        EvLoop loop(stacks);
        loop.spawn("client", [&] {
            Client c(loop, server->addresses().at(0));
            talk(c);
        });
        loop.run();
    }
    // `talk` gets `count` clients.
    void over_tls(std::size_t count, const std::function<void(std::vector<TlsClient>&)>& talk) {
        corothread::StackPool stacks({.count = 2, .pages = 16});
        EvLoop loop(stacks);
        loop.spawn("client", [&] {
            const TlsContext context = TlsContext::client({.ca_file = authority.file()}).value();
            std::vector<TlsClient> clients;
            for (std::size_t i = 0; i < count; ++i) {
                auto plain = EvSocket::connect(loop, server->addresses().at(0), 10s);
                if (!plain) return;
                auto shaken = TlsSocket::connect(*std::move(plain), context, "localhost", 20s);
                clients.emplace_back(shaken ? *std::move(shaken) : TlsSocket());
            }
            talk(clients);
        });
        loop.run();
    }
    void over_tls(const std::function<void(TlsClient&)>& talk) {
        over_tls(1, [&](std::vector<TlsClient>& clients) { talk(clients.front()); });
    }

    evcorothread::CrossEvent may_go_on;
    std::atomic<bool> in_progress{false};
    test_support::TempDir papers;
    test_support::Authority authority{papers, "authority"};
    ServerOptions options;
    std::unique_ptr<Server> server;
    std::optional<test_support::LogCapture> log;
    std::optional<TempFolder> folder;
    std::string big;
};

std::string post(std::string_view target, std::string_view body) {
    return "POST " + std::string(target) +
           " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           std::string(body);
}
std::string body_of(const std::string& response) {
    const std::size_t end = response.find("\r\n\r\n");
    return end == std::string::npos ? "<" + response + ">" : response.substr(end + 4);
}

}  // namespace

TEST_GROUP_BASE(TlsParadigms, TlsParadigmsFixture){};

TEST(TlsParadigms, AnswerOneRequestAfterTheOtherAndKnowThatTheyAreEncrypted) {
    for (const Paradigm paradigm : kAll) {
        start(paradigm);
        over_tls([](TlsClient& c) {
            CHECK_EQUAL(ok("hello\n"), c.ask(get("/hello")));
            CHECK_EQUAL("TLSv1.3", body_of(c.ask(get("/tls"))));
            c.say(get("/hello") + post("/echo", "abc") + get("/hello"));
            CHECK_EQUAL("hello\n", body_of(c.hear()));
            CHECK_EQUAL("abc", body_of(c.hear()));
            CHECK_EQUAL("hello\n", body_of(c.hear()));
        });
    }
}

TEST(TlsParadigms, MoveLargeBodiesAndFilesWhole) {
    for (const Paradigm paradigm : kAll) {
        start(paradigm);
        over_tls([&](TlsClient& c) {
            std::string large;
            for (int i = 0; i < 15; ++i) large += big;  // more than the kernel takes at once
            CHECK(body_of(c.ask(post("/echo", large))) == large);
            CHECK(body_of(c.ask(get("/files/big.bin"))) == big);
            CHECK_EQUAL("hello\n", body_of(c.ask(get("/hello"))));
        });
    }
}

TEST(TlsParadigms, ClientsThatReadSlowlyKeepNobodyFromBeingServed) {
    const std::string much(8'000'000, 'x');
    folder->write("much.bin", much);
    options.threads = options.max_active = 1;
    for (const Paradigm paradigm : kAll) {
        start(paradigm);
        std::string hello, file;
        over_tls(3, [&](std::vector<TlsClient>& clients) {
            for (TlsClient& slow : {std::ref(clients[0]), std::ref(clients[1])})
                slow.say(get("/files/much.bin"));
            hello = clients[2].ask(get("/hello"));
            (void)clients[0].hear();
            file = body_of(clients[1].hear());
        });
        CHECK_EQUAL(ok("hello\n"), hello);
        CHECK(file == much);
    }
}

TEST(TlsParadigms, ARequestThatIsRefusedForWantOfAStackOrAThreadIsToldSo) {
    options.threads = options.max_active = 1;
    options.when_full = WhenFull::refuse;
    for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::thread}) {
        start(paradigm);
        in_progress = false;
        may_go_on.reset();
        std::string refused, waited;
        over_tls(2, [&](std::vector<TlsClient>& clients) {
            const std::string hello = clients[1].ask(get("/hello"));
            clients[0].say(get("/wait"));
            for (int i = 0; i < 10'000 && !in_progress; ++i) (void)evcorothread::this_evthread::delay(1ms);
            refused = clients[1].ask(get("/hello"));
            may_go_on.set();
            waited = body_of(clients[0].hear());
        });
        STRCMP_CONTAINS("HTTP/1.1 503 ", refused.c_str());
        CHECK_EQUAL("waited\n", waited);
    }
}

TEST(TlsParadigms, AnErrorAnswerArrivesAlthoughTheClientStillSends) {
    for (const Paradigm paradigm : kAll) {
        start(paradigm);
        over_tls([](TlsClient& c) {
            c.say("nonsense\r\n\r\n" + std::string(5000, 'x'));
            STRCMP_CONTAINS("HTTP/1.1 400 ", c.hear().c_str());
        });
    }
}

TEST(TlsParadigms, PlainHttpGetsAnAnswerAndALogLine) {
    for (const Paradigm paradigm : kAll) {
        start(paradigm);
        const std::size_t before = log->lines();
        plainly([](Client& c) { STRCMP_CONTAINS("This port speaks HTTPS", c.ask(get("/hello")).c_str()); });
        CHECK(log->lines() > before);
    }
}

TEST(TlsParadigms, AClientThatIsGoneBeforeItHasShakenHandsIsNotWorthALine) {
    for (const Paradigm paradigm : kAll) {
        start(paradigm);
        plainly([](Client& c) {
            c.say(std::string_view("\x16\x03\x01\x02\x00\x01", 6));
            c.reset();
        });
        plainly([](Client& c) {
            c.say(get("/hello"));  // the server has met the other one before
            (void)c.hear_all();
        });
        server.reset();
    }
    STRCMP_CONTAINS("spoke plain HTTP", log->text().c_str());
    CHECK(log->text().find("handshake") == std::string::npos);
}

TEST(TlsParadigms, ClientsThatNeverShakeHandsAreClosedAfterTheHeadTimeout) {
    options.timeouts.head = test_support::patience(50ms);
    for (const Paradigm paradigm : kAll) {
        start(paradigm);
        plainly([](Client& c) { CHECK(c.ends()); });
        plainly([](Client& c) {
            c.say(std::string_view("\x16\x03\x01\x02\x00", 5));  // the beginning of a ClientHello
            (void)c.hear_all();
            CHECK(c.error());
        });
        over_tls([](TlsClient& c) { CHECK_EQUAL("hello\n", body_of(c.ask(get("/hello")))); });
    }
}

TEST(TlsParadigms, IdleClientsAreToldGoodbye) {
    options.timeouts.idle = 50ms;
    for (const Paradigm paradigm : kAll) {
        start(paradigm);
        over_tls([](TlsClient& c) {
            CHECK_EQUAL("hello\n", body_of(c.ask(get("/hello"))));
            CHECK(c.ends());
        });
    }
}

TEST(TlsParadigms, StoppingSaysGoodbyeToIdleClients) {
    for (const Paradigm paradigm : kAll) {
        start(paradigm);
        over_tls([this](TlsClient& c) {
            CHECK_EQUAL("hello\n", body_of(c.ask(get("/hello"))));
            server->stop();
            CHECK(c.ends());
        });
        server->join();
    }
}
