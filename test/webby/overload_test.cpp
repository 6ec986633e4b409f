// What happens when everything is taken, and who the client is behind a proxy, under every paradigm.
#include <sys/socket.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "evcorothread/cross_event.h"
#include "test/webby/started_server.h"
#include "webby/address_limit.h"

using namespace webby_test;

namespace {

class OverloadFixture : public StartedServerFixture {
  public:
    evcorothread::CrossEvent may_go_on;
    std::atomic<int> waiting{0};  // servlets, for that

    Server& make_app(Paradigm paradigm) {
        may_go_on.reset();
        waiting = 0;
        make(paradigm).get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
        server->post("/echo", [](Request& q, Response& r) { r.text(q.body()); });
        server->get("/wait", [this](Request&, Response& r) {
            ++waiting;
            (void)may_go_on.wait(20s);
            r.text("waited\n");
        });
        server->get("/who", [](Request& q, Response& r) {
            r.text(q.peer().to_string() + " " + q.client().address.to_string() + " " +
                   std::string(q.scheme()) + "\n");
        });
        server->start().value();
        return *server;
    }
    void teardown() override {
        may_go_on.set();
        StartedServerFixture::teardown();
    }
    BlockingSocket idle_client() const {
        BlockingSocket c = client();
        CHECK(c.send_all("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 10s));
        STRCMP_CONTAINS("hello\n", hear_until(c, "hello\n").c_str());
        return c;
    }
    // Whose servlet waits, where there is one stack or one thread; it may still be busy with another client.
    BlockingSocket busy_client() const {
        for (;;) {
            BlockingSocket c = client();
            CHECK(c.send_all(get("/wait"), 10s));
            char byte;
            while (waiting == 0)
                if (!c.recv({&byte, 1}, 1ms).timed_out()) break;
            if (waiting > 0) return c;
        }
    }
};

}  // namespace

TEST_GROUP_BASE(Overload, OverloadFixture){};

TEST(Overload, AFullServerRefusesWhenToldTo) {
    options.max_connections = 2;
    options.when_full = WhenFull::refuse;
    for (const Paradigm paradigm : kAllParadigms) {
        make_app(paradigm);
        {
            BlockingSocket a = idle_client(), b = idle_client();
            const std::string refused = talk(get("/hello"));
            STRCMP_CONTAINS("HTTP/1.1 503 ", refused.c_str());
            STRCMP_CONTAINS("Retry-After: 1\r\n", refused.c_str());
            STRCMP_CONTAINS("HTTP/1.1 503 ", talk("").c_str());  // nobody waits for its request
        }
        CHECK(soon([this] { return talk(get("/hello")).find("200 OK") != std::string::npos; }));
    }
}

TEST(Overload, AFullServerClosesTheConnectionThatHasBeenIdleLongest) {
    options.max_connections = 2;
    options.when_full = WhenFull::close_idle;
    for (const Paradigm paradigm : kAllParadigms) {
        make_app(paradigm);
        BlockingSocket a = idle_client(), b = idle_client();
        CHECK(a.send_all("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 10s));  // now b is the oldest
        (void)hear_until(a, "hello\n");
        std::this_thread::sleep_for(20ms);  // until it is idle again
        BlockingSocket c = idle_client();
        // An OS thread may be late in putting a connection back: then it is a that has been idle longest.
        const bool sent = static_cast<bool>(a.send_all("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 10s));
        const bool a_is_there = sent && hear_until(a, "hello\n").ends_with("hello\n");
        CHECK(a_is_there || paradigm == Paradigm::thread);
        if (a_is_there) {
            CHECK_EQUAL("", hear_all(b));
        } else {
            CHECK(b.send_all("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 10s));
            STRCMP_CONTAINS("hello\n", hear_until(b, "hello\n").c_str());
        }
    }
}

TEST(Overload, WithoutAnIdleConnectionNewOnesWait) {
    options.max_connections = 1;
    options.when_full = WhenFull::close_idle;
    for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::thread}) {
        make_app(paradigm);
        BlockingSocket busy = client();
        CHECK(busy.send_all(get("/wait"), 10s));
        CHECK(soon([this] { return waiting == 1; }));
        BlockingSocket last = client();  // one more than that may be accepted before it is known
        CHECK(last.send_all(get("/wait"), 10s));
        CHECK(soon([this] { return waiting == 2; }));
        BlockingSocket next = client();
        CHECK(next.send_all(get("/hello"), 10s));
        char byte;
        CHECK(next.recv({&byte, 1}, 50ms).timed_out());
        may_go_on.set();
        STRCMP_CONTAINS("waited", hear_all(busy).c_str());
        STRCMP_CONTAINS("waited", hear_all(last).c_str());
        STRCMP_CONTAINS("hello", hear_all(next).c_str());
    }
}

TEST(Overload, WithoutAStackOrAThreadARequestIsRefusedWhenToldTo) {
    options.max_active = options.threads = 1;
    options.when_full = WhenFull::refuse;
    for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::thread}) {
        make_app(paradigm);
        BlockingSocket idle = idle_client(), silent = idle_client(), busy = busy_client();
        CHECK(idle.send_all("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 10s));
        const std::string refused = hear_all(idle);
        STRCMP_CONTAINS("HTTP/1.1 503 ", refused.c_str());
        STRCMP_CONTAINS("Retry-After: 1\r\n", refused.c_str());
        may_go_on.set();
        STRCMP_CONTAINS("waited", hear_all(busy).c_str());
        CHECK(soon([this] { return talk(get("/hello")).find("HTTP/1.1 200 ") == 0; }));
        CHECK(silent.send_all("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 10s));  // was not touched
        STRCMP_CONTAINS("hello\n", hear_until(silent, "hello\n").c_str());
    }
}

TEST(Overload, ARequestThatHasBegunIsNotRefused) {
    options.max_active = options.threads = 1;
    options.when_full = WhenFull::refuse;
    for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::thread}) {
        make_app(paradigm);
        BlockingSocket begun = client();
        CHECK(
            begun.send_all("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n"
                           "Expect: 100-continue\r\n\r\n",
                           10s));
        STRCMP_CONTAINS("100 Continue", hear_until(begun, "\r\n\r\n").c_str());
        BlockingSocket busy = busy_client();
        CHECK(begun.send_all("hi", 10s));
        STRCMP_CONTAINS("HTTP/1.1 503 ", talk(get("/hello")).c_str());
        may_go_on.set();
        STRCMP_CONTAINS("hi", hear_all(begun).c_str());
    }
}

TEST(Overload, CountsTellHowManyWereRefusedAndHowManyThreadsServe) {
    options.max_connections = 2;
    options.threads = 2;
    options.when_full = WhenFull::refuse;
    options.metrics = true;
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
        server->get("/counts", [this](Request&, Response& r) {
            const Server::Counts now = server->counts();
            r.text(std::to_string(now.connections) + " connections, " + std::to_string(now.refused) +
                   " refused\n");
        });
        server->start().value();
        {
            BlockingSocket a = idle_client(), b = idle_client();
            for (int i = 0; i < 3; ++i) STRCMP_CONTAINS("HTTP/1.1 503 ", talk(get("/hello")).c_str());
            CHECK(a.send_all(get("/counts"), 10s));
            STRCMP_CONTAINS("3 refused\n", hear_until(a, "refused\n").c_str());
        }
        if (paradigm != Paradigm::thread) continue;
        std::size_t threads = 0;  // as the loop says it for the next time that somebody asks
        while (threads == 0) threads = server->metrics().loops.at(0).threads;
        CHECK(threads <= options.threads);
    }
}

TEST(Overload, WithThreadsThatComeAndGoEverybodyIsAnsweredOrRefused) {
    options.threads = 2;
    options.when_full = WhenFull::refuse;
    options.metrics = true;
    make_app(Paradigm::thread);
    std::atomic<int> answered{0}, refused{0}, other{0};
    {
        std::vector<std::jthread> clients;
        for (int i = 0; i < 8; ++i)
            clients.emplace_back([&] {
                for (int j = 0; j < 100; ++j) {
                    const std::string answer = talk(get("/hello"));
                    ++(answer.starts_with("HTTP/1.1 200 ")   ? answered
                       : answer.starts_with("HTTP/1.1 503 ") ? refused
                                                             : other);
                }
            });
    }
    CHECK_EQUAL(0, other);
    CHECK(answered > 0);
    CHECK_EQUAL(800, answered + refused);
    std::uint64_t counted = 0;
    for (const auto& [code, count] : server->metrics().refused)
        if (code == 503) counted = count;
    UNSIGNED_LONGS_EQUAL(refused.load(), counted);
}

TEST(Overload, AnAddressHasOnlySoManyConnections) {
    options.max_per_address = 2;
    for (const Paradigm paradigm : kAllParadigms) {
        make_app(paradigm);
        {
            BlockingSocket a = idle_client(), b = idle_client();
            STRCMP_CONTAINS("HTTP/1.1 503 ", talk(get("/hello")).c_str());
        }
        CHECK(soon([this] { return talk(get("/hello")).find("200 OK") != std::string::npos; }));
    }
}

TEST(Overload, APlaceIsOfTheAddressOrOfTheNetworkOfSixtyFourBits) {
    AddressLimit limit(1);
    AddressLimit::Place a, b, c, d;
    const auto address = [](const char* text) { return nutils::SockAddr::parse(text).value(); };
    CHECK(limit.enter(address("192.0.2.1:1"), a));
    CHECK(!limit.enter(address("192.0.2.1:2"), b));
    CHECK(limit.enter(address("192.0.2.2:2"), b));
    CHECK(!limit.enter(address("[::ffff:192.0.2.1]:2"), c));
    CHECK(limit.enter(address("[2001:db8::1]:1"), c));
    CHECK(!limit.enter(address("[2001:db8::2]:1"), d));
    CHECK(limit.enter(address("[2001:db8:0:1::2]:1"), d));
    CHECK_EQUAL(3, limit.refused());
    a = {};
    AddressLimit::Place e, on_unix;
    CHECK(limit.enter(address("192.0.2.1:3"), e));
    CHECK(limit.enter(address("unix:/x"), on_unix));
    CHECK(limit.enter(address("unix:/x"), on_unix));
}

TEST(Overload, AProxySaysWhoTheClientIs) {
    options.proxy_protocol = true;
    options.forwarded.networks = nutils::IpNetworkList::loopback();
    for (const Paradigm paradigm : kAllParadigms) {
        make_app(paradigm);
        const std::string header = "PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n";
        CHECK_EQUAL("192.0.2.7:4711 192.0.2.7:4711 http\n", body_of(talk(header + get("/who"))));
        CHECK_EQUAL(
            "192.0.2.7:4711 192.0.2.7:4711 http\n",
            body_of(talk(header + get("/who", "X-Forwarded-For: 1.1.1.1\r\n"))));  // is no proxy of ours
        std::string local = body_of(talk("PROXY UNKNOWN\r\n" + get("/who")));
        STRCMP_CONTAINS("127.0.0.1:", local.c_str());
        BlockingSocket slow = client();  // byte by byte
        const std::string input = header + get("/who");
        for (const char c : input.substr(0, header.size() + 5)) CHECK(slow.send_all({&c, 1}, 10s));
        CHECK(slow.send_all(input.substr(header.size() + 5), 10s));
        STRCMP_CONTAINS("192.0.2.7:4711", hear_all(slow).c_str());
        const std::string second("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\7\xc0\0\2\1\x12\x67\0\x50", 28);
        CHECK_EQUAL("192.0.2.7:4711 192.0.2.7:4711 http\n", body_of(talk(second + get("/who"))));
        CHECK(talk(get("/hello")).find("HTTP") == std::string::npos);  // no header: closed without a word
        CHECK(soon([this] {                                            // a line a second
            (void)talk(get("/hello"));
            return log->text().find("PROXY header: ") != std::string::npos;
        }));
    }
}

TEST(Overload, OthersThanTrustedProxiesMayNotSayWhoTheyAre) {
    options.proxy_protocol = true;
    options.forwarded.networks = nutils::IpNetworkList::parse("10.0.0.0/8").value();
    for (const Paradigm paradigm : kAllParadigms) {
        make_app(paradigm);
        const std::string heard = talk("PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n" + get("/who"));
        CHECK(heard.find("HTTP") == std::string::npos);
    }
}

TEST(Overload, AProxyProtocolWithoutTrustedNetworksDoesNotStart) {
    options.proxy_protocol = true;
    const auto started = make(Paradigm::coroutine).start();
    CHECK(!started);
    STRCMP_CONTAINS("forwarded.networks", started.error().message().c_str());
}

TEST(Overload, AClientThatSaysHalfAProxyHeaderIsClosedAfterTheHeadTimeout) {
    options.proxy_protocol = true;
    options.timeouts.head = 50ms;
    options.forwarded.networks = nutils::IpNetworkList::loopback();
    for (const Paradigm paradigm : kAllParadigms) {
        make_app(paradigm);
        CHECK_EQUAL("", talk("PROXY TCP4 192"));
        CHECK_EQUAL("", talk(""));
    }
}

TEST(Overload, PlacesAreOfThoseWhomTheProxyNames) {
    options.proxy_protocol = true;
    options.max_per_address = 1;
    options.forwarded.networks = nutils::IpNetworkList::loopback();
    for (const Paradigm paradigm : kAllParadigms) {
        make_app(paradigm);
        BlockingSocket a = client();
        CHECK(
            a.send_all("PROXY TCP4 192.0.2.7 192.0.2.1 1 80\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 10s));
        STRCMP_CONTAINS("hello\n", hear_until(a, "hello\n").c_str());
        STRCMP_CONTAINS("HTTP/1.1 503 ",
                        talk("PROXY TCP4 192.0.2.7 192.0.2.1 2 80\r\n" + get("/hello")).c_str());
        STRCMP_CONTAINS("200 OK", talk("PROXY TCP4 192.0.2.8 192.0.2.1 2 80\r\n" + get("/hello")).c_str());
    }
}

TEST(Overload, ForwardedFieldsAreBelievedFromTrustedProxiesOnly) {
    options.forwarded.networks = nutils::IpNetworkList::loopback();
    for (const bool trusted : {true, false}) {
        if (!trusted) options.forwarded.networks = {};
        for (const Paradigm paradigm : kAllParadigms) {
            make_app(paradigm);
            const std::string heard = body_of(
                talk(get("/who", "X-Forwarded-For: 1.1.1.1, 192.0.2.7\r\nX-Forwarded-Proto: https\r\n")));
            CHECK_EQUAL(trusted, heard.find(" 192.0.2.7:0 https\n") != std::string::npos);
            CHECK_EQUAL(!trusted, heard.find(" http\n") != std::string::npos);
        }
    }
}
