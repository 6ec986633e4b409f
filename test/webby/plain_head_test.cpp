#include "webby/plain_head.h"

#include <string>
#include <string_view>
#include <vector>

#include "test/webby/described_head.h"
#include "webby/http1_parser.h"

#include "test/support/harness.h"

using namespace webby;
using webby_test::described;

namespace {

bool goes_short(const std::string& text, const Limits& limits = {}) {
    RequestHead head;
    return scan_plain_head(head, text.data(), text.size(), limits) != 0;
}

const std::string kBrowser =
    "GET /a/b-c_d~e.f;g=h,i(j)?q=a%20b&c=/?[] HTTP/1.1\r\nHost: www.example.com:8080\r\nUser-Agent: "
    "Mozilla/5.0 (X11; Linux x86_64)\r\n"
    "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\nAccept-Encoding: gzip, deflate, "
    "br\r\nConnection: keep-alive\r\n"
    "Cookie: a=\"b\"; c=\xc3\xa4\t\x80 \t \r\nX-Empty:\r\nX-Blank: \t \r\n\r\n";

}  // namespace

TEST_GROUP_BASE(PlainHead, test_support::Fixture) {
    Limits limits;

    void same(const std::string& text) {
        CHECK_EQUAL(described(text, limits, false), described(text, limits, true));
    }
};

TEST(PlainHead, PlainHeadsGoTheShortWay) {
    CHECK(goes_short(kBrowser));
    CHECK(goes_short("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK(goes_short("HEAD /x HTTP/1.1\r\nhOsT:[::1]:80\r\nConnection: Close\r\n\r\nGET"));
}

TEST(PlainHead, WhatIsNotPlainGoesTheLongWay) {
    for (const char* line : {"POST / HTTP/1.1", "GET /%41 HTTP/1.1", "GET /a//b HTTP/1.1", "GET /./ HTTP/1.1",
                             "GET /\xc3\xa4 HTTP/1.1", "GET http://a/ HTTP/1.1", "GET / HTTP/1.0",
                             "GET / HTTP/1.2", "GET /#a HTTP/1.1", "GET /? #a HTTP/1.1"})
        CHECK_FALSE_TEXT(goes_short(std::string(line) + "\r\nHost: a\r\n\r\n"), line);
    for (const char* field :
         {"Content-Length: 0", "Transfer-Encoding: chunked", "Expect: 100-continue", "Connection: upgrade",
          "Host: b", "Connection: close, x", "Proxy-Connection: close", "X : y", "X: y\r\n z", "X: a\x01",
          "X", ": a", "X: a\n"})
        CHECK_FALSE_TEXT(goes_short("GET / HTTP/1.1\r\nHost: a\r\n" + std::string(field) + "\r\n\r\n"),
                         field);
    CHECK_FALSE(goes_short("GET / HTTP/1.1\r\nX: a\r\n\r\n"));
    CHECK_FALSE(goes_short("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"));
}

// A host that was good once is recognised by its whole line.
TEST(PlainHead, TheHostOfAnEarlierRequestIsNoOtherRequests) {
    RequestHead head;
    std::string text;
    const auto goes_short_next = [&](const char* fields) {
        head.clear();
        text = std::string("GET / HTTP/1.1\r\n") + fields + "\r\n";
        return scan_plain_head(head, text.data(), text.size(), limits) == text.size();
    };
    const auto host = [&] { return std::string(head.view(head.authority)); };
    CHECK(goes_short_next("Host: a.example:80\r\n"));
    CHECK(goes_short_next("X: y\r\nHost: a.example:80\r\nZ: z\r\n"));
    CHECK_EQUAL("a.example:80", host());
    CHECK_EQUAL("a.example:80", std::string(head.headers.find("host").value()));
    CHECK_EQUAL(3, head.headers.size());
    for (const char* fields :
         {"Host: a.example:80\r\nHost: a.example:80\r\n", "Host: a.example:80\r\nhost: b\r\n",
          "Host: a.example:80\r\n b\r\n", "X: Host: a.example:80\r\n", "X-Host: a.example:80\r\n"})
        CHECK_FALSE_TEXT(goes_short_next(fields), fields);
    for (const char* other : {"a.example:8", "a.example:801", "A.example:80", "b.example:80"}) {
        CHECK_TEXT(goes_short_next(("Host: " + std::string(other) + "\r\n").c_str()), other);
        CHECK_EQUAL(other, host());
    }
    CHECK(goes_short_next("Host:  b.example:80 \r\n"));
    CHECK_EQUAL("b.example:80", host());
}

TEST(PlainHead, IncompleteHeadsGoTheLongWay) {
    for (std::size_t size = 0; size < kBrowser.size(); ++size)
        CHECK_FALSE(goes_short(kBrowser.substr(0, size)));
}

TEST(PlainHead, LimitsAreTheSameOnBothWays) {
    for (std::size_t i = 8100; i < 8200; ++i)
        same("GET /" + std::string(i, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n");
    for (std::size_t i = limits.head - 50; i < limits.head; ++i)
        same("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(i, 'a') + "\r\n\r\n");
    for (std::size_t i = limits.header_count - 3; i < limits.header_count + 3; ++i) {
        std::string text = "GET / HTTP/1.1\r\nHost: a\r\n";
        for (std::size_t j = 0; j < i; ++j) text += "X: y\r\n";
        same(text + "\r\n");
    }
}

TEST(PlainHead, EveryByteAnywhereMeansTheSameOnBothWays) {
    for (std::size_t at = 0; at < kBrowser.size(); ++at) {
        for (int byte = 0; byte < 256; ++byte) {
            std::string changed = kBrowser;
            changed[at] = static_cast<char>(byte);
            same(changed);
        }
    }
}

TEST(PlainHead, RandomDamageMeansTheSameOnBothWays) {
    const std::vector<std::string> pieces = {"\r\n",
                                             "\r",
                                             "\n",
                                             " ",
                                             "\t",
                                             ":",
                                             "Host: b",
                                             "Host:",
                                             "Content-Length: 3",
                                             "Connection: close",
                                             "Connection: keep-alive",
                                             "Transfer-Encoding: chunked",
                                             "Expect: x",
                                             "/",
                                             "//",
                                             "/..",
                                             "/.",
                                             "?",
                                             "#",
                                             "%41",
                                             "%",
                                             "HTTP/1.1",
                                             "HTTP/1.0",
                                             "GET",
                                             "HEAD",
                                             "POST",
                                             "\x7f",
                                             std::string(1, '\0'),
                                             "\x80"};
    std::uint32_t state = 1;
    const auto random = [&](std::size_t below) {
        state = state * 1664525 + 1013904223;
        return static_cast<std::size_t>(state >> 8) % below;
    };
    for (int round = 0; round < 30'000; ++round) {
        std::string text = round % 2 == 0 ? kBrowser : "GET /hello HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
        for (std::size_t edits = 1 + random(3); edits > 0; --edits) {
            const std::size_t at = random(text.size());
            switch (random(3)) {
                case 0: text.insert(at, pieces[random(pieces.size())]); break;
                case 1: text.erase(at, 1 + random(4)); break;
                default: text.replace(at, 1 + random(3), pieces[random(pieces.size())]); break;
            }
            if (text.empty()) text = "G";
        }
        same(text);
    }
}
