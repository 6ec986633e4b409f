// The protocol, through an Exchange driven by hand: every well-formed case whole and cut at every byte.
#include <string>
#include <string_view>

#include "cutils/log.h"
#include "test/support/allocation_faults.h"
#include "test/webby/conversation.h"
#include "webby/application.h"

#include "test/support/harness.h"

using namespace webby;
using namespace webby_test;

namespace {

constexpr std::string_view kHello = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 6\r\n\r\nhello\n";

std::string ok(std::string_view body, std::string_view extra = {}) {
    return "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n" + std::string(extra) + "\r\n" + std::string(body);
}

void add_routes(Application& app) {
    app.add(Method::get, "/hello", make_servlet([](Request&, Response& r) { r.text("hello\n"); })).value();
    app.add(Method::post, "/echo", make_servlet([](Request& q, Response& r) { r.text(q.body()); })).value();
    app.add(Method::post, "/small", make_servlet([](Request& q, Response& r) { r.text(q.body()); }), {.body_limit = 4})
        .value();
    app.add(Method::post, "/ignore", make_servlet([](Request&, Response& r) { r.text("fine"); }), {.stream_body = true})
        .value();
    app.add(Method::post, "/stream", make_servlet([](Request& q, Response& r) {
                std::string all;
                char piece[3];
                nutils::IoResult got;
                while ((got = q.read_body(piece, cutils::Deadline::never))) all.append(piece, got.bytes).append("|");
                r.text(all + (got.eof() ? "eof" : got.error.message()));
            }),
            {.stream_body = true})
        .value();
    app.add(Method::get, "/path/*rest", make_servlet([](Request& q, Response& r) {
                r.text(std::string(q.path()) + " " + std::string(q.query()) + " " + std::string(q.host()));
            }))
        .value();
    app.add(Method::get, "/headers", make_servlet([](Request& q, Response& r) {
                std::string all;
                for (const auto field : q.headers()) all.append(field.name).append("=").append(field.value).append(";");
                r.text(all);
            }))
        .value();
    app.add(Method::get, "/empty", make_servlet([](Request&, Response& r) { r.status(Status::no_content).text("no"); }))
        .value();
    app.add(Method::get, "/close", make_servlet([](Request&, Response& r) {
                r.text("bye");
                r.close_connection();
            }))
        .value();
    app.add(Method::get, "/throw", make_servlet([](Request&, Response&) { throw std::runtime_error("oops"); })).value();
    app.add(Method::get, "/big", make_servlet([](Request&, Response& r) { r.text(std::string(100'000, 'x')); })).value();
}

}  // namespace

TEST_GROUP_BASE(Http1Engine, test_support::Fixture) {
    Application app;
    Limits limits;

    void setup() override {
        add_routes(app);
        cutils::set_log_sink([](cutils::LogLevel, std::string_view, void*) {});  // what servlets throw
    }
    void teardown() override { cutils::set_log_sink(nullptr); }

    // What the server says to `input`, however it is cut up.
    std::string answer(std::string_view input) {
        Conversation whole(app, limits);
        whole.say(input);
        for (std::size_t cut = 1; cut < input.size(); ++cut) {
            Conversation two(app, limits);
            two.say(input.substr(0, cut));
            two.say(input.substr(cut));
            STRCMP_EQUAL(whole.heard().c_str(), two.heard().c_str());
            CHECK_EQUAL(whole.closed(), two.closed());
        }
        for (const std::size_t fragment : {1, 2, 3, 7, 16}) {
            Conversation pieces(app, limits);
            pieces.say(input, fragment);
            STRCMP_EQUAL(whole.heard().c_str(), pieces.heard().c_str());
            CHECK_EQUAL(whole.closed(), pieces.closed());
        }
        return whole.heard() + (whole.closed() ? "<closed>" : "");
    }
    void refused(const char* status, std::string_view input) {
        Conversation whole(app, limits);
        whole.say(input);
        CHECK_EQUAL_TEXT(std::string(status), whole.status(), std::string(input).c_str());
        CHECK_TRUE_TEXT(whole.closed(), std::string(input).c_str());
        STRCMP_CONTAINS("\r\nConnection: close\r\n", whole.heard().c_str());
        for (const std::size_t fragment : {1, 2, 3, 7, 16}) {
            Conversation pieces(app, limits);
            pieces.say(input, fragment);
            CHECK_EQUAL_TEXT(std::string(status), pieces.status(), std::string(input).c_str());
            CHECK_TRUE_TEXT(pieces.closed(), std::string(input).c_str());
        }
    }
};

TEST(Http1Engine, AnswersAGet) {
    CHECK_EQUAL(std::string(kHello), answer("GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"));
}

TEST(Http1Engine, AnswersTheSecondRequestLikeTheFirst) {
    Conversation talk(app);
    for (int i = 0; i < 3; ++i) talk.say("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_EQUAL(std::string(kHello) + std::string(kHello) + std::string(kHello), talk.heard());
    CHECK(talk.idle());
}

TEST(Http1Engine, PipelinedRequestsAreAnsweredInOrderAndTogether) {
    const std::string_view input =
        "GET /hello HTTP/1.1\r\nHost: a\r\n\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        "GET /path/x HTTP/1.1\r\nHost: a\r\n\r\n";
    CHECK_EQUAL(std::string(kHello) + ok("abc") + ok("/path/x  a"), answer(input));
    Conversation talk(app);
    talk.say(input);
    LONGS_EQUAL(1, talk.sends());
}

TEST(Http1Engine, ManyPipelinedRequestsOutlastTheBuffer) {
    std::string input, expected;
    for (int i = 0; i < 2000; ++i) {
        const std::string number = std::to_string(i);
        input += "GET /path/" + number + "?q HTTP/1.1\r\nHost: a\r\n\r\n";
        expected += ok("/path/" + number + " q a");
    }
    Conversation talk(app);
    talk.say(input);
    CHECK(expected == talk.heard());
}

TEST(Http1Engine, HeadHasTheHeadOfGetAndNoBody) {
    CHECK_EQUAL(std::string(kHello.substr(0, kHello.size() - 6)), answer("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
}

TEST(Http1Engine, NoContentHasNeitherBodyNorLength) {
    CHECK_EQUAL(std::string("HTTP/1.1 204 No Content\r\n\r\n"), answer("GET /empty HTTP/1.1\r\nHost: a\r\n\r\n"));
}

TEST(Http1Engine, ConnectionCloseIsKept) {
    const std::string closing = ok("hello\n", "Connection: close\r\n") + "<closed>";
    CHECK_EQUAL(closing, answer("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    CHECK_EQUAL(closing, answer("GET /hello HTTP/1.1\r\nHost: a\r\nconnection: x, CLOSE\r\n\r\n"));
}

TEST(Http1Engine, AServletCanCloseTheConnection) {
    CHECK_EQUAL(ok("bye", "Connection: close\r\n") + "<closed>", answer("GET /close HTTP/1.1\r\nHost: a\r\n\r\n"));
}

TEST(Http1Engine, Http10ClosesUnlessAskedToStay) {
    CHECK_EQUAL(ok("hello\n", "Connection: close\r\n") + "<closed>", answer("GET /hello HTTP/1.0\r\n\r\n"));
    CHECK_EQUAL(ok("hello\n", "Connection: keep-alive\r\n"), answer("GET /hello HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

TEST(Http1Engine, AHigherMinorVersionIsTakenFor11) {
    CHECK_EQUAL(std::string(kHello), answer("GET /hello HTTP/1.2\r\nHost: a\r\n\r\n"));
    CHECK_EQUAL(std::string(kHello), answer("GET /hello HTTP/1.9\r\nHost: a\r\n\r\n"));
}

TEST(Http1Engine, EmptyLinesBeforeARequestAreSkipped) {
    CHECK_EQUAL(std::string(kHello), answer("\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK_EQUAL(std::string(kHello) + std::string(kHello),
                answer("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
    std::string many;
    for (std::size_t i = 0; i <= limits.empty_lines; ++i) many += "\r\n";
    refused("400", many + "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
}

TEST(Http1Engine, AbsoluteFormNamesTheHost) {
    CHECK_EQUAL(ok("/path/x q=1 b:80"), answer("GET http://b:80/path/x?q=1 HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK_EQUAL(std::string("404"), answer("GET http://b HTTP/1.1\r\nHost: a\r\n\r\n").substr(9, 3));
}

TEST(Http1Engine, PathsAreDecodedBeforeTheyAreRouted) {
    CHECK_EQUAL(std::string(kHello), answer("GET /%68ello HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK_EQUAL(std::string(kHello), answer("GET /x/..//hello?y HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK_EQUAL(ok("/path/a b/c  a"), answer("GET /path/a%20b%2Fc HTTP/1.1\r\nHost: a\r\n\r\n"));
}

TEST(Http1Engine, HeadersKeepTheirOrderAndLoseTheirBlanks) {
    CHECK_EQUAL(ok("Host=a;X-B=2;X-A=;x-b=3 4;"),
                answer("GET /headers HTTP/1.1\r\nHost:a\r\nX-B: \t 2 \t\r\nX-A:\r\nx-b: 3 4\r\n\r\n"));
}

TEST(Http1Engine, ValuesMayHaveBytesAboveAscii) {
    CHECK_EQUAL(ok("Host=a;X=\xe4\xc3\xa4;"), answer("GET /headers HTTP/1.1\r\nHost: a\r\nX: \xe4\xc3\xa4\r\n\r\n"));
}

TEST(Http1Engine, ABodyWithALengthArrivesWhole) {
    CHECK_EQUAL(ok("abc\r\n\r\ndef"), answer("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc\r\n\r\ndef"));
    CHECK_EQUAL(ok(""), answer("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
    CHECK_EQUAL(ok("ab"), answer("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0002\r\n\r\nab"));
}

TEST(Http1Engine, AChunkedBodyArrivesWhole) {
    CHECK_EQUAL(ok("hello world"),
                answer("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "5\r\nhello\r\n1;a=b;c=\"d e\"\r\n \r\n0005\r\nworld\r\n0\r\n\r\n"));
    CHECK_EQUAL(ok("") + std::string(kHello),
                answer("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n"
                       "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK_EQUAL(ok("0123456789abcdef"), answer("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                                               "A\r\n0123456789\r\n6\r\nabcdef\r\n0\r\n\r\n"));
}

TEST(Http1Engine, TrailersAreSkipped) {
    CHECK_EQUAL(ok("abc") + std::string(kHello),
                answer("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3\r\nabc\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
}

TEST(Http1Engine, LargeBodiesArriveWhole) {
    std::string body(300'000, ' ');
    for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i % 26);
    Conversation length(app), chunked(app);
    length.say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + body);
    CHECK(length.heard() == ok(body));
    std::string input = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (std::size_t at = 0; at < body.size(); at += 1000) input += "3e8\r\n" + body.substr(at, 1000) + "\r\n";
    input += "0\r\n\r\n";
    chunked.say(input, 1777);
    CHECK(chunked.heard() == ok(body));
    CHECK(chunked.idle());
}

TEST(Http1Engine, AServletCanReadTheBodyItself) {
    for (const std::string_view body : {"Content-Length: 7\r\n\r\nabcdefg",
                                        "Transfer-Encoding: chunked\r\n\r\n7\r\nabcdefg\r\n0\r\n\r\n"}) {
        Conversation talk(app);
        talk.say("POST /stream HTTP/1.1\r\nHost: a\r\n" + std::string(body) + "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        CHECK_EQUAL(ok("abc|def|g|eof") + std::string(kHello), talk.heard());
    }
}

TEST(Http1Engine, AStreamedBodyComesAsItArrives) {
    const std::string input = "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef";
    Conversation talk(app);
    talk.say(input, input.size() - 5);
    CHECK_EQUAL(ok("a|bcd|ef|eof"), talk.heard());
}

TEST(Http1Engine, AStreamedBodyIsContinuedWhenItIsRead) {
    Conversation talk(app);
    const std::string head = "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    talk.say(head + "ab", head.size());
    CHECK_EQUAL("HTTP/1.1 100 Continue\r\n\r\n" + ok("ab|eof"), talk.heard());
}

TEST(Http1Engine, AStreamedBodyThatIsMalformedIsNotAnsweredWithSuccess) {
    Conversation talk(app);
    talk.say("POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX\r\n0\r\n\r\n");
    CHECK_EQUAL(std::string("400"), talk.status());
    CHECK(talk.closed());
}

TEST(Http1Engine, AStreamedBodyThatEndsEarlyIsNotAnsweredWithSuccess) {
    Conversation talk(app);
    talk.say("POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\nabc");
    CHECK_EQUAL(std::string("400"), talk.status());
    CHECK(talk.closed());
}

TEST(Http1Engine, ABodyNobodyReadIsSkipped) {
    CHECK_EQUAL(ok("fine") + std::string(kHello),
                answer("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcdeGET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK_EQUAL(ok("fine") + std::string(kHello),
                answer("POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                       "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
}

TEST(Http1Engine, ABodyNobodyReadClosesTheConnectionWhenItIsTooLong) {
    limits.drain = 10;
    CHECK_EQUAL(ok("fine", "Connection: close\r\n") + "<closed>",
                answer("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nabcdefghijk"));
    Conversation chunked(app, limits);
    chunked.say("POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nabcdefghijk\r\n0\r\n\r\n");
    CHECK_EQUAL(ok("fine"), chunked.heard());
    CHECK(chunked.closed());
    CHECK(chunked.lingers());
}

TEST(Http1Engine, ContinueIsSaidOnlyWhenTheBodyIsAwaited) {
    const std::string head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n";
    Conversation waits(app);
    waits.say(head);
    CHECK_EQUAL(std::string("HTTP/1.1 100 Continue\r\n\r\n"), waits.heard());
    waits.say("abc");
    CHECK_EQUAL("HTTP/1.1 100 Continue\r\n\r\n" + ok("abc"), waits.heard());

    Conversation comes_along(app);
    comes_along.say(head + "abc");
    CHECK_EQUAL(ok("abc"), comes_along.heard());
}

TEST(Http1Engine, ContinueIsNotSaidToHttp10OrWithoutABody) {
    Conversation old(app);
    old.say("POST /echo HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    CHECK_EQUAL(std::string(), old.heard());
    Conversation bodyless(app);
    bodyless.say("GET /hello HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
    CHECK_EQUAL(std::string(kHello), bodyless.heard());
}

TEST(Http1Engine, ATooLargeBodyIsRefusedInsteadOfContinued) {
    refused("413", "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
}

TEST(Http1Engine, AnUnwantedBodyIsAnsweredInsteadOfContinued) {
    Conversation talk(app);
    talk.say("POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    CHECK_EQUAL(std::string("404"), talk.status());
    CHECK(talk.closed());  // nobody knows whether the body still comes
}

TEST(Http1Engine, BodyLimitsCountChunksToo) {
    CHECK_EQUAL(ok("abcd"), answer("POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                                   "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"));
    refused("413", "POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n");
    refused("413", "POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n");
    refused("413", "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n");
}

TEST(Http1Engine, ExceptionsBecome500AndTheConnectionGoesOn) {
    const std::string heard = answer("GET /throw HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    STRCMP_CONTAINS("HTTP/1.1 500 Internal Server Error\r\n", heard.c_str());
    STRCMP_CONTAINS("hello\n", heard.c_str());
}

TEST(Http1Engine, LargeResponsesAreNotMixedUp) {
    Conversation talk(app);
    talk.say("GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    const std::string big(100'000, 'x');
    CHECK(talk.heard() == ok(big) + std::string(kHello) + ok(big));
}

TEST(Http1Engine, TheLimitOnRequestsClosesTheConnection) {
    limits.requests = 2;
    const std::string get = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    CHECK_EQUAL(std::string(kHello) + ok("hello\n", "Connection: close\r\n") + "<closed>", answer(get + get + get));
}

TEST(Http1Engine, AServerThatStopsClosesAfterTheResponse) {
    Conversation talk(app);
    talk.context().draining = true;
    talk.say("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_EQUAL(ok("hello\n", "Connection: close\r\n"), talk.heard());
    CHECK(talk.closed());
}

// --- the end of input, and time ---

TEST(Http1Engine, AClientThatHalfClosesStillGetsItsAnswers) {
    Conversation talk(app);
    talk.say("GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    talk.finish();
    CHECK_EQUAL(std::string(kHello) + std::string(kHello), talk.heard());
    CHECK(talk.closed());
    CHECK_FALSE(talk.lingers());
}

TEST(Http1Engine, AnEndBetweenRequestsClosesWithoutAWord) {
    Conversation talk(app);
    talk.finish();
    CHECK(talk.closed());
    CHECK_EQUAL(std::string(), talk.heard());
}

TEST(Http1Engine, AnEndInsideARequestIsRefused) {
    for (const char* input : {"GET /he", "GET /hello HTTP/1.1\r\nHo", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"}) {
        Conversation talk(app);
        talk.say(input);
        talk.finish();
        CHECK_EQUAL(std::string("400"), talk.status());
        CHECK(talk.closed());
    }
}

TEST(Http1Engine, TimeInsideARequestIs408) {
    for (const char* input : {"G", "GET /hello HTTP/1.1\r\nHo", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"}) {
        Conversation talk(app);
        talk.say(input);
        talk.time_out();
        CHECK_EQUAL(std::string("408"), talk.status());
        CHECK(talk.closed());
    }
}

TEST(Http1Engine, TimeBetweenRequestsClosesWithoutAWord) {
    Conversation talk(app);
    talk.say("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    talk.time_out();
    CHECK_EQUAL(std::string(kHello), talk.heard());
    CHECK(talk.closed());
}

// --- what is refused ---

TEST(Http1Engine, MalformedRequestLinesAreRefused) {
    for (const std::string_view line :
         {"GET", "GET /", "GET / HTTP", "GET  / HTTP/1.1", "GET /  HTTP/1.1", " GET / HTTP/1.1", "GET / HTTP/1.1 ", "GET / HTTP/1",
          "GET / HTTP/1.", "GET / HTTP/.1", "GET / HTTP/11", "GET / HTTP/1.10", "GET / http/1.1", "GET / HTTPS/1.1",
          "GET / HTTP 1.1", "G@T / HTTP/1.1", "GET\t/ HTTP/1.1", "GET /\x01 HTTP/1.1", "GET /a b HTTP/1.1", "GET a HTTP/1.1",
          "GET /a#b HTTP/1.1", "GET * HTTP/1.1", "GET /%zz HTTP/1.1", "GET /%00 HTTP/1.1", "GET /../x HTTP/1.1",
          "GET http:// HTTP/1.1", "GET ftp://a/ HTTP/1.1", "GET http://a@b/ HTTP/1.1", "\x16\x03\x01 / HTTP/1.1", "GET /\r HTTP/1.1"})
        refused("400", std::string(line) + "\r\nHost: a\r\n\r\n");
}

TEST(Http1Engine, BareLineFeedsAreRefused) {
    refused("400", "GET /hello HTTP/1.1\nHost: a\n\n");
    refused("400", "GET /hello HTTP/1.1\r\nHost: a\nX: y\r\n\r\n");
    refused("400", "GET /hello HTTP/1.1\r\nHost: a\r\n\n\r\n\r\n");
    refused("400", "\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
}

TEST(Http1Engine, MalformedFieldsAreRefused) {
    for (const std::string_view field :
         {"X : y", "X\t: y", ": y", "X y", "X: y\x01", "X: y\rz", "X\r: y", " X: y", "X: y\r\n z", "X:\r\n y", "X: y\r\n\tz", "X: \x7f",
          "X\x80: y", "X(: y", "X: a\r\n \r\nY: b"})
        refused("400", "GET /hello HTTP/1.1\r\nHost: a\r\n" + std::string(field) + "\r\n\r\n");
    using namespace std::string_view_literals;
    refused("400", "GET /hello HTTP/1.1\r\nHost: a\r\nX: \0y\r\n\r\n"sv);
    refused("400", "GET /hello HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n"sv);
    refused("400", "GET /he\0llo HTTP/1.1\r\nHost: a\r\n\r\n"sv);
}

TEST(Http1Engine, ExactlyOneValidHostIsDemanded) {
    refused("400", "GET /hello HTTP/1.1\r\n\r\n");
    refused("400", "GET /hello HTTP/1.1\r\nX: y\r\n\r\n");
    for (const char* host : {"Host: a\r\nHost: a", "Host: a\r\nhost: b", "Host:", "Host: a b", "Host: a,b/", "Host: a/", "Host: a@b",
                             "Host: a:b", "Host: [::1", "Host: a\r\nX: y\r\nHOST: a"})
        refused("400", "GET /hello HTTP/1.1\r\n" + std::string(host) + "\r\n\r\n");
    refused("400", "GET /hello HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n");
    refused("400", "GET http://b/hello HTTP/1.1\r\n\r\n");
}

TEST(Http1Engine, DoubtfulLengthsAreRefused) {
    for (const char* length : {"Content-Length: 3, 3", "Content-Length: 3\r\nContent-Length: 3", "Content-Length: 3\r\nContent-Length: 4",
                               "Content-Length: -3", "Content-Length: +3", "Content-Length: 0x3", "Content-Length: 3 3", "Content-Length:",
                               "Content-Length: 3a", "Content-Length: 3;", "Content-Length: 18446744073709551616", "Content-Length: 3,",
                               "Content-Length: ,3", "Content-Length: 3.0", "Content-Length: \"3\""})
        refused("400", "POST /echo HTTP/1.1\r\nHost: a\r\n" + std::string(length) + "\r\n\r\nabc");
}

TEST(Http1Engine, OtherTransferEncodingsAreNotImplemented) {
    for (const char* coding : {"xchunked", "chunked, identity", "identity", "gzip, chunked", "chunked;q=1", "\"chunked\"", "chunked,",
                               "gzip", "chunkedchunked", ", chunked"})
        refused("501", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: " + std::string(coding) + "\r\n\r\n0\r\n\r\n");
}

TEST(Http1Engine, DoubtfulTransferEncodingsAreRefused) {
    const std::string post = "POST /echo HTTP/1.1\r\nHost: a\r\n";
    refused("400", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    refused("400", "POST /echo HTTP/1.0\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n");
    refused("400", post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n");
    refused("400", post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    refused("400", post + "Transfer-Encoding: xchunked\r\nContent-Length: 3\r\n\r\nabc");
    refused("400", post + "Content-Length: 3\r\nTransfer-Encoding: xchunked\r\n\r\nabc");
    refused("400", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    refused("400", post + "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    refused("400", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n");
    refused("400", post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n");
    refused("400", post + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n");
}

TEST(Http1Engine, MalformedChunksAreRefused) {
    for (const char* chunks : {"0x5\r\nhello\r\n0\r\n\r\n", "g\r\n", "\r\n\r\n", "-1\r\n\r\n", "5 5\r\nhello\r\n", "5\nhello\r\n0\r\n\r\n",
                               "5\r\nhelloX\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello\r0\r\n\r\n", "5;\r\nhello\r\n",
                               "5;=x\r\nhello\r\n", "5 \r\nhello\r\n", "1FFFFFFFFFFFFFFFF\r\n", "5\rX\r\n",
                               "0\r\nX : y\r\n\r\n", "0\r\n X: y\r\n\r\n", "0\r\nX: y\r\n z\r\n\r\n", "0\r\nContent-Length: 3\r\n\r\n",
                               "0\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\nX: y\nZ: a\r\n\r\n", "5;a=\"b\r\nhello\"\r\n0\r\n\r\n"})
        refused("400", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(chunks));
}

TEST(Http1Engine, ChunkExtensionsAndTrailersAreBounded) {
    const std::string post = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    refused("400", post + "5;" + std::string(limits.chunk_line + 40, 'a') + "\r\nhello\r\n0\r\n\r\n");
    refused("400", post + "5;" + std::string(100'000, 'a'));
    refused("400", post + std::string(100'000, '0'));
    std::string trailers;
    for (int i = 0; i < 600; ++i) trailers += "X-Trailer: y\r\n";
    refused("431", post + "0\r\n" + trailers + "\r\n");
    refused("431", post + "0\r\nX: " + std::string(100'000, 'a'));
}

TEST(Http1Engine, UnknownMethodsAreNotImplemented) {
    for (const char* method : {"FOO", "get", "Get", "CONNECT", "PROPFIND", "GETT"})
        refused("501", std::string(method) + " /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    refused("501", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n");
}

TEST(Http1Engine, OtherMajorVersionsAreNotSupported) {
    refused("505", "GET / HTTP/2.0\r\nHost: a\r\n\r\n");
    refused("505", "GET / HTTP/0.9\r\nHost: a\r\n\r\n");
    refused("505", "GET / HTTP/3.0\r\n\r\n");
    refused("505", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}

TEST(Http1Engine, OtherExpectationsFail) { refused("417", "GET /hello HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n"); }

TEST(Http1Engine, LongTargetsAreRefused) {
    const std::string longest(limits.request_line - 14, 'a');  // "GET /" and " HTTP/1.1"
    Conversation fits(app);
    fits.say("GET /" + longest + " HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_EQUAL(std::string("404"), fits.status());
    refused("414", "GET /a" + longest + " HTTP/1.1\r\nHost: a\r\n\r\n");
    refused("414", "GET /" + std::string(100'000, 'a'));
    refused("400", std::string(100'000, 'a'));
}

TEST(Http1Engine, LargeHeadsAreRefused) {
    const std::string get = "GET /hello HTTP/1.1\r\nHost: a\r\n";
    Conversation fits(app);
    fits.say(get + "X: " + std::string(limits.head - get.size() - 7, 'a') + "\r\n\r\n", 1000);
    CHECK_EQUAL(std::string("200"), fits.status());
    refused("431", get + "X: " + std::string(limits.head - get.size() - 6, 'a') + "\r\n\r\n");
    refused("431", get + "X: " + std::string(200'000, 'a'));
    std::string many;
    for (std::size_t i = 0; i < limits.header_count; ++i) many += "X: y\r\n";
    refused("431", get + many + "\r\n");
    CHECK_EQUAL(std::string(kHello), answer(get + many.substr(6) + "\r\n"));
}

TEST(Http1Engine, NothingBehindARefusedRequestIsAnswered) {
    const std::string heard = answer("GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(heard.find("200 OK") == std::string::npos);
    Conversation talk(app);
    talk.say("GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(talk.lingers());
}

TEST(Http1Engine, RandomBytesAreRefusedOrAwaited) {
    std::uint32_t state = 12345;
    for (int round = 0; round < 300; ++round) {
        std::string bytes;
        for (int i = 0; i < 2000; ++i) {
            state = state * 1664525 + 1013904223;
            bytes += static_cast<char>(state >> 24);
        }
        Conversation talk(app);
        talk.say(round % 2 == 0 ? bytes : "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + bytes, 100);
        CHECK(talk.heard().find("200 OK") == std::string::npos);
    }
}

TEST(Http1Engine, AnEngineIsReusedAfterAnything) {
    for (const char* before : {"GARBAGE\r\n\r\n", "GET /hel", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
                               "GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nmore", "GET /hello HTTP/1.0\r\n\r\n"}) {
        Conversation talk(app);
        talk.say(before);
        talk.start_again();
        talk.say("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        CHECK_EQUAL(std::string(kHello), talk.heard());
        CHECK(talk.idle());
    }
}

// --- memory ---

TEST(Http1Engine, EveryFailingAllocationLeavesNothingBehind) {
    const std::string input =
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n0123456789012345678901234567890123456789"
        "GET /path/a%20b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    const std::size_t failures = test_support::for_each_failing_allocation([&] {
        Conversation talk(app);
        talk.say(input);
    });
    CHECK(failures > 5);
}

TEST(Http1Engine, TheSteadyStateAllocatesNothing) {
    Limits own;
    ExchangeContext context{app, own};
    struct Quiet final : Wire {
        nutils::IoResult refill(cutils::Deadline) override { return {}; }
        nutils::SockAddr peer() const override { return {}; }
        cutils::TimePoint now() const override { return {}; }
    } wire;
    const std::string_view input = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
    const auto request = [&](Exchange& exchange) {
        input.copy(exchange.engine().input_space().data(), input.size());
        exchange.engine().received(input.size());
        const bool waits = exchange.advance() == Exchange::Want::input;
        exchange.engine().sent();
        return waits;
    };
    Exchange exchange(context);
    exchange.begin(wire);
    for (int i = 0; i < 3; ++i) CHECK(request(exchange));
    bool fine = true;
    test_support::AllocationFaults faults;
    faults.fail_all();
    for (int i = 0; i < 10; ++i) {
        exchange.begin(wire);
        fine = fine && request(exchange);
    }
    faults.stop();
    CHECK(fine);
    LONGS_EQUAL(0, faults.count());
}
