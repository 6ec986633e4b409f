// What a server counts, the same under every paradigm.
#include "webby/server_metrics.h"

#include <functional>
#include <mutex>
#include <thread>

#include "test/webby/prometheus_checker.h"
#include "test/webby/server_fixture.h"
#include "test/webby/started_server.h"

using namespace webby_test;

namespace {

class ServerMetricsFixture : public StartedServerFixture {
  public:
    void setup() override {
        StartedServerFixture::setup();
        options.metrics = true;
        options.limits.body = 1000;
        options.limits.head = 2000;
        options.limits.request_line = 500;
        options.timeouts = {.head = 200ms, .io = 200ms, .idle = 200ms, .linger = 50ms};
    }
    Server& begin(Paradigm paradigm) {
        make(paradigm);
        server->get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
        server->post("/echo", [](Request& q, Response& r) { r.text(q.body()); });
        server->get("/throw", [](Request&, Response&) { throw std::runtime_error("oops"); });
        server->get("/gone", [](Request&, Response& r) { r.redirect("/hello"); });
        server->get("/endless", [](Request&, Response& r) { r.text(std::string(30'000'000, 'x')); });
        server->get("/late",
                    [this](Request&, Response& r) {
                        const std::lock_guard lock(mutex);
                        held.push_back(r.defer());
                    },
                    {.deadline = 50ms});
        server->metrics_page("/metrics");
        server->start().value();
        return *server;
    }
    void teardown() override {
        forget_held();
        StartedServerFixture::teardown();
    }
    void forget_held() {
        const std::lock_guard lock(mutex);
        std::vector<Deferred>().swap(held);
    }
    bool all_have_gone() const {
        const ServerMetrics now = server->metrics();
        return now.closed == now.accepted;
    }
    std::mutex mutex;
    std::vector<Deferred> held;  // answers that nobody completes in time
    // Says `input` on a connection of its own, and waits until `what` is at least 1 more than before.
    using Figure = std::function<std::uint64_t(const ServerMetrics&)>;
    bool moves(const std::string& input, const Figure& what, std::uint64_t by = 1) {
        const std::uint64_t before = what(server->metrics());
        BlockingSocket socket = client();
        (void)socket.send_all(input, 20s);
        (void)hear_all(socket);
        return soon([&] { return what(server->metrics()) >= before + by; }) &&
               what(server->metrics()) == before + by;
    }
};

std::uint64_t code(const std::vector<ServerMetrics::CodeCount>& counts, unsigned which) {
    for (const auto& [number, count] : counts)
        if (number == which) return count;
    return 0;
}

}  // namespace

TEST_GROUP_BASE(ServerMetrics, ServerMetricsFixture){};

TEST(ServerMetrics, EveryFigureMovesWhenItShould) {
    struct Case {
        const char* what;
        std::string input;
        Figure figure;
    };
    const auto method = [](Method which) {
        return [which](const ServerMetrics& m) { return m.requests[static_cast<std::size_t>(which)]; };
    };
    const auto responses = [](unsigned hundreds) {
        return [hundreds](const ServerMetrics& m) { return m.responses_of(hundreds); };
    };
    const auto refused = [](unsigned which) {
        return [which](const ServerMetrics& m) { return code(m.refused, which); };
    };
    const auto timeout = [](TimeoutKind kind) {
        return [kind](const ServerMetrics& m) { return m.timeouts_of(kind); };
    };
    const std::string close = "Host: a\r\nConnection: close\r\n";
    const Case cases[] = {
        {"GET", get("/hello"), method(Method::get)},
        {"POST", "POST /echo HTTP/1.1\r\n" + close + "Content-Length: 2\r\n\r\nab", method(Method::post)},
        {"2xx", get("/hello"), responses(2)},
        {"3xx", get("/gone"), responses(3)},
        {"4xx", get("/nowhere"), responses(4)},
        {"404", get("/nowhere"), [](const ServerMetrics& m) { return code(m.responses, 404); }},
        {"5xx", get("/throw"), responses(5)},
        {"exceptions", get("/throw"), [](const ServerMetrics& m) { return m.exceptions; }},
        {"400", "GET / HTTP/1.1\r\n\r\n", refused(400)},
        {"413", "POST /echo HTTP/1.1\r\n" + close + "Content-Length: 2000\r\n\r\n", refused(413)},
        {"414", "GET /" + std::string(1000, 'x') + " HTTP/1.1\r\n" + close + "\r\n", refused(414)},
        {"431", get("/hello", "X: " + std::string(3000, 'x') + "\r\n"), refused(431)},
        {"505", "GET / HTTP/2.0\r\n" + close + "\r\n", refused(505)},
        {"408", "GET / HT", refused(408)},
        {"head timeout", "GET / HT", timeout(TimeoutKind::head)},
        {"body timeout", "POST /echo HTTP/1.1\r\n" + close + "Content-Length: 9\r\n\r\nab",
         timeout(TimeoutKind::body)},
        {"idle timeout", "", timeout(TimeoutKind::idle)},
        {"answer timeout", get("/late"), timeout(TimeoutKind::answer)},
        {"latency", get("/hello"), [](const ServerMetrics& m) { return m.latency.count(); }},
        {"accepted", get("/hello"), [](const ServerMetrics& m) { return m.accepted; }},
        {"closed", get("/hello"), [](const ServerMetrics& m) { return m.closed; }},
    };
    for (const Paradigm paradigm : kAllParadigms) {
        begin(paradigm);
        for (const Case& one : cases) {
            const std::string name = std::string(to_string(paradigm)) + ": " + one.what;
            CHECK_TEXT(moves(one.input, one.figure), name.c_str());
            forget_held();
            CHECK_TEXT(soon([this] { return all_have_gone(); }), name.c_str());
        }
    }
}

TEST(ServerMetrics, BytesAreThoseOfHttp) {
    for (const Paradigm paradigm : kAllParadigms) {
        begin(paradigm);
        const std::string input = get("/hello");
        const std::string heard = talk(input);
        CHECK(soon([&] { return server->metrics().sent_bytes == heard.size(); }));
        CHECK_EQUAL(input.size(), server->metrics().received_bytes);
    }
}

TEST(ServerMetrics, LargeBodiesAreCountedWhole) {
    options.timeouts = {};
    for (const Paradigm paradigm : kAllParadigms) {
        begin(paradigm);
        const std::string heard = talk(get("/endless"));
        CHECK(heard.size() > 30'000'000);
        CHECK(soon([&] { return server->metrics().sent_bytes == heard.size(); }));
        LONGS_EQUAL(0, server->metrics().cut);
    }
}

TEST(ServerMetrics, WhoTakesNothingIsATimeoutAndIsCut) {
    for (const Paradigm paradigm : kAllParadigms) {
        begin(paradigm);
        BlockingSocket socket = client();
        CHECK(socket.send_all(get("/endless"), 20s));
        CHECK(soon([&] { return server->metrics().cut == 1; }));
        LONGS_EQUAL(1, server->metrics().timeouts_of(TimeoutKind::write));
        CHECK(soon([&] { return server->metrics().connections() == 0; }));
    }
}

TEST(ServerMetrics, WhoGoesInTheMiddleOfARequestIsCut) {
    for (const Paradigm paradigm : kAllParadigms) {
        options.timeouts.io = 20s;
        begin(paradigm);
        {
            BlockingSocket socket = client();
            CHECK(socket.send_all("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc", 20s));
            CHECK(soon([&] { return server->metrics().active == 1; }));
            const linger now{1, 0};  // a reset
            ::setsockopt(socket.fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
        }
        CHECK(soon([&] { return server->metrics().cut == 1; }));
    }
}

TEST(ServerMetrics, AQuietEndIsNoCut) {
    for (const Paradigm paradigm : kAllParadigms) {
        begin(paradigm);
        { BlockingSocket socket = client(); }
        (void)talk(get("/hello"));
        CHECK(soon([&] { return server->metrics().closed == 2; }));
        LONGS_EQUAL(0, server->metrics().cut);
    }
}

TEST(ServerMetrics, ConnectionsAreIdleOrActive) {
    options.timeouts = {};
    for (const Paradigm paradigm : kAllParadigms) {
        begin(paradigm);
        BlockingSocket idle = client();
        CHECK(idle.send_all("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 20s));
        (void)hear_until(idle, "hello\n");
        BlockingSocket active = client();
        CHECK(active.send_all("GET /hel", 20s));
        CHECK(soon([&] {
            const ServerMetrics now = server->metrics();
            return now.connections() == 2 && now.active == 1 && now.idle() == 1;
        }));
    }
}

TEST(ServerMetrics, WhoClosesWhileTheServerStopsIsDrained) {
    for (const Paradigm paradigm : kAllParadigms) {
        begin(paradigm);
        BlockingSocket socket = client();
        CHECK(socket.send_all("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 20s));
        (void)hear_until(socket, "hello\n");
        server->stop();
        server->join();
        LONGS_EQUAL(1, server->metrics().drained);
        CHECK(server->metrics().draining);
    }
}

TEST(ServerMetrics, WhatIsWrittenPieceByPieceCountsOnce) {
    for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::thread}) {
        make(paradigm).get("/", [](Request&, Response& r) {
            for (int i = 0; i < 5; ++i) (void)r.write("piece", 10s);
        });
        server->start().value();
        (void)talk(get("/"));
        CHECK(soon([&] { return server->metrics().closed == 1; }));
        LONGS_EQUAL(1, server->metrics().responses_of(2));
        LONGS_EQUAL(1, server->metrics().latency.count());
    }
}

TEST(ServerMetrics, AnUnknownHostIsRefused) {
    options.strict_hosts = true;
    for (const Paradigm paradigm : kAllParadigms) {
        begin(paradigm);
        CHECK(moves(get("/hello"), [](const ServerMetrics& m) { return code(m.refused, 421); }));
    }
}

TEST(ServerMetrics, WithoutThemNothingIsCounted) {
    options.metrics = false;
    make(Paradigm::coroutine).get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
    server->start().value();
    (void)talk(get("/hello"));
    CHECK(!server->metrics().counted);
    LONGS_EQUAL(0, server->metrics().request_count());
}

TEST(ServerMetrics, ThePageReadsAsPrometheusWantsIt) {
    for (const Paradigm paradigm : kAllParadigms) {
        begin(paradigm);
        for (const char* path : {"/hello", "/hello", "/nowhere", "/throw"}) (void)talk(get(path));
        const std::string heard = talk(get("/metrics"));
        STRCMP_CONTAINS("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n", heard.c_str());
        const PrometheusChecker page(body_of(heard));
        CHECK_EQUAL("", page.complaints());
        CHECK_EQUAL(5, page.value("webby_http_requests_total{method=\"GET\"}"));
        CHECK_EQUAL(2, page.value("webby_http_responses_total{class=\"2xx\"}"));
        CHECK_EQUAL(1, page.value("webby_http_errors_total{code=\"500\"}"));
        CHECK_EQUAL(0, page.value("webby_http_refused_total{code=\"400\"}"));
        CHECK_EQUAL(4, page.value("webby_http_request_duration_seconds_count"));
        CHECK_EQUAL(1, page.value("webby_connections{state=\"active\"}"));
        CHECK(page.value("process_resident_memory_bytes") > 100'000);
        CHECK(page.value("process_open_fds") > 3);
        CHECK(page.value("process_start_time_seconds") > 1e9);
        CHECK(page.value("webby_stacks_limit{loop=\"0\"}") >= 1);
    }
}

TEST(ServerMetrics, ThePageHasTheApplicationsOwn) {
    Metrics own;
    own.counter("mails_total", "Mails.").add(3);
    make(Paradigm::coroutine).metrics_page("/metrics", {.own = &own});
    server->start().value();
    const PrometheusChecker page(body_of(talk(get("/metrics"))));
    CHECK_EQUAL("", page.complaints());
    CHECK_EQUAL(3, page.value("mails_total"));
    server.reset();
}

TEST(ServerMetrics, SeveralWorkersAreAddedUp) {
    for (const Paradigm paradigm : kAllParadigms) {
        options.workers = 2;
        begin(paradigm);
        for (int i = 0; i < 6; ++i) (void)talk(get("/hello"));
        CHECK(soon([&] { return server->metrics().closed == 6; }));
        LONGS_EQUAL(6, server->metrics().request_count());
        LONGS_EQUAL(2, server->metrics().loops.size());
        CHECK(soon([&] { return server->metrics().loops[1].stacks_limit > 0; }));
    }
}

TEST(ServerMetrics, TheyMayBeAskedForAtAnyTime) {
    make(Paradigm::coroutine);
    LONGS_EQUAL(0, server->metrics().accepted);
    server->get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
    server->start().value();
    std::thread asks([this] {
        for (int i = 0; i < 200; ++i) (void)server->metrics();
    });
    for (int i = 0; i < 10; ++i) (void)talk(get("/hello"));
    asks.join();
    server->stop();
    server->join();
    LONGS_EQUAL(10, server->metrics().request_count());
}

// --- with a virtual clock ---

TEST_GROUP_BASE(ServerMetricsInTime, ServerFixture){};

TEST(ServerMetricsInTime, LatencyIsTheServletsTime) {
    options.metrics = true;
    heard_by(get("/slow"));
    const LatencyHistogram latency = server->metrics().latency;
    LONGS_EQUAL(1, latency.count());
    CHECK(latency.sum == 5s);
}

TEST(ServerMetricsInTime, QueueTimeIsTheWaitForAStack) {
    options.metrics = true;
    attach();
    std::vector<evcorothread::EvThread> hogs;
    loop.spawn("hog", [&] {  // takes all stacks but this one and the client's
        while (stacks.available() > 0) loop.spawn("hog", [] { (void)this_evthread::delay(3s); });
        (void)this_evthread::delay(3s);
    });
    client([&](Client& c) { c.ask(get("/hello")); });
    loop.run();
    const ServerMetrics now = server->metrics();
    LONGS_EQUAL(1, now.queued.count());
    CHECK(now.queued.sum > 1s);
}

TEST(ServerMetricsInTime, StacksHaveAHighWaterMark) {
    options.metrics = true;
    attach();
    for (int i = 0; i < 3; ++i) client([](Client& c) { c.ask(get("/slow")); });
    loop.run();
    const LoopMetrics own = server->metrics().loops.at(0);
    LONGS_EQUAL(20, own.stacks_limit);
    LONGS_EQUAL(6, own.stacks_peak);  // three clients, three servlets
    LONGS_EQUAL(0, own.stacks_in_use);
}
