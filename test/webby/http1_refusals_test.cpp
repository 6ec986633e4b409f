// What the engine refuses, with which status, and that the connection closes: whole and in pieces.
#include <string>
#include <string_view>

#include "test/webby/engine_fixture.h"

#include "test/support/harness.h"

using namespace webby_test;

TEST_GROUP_BASE(Http1Refusals, EngineFixture){};

TEST(Http1Refusals, MalformedRequestLinesAreRefused) {
    for (const std::string_view line : {"GET",
                                        "GET /",
                                        "GET / HTTP",
                                        "GET  / HTTP/1.1",
                                        "GET /  HTTP/1.1",
                                        " GET / HTTP/1.1",
                                        "GET / HTTP/1.1 ",
                                        "GET / HTTP/1",
                                        "GET / HTTP/1.",
                                        "GET / HTTP/.1",
                                        "GET / HTTP/11",
                                        "GET / HTTP/1.10",
                                        "GET / http/1.1",
                                        "GET / HTTPS/1.1",
                                        "GET / HTTP 1.1",
                                        "G@T / HTTP/1.1",
                                        "GET\t/ HTTP/1.1",
                                        "GET /\x01 HTTP/1.1",
                                        "GET /a b HTTP/1.1",
                                        "GET a HTTP/1.1",
                                        "GET /a#b HTTP/1.1",
                                        "GET * HTTP/1.1",
                                        "GET /%zz HTTP/1.1",
                                        "GET /%00 HTTP/1.1",
                                        "GET /../x HTTP/1.1",
                                        "GET http:// HTTP/1.1",
                                        "GET ftp://a/ HTTP/1.1",
                                        "GET http://a@b/ HTTP/1.1",
                                        "\x16\x03\x01 / HTTP/1.1",
                                        "GET /\r HTTP/1.1"})
        refused("400", std::string(line) + "\r\nHost: a\r\n\r\n");
}

TEST(Http1Refusals, BareLineFeedsAreRefused) {
    refused("400", "GET /hello HTTP/1.1\nHost: a\n\n");
    refused("400", "GET /hello HTTP/1.1\r\nHost: a\nX: y\r\n\r\n");
    refused("400", "GET /hello HTTP/1.1\r\nHost: a\r\n\n\r\n\r\n");
    refused("400", "\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
}

TEST(Http1Refusals, MalformedFieldsAreRefused) {
    for (const std::string_view field :
         {"X : y", "X\t: y", ": y", "X y", "X: y\x01", "X: y\rz", "X\r: y", " X: y", "X: y\r\n z", "X:\r\n y",
          "X: y\r\n\tz", "X: \x7f", "X\x80: y", "X(: y", "X: a\r\n \r\nY: b"})
        refused("400", "GET /hello HTTP/1.1\r\nHost: a\r\n" + std::string(field) + "\r\n\r\n");
    using namespace std::string_view_literals;
    refused("400", "GET /hello HTTP/1.1\r\nHost: a\r\nX: \0y\r\n\r\n"sv);
    refused("400", "GET /hello HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n"sv);
    refused("400", "GET /he\0llo HTTP/1.1\r\nHost: a\r\n\r\n"sv);
}

TEST(Http1Refusals, ExactlyOneValidHostIsDemanded) {
    refused("400", "GET /hello HTTP/1.1\r\n\r\n");
    refused("400", "GET /hello HTTP/1.1\r\nX: y\r\n\r\n");
    for (const char* host :
         {"Host: a\r\nHost: a", "Host: a\r\nhost: b", "Host:", "Host: a b", "Host: a,b/", "Host: a/",
          "Host: a@b", "Host: a:b", "Host: [::1", "Host: a\r\nX: y\r\nHOST: a"})
        refused("400", "GET /hello HTTP/1.1\r\n" + std::string(host) + "\r\n\r\n");
    refused("400", "GET /hello HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n");
    refused("400", "GET http://b/hello HTTP/1.1\r\n\r\n");
}

TEST(Http1Refusals, DoubtfulLengthsAreRefused) {
    for (const char* length :
         {"Content-Length: 3, 3", "Content-Length: 3\r\nContent-Length: 3",
          "Content-Length: 3\r\nContent-Length: 4", "Content-Length: -3", "Content-Length: +3",
          "Content-Length: 0x3", "Content-Length: 3 3", "Content-Length:", "Content-Length: 3a",
          "Content-Length: 3;", "Content-Length: 18446744073709551616", "Content-Length: 3,",
          "Content-Length: ,3", "Content-Length: 3.0", "Content-Length: \"3\""})
        refused("400", "POST /echo HTTP/1.1\r\nHost: a\r\n" + std::string(length) + "\r\n\r\nabc");
}

TEST(Http1Refusals, OtherTransferEncodingsAreNotImplemented) {
    for (const char* coding : {"xchunked", "chunked, identity", "identity", "gzip, chunked", "chunked;q=1",
                               "\"chunked\"", "chunked,", "gzip", "chunkedchunked", ", chunked"})
        refused("501", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: " + std::string(coding) +
                           "\r\n\r\n0\r\n\r\n");
}

TEST(Http1Refusals, DoubtfulTransferEncodingsAreRefused) {
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

TEST(Http1Refusals, MalformedChunksAreRefused) {
    for (const char* chunks : {"0x5\r\nhello\r\n0\r\n\r\n",
                               "g\r\n",
                               "\r\n\r\n",
                               "-1\r\n\r\n",
                               "5 5\r\nhello\r\n",
                               "5\nhello\r\n0\r\n\r\n",
                               "5\r\nhelloX\r\n0\r\n\r\n",
                               "5\r\nhello\n0\r\n\r\n",
                               "5\r\nhello\r0\r\n\r\n",
                               "5;\r\nhello\r\n",
                               "5;=x\r\nhello\r\n",
                               "5 \r\nhello\r\n",
                               "1FFFFFFFFFFFFFFFF\r\n",
                               "5\rX\r\n",
                               "0\r\nX : y\r\n\r\n",
                               "0\r\n X: y\r\n\r\n",
                               "0\r\nX: y\r\n z\r\n\r\n",
                               "0\r\nContent-Length: 3\r\n\r\n",
                               "0\r\nTransfer-Encoding: chunked\r\n\r\n",
                               "0\r\nX: y\nZ: a\r\n\r\n",
                               "5;a=\"b\r\nhello\"\r\n0\r\n\r\n",
                               "5;a=\"b\nc\"\r\nhello\r\n0\r\n\r\n",
                               "5;a=\"b\r\n\"\r\nhello\r\n0\r\n\r\n",
                               "5;a=\"b\x01\"\r\nhello\r\n0\r\n\r\n"})
        refused("400",
                "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(chunks));
}

TEST(Http1Refusals, ChunkExtensionsAndTrailersAreBounded) {
    const std::string post = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    refused("400", post + "5;" + std::string(limits.chunk_line + 40, 'a') + "\r\nhello\r\n0\r\n\r\n");
    refused("400", post + "5;" + std::string(100'000, 'a'));
    refused("400", post + std::string(100'000, '0'));
    std::string trailers;
    for (int i = 0; i < 600; ++i) trailers += "X-Trailer: y\r\n";
    refused("431", post + "0\r\n" + trailers + "\r\n");
    refused("431", post + "0\r\nX: " + std::string(100'000, 'a'));
}

TEST(Http1Refusals, UnknownMethodsAreNotImplemented) {
    for (const char* method : {"FOO", "get", "Get", "CONNECT", "PROPFIND", "GETT"})
        refused("501", std::string(method) + " /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    refused("501", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n");
}

TEST(Http1Refusals, OtherMajorVersionsAreNotSupported) {
    refused("505", "GET / HTTP/2.0\r\nHost: a\r\n\r\n");
    refused("505", "GET / HTTP/0.9\r\nHost: a\r\n\r\n");
    refused("505", "GET / HTTP/3.0\r\n\r\n");
    refused("505", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}

TEST(Http1Refusals, OtherExpectationsFail) {
    refused("417", "GET /hello HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n");
}

TEST(Http1Refusals, LongTargetsAreRefused) {
    const std::string longest(limits.request_line - 14, 'a');  // "GET /" and " HTTP/1.1"
    Conversation fits(app);
    fits.say("GET /" + longest + " HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_EQUAL(std::string("404"), fits.status());
    refused("414", "GET /a" + longest + " HTTP/1.1\r\nHost: a\r\n\r\n");
    refused("414", "GET /" + std::string(100'000, 'a'));
    refused("400", std::string(100'000, 'a'));
}

TEST(Http1Refusals, LargeHeadsAreRefused) {
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

TEST(Http1Refusals, NothingBehindARefusedRequestIsAnswered) {
    const std::string heard =
        answer("GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(heard.find("200 OK") == std::string::npos);
    Conversation talk(app);
    talk.say("GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(talk.lingers());
}

TEST(Http1Refusals, RandomBytesAreRefusedOrAwaited) {
    std::uint32_t state = 12345;
    for (int round = 0; round < 300; ++round) {
        std::string bytes;
        for (int i = 0; i < 2000; ++i) {
            state = state * 1664525 + 1013904223;
            bytes += static_cast<char>(state >> 24);
        }
        Conversation talk(app);
        talk.say(round % 2 == 0
                     ? bytes
                     : "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + bytes,
                 100);
        CHECK(talk.heard().find("200 OK") == std::string::npos);
    }
}
