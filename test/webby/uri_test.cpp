#include "webby/uri.h"

#include <string>

#include "test/support/harness.h"

using namespace webby;

namespace {
// What a path becomes; "refused" when it is.
std::string normalized(std::string_view path) {
    std::string out;
    return normalize_path(path, out) ? out : "refused";
}
}  // namespace

TEST_GROUP(Uri){};

TEST(Uri, SplitsOriginForm) {
    const auto parts = split_target("/a/b?c=d?e");
    CHECK(parts && parts->path == "/a/b" && parts->query == "c=d?e" && parts->authority.empty());
}

TEST(Uri, SplitsAbsoluteForm) {
    const auto parts = split_target("HTTP://example.com:80/a?b");
    CHECK(parts && parts->authority == "example.com:80" && parts->path == "/a" && parts->query == "b");
    const auto bare = split_target("http://example.com?x");
    CHECK(bare && bare->authority == "example.com" && bare->path.empty() && bare->query == "x");
}

TEST(Uri, TakesTheAsterisk) { CHECK(split_target("*")->path == "*"); }

TEST(Uri, RefusesOtherForms) {
    for (const char* target :
         {"", "a/b", "example.com:443", "ftp://a/b", "http://", "http:///a", "/a#b", "**", "?a"})
        CHECK_FALSE_TEXT(split_target(target).has_value(), target);
}

TEST(Uri, PlainPathsAreWhatNormalizingLeavesAlone) {
    for (const char* path : {"/", "/a", "/a/b/", "/a.b/c..d/e", "/~a;b=c"}) {
        CHECK_TRUE_TEXT(is_plain_path(path), path);
        STRCMP_EQUAL(path, normalized(path).c_str());
    }
    for (const char* path : {"//", "/a//b", "/.", "/a/..", "/%41", "/.hidden"})
        CHECK_FALSE_TEXT(is_plain_path(path), path);
}

TEST(Uri, NormalizingDecodesAndCollapses) {
    STRCMP_EQUAL("/a b", normalized("/a%20b").c_str());
    STRCMP_EQUAL("/a/b", normalized("//a///b").c_str());
    STRCMP_EQUAL("/a/b/", normalized("/a/./b/.").c_str());
    STRCMP_EQUAL("/b", normalized("/a/../b").c_str());
    STRCMP_EQUAL("/", normalized("/a/..").c_str());
    STRCMP_EQUAL("/a/", normalized("/a/b/..").c_str());
    STRCMP_EQUAL("/", normalized("/.").c_str());
    STRCMP_EQUAL("/.hidden/...", normalized("/.hidden/...").c_str());
    STRCMP_EQUAL("/\xc3\xa4", normalized("/%C3%a4").c_str());
    STRCMP_EQUAL("/a+b", normalized("/a+b").c_str());
}

TEST(Uri, NoSpellingOfDotDotSurvives) {
    STRCMP_EQUAL("/b", normalized("/a/%2e%2e/b").c_str());
    STRCMP_EQUAL("/b", normalized("/a%2f..%2Fb").c_str());
    STRCMP_EQUAL("/b", normalized("/a/.%2E/b").c_str());
    for (const char* path :
         {"/..", "/../", "/a/../..", "/a/../../b", "/%2e%2e/b", "/..%2f", "/./../a", "//..", "/a//../../.."})
        CHECK_TEXT(normalized(path) == "refused", path);
    STRCMP_EQUAL("/%2e%2e/b", normalized("/%252e%252e/b").c_str());  // decoded once, never twice
}

TEST(Uri, BrokenEscapesAndNulAreRefused) {
    for (const char* path : {"/%", "/%4", "/%zz", "/%4g", "/a%00b", "/%2"})
        CHECK_TEXT(normalized(path) == "refused", path);
}

TEST(Uri, DecodingKeepsWhatIsBroken) {
    STRCMP_EQUAL("a b%zz%", percent_decode("a%20b%zz%").c_str());
    STRCMP_EQUAL("a+b", percent_decode("a+b").c_str());
    STRCMP_EQUAL("a b", percent_decode("a+b", true).c_str());
}

TEST(Uri, EncodingLeavesNothingThatCouldBreakAHeader) {
    STRCMP_EQUAL("/a%20b/%0D%0Ac%3F%25", percent_encode_path("/a b/\r\nc?%").c_str());
}

TEST(Uri, HostsAreJudged) {
    for (const char* host :
         {"a", "example.com", "example.com:80", "127.0.0.1:8080", "[::1]", "[::1]:80", "a_b-c.d", "a:"})
        CHECK_TRUE_TEXT(is_valid_host(host), host);
    for (const char* host : {"", "a b", "a/b", "a@b", "a:b", "a:123456", "[::1", "[]", "[::1]x", "[gg]",
                             "a:80:80", ":80", "a\\b", "a\"b", "a<b", "\xc3\xa4"})
        CHECK_FALSE_TEXT(is_valid_host(host), host);
}
