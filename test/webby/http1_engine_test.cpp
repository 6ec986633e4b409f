// The protocol, through an Exchange driven by hand: every well-formed case whole and cut at every byte.
#include <string>
#include <string_view>

#include "test/support/allocation_faults.h"
#include "test/webby/engine_fixture.h"

#include "test/support/harness.h"

using namespace webby_test;

TEST_GROUP_BASE(Http1Engine, EngineFixture){};

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
    CHECK_EQUAL(std::string(kHello.substr(0, kHello.size() - 6)),
                answer("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
}

TEST(Http1Engine, NoContentHasNeitherBodyNorLength) {
    CHECK_EQUAL(std::string("HTTP/1.1 204 No Content\r\n\r\n"),
                answer("GET /empty HTTP/1.1\r\nHost: a\r\n\r\n"));
}

TEST(Http1Engine, ResetContentHasNoBodyAndSaysSo) {
    CHECK_EQUAL("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n" + std::string(kHello),
                answer("GET /reset HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
}

TEST(Http1Engine, ARefusalOfHeadHasNoBodyWhateverIsWrong) {
    const auto end = [&](const std::string& request) {
        const std::string all = answer(request);
        return all.substr(all.find("\r\n\r\n"));
    };
    for (const char* rest :
         {"/ HTTP/1.1\r\n\r\n", "/ HTTP/1.1\r\nHost: a\r\nbad field\r\n\r\n", "/ HTTP/3.1\r\nHost: a\r\n\r\n",
          " / HTTP/1.1\r\nHost: a\r\n\r\n", "/\r\n", "\r\n", "/ HTTP/1.1\n"}) {
        CHECK_EQUAL(std::string("\r\n\r\n<closed>"), end("HEAD " + std::string(rest)));
        CHECK(end("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\nGET " + std::string(rest)).size() > 100);
    }
}

TEST(Http1Engine, ConnectionCloseIsKept) {
    const std::string closing = ok("hello\n", "Connection: close\r\n") + "<closed>";
    CHECK_EQUAL(closing, answer("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    CHECK_EQUAL(closing, answer("GET /hello HTTP/1.1\r\nHost: a\r\nconnection: x, CLOSE\r\n\r\n"));
}

TEST(Http1Engine, AServletCanCloseTheConnection) {
    CHECK_EQUAL(ok("bye", "Connection: close\r\n") + "<closed>",
                answer("GET /close HTTP/1.1\r\nHost: a\r\n\r\n"));
}

TEST(Http1Engine, Http10ClosesUnlessAskedToStay) {
    CHECK_EQUAL(ok("hello\n", "Connection: close\r\n") + "<closed>", answer("GET /hello HTTP/1.0\r\n\r\n"));
    CHECK_EQUAL(ok("hello\n", "Connection: keep-alive\r\n"),
                answer("GET /hello HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    for (const char* both : {"keep-alive, close", "close, keep-alive", "keep-alive\r\nConnection: x, Close"})
        CHECK_EQUAL(ok("hello\n", "Connection: close\r\n") + "<closed>",
                    answer("GET /hello HTTP/1.0\r\nConnection: " + std::string(both) + "\r\n\r\n"));
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
    CHECK_EQUAL(ok("Host=a;X=\xe4\xc3\xa4;"),
                answer("GET /headers HTTP/1.1\r\nHost: a\r\nX: \xe4\xc3\xa4\r\n\r\n"));
}

TEST(Http1Engine, ABodyWithALengthArrivesWhole) {
    CHECK_EQUAL(ok("abc\r\n\r\ndef"),
                answer("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc\r\n\r\ndef"));
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
    CHECK_EQUAL(ok("0123456789abcdef"),
                answer("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
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
    for (std::size_t at = 0; at < body.size(); at += 1000)
        input += "3e8\r\n" + body.substr(at, 1000) + "\r\n";
    input += "0\r\n\r\n";
    chunked.say(input, 1777);
    CHECK(chunked.heard() == ok(body));
    CHECK(chunked.idle());
}

TEST(Http1Engine, AServletCanReadTheBodyItself) {
    for (const std::string_view body : {"Content-Length: 7\r\n\r\nabcdefg",
                                        "Transfer-Encoding: chunked\r\n\r\n7\r\nabcdefg\r\n0\r\n\r\n"}) {
        Conversation talk(app);
        talk.say("POST /stream HTTP/1.1\r\nHost: a\r\n" + std::string(body) +
                 "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
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
    const std::string head =
        "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
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
                answer("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcdeGET /hello "
                       "HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK_EQUAL(
        ok("fine") + std::string(kHello),
        answer("POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
               "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
}

TEST(Http1Engine, ABodyNobodyReadClosesTheConnectionWhenItIsTooLong) {
    limits.drain = 10;
    CHECK_EQUAL(ok("fine", "Connection: close\r\n") + "<closed>",
                answer("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nabcdefghijk"));
    Conversation chunked(app, limits);
    chunked.say(
        "POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
        "chunked\r\n\r\nb\r\nabcdefghijk\r\n0\r\n\r\n");
    CHECK_EQUAL(ok("fine"), chunked.heard());
    CHECK(chunked.closed());
    CHECK(chunked.lingers());
}

TEST(Http1Engine, ContinueIsSaidOnlyWhenTheBodyIsAwaited) {
    const std::string head =
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n";
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
    refused("413",
            "POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
            "chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n");
    refused("413",
            "POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n");
    refused("413", "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n");
}

TEST(Http1Engine, ExceptionsBecome500AndTheConnectionGoesOn) {
    const std::string heard =
        answer("GET /throw HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    STRCMP_CONTAINS("HTTP/1.1 500 Internal Server Error\r\n", heard.c_str());
    STRCMP_CONTAINS("hello\n", heard.c_str());
}

TEST(Http1Engine, LargeResponsesAreNotMixedUp) {
    Conversation talk(app);
    talk.say(
        "GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /big "
        "HTTP/1.1\r\nHost: a\r\n\r\n");
    const std::string big(100'000, 'x');
    CHECK(talk.heard() == ok(big) + std::string(kHello) + ok(big));
}

TEST(Http1Engine, TheLimitOnRequestsClosesTheConnection) {
    limits.requests = 2;
    const std::string get = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    CHECK_EQUAL(std::string(kHello) + ok("hello\n", "Connection: close\r\n") + "<closed>",
                answer(get + get + get));
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
    for (const char* input : {"GET /he", "GET /hello HTTP/1.1\r\nHo",
                              "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"}) {
        Conversation talk(app);
        talk.say(input);
        talk.finish();
        CHECK_EQUAL(std::string("400"), talk.status());
        CHECK(talk.closed());
    }
}

TEST(Http1Engine, TimeInsideARequestIs408) {
    for (const char* input : {"G", "GET /hello HTTP/1.1\r\nHo",
                              "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"}) {
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

TEST(Http1Engine, AnEngineIsReusedAfterAnything) {
    for (const char* before :
         {"GARBAGE\r\n\r\n", "GET /hel", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
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
    const Timeouts timeouts;
    ExchangeContext context{.application = app, .limits = own, .timeouts = timeouts};
    struct Quiet final : Wire {
        nutils::IoResult refill(cutils::Deadline) override { return {}; }
        nutils::SockAddr peer() const override { return {}; }
        std::error_code flush(cutils::Deadline) override { return {}; }
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
    Exchange exchange(own);
    ConnectionMemory memory;
    exchange.begin(context, wire, memory);
    for (int i = 0; i < 3; ++i) CHECK(request(exchange));
    bool fine = true;
    test_support::AllocationFaults faults;
    faults.fail_all();
    for (int i = 0; i < 10; ++i) {
        exchange.begin(context, wire, memory);
        fine = fine && request(exchange);
    }
    faults.stop();
    CHECK(fine);
    LONGS_EQUAL(0, faults.count());
}
