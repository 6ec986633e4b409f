// How long the server waits for clients that are slow, silent, rude or gone.
#include <string>

#include "test/webby/server_fixture.h"
#include "test/webby/temp_folder.h"

#include "test/support/harness.h"

using namespace webby_test;

TEST_GROUP_BASE(ServerPatience, ServerFixture){};

TEST(ServerPatience, AHeadHasOneDeadlineHoweverItDribbles) {
    attach();
    std::string heard;
    cutils::Duration took{};
    client([&](Client& c) {
        const auto start = loop.now();
        c.say("GET /hello HTTP/1.1\r\nHost: a\r\n");
        for (int i = 0; i < 9; ++i) {
            (void)this_evthread::delay(1s);
            c.say("X");
        }
        heard = c.hear();
        took = loop.now() - start;
    });
    loop.run();
    STRCMP_CONTAINS("HTTP/1.1 408 Request Timeout\r\n", heard.c_str());
    STRCMP_CONTAINS("Connection: close\r\n", heard.c_str());
    CHECK(took >= 10s && took < 10100ms);
}

TEST(ServerPatience, MayBeAsGoodAsEndless) {
    constexpr auto kMax = std::chrono::milliseconds::max();
    options.timeouts = {.head = kMax, .io = kMax, .idle = kMax, .linger = kMax};
    options.drain = kMax;
    serve().get("/waits",
                [](Request&, Response& r) {
                    (void)this_evthread::delay(10min);
                    r.text("late\n");
                },
                {.deadline = kMax});
    server->attach(loop).value();
    std::string first, second;
    client([&](Client& c) {
        c.say("GET /waits HT");
        (void)this_evthread::delay(1h);
        first = c.ask("TP/1.1\r\nHost: a\r\n\r\n");
        (void)this_evthread::delay(1h);
        second = c.ask(get("/waits"));
        server->stop();
    });
    loop.run();
    CHECK_EQUAL(ok("late\n"), first);
    CHECK_EQUAL(ok("late\n"), second);
}

TEST(ServerPatience, EachHeadHasItsOwnDeadline) {
    attach();
    std::string heard;
    client([&](Client& c) {
        c.say("GET /hello HTTP/1.1\r\n");
        (void)this_evthread::delay(9s);
        c.say("Host: a\r\n\r\nGET /hello HT");
        (void)this_evthread::delay(9s);
        c.say("TP/1.1\r\nHost: a\r\n\r\n");
        heard = c.hear() + c.hear();
    });
    loop.run();
    CHECK_EQUAL(ok("hello\n") + ok("hello\n"), heard);
}

TEST(ServerPatience, ABodyThatStallsIs408) {
    attach();
    std::string heard;
    cutils::Duration took{};
    client([&](Client& c) {
        c.say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n");
        (void)this_evthread::delay(20s);
        c.say("abc");
        const auto start = loop.now();
        heard = c.hear();
        took = loop.now() - start;
    });
    loop.run();
    STRCMP_CONTAINS("HTTP/1.1 408 Request Timeout\r\n", heard.c_str());
    CHECK(took >= 30s && took < 30100ms);
}

TEST(ServerPatience, AnIdleConnectionIsClosedWithoutAWord) {
    attach();
    bool fresh_ended = false, used_ended = false;
    cutils::Duration took{};
    client([&](Client& c) { fresh_ended = c.ends(); });
    client([&](Client& c) {
        (void)c.ask(get("/hello"));
        const auto start = loop.now();
        used_ended = c.ends();
        took = loop.now() - start;
    });
    loop.run();
    CHECK(fresh_ended);
    CHECK(used_ended);
    CHECK(took >= 60s && took < 60100ms);
}

TEST(ServerPatience, AClientThatReadsNothingIsCut) {
    attach();
    std::size_t heard = 0;
    client([&](Client& c) {
        c.say(get("/big"));
        (void)this_evthread::delay(100s);
        heard = c.hear_all().size();
    });
    loop.run();
    CHECK(heard > 0);
    CHECK(heard < 8'000'000);
}

TEST(ServerPatience, AClientThatReadsSlowlyIsNotCut) {
    // A unix socket: TCP has timers of its own, in real time.
    TempFolder folder;
    options.listen = {"unix:" + folder.path() + "/s"};
    attach();
    std::size_t heard = 0;
    cutils::Duration took{};
    client([&](Client& c) {
        (void)this_evthread::delay(1ms);
        const auto start = loop.now();
        c.say(get("/big"));
        std::string buffer(250'000, '\0');
        while (auto got = c.socket().recv(buffer, 25s)) {
            heard += got.bytes;
            (void)this_evthread::delay(20s);
        }
        took = loop.now() - start;
    });
    loop.run();
    CHECK(heard > 8'000'000);
    CHECK(took > 500s);
}

TEST(ServerPatience, ARefusedClientReadsWhyAlthoughItGoesOnSending) {
    attach();
    std::string heard;
    std::error_code error;
    client([&](Client& c) {
        c.say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n");
        c.say(std::string(200'000, 'x'));
        (void)this_evthread::delay(100ms);
        heard = c.hear();
        c.finish();
        (void)c.hear_all();
        error = c.error();
    });
    loop.run();
    STRCMP_CONTAINS("HTTP/1.1 413 Content Too Large\r\n", heard.c_str());
    CHECK_EQUAL(std::error_code(nutils::NetError::eof), error);
}

TEST(ServerPatience, AResetConnectionLeavesTheServerServing) {
    attach();
    std::string heard;
    client([&](Client& c) {
        c.say(get("/big"));
        char byte;
        (void)c.socket().recv({&byte, 1}, 1s);
        c.reset();
    });
    client([&](Client& c) {
        c.say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
        c.reset();
    });
    client([&](Client& c) {
        c.say(get("/slow"));
        c.reset();
    });
    client([&](Client& c) {
        (void)this_evthread::delay(10s);
        heard = c.ask(get("/hello"));
    });
    loop.run();
    CHECK_EQUAL(ok("hello\n"), heard);
}

TEST(ServerPatience, AServletThatWaitsDoesNotHoldUpOthers) {
    attach();
    std::vector<std::string> order;
    client([&](Client& c) { order.push_back(c.ask(get("/slow"))); });
    client([&](Client& c) { order.push_back(c.ask(get("/hello"))); });
    loop.run();
    CHECK_EQUAL(ok("hello\n"), order[0]);
    CHECK_EQUAL(ok("slow\n"), order[1]);
}
