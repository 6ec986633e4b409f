#include "webby/proxy_protocol.h"

#include <string>
#include <string_view>

#include "nutils/net_error.h"
#include "webby/crc32c.h"

#include "test/support/harness.h"

using namespace webby;
using Step = ProxyHeaderParser::Step;
using namespace std::string_literals;
using namespace std::string_view_literals;

namespace {

constexpr std::string_view kSignature = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr std::string_view kV4 = "\xc0\x00\x02\x01\xc0\x00\x02\x02\x12\x34\x01\xbb"sv;

std::string number16(std::size_t number) {
    return {static_cast<char>(number >> 8), static_cast<char>(number & 255)};
}
std::string version2(int command, int family, std::string_view payload) {
    return std::string(kSignature) + static_cast<char>(command) + static_cast<char>(family) +
           number16(payload.size()) + std::string(payload);
}
std::string addition(char type, std::string_view value) {
    return std::string(1, type) + number16(value.size()) + std::string(value);
}
// With its checksum filled in behind the addresses.
std::string with_checksum(std::string_view addresses, std::string_view more) {
    std::string text =
        version2(0x21, 0x11, std::string(addresses) + addition(3, "\0\0\0\0"sv) + std::string(more));
    const std::uint32_t crc = crc32c(text);
    const std::size_t at = 16 + addresses.size() + 3;
    for (std::size_t i = 0; i < 4; ++i) text[at + i] = static_cast<char>(crc >> (24 - 8 * i));
    return text;
}

// What is understood, however the header is cut up; "GET" comes behind it.
std::string read(const std::string& header, std::size_t limit = ProxyHeaderParser::kLimit) {
    std::string first;
    for (std::size_t cut = 0; cut <= header.size(); ++cut) {
        const std::string text = header + "GET";
        ProxyHeaderParser parser(limit);
        std::string_view head = std::string_view(text).substr(0, cut);
        std::string_view rest = std::string_view(text).substr(cut);
        Step step = parser.eat(head);
        if (step == Step::need_more) step = parser.eat(rest);
        std::string told;
        if (step == Step::refused) {
            told = parser.error().message();
        } else if (step == Step::need_more) {
            told = "waits";
        } else {
            if (cut <= header.size()) CHECK_EQUAL("GET"sv, rest.substr(rest.size() - 3));
            CHECK_EQUAL(3, head.size() + rest.size());
            const ProxyHeader& h = parser.header();
            told =
                std::to_string(h.version) +
                (h.has_addresses ? " " + h.source.to_string() + " " + h.destination.to_string() : " local") +
                (h.checked ? " checked" : "");
        }
        if (cut == 0) first = told;
        CHECK_EQUAL(first, told);
    }
    return first;
}

}  // namespace

TEST_GROUP_BASE(ProxyProtocol, test_support::Fixture){};

TEST(ProxyProtocol, VersionOneIsRead) {
    CHECK_EQUAL("1 192.0.2.1:56324 192.0.2.2:443", read("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"));
    CHECK_EQUAL("1 [2001:db8::1]:0 [::1]:65535", read("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n"));
}

TEST(ProxyProtocol, UnknownIsTheConnectionItself) {
    CHECK_EQUAL("1 local", read("PROXY UNKNOWN\r\n"));
    CHECK_EQUAL("1 local", read("PROXY UNKNOWN what ever  1 2\r\n"));
    const std::string longest = "PROXY UNKNOWN " + std::string(107 - 16, 'f') + "\r\n";
    CHECK_EQUAL(107, longest.size());
    CHECK_EQUAL("1 local", read(longest));
}

TEST(ProxyProtocol, VersionOneIsAtMost107Bytes) {
    STRCMP_CONTAINS("too long", read("PROXY UNKNOWN " + std::string(108 - 16, 'f') + "\r\n").c_str());
    STRCMP_CONTAINS("too long", read("PROXY UNKNOWN " + std::string(500, 'f')).c_str());
}

TEST(ProxyProtocol, BadLinesAreRefused) {
    for (const std::string_view text : {"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n"sv,
                                        "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n"sv,
                                        "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n"sv,
                                        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n"sv,
                                        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"sv,
                                        "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n"sv,
                                        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n"sv,
                                        "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n"sv,
                                        "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n"sv,
                                        "PROXY TCP4 ::1 ::1 1 2\r\n"sv,
                                        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n"sv,
                                        "PROXY TCP6 fe80::1%1 ::1 1 2\r\n"sv,
                                        "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n"sv,
                                        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"sv,
                                        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n"sv,
                                        "PROXY \r\n"sv,
                                        "PROXY\r\n"sv,
                                        "proxy UNKNOWN\r\n"sv,
                                        "GET / HTTP/1.1\r\n"sv,
                                        "POST / HTTP/1.1\r\n"sv,
                                        "\r\n\r\nGET"sv,
                                        "PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n"sv,
                                        "\x16\x03\x01"sv})
        STRCMP_CONTAINS("PROXY: ", read(std::string(text)).c_str());
}

TEST(ProxyProtocol, VersionTwoIsRead) {
    CHECK_EQUAL("2 192.0.2.1:4660 192.0.2.2:443", read(version2(0x21, 0x11, kV4)));
    CHECK_EQUAL("2 192.0.2.1:4660 192.0.2.2:443", read(version2(0x21, 0x12, kV4)));
    CHECK_EQUAL("2 [::1]:1 [::2]:2", read(version2(0x21, 0x21,
                                                   std::string(15, '\0') + "\x01" + std::string(15, '\0') +
                                                       "\x02" + "\0\x01\0\x02"s)));
    const auto name = [](std::string_view text) {
        return std::string(text) + std::string(108 - text.size(), '\0');
    };
    CHECK_EQUAL("2 unix:/run/a unix:@b", read(version2(0x21, 0x31, name("/run/a") + name("\0b"sv))));
    CHECK_EQUAL("2 unix: unix:" + std::string(108, 'x'),
                read(version2(0x21, 0x31, name("") + std::string(108, 'x'))));
}

TEST(ProxyProtocol, LocalIsTheConnectionItself) {
    CHECK_EQUAL("2 local", read(version2(0x20, 0x00, "")));
    CHECK_EQUAL("2 local", read(version2(0x20, 0x11, "whatever it may be")));
    CHECK_EQUAL("2 local", read(version2(0x21, 0x00, "")));
}

TEST(ProxyProtocol, AdditionsAreSkipped) {
    CHECK_EQUAL("2 192.0.2.1:4660 192.0.2.2:443",
                read(version2(0x21, 0x11,
                              std::string(kV4) + addition(1, "h2") + addition(4, "") +
                                  addition(0x20, std::string(300, 'x')))));
}

TEST(ProxyProtocol, ChecksumsAreVerified) {
    const std::string good = with_checksum(kV4, addition(2, "example.com"));
    CHECK_EQUAL("2 192.0.2.1:4660 192.0.2.2:443 checked", read(good));
    for (const std::size_t at : {16u, 22u, 31u, 34u, 40u}) {
        std::string bad = good;
        bad[at] ^= 1;
        STRCMP_CONTAINS("checksum", read(bad).c_str());
    }
    STRCMP_CONTAINS("checksum", read(version2(0x21, 0x11, std::string(kV4) + addition(3, "abc"))).c_str());
}

TEST(ProxyProtocol, BadFramesAreRefused) {
    for (const std::string& text :
         {version2(0x11, 0x11, kV4), version2(0x31, 0x11, kV4), version2(0x22, 0x11, kV4),
          version2(0x21, 0x13, kV4), version2(0x21, 0x41, kV4), version2(0x21, 0x10, kV4),
          version2(0x21, 0x01, kV4), version2(0x21, 0x11, kV4.substr(0, 11)), version2(0x21, 0x21, kV4),
          version2(0x21, 0x31, kV4), version2(0x21, 0x11, ""),
          version2(0x21, 0x11, std::string(kV4) + "\x01"),
          version2(0x21, 0x11, std::string(kV4) + "\x01\x00\x02x"), std::string("\r\n\r\n\0\r\nQUIX\n", 12)})
        STRCMP_CONTAINS("PROXY: ", read(text).c_str());
}

TEST(ProxyProtocol, VersionTwoHasALimit) {
    const std::string text = version2(0x21, 0x11, std::string(kV4) + addition(4, std::string(100, 'x')));
    CHECK_EQUAL("2 192.0.2.1:4660 192.0.2.2:443", read(text, text.size()));
    STRCMP_CONTAINS("too long", read(text, text.size() - 1).c_str());
    STRCMP_CONTAINS("too long", read(std::string(kSignature) + "\x21\x11\xff\xff").c_str());
}

TEST(ProxyProtocol, AnUnfinishedHeaderWaits) {
    ProxyHeaderParser parser;
    std::string_view nothing;
    CHECK(parser.eat(nothing) == Step::need_more);
    for (const std::string& text :
         {std::string("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r"), version2(0x21, 0x11, kV4)}) {
        ProxyHeaderParser another;
        std::string_view most = std::string_view(text).substr(0, text.size() - (text.back() != '\r'));
        CHECK(another.eat(most) == Step::need_more);
    }
}
