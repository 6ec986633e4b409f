#include "webby/conditional.h"

#include <string>

#include "test/webby/conversation.h"
#include "webby/application.h"

#include "test/support/harness.h"

using namespace webby;
using namespace webby_test;

TEST_GROUP_BASE(Conditional, test_support::Fixture) {
    Application app;
    Condition result = Condition::proceed;
    bool counts = false;
    std::string etag = "\"tag\"";
    std::time_t now = 784111777 + 100;

    void setup() override {
        app.add(Method::get, "/", make_servlet([this](Request& q, Response&) {
                    result = evaluate_conditions(q, etag, 784111777);  // Sun, 06 Nov 1994 08:49:37 GMT
                    counts = range_counts(q, etag, 784111777, now);
                }))
            .value();
        app.add(Method::put, "/", make_servlet([this](Request& q, Response&) {
                    result = evaluate_conditions(q, etag, 784111777);
                }))
            .value();
    }
    Condition with(const std::string& fields, const std::string& method = "GET") {
        Conversation talk(app);
        talk.say(method + " / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n");
        return result;
    }
};

TEST(Conditional, WithoutConditionsItProceeds) { CHECK(with("") == Condition::proceed); }

TEST(Conditional, IfNoneMatchComparesWeakly) {
    CHECK(with("If-None-Match: \"tag\"\r\n") == Condition::not_modified);
    CHECK(with("If-None-Match: \"a\", W/\"tag\"\r\n") == Condition::not_modified);
    CHECK(with("If-None-Match: \"a\"\r\nIf-None-Match: \"tag\"\r\n") == Condition::not_modified);
    CHECK(with("If-None-Match: *\r\n") == Condition::not_modified);
    CHECK(with("If-None-Match: \"other\"\r\n") == Condition::proceed);
    CHECK(with("If-None-Match: tag\r\n") == Condition::proceed);
}

TEST(Conditional, IfModifiedSinceComparesSeconds) {
    CHECK(with("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n") == Condition::not_modified);
    CHECK(with("If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT\r\n") == Condition::not_modified);
    CHECK(with("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n") == Condition::proceed);
    CHECK(with("If-Modified-Since: nonsense\r\n") == Condition::proceed);
}

TEST(Conditional, IfNoneMatchGoesBeforeIfModifiedSince) {
    CHECK(with("If-None-Match: \"other\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n") ==
          Condition::proceed);
    CHECK(with("If-None-Match: \"tag\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n") ==
          Condition::not_modified);
}

TEST(Conditional, IfMatchComparesStrongly) {
    CHECK(with("If-Match: \"tag\"\r\n") == Condition::proceed);
    CHECK(with("If-Match: *\r\n") == Condition::proceed);
    CHECK(with("If-Match: W/\"tag\"\r\n") == Condition::failed);
    CHECK(with("If-Match: \"a\", \"b\"\r\n") == Condition::failed);
}

TEST(Conditional, IfUnmodifiedSinceCountsWithoutIfMatch) {
    CHECK(with("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n") == Condition::failed);
    CHECK(with("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n") == Condition::proceed);
    CHECK(with("If-Match: \"tag\"\r\nIf-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n") ==
          Condition::proceed);
}

TEST(Conditional, TagsMayHaveCommas) {
    CHECK(etag_matches("\"a,b\", \"c\"", "\"a,b\"", true));
    CHECK_FALSE(etag_matches("\"a,b\"", "\"b\"", true));
    CHECK_FALSE(etag_matches("\"unfinished", "\"unfinished\"", true));
}

TEST(Conditional, WhatFollowsSomethingMalformedIsNotLookedAt) {
    for (const char* list : {"tag, \"tag\"", "x\"tag\"", "xW/\"tag\"", "\"a\" \"tag\"", "\"a\"x, \"tag\"",
                             "w/\"tag\"", "W/ \"tag\"", "\"a b\", \"tag\"", "*, \"tag\"", "W/", "\"", ""})
        CHECK_FALSE_TEXT(etag_matches(list, "\"tag\"", true), list);
    CHECK(etag_matches("\"tag\", nonsense", "\"tag\"", true));
    CHECK(etag_matches(" , ,\"tag\" , ", "\"tag\"", true));
    CHECK(etag_matches("\"\"", "\"\"", false));
}

TEST(Conditional, AWeakTagMatchesNothingStrongly) {
    CHECK_FALSE(etag_matches("W/\"tag\"", "W/\"tag\"", false));
    CHECK_FALSE(etag_matches("\"tag\"", "W/\"tag\"", false));
    CHECK(etag_matches("\"tag\"", "W/\"tag\"", true));
    CHECK(etag_matches("*", "W/\"tag\"", false));
}

TEST(Conditional, ADateThatStandsTwiceIsIgnored) {
    const std::string old = "Sun, 06 Nov 1994 08:49:36 GMT\r\n", same = "Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    CHECK(with("If-Modified-Since: " + same + "If-Modified-Since: " + same) == Condition::proceed);
    CHECK(with("If-Unmodified-Since: " + old + "If-Unmodified-Since: " + old) == Condition::proceed);
}

TEST(Conditional, FailedGoesBeforeNotModified) {
    CHECK(with("If-Match: \"other\"\r\nIf-None-Match: \"tag\"\r\n") == Condition::failed);
    CHECK(with("If-Match: \"tag\"\r\nIf-None-Match: \"tag\"\r\n") == Condition::not_modified);
}

TEST(Conditional, WhatChangesSomethingFailsWhereAGetIsNotModified) {
    CHECK(with("If-None-Match: \"tag\"\r\n", "PUT") == Condition::failed);
    CHECK(with("If-None-Match: *\r\n", "PUT") == Condition::failed);
    CHECK(with("If-None-Match: \"other\"\r\n", "PUT") == Condition::proceed);
    CHECK(with("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "PUT") == Condition::proceed);
    CHECK(with("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", "PUT") == Condition::failed);
}

TEST(Conditional, IfRangeWantsTheVerySame) {
    struct Case {
        const char* fields;
        bool counts;
    };
    constexpr Case kCases[] = {
        {"", true},
        {"If-Range: \"tag\"\r\n", true},
        {"If-Range: \"other\"\r\n", false},
        {"If-Range: W/\"tag\"\r\n", false},
        {"If-Range: \"tag\", \"x\"\r\n", false},
        {"If-Range: *\r\n", false},
        {"If-Range: nonsense\r\n", false},
        {"If-Range:\r\n", false},
        {"If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n", true},
        {"If-Range: Sun, 06 Nov 1994 08:49:38 GMT\r\n", false},
        {"If-Range: Sun, 06 Nov 1994 08:49:36 GMT\r\n", false},
        {"If-Range: \"tag\"\r\nIf-Range: \"tag\"\r\n", false},
    };
    for (const Case& c : kCases) {
        (void)with(c.fields);
        CHECK_TRUE_TEXT(counts == c.counts, c.fields);
    }
    etag = "W/\"tag\"";
    (void)with("If-Range: W/\"tag\"\r\n");
    CHECK_FALSE(counts);
}

TEST(Conditional, ADateOfThisSecondIsNoRange) {
    now = 784111777;
    (void)with("If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    CHECK_FALSE(counts);
}
