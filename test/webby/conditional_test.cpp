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

    void setup() override {
        app.add(Method::get, "/", make_servlet([this](Request& q, Response&) {
                    result = evaluate_conditions(q, "\"tag\"", 784111777);  // Sun, 06 Nov 1994 08:49:37 GMT
                }))
            .value();
    }
    Condition with(const std::string& fields) {
        Conversation talk(app);
        talk.say("GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n");
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
