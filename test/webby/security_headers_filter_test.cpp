#include "webby/security_headers_filter.h"

#include <string>

#include "test/webby/filter_fixture.h"

#include "test/support/harness.h"

using namespace webby_test;

TEST_GROUP_BASE(SecurityHeaders, FilterFixture){};

TEST(SecurityHeaders, EveryAnswerHasThem) {
    use(SecurityHeadersFilter::create());
    for (const char* line : {"GET /", "GET /boom", "GET /nowhere"}) {
        const std::string answer = ask({}, line);
        CHECK_EQUAL("nosniff|", field(answer, "X-Content-Type-Options"));
        CHECK_EQUAL("SAMEORIGIN|", field(answer, "X-Frame-Options"));
        CHECK_EQUAL("strict-origin-when-cross-origin|", field(answer, "Referrer-Policy"));
        CHECK_EQUAL("base-uri 'self'; object-src 'none'; frame-ancestors 'self'|",
                    field(answer, "Content-Security-Policy"));
        CHECK_EQUAL("same-origin|", field(answer, "Cross-Origin-Opener-Policy"));
        CHECK_EQUAL("same-origin|", field(answer, "Cross-Origin-Resource-Policy"));
        CHECK_EQUAL("", field(answer, "Permissions-Policy"));
        CHECK_EQUAL("", field(answer, "Strict-Transport-Security"));  // no TLS here
    }
}

TEST(SecurityHeaders, EachCanBeChangedOrLeftOut) {
    use(SecurityHeadersFilter::create(
        {.frame_options = "DENY", .referrer_policy = "", .permissions_policy = "camera=()"}));
    const std::string answer = ask();
    CHECK_EQUAL("DENY|", field(answer, "X-Frame-Options"));
    CHECK_EQUAL("", field(answer, "Referrer-Policy"));
    CHECK_EQUAL("camera=()|", field(answer, "Permissions-Policy"));
}

TEST(SecurityHeaders, WhatTheServletSetStays) {
    app.add(Method::get, "/frame",
            make_servlet([](Request&, Response& r) { r.add_header("x-frame-options", "ALLOWALL"); }))
        .value();
    use(SecurityHeadersFilter::create());
    const std::string answer = ask({}, "GET /frame");
    CHECK_EQUAL("ALLOWALL|", field(answer, "x-frame-options"));
    CHECK_EQUAL("", field(answer, "X-Frame-Options"));
}

TEST(SecurityHeaders, StrictTransportIsForTlsOnly) {
    bool secure = true;
    use(SecurityHeadersFilter::create({.is_secure = [&](const Request&) { return secure; }}));
    CHECK_EQUAL("max-age=31536000|", field(ask(), "Strict-Transport-Security"));
    secure = false;
    CHECK_EQUAL("", field(ask(), "Strict-Transport-Security"));
}

TEST(SecurityHeaders, ValuesThatCannotStandInAFieldAreRefused) {
    CHECK_FALSE(SecurityHeadersFilter::create({.frame_options = "a\r\nb"}).ok());
    CHECK_FALSE(SecurityHeadersFilter::create({.strict_transport_security = "a\n"}).ok());
}
