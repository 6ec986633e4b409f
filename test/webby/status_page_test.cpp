// The page that shows how a server is: who may look, what stands there, and that it lives no longer than its
// viewers.
#include "webby/status_page.h"

#include "evcorothread/ev_thread.h"
#include "evcorothread/loop_group.h"
#include "test/webby/server_fixture.h"
#include "test/webby/started_server.h"
#include "webby/status_point_internal.h"

using namespace webby_test;

namespace {

class StatusPageFixture : public StartedServerFixture {
  public:
    Server& begin(Paradigm paradigm, StatusOptions status = {}) {
        make(paradigm).status_page("/-/status", std::move(status));
        server->get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
        server->start().value();
        return *server;
    }
    BlockingSocket viewer() {
        BlockingSocket socket = client();
        CHECK(socket.send_all("GET /-/status/events HTTP/1.1\r\nHost: a\r\n\r\n", 20s));
        return socket;
    }
    bool is_forbidden(const std::string& fields) {
        return talk(get("/-/status", fields)).starts_with("HTTP/1.1 403 ") &&
               talk(get("/-/status/events", fields)).starts_with("HTTP/1.1 403 ");
    }
};

}  // namespace

TEST_GROUP_BASE(StatusPage, StatusPageFixture){};

TEST(StatusPage, IsOnePageThatNeedsNothingFromElsewhere) {
    for (const Paradigm paradigm : kAllParadigms) {
        begin(paradigm);
        const std::string heard = talk(get("/-/status"));
        STRCMP_CONTAINS("HTTP/1.1 200 OK\r\n", heard.c_str());
        STRCMP_CONTAINS("Content-Type: text/html; charset=utf-8\r\n", heard.c_str());
        STRCMP_CONTAINS("Content-Security-Policy: default-src 'none'", heard.c_str());
        STRCMP_CONTAINS("Cache-Control: no-store\r\n", heard.c_str());
        STRCMP_CONTAINS("<meta name=viewport", heard.c_str());
        STRCMP_CONTAINS(std::string(to_string(paradigm)).c_str(), heard.c_str());
        for (const char* elsewhere : {"src=", "@import", "url(", "https://"})
            CHECK_TEXT(body_of(heard).find(elsewhere) == std::string::npos, elsewhere);
    }
}

TEST(StatusPage, HasATableForThoseWithoutJavaScript) {
    begin(Paradigm::coroutine);
    (void)talk(get("/hello"));
    const std::string heard = body_of(talk(get("/-/status")));
    STRCMP_CONTAINS("<noscript><table", heard.c_str());
    STRCMP_CONTAINS("<th scope=row>requests</th><td>2</td>", heard.c_str());
    STRCMP_CONTAINS("<th scope=row>2xx responses</th><td>1</td>", heard.c_str());
    STRCMP_CONTAINS("coroutines &quot;http&quot;", heard.c_str());
}

TEST(StatusPage, EscapesItsTitle) {
    begin(Paradigm::coroutine, {.title = "<script>alert('x')</script>&"});
    const std::string heard = body_of(talk(get("/-/status")));
    STRCMP_CONTAINS("<h1>&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;</h1>", heard.c_str());
    CHECK(heard.find("alert('x')") == std::string::npos);
}

TEST(StatusPage, TextCannotLeaveWhereItStands) {
    CHECK_EQUAL("&lt;a b=&quot;&#39;&amp;", html_text("<a b=\"'&"));
    CHECK_EQUAL("\"\\u003c/script\\u003e\\u0022\\u005c\\u000a\"", json_text("</script>\"\\\n"));
    CHECK_EQUAL("\"\xef\xbf\xbd\"", json_text("\xff"));
}

TEST(StatusPage, LivesByEvents) {
    for (const Paradigm paradigm : kAllParadigms) {
        begin(paradigm);
        BlockingSocket socket = viewer();
        const std::string heard = hear_until(socket, "\"waits\"");
        STRCMP_CONTAINS("Content-Type: text/event-stream\r\n", heard.c_str());
        STRCMP_CONTAINS("data: {\"point\":[", heard.c_str());
        STRCMP_CONTAINS("\"methods\":{\"GET\":1}", heard.c_str());
    }
}

TEST(StatusPage, ShowsWhoeverComesLaterWhatWasBefore) {
    begin(Paradigm::coroutine);
    {
        BlockingSocket socket = viewer();
        (void)hear_until(socket, "data: {");
    }
    STRCMP_CONTAINS("{\"points\":[[1", body_of(talk(get("/-/status"))).c_str());
}

TEST(StatusPage, IsForLoopbackOnly) {
    for (const Paradigm paradigm : kAllParadigms) {
        StatusOptions elsewhere;
        elsewhere.access.networks = nutils::IpNetworkList::parse("192.0.2.0/24").value();
        begin(paradigm, elsewhere);
        CHECK(is_forbidden(""));
    }
}

TEST(StatusPage, WhatSomebodyClaimsToHaveForwardedIsNotFromLoopback) {
    begin(Paradigm::coroutine);
    CHECK(is_forbidden("X-Forwarded-For: 127.0.0.1\r\n"));
    CHECK(is_forbidden("Forwarded: for=127.0.0.1\r\n"));
    STRCMP_CONTAINS("200 OK", talk(get("/-/status")).c_str());
}

TEST(StatusPage, BelievesProxiesThatAreTrusted) {
    StatusOptions status;
    status.access.networks = nutils::IpNetworkList::parse("192.0.2.0/24").value();
    status.access.proxies.networks = nutils::IpNetworkList::loopback();
    begin(Paradigm::coroutine, status);
    STRCMP_CONTAINS("200 OK", talk(get("/-/status", "X-Forwarded-For: 192.0.2.7\r\n")).c_str());
    CHECK(is_forbidden("X-Forwarded-For: 198.51.100.7\r\n"));
    CHECK(is_forbidden("X-Forwarded-For: nonsense\r\n"));
    CHECK(is_forbidden(""));  // the proxy itself
}

TEST(StatusPage, TheOptionsMayAdmitEverybody) {
    StatusOptions status;
    status.access.everybody = true;
    begin(Paradigm::coroutine, status);
    STRCMP_CONTAINS("200 OK", talk(get("/-/status", "X-Forwarded-For: 198.51.100.7\r\n")).c_str());
}

TEST(StatusPage, HasRoomForSoManyViewersOnly) {
    begin(Paradigm::coroutine, {.most_viewers = 1});
    BlockingSocket first = viewer();
    (void)hear_until(first, "text/event-stream");
    STRCMP_CONTAINS("HTTP/1.1 503 ", talk(get("/-/status/events")).c_str());
}

TEST(StatusPage, AStopEndsItsStreamsAtOnce) {
    for (const Paradigm paradigm : kAllParadigms)
        for (const std::size_t workers : {1u, 2u}) {
            options.workers = workers;
            begin(paradigm);
            BlockingSocket socket = viewer();
            (void)hear_until(socket, "data: {");
            const auto start = cutils::monotonic_now();
            server->stop();
            server->join();
            CHECK(cutils::monotonic_now() - start < 10s);
            CHECK(hear_all(socket).ends_with("0\r\n\r\n"));
        }
}

// --- with a virtual clock ---

TEST_GROUP_BASE(StatusPageInTime, ServerFixture){};

TEST(StatusPageInTime, ComesOnceASecondWhileSomebodyLooks) {
    serve().status_page("/-/status");
    attach();
    std::size_t events = 0;
    client([&](Client& c) {
        c.say(get("/-/status/events"));
        std::string heard;
        char buffer[16 * 1024];
        const auto start = loop.now();
        while (loop.now() - start < 10s) {
            const auto got = c.socket().recv(buffer, 500ms);
            heard.append(buffer, got.bytes);
        }
        for (std::size_t at = 0; (at = heard.find("data: {", at)) != std::string::npos; ++at) ++events;
    });
    loop.run();
    CHECK(events >= 9 && events <= 11);
}

// The loop runs out of work: no timer is left.
TEST(StatusPageInTime, WhenViewersGoNothingIsLeft) {
    serve().status_page("/-/status");
    attach();
    cutils::Duration took{};
    go([&] {
        {
            Client c(loop, address());
            c.say(get("/-/status/events"));
            (void)this_evthread::delay(3s);
        }
        (void)this_evthread::delay(5s);
        LONGS_EQUAL(0, server->metrics().connections());
        const auto start = loop.now();
        while (loop.thread_count() > 1) (void)this_evthread::delay(100ms);
        took = loop.now() - start;
    });
    loop.run();
    CHECK(took < 1s);
}

TEST(StatusPageInTime, SaysWhatCoroutinesWaitFor) {
    serve().status_page("/-/status");
    attach();
    std::string heard;
    client([](Client& c) { c.ask(get("/slow")); });
    client([&](Client& c) {
        (void)this_evthread::delay(1s);
        heard = c.ask(get("/-/status"));
    });
    loop.run();
    STRCMP_CONTAINS("{\"name\":\"http\",\"what\":\"delay\"", heard.c_str());
    STRCMP_CONTAINS("{\"name\":\"client\",\"what\":\"recv\"", heard.c_str());
}

TEST(StatusPageInTime, RatesAreThoseOfTheLastSecond) {
    StatusLook before, now;
    now.metrics.taken = before.metrics.taken + 2s;
    now.metrics.requests[0] = 10;
    now.metrics.responses = {{200, 6}, {404, 3}, {500, 1}};
    now.metrics.sent_bytes = 1000;
    now.metrics.latency.counts[LatencyScale::bucket_of(1ms)] = 10;
    now.metrics.accepted = 5;
    now.metrics.closed = 1;
    now.metrics.active = 1;
    const StatusPoint point = between(before, now);
    CHECK_EQUAL(5, point.requests);
    CHECK_EQUAL(1.5, point.errors_4xx);
    CHECK_EQUAL(0.5, point.errors_5xx);
    CHECK_EQUAL(500, point.sent);
    CHECK(point.p99 > 0.0007 && point.p99 < 0.0013);
    LONGS_EQUAL(3, point.idle);
    CHECK_EQUAL(0, between(now, now).requests);
}
