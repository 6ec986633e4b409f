#include "webby/access_line.h"

#include <string>

#include "test/support/harness.h"

using namespace webby;
using namespace std::chrono_literals;

namespace {

std::string written(AccessLogFormat format, const AccessLine& line) {
    std::string out;
    append_access_line(out, format, line);
    return out;
}

// Everything a client chooses is hostile.
AccessLine hostile(std::string_view text) {
    return {.peer = "::1",
            .user = text,
            .method = "GET",
            .target = text,
            .version = Version::http_1_0,
            .status = Status::not_found,
            .referer = text,
            .user_agent = text,
            .host = text,
            .id = text};
}

}  // namespace

TEST_GROUP_BASE(AccessLine, test_support::Fixture) {
    const AccessLine usual{.peer = "127.0.0.1",
                           .user = "ada",
                           .method = "GET",
                           .target = "/hello?a=b",
                           .version = Version::http_1_1,
                           .status = Status::ok,
                           .bytes = 14,
                           .when = 784111777,
                           .referer = "https://example.org/",
                           .user_agent = "curl/7.88.1",
                           .host = "example.org",
                           .id = "5f0e",
                           .took = 1'000'314'999ns};
};

TEST(AccessLine, IsInTheCommonFormat) {
    STRCMP_EQUAL("127.0.0.1 - ada [06/Nov/1994:08:49:37 +0000] \"GET /hello?a=b HTTP/1.1\" 200 14",
                 written(AccessLogFormat::common, usual).c_str());
}

TEST(AccessLine, IsInTheCombinedFormat) {
    STRCMP_EQUAL(
        "127.0.0.1 - ada [06/Nov/1994:08:49:37 +0000] \"GET /hello?a=b HTTP/1.1\" 200 14 "
        "\"https://example.org/\" \"curl/7.88.1\"",
        written(AccessLogFormat::combined, usual).c_str());
}

TEST(AccessLine, IsInJson) {
    STRCMP_EQUAL(
        "{\"time\":\"1994-11-06T08:49:37Z\",\"peer\":\"127.0.0.1\",\"user\":\"ada\",\"host\":\"example.org\","
        "\"method\":\"GET\",\"target\":\"/hello?a=b\",\"version\":\"HTTP/1.1\",\"status\":200,\"bytes\":14,"
        "\"seconds\":1.000314,\"id\":\"5f0e\",\"referer\":\"https://example.org/\","
        "\"user_agent\":\"curl/7.88.1\"}",
        written(AccessLogFormat::json, usual).c_str());
}

TEST(AccessLine, SaysWhatIsNotThere) {
    const AccessLine refused{.peer = "::1", .status = Status::bad_request, .bytes = 5};
    STRCMP_EQUAL("::1 - - [01/Jan/1970:00:00:00 +0000] \"-\" 400 5 \"-\" \"-\"",
                 written(AccessLogFormat::combined, refused).c_str());
    STRCMP_EQUAL(
        "{\"time\":\"1970-01-01T00:00:00Z\",\"peer\":\"::1\",\"user\":null,\"host\":null,"
        "\"method\":null,\"target\":null,\"version\":null,\"status\":400,\"bytes\":5,"
        "\"seconds\":null,\"id\":null,\"referer\":null,\"user_agent\":null}",
        written(AccessLogFormat::json, refused).c_str());
}

TEST(AccessLine, WhatTheClientChoseIsEscaped) {
    STRCMP_EQUAL(
        "::1 - /\\x20\\x22\\x5c\\x1b\\xc3\\xa4\\x0a [01/Jan/1970:00:00:00 +0000] "
        "\"GET / \\x22\\x5c\\x1b\\xc3\\xa4\\x0a HTTP/1.0\" 404 0 "
        "\"/ \\x22\\x5c\\x1b\\xc3\\xa4\\x0a\" \"/ \\x22\\x5c\\x1b\\xc3\\xa4\\x0a\"",
        written(AccessLogFormat::combined, hostile("/ \"\\\x1b\xc3\xa4\n")).c_str());
}

TEST(AccessLine, JsonStringsAreEscapedAsTheirStandardHasIt) {
    const std::string line = written(AccessLogFormat::json, hostile("/\"\\\x01\x7f\n\xc3\xa4"));
    const std::string wanted = "\"/\\\"\\\\\\u0001\\u007f\\u000a\xc3\xa4\"";
    for (const char* name : {"user", "host", "target", "id", "referer", "user_agent"})
        STRCMP_CONTAINS(("\"" + std::string(name) + "\":" + wanted).c_str(), line.c_str());
}

TEST(AccessLine, WhatIsNoUtf8IsReplacedInJson) {
    // A lone byte, an overlong form, a surrogate, and a character that is cut off.
    const std::string line = written(AccessLogFormat::json, hostile("\xff \xc0\xaf \xed\xa0\x80 \xe2\x82"));
    CHECK(line.find('\xff') == std::string::npos);
    CHECK(line.find('\xc0') == std::string::npos);
    CHECK(line.find('\xed') == std::string::npos);
    CHECK(line.find('\xe2') == std::string::npos);
    STRCMP_CONTAINS("\"target\":\"\xef\xbf\xbd ", line.c_str());
}

TEST(AccessLine, NoByteBreaksALine) {
    for (const AccessLogFormat format :
         {AccessLogFormat::common, AccessLogFormat::combined, AccessLogFormat::json})
        for (int byte = 0; byte < 256; ++byte) {
            const std::string text(1, static_cast<char>(byte));
            for (const char c : written(format, hostile(text)))
                CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
        }
}

TEST(AccessLine, ItsFormatsHaveNames) {
    for (const AccessLogFormat format :
         {AccessLogFormat::common, AccessLogFormat::combined, AccessLogFormat::json})
        CHECK(parse_access_log_format(to_string(format)) == format);
    CHECK_FALSE(parse_access_log_format("Common").has_value());
}
