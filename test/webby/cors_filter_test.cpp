#include "webby/cors_filter.h"

#include <string>

#include "test/webby/filter_fixture.h"

#include "test/support/harness.h"

using namespace webby_test;
using namespace std::chrono_literals;

TEST_GROUP_BASE(Cors, FilterFixture){static std::string permission(const std::string& answer){
    return field(answer, "Access-Control-Allow-Origin");
}
std::string preflight(std::string_view origin, std::string_view more = {}) {
    return ask(
        "Origin: " + std::string(origin) + "\r\nAccess-Control-Request-Method: PUT\r\n" + std::string(more),
        "OPTIONS /");
}
static std::string why_not(CorsOptions options) {
    auto filter = CorsFilter::create(std::move(options));
    return filter ? "accepted" : filter.error().context();
}
}
;

TEST(Cors, AnAllowedOriginIsNamed) {
    use(CorsFilter::create({.origins = {"https://a.example", "https://b.example"}, .exposed = {"X-Own"}}));
    const std::string answer = ask("Origin: https://b.example\r\n");
    CHECK_EQUAL("200", status(answer));
    CHECK_EQUAL("https://b.example|", permission(answer));
    CHECK_EQUAL("Origin|", field(answer, "Vary"));
    CHECK_EQUAL("X-Own|", field(answer, "Access-Control-Expose-Headers"));
    CHECK_EQUAL("", field(answer, "Access-Control-Allow-Credentials"));
}

TEST(Cors, OthersGetNoPermission) {
    use(CorsFilter::create({.origins = {"https://a.example"}, .exposed = {"X-Own"}, .credentials = true}));
    for (const char* origin : {"https://b.example", "https://a.example.evil", "http://a.example",
                               "https://A.example", "null", "", "https://a.example:443"}) {
        const std::string answer = ask("Origin: " + std::string(origin) + "\r\n");
        CHECK_EQUAL("200", status(answer));
        CHECK_EQUAL("", permission(answer));
        CHECK_EQUAL("", field(answer, "Access-Control-Allow-Credentials"));
        CHECK_EQUAL("", field(answer, "Access-Control-Expose-Headers"));
        CHECK_EQUAL("Origin|", field(answer, "Vary"));
    }
    CHECK_EQUAL("Origin|", field(ask(), "Vary"));  // a cache must know it without an Origin, too
}

TEST(Cors, ErrorsMayBeReadToo) {
    use(CorsFilter::create({.origins = {"https://a.example"}}));
    CHECK_EQUAL("https://a.example|", permission(ask("Origin: https://a.example\r\n", "GET /boom")));
    CHECK_EQUAL("https://a.example|", permission(ask("Origin: https://a.example\r\n", "GET /nowhere")));
}

TEST(Cors, APreflightIsAnswered) {
    use(CorsFilter::create({.origins = {"https://a.example"},
                            .methods = {"GET", "PUT"},
                            .headers = {"X-One", "X-Two"},
                            .exposed = {"X-Own"},
                            .credentials = true,
                            .max_age = 60s}));
    const std::string answer = preflight("https://a.example", "Access-Control-Request-Headers: x-one\r\n");
    CHECK_EQUAL("204", status(answer));
    CHECK_EQUAL("https://a.example|", permission(answer));
    CHECK_EQUAL("true|", field(answer, "Access-Control-Allow-Credentials"));
    CHECK_EQUAL("GET, PUT|", field(answer, "Access-Control-Allow-Methods"));
    CHECK_EQUAL("X-One, X-Two|", field(answer, "Access-Control-Allow-Headers"));
    CHECK_EQUAL("60|", field(answer, "Access-Control-Max-Age"));
    CHECK_EQUAL("Access-Control-Request-Method, Access-Control-Request-Headers|Origin|",
                field(answer, "Vary"));
    CHECK_EQUAL("", field(answer, "Access-Control-Expose-Headers"));
    CHECK_EQUAL("", field(answer, "X-Own"));  // the servlet has not run
}

TEST(Cors, APreflightOfAStrangerPermitsNothing) {
    use(CorsFilter::create({.origins = {"https://a.example"}}));
    const std::string answer = preflight("https://b.example");
    CHECK_EQUAL("204", status(answer));
    CHECK(answer.find("Access-Control-Allow") == std::string::npos);
}

TEST(Cors, OtherOptionsRequestsGoTheirWay) {
    use(CorsFilter::create({.origins = {"https://a.example"}}));
    STRCMP_CONTAINS("GET", field(ask({}, "OPTIONS /"), "Allow").c_str());
    STRCMP_CONTAINS("GET", field(ask("Origin: https://a.example\r\n", "OPTIONS /"), "Allow").c_str());
}

TEST(Cors, AnyOriginIsAStar) {
    use(CorsFilter::create({.origins = {"*"}, .headers = {"*"}}));
    const std::string answer = ask("Origin: https://b.example\r\n");
    CHECK_EQUAL("*|", permission(answer));
    CHECK_EQUAL("", field(answer, "Vary"));
    CHECK_EQUAL(
        "x-one, authorization|",
        field(preflight("https://b.example", "Access-Control-Request-Headers: x-one, authorization\r\n"),
              "Access-Control-Allow-Headers"));
}

TEST(Cors, AFunctionMayDecide) {
    use(CorsFilter::create({.allow = [](std::string_view origin) { return origin.ends_with(".example"); },
                            .credentials = true}));
    CHECK_EQUAL("https://x.example|", permission(ask("Origin: https://x.example\r\n")));
    CHECK_EQUAL("", permission(ask("Origin: https://x.com\r\n")));
}

TEST(Cors, OptionsThatMakeNoSenseAreRefused) {
    STRCMP_CONTAINS("either", why_not({}).c_str());
    STRCMP_CONTAINS("either",
                    why_not({.origins = {"*"}, .allow = [](std::string_view) { return true; }}).c_str());
    STRCMP_CONTAINS("credentials", why_not({.origins = {"*"}, .credentials = true}).c_str());
    for (const char* origin :
         {"", "a.example", "https://", "https://a/", "https://A", "https://a b", "https://u@a", "://a"})
        STRCMP_CONTAINS("not an origin", why_not({.origins = {origin}}).c_str());
    STRCMP_CONTAINS("token", why_not({.origins = {"*"}, .methods = {"A B"}}).c_str());
    STRCMP_CONTAINS("token", why_not({.origins = {"*"}, .headers = {"a\r\n"}}).c_str());
    STRCMP_CONTAINS("token", why_not({.origins = {"*"}, .exposed = {""}}).c_str());
    CHECK_EQUAL("accepted", why_not({.origins = {"null", "http://localhost:3000", "https://[::1]:8"}}));
}
