#include "webby/response.h"

#include <unistd.h>

#include <string>

#include "cutils/log.h"
#include "test/support/harness.h"

using namespace webby;

TEST_GROUP(Response) {
    Response response;

    void setup() override {
        cutils::set_log_sink([](cutils::LogLevel, std::string_view, void*) {});
    }
    void teardown() override { cutils::set_log_sink(nullptr); }
};

TEST(Response, StartsAsAnEmpty200) {
    CHECK(response.status() == Status::ok);
    LONGS_EQUAL(0, response.body_size());
    CHECK(response.wire_fields().empty());
}

TEST(Response, WhatCannotEndAnAnswerIsNoStatus) {
    for (const int number : {0, 100, 101, 103, 199, 1000, 65535}) {
        response.clear();
        response.status(static_cast<Status>(number));
        CHECK(response.status() == Status::internal_error);
        response.clear();
        response.error(static_cast<Status>(number));
        CHECK(response.status() == Status::internal_error);
        CHECK(response.body_text() == "500 Internal Server Error\n");
    }
    for (const int number : {200, 299, 999}) {
        response.status(static_cast<Status>(number));
        UNSIGNED_LONGS_EQUAL(number, to_number(response.status()));
    }
}

TEST(Response, TextHtmlAndJsonHaveTheirTypes) {
    response.text("a");
    CHECK(response.content_type() == "text/plain; charset=utf-8");
    response.html("b");
    CHECK(response.content_type() == "text/html; charset=utf-8");
    response.json("{}");
    CHECK(response.content_type() == "application/json");
    CHECK(response.body_text() == "{}");
}

TEST(Response, FieldsAreAddedAndReplaced) {
    CHECK(response.add_header("X-A", "1"));
    CHECK(response.add_header("x-a", "2"));
    CHECK(response.add_header("X-B", ""));
    CHECK(response.wire_fields() == "X-A: 1\r\nx-a: 2\r\nX-B: \r\n");
    CHECK(response.find_header("X-a") == "1");
    CHECK(response.find_header("x-b") == "");
    CHECK(response.set_header("X-A", "3"));
    CHECK(response.wire_fields() == "X-B: \r\nX-A: 3\r\n");
    response.remove_header("x-b");
    CHECK(response.wire_fields() == "X-A: 3\r\n");
    CHECK_FALSE(response.find_header("X-B").has_value());
}

TEST(Response, TheTypeIsAFieldToo) {
    response.text("a");
    CHECK(response.set_header("content-type", "text/css"));
    CHECK(response.find_header("Content-Type") == "text/css");
    CHECK(response.wire_fields().empty());
    response.remove_header("Content-Type");
    CHECK_FALSE(response.find_header("Content-Type").has_value());
}

TEST(Response, AResponseCannotBeSplit) {
    using namespace std::string_view_literals;
    for (const std::string_view value : {"a\r\nSet-Cookie: b"sv, "a\nb"sv, "a\rb"sv, "a\0b"sv, "\x7f"sv})
        CHECK_FALSE(response.add_header("X", value));
    for (const char* name : {"", "X Y", "X:", "X\r\nY", "X\xe4"}) CHECK_FALSE(response.set_header(name, "a"));
    CHECK_FALSE(response.add_header("Content-Type", "text/plain\r\nX: y"));
    response.body("x", "text/plain\r\nX: y");
    CHECK(response.wire_fields().empty());
    CHECK(response.content_type().empty());
}

TEST(Response, TheServersOwnFieldsAreItsOwn) {
    for (const char* name : {"Content-Length", "transfer-encoding", "CONNECTION", "Date"})
        CHECK_FALSE(response.add_header(name, "1"));
}

TEST(Response, RedirectsAreMadeSafe) {
    response.redirect("/a b\r\nX: y?q=1&r=%41", Status::see_other);
    CHECK(response.status() == Status::see_other);
    CHECK(response.find_header("Location") == "/a%20b%0D%0AX:%20y?q=1&r=%41");
}

TEST(Response, ErrorsSayWhatTheyAre) {
    response.error(Status::not_found, "no such thing");
    CHECK(response.body_text() == "404 Not Found\nno such thing\n");
}

TEST(Response, TheLastBodyWins) {
    response.file(nutils::UniqueFd(::dup(0)), 10);
    CHECK(response.has_file());
    LONGS_EQUAL(10, response.body_size());
    response.text("abc");
    CHECK_FALSE(response.has_file());
    LONGS_EQUAL(3, response.body_size());
}

TEST(Response, ClearingForgetsEverything) {
    response.status(Status::gone).add_header("X", "y");
    response.body("abc", "text/x");
    response.close_connection();
    response.clear();
    CHECK(response.status() == Status::ok);
    CHECK(response.wire_fields().empty());
    CHECK(response.content_type().empty());
    CHECK_FALSE(response.closes_connection());
    LONGS_EQUAL(0, response.body_size());
}
