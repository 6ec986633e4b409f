// What servlets write piece by piece, coded.
#include <memory>
#include <string>

#include "cutils/log.h"
#include "test/support/allocation_faults.h"
#include "test/webby/conversation.h"
#include "test/webby/decoders.h"
#include "test/webby/heard.h"
#include "test/webby/server_fixture.h"
#include "test/webby/started_server.h"
#include "webby/compression.h"
#include "webby/content_coding.h"

#include "test/support/harness.h"

using namespace webby;
using namespace webby_test;

namespace {

std::string line(int number) { return "<p>paragraph number " + std::to_string(number) + "</p>\n"; }
std::string lines(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += line(i);
    return text;
}
void write_lines(Response& response, int count) {
    response.add_header("Content-Type", "text/html");
    response.add_header("ETag", "\"t\"");
    for (int i = 0; i < count; ++i)
        if (!response.write(line(i), 10s)) return;
}
std::string takes(ContentCoding coding) {
    return "Accept-Encoding: " + std::string(to_string(coding)) + "\r\n";
}

// Sees the bodies of responses.
class Shouting final : public Filter {
  public:
    Wants wants() const override { return {.response_data = true}; }
    void on_response_data(const Request&, std::string& piece) override {
        for (char& c : piece)
            if (c == 'p') c = 'P';
    }
    void on_response_end(const Request&, std::string& last) override { last = "the end"; }
};

// The part of a body in chunks that has come so far, with its head.
std::string without_chunks(std::string_view coded) {
    std::string plain;
    const std::size_t head = coded.find("\r\n\r\n");
    if (head == std::string_view::npos) return plain;
    coded.remove_prefix(head + 4);
    for (;;) {
        const std::size_t end = coded.find("\r\n");
        if (end == std::string_view::npos || end == 0) return plain;
        const std::size_t size = std::stoul(std::string(coded.substr(0, end)), nullptr, 16);
        coded.remove_prefix(end + 2);
        plain += coded.substr(0, size);
        if (size == 0 || coded.size() < size + 2) return plain;
        coded.remove_prefix(size + 2);
    }
}

}  // namespace

// In an application, through an Exchange driven by hand.
TEST_GROUP_BASE(CompressionOfWrites, test_support::Fixture) {
    Application app;

    void setup() override {
        cutils::set_log_sink([](cutils::LogLevel, std::string_view, void*) {});
        app.add_filter(std::make_unique<Compression>());
        get("/lines", [](Request&, Response& r) { write_lines(r, 5000); });
        get("/few", [](Request&, Response& r) { write_lines(r, 1); });
        get("/events", [](Request&, Response& r) {
            r.add_header("Content-Type", "text/event-stream");
            (void)r.write("data: 1\n\n", 10s);
        });
        get("/untyped", [](Request&, Response& r) { (void)r.write(lines(100), 10s); });
        get("/thrown", [](Request&, Response& r) {
            write_lines(r, 100);
            throw std::runtime_error("oops");
        });
    }
    void teardown() override { cutils::set_log_sink(nullptr); }
    void get(const char* path, void (*servlet)(Request&, Response&)) {
        app.add(Method::get, path, make_servlet(servlet)).value();
    }
    std::string hear(const std::string& path, const std::string& fields, const std::string& method = "GET",
                     const std::string& version = "HTTP/1.1", std::size_t fragment = kWhole) {
        Conversation talk(app);
        talk.say(method + " " + path + " " + version + "\r\nHost: a\r\n" + fields + "\r\n", fragment);
        return talk.heard();
    }
    Heard ask(const std::string& path, const std::string& fields = "Accept-Encoding: gzip\r\n",
              const std::string& method = "GET", const std::string& version = "HTTP/1.1") {
        return Heard(hear(path, fields, method, version));
    }
};

TEST(CompressionOfWrites, ComesInChunksThatMakeOneCodedBody) {
    for (const ContentCoding coding : content_codings()) {
        const Heard heard = ask("/lines", takes(coding));
        CHECK_EQUAL(std::string(to_string(coding)), heard.field("Content-Encoding"));
        CHECK_EQUAL(std::string("chunked"), heard.field("Transfer-Encoding"));
        CHECK_EQUAL(std::string("Accept-Encoding"), heard.field("Vary"));
        CHECK_EQUAL(std::string("W/\"t\""), heard.field("ETag"));
        CHECK(!heard.has("Content-Length"));
        CHECK(heard.body().size() < lines(5000).size() / 4);
        CHECK(decode(coding, heard.body()) == lines(5000));
    }
}

TEST(CompressionOfWrites, IsTheSameHoweverTheRequestIsCutUp) {
    const std::string whole = hear("/lines", takes(ContentCoding::gzip));
    for (const std::size_t fragment : {1u, 2u, 3u, 7u, 16u})
        CHECK(hear("/lines", takes(ContentCoding::gzip), "GET", "HTTP/1.1", fragment) == whole);
}

TEST(CompressionOfWrites, WhoTakesNothingGetsThemAsTheyAre) {
    const Heard heard = ask("/lines", "");
    CHECK(!heard.has("Content-Encoding"));
    CHECK_EQUAL(std::string("Accept-Encoding"), heard.field("Vary"));
    CHECK_EQUAL(std::string("\"t\""), heard.field("ETag"));
    CHECK(heard.body() == lines(5000));
}

TEST(CompressionOfWrites, ABodyOfUnknownSizeIsCodedHoweverSmallItIs) {
    CHECK(gunzip(ask("/few").body()) == lines(1));
}

TEST(CompressionOfWrites, EventsAndWhatHasNoTypeStayAsTheyAre) {
    CHECK_EQUAL(std::string("data: 1\n\n"), ask("/events").body());
    CHECK(!ask("/events").has("Content-Encoding"));
    CHECK(ask("/untyped").body() == lines(100));
}

TEST(CompressionOfWrites, HeadHasTheFieldsOfGet) {
    const Heard get = ask("/lines"), head = ask("/lines", "Accept-Encoding: gzip\r\n", "HEAD");
    CHECK_EQUAL(get.head(), head.head());
    CHECK(head.body().empty());
}

TEST(CompressionOfWrites, AClientOfHttp10HearsThemUntilTheEnd) {
    const Heard heard = ask("/lines", "Accept-Encoding: br\r\n", "GET", "HTTP/1.0");
    CHECK_EQUAL(std::string("close"), heard.field("Connection"));
    CHECK(!heard.has("Transfer-Encoding"));
    CHECK(unbrotli(heard.body()) == lines(5000));
}

TEST(CompressionOfWrites, FiltersSeeThemBeforeTheyAreCoded) {
    app.add_filter(std::make_unique<Shouting>());
    const std::string body = gunzip(ask("/few").body());
    CHECK_EQUAL(std::string("<P>ParagraPh number 0</P>\nthe end"), body);
}

TEST(CompressionOfWrites, WhatBreaksOffDoesNotLookComplete) {
    const std::string heard = hear("/thrown", takes(ContentCoding::gzip));
    STRCMP_CONTAINS("Content-Encoding: gzip\r\n", heard.c_str());
    CHECK(!heard.ends_with("0\r\n\r\n"));
}

TEST(CompressionOfWrites, NextAnswersOnTheConnectionAreTheirOwn) {
    Conversation talk(app);
    const std::string get = "GET /few HTTP/1.1\r\nHost: a\r\n";
    talk.say(get + "Accept-Encoding: gzip\r\n\r\n" + get + "\r\n");
    const std::string heard = talk.heard();
    CHECK(heard.ends_with(line(0) + "\r\n0\r\n\r\n"));
}

TEST(CompressionOfWrites, WithoutMemoryTheyAreWholeOrBrokenOff) {
    bool good = true;
    const std::size_t runs = test_support::for_each_failing_allocation([&] {
        Conversation talk(app);
        talk.say("GET /few HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
        const Heard heard(talk.heard());
        const bool whole = (heard.has("Content-Encoding") ? gunzip(heard.body()) : heard.body()) == lines(1);
        good = good && (heard.status() == "500" || heard.status() == "" || talk.closed() || whole);
    });
    CHECK(good);
    CHECK(runs > 5);
}

// Over sockets.
TEST_GROUP_BASE(CompressionOfWritesServed, StartedServerFixture){};

TEST(CompressionOfWritesServed, ComesWholeInAllParadigms) {
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).add_filter(std::make_unique<Compression>());
        server->get("/", [](Request&, Response& r) { write_lines(r, 50'000); });
        server->start().value();
        for (const ContentCoding coding : content_codings()) {
            const Heard heard(talk(get("/", takes(coding))));
            CHECK_EQUAL(std::string(to_string(coding)), heard.field("Content-Encoding"));
            CHECK(decode(coding, heard.body()) == lines(50'000));
        }
    }
}

TEST(CompressionOfWritesServed, AFlushBringsTheClientAllThatWasWritten) {
    for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::thread}) {
        make(paradigm).add_filter(std::make_unique<Compression>());
        server->post("/echo",
                     [](Request& q, Response& r) {
                         r.add_header("Content-Type", "text/plain");
                         char buffer[100];
                         nutils::IoResult got;
                         while ((got = q.read_body(buffer, 20s)))
                             if (!r.write({buffer, got.bytes}, 20s) || r.flush(20s)) return;
                     },
                     {.stream_body = true});
        server->start().value();
        for (const ContentCoding coding : content_codings()) {
            BlockingSocket socket = client();
            CHECK(socket.send_all(
                "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 9\r\n" +
                    takes(coding) + "\r\n",
                20s));
            std::string heard, all;
            for (const char* piece : {"one", "two", "six"}) {
                CHECK(socket.send_all(piece, 20s));
                all += piece;
                char byte;
                while (decode(coding, without_chunks(heard)) != all + "<cut>") {  // byte by byte
                    const bool came = socket.recv({&byte, 1}, 20s).bytes == 1;
                    CHECK(came);
                    if (!came) return;
                    heard += byte;
                }
            }
            heard += hear_all(socket);
            CHECK_EQUAL(all, decode(coding, without_chunks(heard)));
        }
    }
}

TEST_GROUP_BASE(CompressionOfWritesLooped, ServerFixture){};

// However much a servlet writes at once, it is coded by and by. 600 turns for 20 MB: 32 KiB a turn.
TEST(CompressionOfWritesLooped, OthersRunWhileMuchIsCoded) {
    const std::string much(20'000'000, 'x');
    int turns = 0;
    bool done = false;
    serve().add_filter(std::make_unique<Compression>());
    server->get("/much", [&](Request&, Response& r) {
        r.add_header("Content-Type", "text/plain");
        (void)r.write(much, 10s);
        done = true;
    });
    attach();
    go([&] {
        Client c(loop, address());
        c.say(get("/much", "Accept-Encoding: gzip\r\nConnection: close\r\n"));
        while (!done) {
            ++turns;
            this_evthread::yield();
        }
        CHECK(gunzip(Heard(c.hear_all()).body()) == much);
    });
    loop.run();
    CHECK(turns > 600);
}
