#include "webby/cookie.h"

#include <string>
#include <string_view>

#include "test/webby/engine_fixture.h"

#include "test/support/harness.h"

using namespace webby;
using namespace webby_test;
using namespace std::chrono_literals;

namespace {
std::string read_all(std::string_view field) {
    std::string all;
    for (CookieReader cookies(field); cookies.next();)
        all.append(cookies.name()).append("=").append(cookies.value()).append("|");
    return all;
}
std::string written(const SetCookie& cookie) {
    const auto text = cookie.to_string();
    return text ? *text : "refused";
}
std::string why_not(const SetCookie& cookie) {
    const auto text = cookie.to_string();
    return text ? "accepted as " + *text : text.error().context();
}
}  // namespace

TEST_GROUP_BASE(Cookie, test_support::Fixture){};

TEST(Cookie, AreReadInOrder) { CHECK_EQUAL("a=1|b=two|a=3|", read_all("a=1; b=two; a=3")); }

TEST(Cookie, AreReadAsBrowsersSendThem) {
    CHECK_EQUAL("a=1|b=2|", read_all("a=1;b=2"));
    CHECK_EQUAL("a=1|b=2|", read_all(" a = 1 ;\t; b\t=2;"));
    CHECK_EQUAL("a=b=c=|", read_all("a=b=c="));
    CHECK_EQUAL("a=\"x y\"|", read_all("a=\"x y\""));
    CHECK_EQUAL("=lonely|a=1|", read_all("lonely; a=1"));
    CHECK_EQUAL("=v|a=|", read_all("=v; a="));
    CHECK_EQUAL("a={\"k\":1,2}|", read_all("a={\"k\":1,2}"));
    CHECK_EQUAL("a=\xc3\xa4|", read_all("a=\xc3\xa4"));
    CHECK_EQUAL("", read_all(" ; ;=; "));
}

TEST(Cookie, SeveralFieldsAreRead) {
    const std::string_view all = "Cookie: a=1; b=2 cOOKIE: b=3; c=4 X-Cookie: d=5";
    Headers headers;
    headers.set_text(all.data());
    headers.add(all.substr(0, 6), all.substr(8, 8));
    headers.add(all.substr(34, 8), all.substr(44, 3));
    headers.add(all.substr(17, 6), all.substr(25, 8));
    std::string found;
    for (CookieReader cookies(headers); cookies.next();)
        found.append(cookies.name()).append("=").append(cookies.value()).append("|");
    CHECK_EQUAL("a=1|b=2|b=3|c=4|", found);
}

TEST_GROUP_BASE(SetCookie, test_support::Fixture){};

TEST(SetCookie, IsWrittenWithItsAttributes) {
    CHECK_EQUAL("a=b", written({.name = "a", .value = "b"}));
    CHECK_EQUAL("a=", written({.name = "a", .value = ""}));
    CHECK_EQUAL("a=\"b\"", written({.name = "a", .value = "\"b\""}));
    CHECK_EQUAL(
        "id=x; Path=/a b; Domain=example.com; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Max-Age=-5; Secure; "
        "HttpOnly; SameSite=None; Partitioned",
        written({.name = "id",
                 .value = "x",
                 .path = "/a b",
                 .domain = ".example.com",
                 .max_age = -5s,
                 .expires = 784111777,
                 .secure = true,
                 .http_only = true,
                 .same_site = SameSite::none,
                 .partitioned = true}));
    CHECK_EQUAL("a=b; SameSite=Lax", written({.name = "a", .value = "b", .same_site = SameSite::lax}));
    CHECK_EQUAL("a=b; SameSite=Strict", written({.name = "a", .value = "b", .same_site = SameSite::strict}));
}

TEST(SetCookie, NothingIsInjectedThroughItsParts) {
    for (const char* name : {"", "a b", "a=b", "a;b", "a\r\nX: y", "\"a\"", "\xc3\xa4"})
        STRCMP_CONTAINS("token", why_not({.name = name, .value = "v"}).c_str());
    for (const char* value :
         {"a b", "a;b", "a,b", "a\\b", "a\"b", "\"", "a\r\nSet-Cookie: x=y", "\x7f", "\t", "\xc3\xa4"})
        STRCMP_CONTAINS("value", why_not({.name = "a", .value = value}).c_str());
    for (const char* path : {"a", "/;Domain=evil", "/\r\n", "/\x01", "/\xc3\xa4"})
        STRCMP_CONTAINS("path", why_not({.name = "a", .value = "v", .path = path}).c_str());
    for (const char* domain :
         {"a;b", "a b", ".", "..a", "a..b", "a.", "-a.b", "a-.b", "a/b", "a\r\n", "a:80"})
        STRCMP_CONTAINS("domain", why_not({.name = "a", .value = "v", .domain = domain}).c_str());
}

TEST(SetCookie, WhatBrowsersWouldIgnoreIsRefused) {
    STRCMP_CONTAINS("4096", why_not({.name = "a", .value = std::string(4096, 'x')}).c_str());
    CHECK(SetCookie({.name = "a", .value = std::string(4095, 'x')}).to_string().ok());
    STRCMP_CONTAINS("1024",
                    why_not({.name = "a", .value = "v", .path = "/" + std::string(1024, 'x')}).c_str());
    STRCMP_CONTAINS("None", why_not({.name = "a", .value = "v", .same_site = SameSite::none}).c_str());
    STRCMP_CONTAINS("Partitioned", why_not({.name = "a", .value = "v", .partitioned = true}).c_str());
    STRCMP_CONTAINS("years", why_not({.name = "a", .value = "v", .expires = 253402300800}).c_str());
    STRCMP_CONTAINS("years", why_not({.name = "a", .value = "v", .expires = -11644473601}).c_str());
}

TEST(SetCookie, PrefixesWantWhatTheyPromise) {
    STRCMP_CONTAINS("__Secure-", why_not({.name = "__secure-a", .value = "v"}).c_str());
    CHECK_EQUAL("__Secure-a=v; Secure", written({.name = "__Secure-a", .value = "v", .secure = true}));
    STRCMP_CONTAINS("Secure", why_not({.name = "__Host-a", .value = "v", .path = "/"}).c_str());
    STRCMP_CONTAINS("path", why_not({.name = "__Host-a", .value = "v", .secure = true}).c_str());
    STRCMP_CONTAINS("path",
                    why_not({.name = "__Host-a", .value = "v", .path = "/x", .secure = true}).c_str());
    STRCMP_CONTAINS(
        "domain",
        why_not({.name = "__HOST-a", .value = "v", .path = "/", .domain = "a.b", .secure = true}).c_str());
    CHECK_EQUAL("__Host-a=v; Path=/; Secure",
                written({.name = "__Host-a", .value = "v", .path = "/", .secure = true}));
}

TEST(SetCookie, ARemovalKeepsWhatTellsWhichOne) {
    CHECK_EQUAL("a=; Path=/x; Domain=b.c; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0",
                written(SetCookie{.name = "a", .value = "v", .path = "/x", .domain = "b.c"}.removal()));
}

TEST(SetCookie, IsAddedToAResponse) {
    Response response;
    CHECK(add_cookie(response, {.name = "a", .value = "1"}).ok());
    CHECK(add_cookie(response, {.name = "b", .value = "2"}).ok());
    CHECK_FALSE(add_cookie(response, {.name = "c", .value = "\r\n"}).ok());
    CHECK_EQUAL(std::string_view("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"), response.wire_fields());
}

TEST_GROUP_BASE(RequestCookie, EngineFixture){};

TEST(RequestCookie, TheFirstOfANameIsFound) {
    app.add(Method::get, "/cookie", make_servlet([](Request& q, Response& r) {
                r.text(std::string(q.cookie("a").value_or("none")));
            }))
        .value();
    const std::string get = "GET /cookie HTTP/1.1\r\nHost: a\r\n";
    CHECK_EQUAL(ok("1"), answer(get + "Cookie: b=2; a=1; a=3\r\n\r\n"));
    CHECK_EQUAL(ok("4"), answer(get + "Cookie: b=2\r\nCookie: a=4\r\n\r\n"));
    CHECK_EQUAL(ok("none"), answer(get + "Cookie: A=2; aa=3\r\n\r\n"));
}
