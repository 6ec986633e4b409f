// EngineFixture: an application with a servlet for every purpose, and ways to talk to it that cut the input
// up.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "cutils/log.h"
#include "test/webby/conversation.h"
#include "webby/application.h"

#include "test/support/harness.h"

namespace webby_test {

using namespace webby;

inline constexpr std::string_view kHello =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 6\r\n\r\nhello\n";

inline constexpr std::size_t kFragments[] = {1, 2, 3, 7, 16};

inline std::string ok(std::string_view body, std::string_view extra = {}) {
    return "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n" + std::string(extra) + "\r\n" + std::string(body);
}

inline void add_routes(Application& app) {
    app.add(Method::get, "/hello", make_servlet([](Request&, Response& r) { r.text("hello\n"); })).value();
    app.add(Method::post, "/echo", make_servlet([](Request& q, Response& r) { r.text(q.body()); })).value();
    app.add(Method::post, "/small", make_servlet([](Request& q, Response& r) { r.text(q.body()); }),
            {.body_limit = 4})
        .value();
    app.add(Method::post, "/ignore", make_servlet([](Request&, Response& r) { r.text("fine"); }),
            {.stream_body = true})
        .value();
    app.add(Method::post, "/stream", make_servlet([](Request& q, Response& r) {
                std::string all;
                char piece[3];
                nutils::IoResult got;
                while ((got = q.read_body(piece, cutils::Deadline::never)))
                    all.append(piece, got.bytes).append("|");
                r.text(all + (got.eof() ? "eof" : got.error.message()));
            }),
            {.stream_body = true})
        .value();
    app.add(Method::get, "/path/*rest", make_servlet([](Request& q, Response& r) {
                r.text(std::string(q.path()) + " " + std::string(q.query()) + " " + std::string(q.host()));
            }))
        .value();
    app.add(Method::get, "/headers", make_servlet([](Request& q, Response& r) {
                std::string all;
                for (const auto field : q.headers())
                    all.append(field.name).append("=").append(field.value).append(";");
                r.text(all);
            }))
        .value();
    app.add(Method::get, "/empty",
            make_servlet([](Request&, Response& r) { r.status(Status::no_content).text("no"); }))
        .value();
    app.add(Method::get, "/reset",
            make_servlet([](Request&, Response& r) { r.status(Status::reset_content).text("no"); }))
        .value();
    app.add(Method::get, "/close", make_servlet([](Request&, Response& r) {
                r.text("bye");
                r.close_connection();
            }))
        .value();
    app.add(Method::get, "/throw",
            make_servlet([](Request&, Response&) { throw std::runtime_error("oops"); }))
        .value();
    app.add(Method::get, "/big",
            make_servlet([](Request&, Response& r) { r.text(std::string(100'000, 'x')); }))
        .value();
}

class EngineFixture : public test_support::Fixture {
  public:
    Application app;
    Limits limits;

    void setup() override {
        add_routes(app);
        cutils::set_log_sink([](cutils::LogLevel, std::string_view, void*) {});  // what servlets throw
    }
    void teardown() override { cutils::set_log_sink(nullptr); }

    // What the server says to `input`, however it is cut up.
    std::string answer(std::string_view input) {
        Conversation whole(app, limits);
        whole.say(input);
        for (std::size_t cut = 1; cut < input.size(); ++cut) {
            Conversation two(app, limits);
            two.say(input.substr(0, cut));
            two.say(input.substr(cut));
            STRCMP_EQUAL(whole.heard().c_str(), two.heard().c_str());
            CHECK_EQUAL(whole.closed(), two.closed());
        }
        for (const std::size_t fragment : kFragments) {
            Conversation pieces(app, limits);
            pieces.say(input, fragment);
            STRCMP_EQUAL(whole.heard().c_str(), pieces.heard().c_str());
            CHECK_EQUAL(whole.closed(), pieces.closed());
        }
        return whole.heard() + (whole.closed() ? "<closed>" : "");
    }
    void refused(const char* status, std::string_view input) {
        Conversation whole(app, limits);
        whole.say(input);
        CHECK_EQUAL_TEXT(std::string(status), whole.status(), std::string(input).c_str());
        CHECK_TRUE_TEXT(whole.closed(), std::string(input).c_str());
        STRCMP_CONTAINS("\r\nConnection: close\r\n", whole.heard().c_str());
        for (const std::size_t fragment : kFragments) {
            Conversation pieces(app, limits);
            pieces.say(input, fragment);
            CHECK_EQUAL_TEXT(std::string(status), pieces.status(), std::string(input).c_str());
            CHECK_TRUE_TEXT(pieces.closed(), std::string(input).c_str());
        }
    }
};

}  // namespace webby_test
