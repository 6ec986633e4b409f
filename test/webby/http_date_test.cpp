#include "webby/http_date.h"

#include <limits>
#include <string>

#include "test/support/harness.h"

using namespace webby;

namespace {
std::string written(std::time_t time) {
    char text[kHttpDateSize];
    write_http_date(time, text);
    return {text, sizeof text};
}
}  // namespace

TEST_GROUP(HttpDate){};

TEST(HttpDate, WritesTheExampleOfTheRfc) { CHECK(written(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"); }

TEST(HttpDate, WritesLeapDaysAndTheEpoch) {
    CHECK(written(0) == "Thu, 01 Jan 1970 00:00:00 GMT");
    CHECK(written(951782400) == "Tue, 29 Feb 2000 00:00:00 GMT");
    CHECK(written(4107542399) == "Sun, 28 Feb 2100 23:59:59 GMT");
}

TEST(HttpDate, WritesWhatGmtimeSays) {
    for (std::time_t time = -86400 * 400; time < 4102444800; time += 86400 * 37 + 12345) {
        tm parts{};
        gmtime_r(&time, &parts);
        char text[64];
        const std::size_t size = strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        CHECK(written(time) == std::string(text, size));
    }
}

TEST(HttpDate, EndsWithItsFourDigits) {
    constexpr std::time_t kMost = std::numeric_limits<std::time_t>::max();
    CHECK(written(253402300800) == "Fri, 31 Dec 9999 23:59:59 GMT");
    CHECK(written(kMost) == "Fri, 31 Dec 9999 23:59:59 GMT");
    CHECK(written(-kMost) == "Sat, 01 Jan 0000 00:00:00 GMT");
}

TEST(HttpDate, ReadsAllThreeForms) {
    CHECK(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT") == 784111777);
    CHECK(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT") == 784111777);
    CHECK(parse_http_date("Sun Nov  6 08:49:37 1994") == 784111777);
}

TEST(HttpDate, ReadsBackWhatItWrites) {
    for (std::time_t time = 0; time < 4102444800; time += 86400 * 11 + 4321)
        CHECK(parse_http_date(written(time)) == time);
}

TEST(HttpDate, RefusesEverythingElse) {
    for (const char* text :
         {"", "yesterday", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 GMT ",
          "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 30 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
          "Sun, 06 unN 1994 08:49:37 GMT", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET"})
        CHECK_FALSE_TEXT(parse_http_date(text).has_value(), text);
}

TEST(HttpDate, TheCacheIsAHeaderLineOfTheCurrentSecond) {
    DateCache cache;
    const DateLine& text = cache.header_line(cutils::monotonic_now());
    const std::string line(text.data(), text.size());
    LONGS_EQUAL(37, line.size());
    STRCMP_EQUAL("Date: ", line.substr(0, 6).c_str());
    STRCMP_EQUAL("\r\n", line.substr(35).c_str());
    CHECK(parse_http_date(line.substr(6, kHttpDateSize)).has_value());
}

TEST(HttpDate, TheCacheLooksAtTheClockOnlyWhenASecondIsOver) {
    DateCache cache;
    const auto start = cutils::monotonic_now();
    const char* const text = cache.header_line(start).data();
    const auto first = cache.unix_time(start);
    CHECK(cache.header_line(start).data() == text);
    CHECK(cache.unix_time(start + std::chrono::seconds(2)) >= first);
}
