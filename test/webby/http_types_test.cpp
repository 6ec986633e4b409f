#include "webby/http_types.h"

#include "test/support/harness.h"

using namespace webby;

TEST_GROUP(HttpTypes){};

TEST(HttpTypes, MethodsHaveTheirNames) {
    CHECK(to_string(Method::get) == "GET");
    CHECK(to_string(Method::del) == "DELETE");
    CHECK(to_string(Method::patch) == "PATCH");
}

TEST(HttpTypes, StatusesHaveTheirPhrases) {
    CHECK(reason_phrase(Status::ok) == "OK");
    CHECK(reason_phrase(Status::header_fields_too_large) == "Request Header Fields Too Large");
    CHECK(reason_phrase(static_cast<Status>(507)) == "Insufficient Storage");
    CHECK(reason_phrase(static_cast<Status>(299)) == "Unknown");
}

TEST(HttpTypes, OnlySomeStatusesHaveNoBody) {
    CHECK(is_bodyless(Status::no_content));
    CHECK(is_bodyless(Status::reset_content));
    CHECK(is_bodyless(Status::not_modified));
    CHECK(is_bodyless(Status::continue_));
    CHECK_FALSE(is_bodyless(Status::ok));
    CHECK_FALSE(is_bodyless(Status::not_found));
}

TEST(HttpTypes, AMethodSetKnowsWhatWasAdded) {
    MethodSet set;
    CHECK(set.empty());
    set.add(Method::put);
    CHECK(set.has(Method::put));
    CHECK_FALSE(set.has(Method::post));
}
