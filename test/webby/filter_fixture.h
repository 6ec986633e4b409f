// FilterFixture: an application with one filter, and what it answers.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "cutils/log.h"
#include "test/webby/conversation.h"
#include "webby/application.h"

#include "test/support/harness.h"

namespace webby_test {

using namespace webby;

class FilterFixture : public test_support::Fixture {
  public:
    Application app;

    void setup() override {
        cutils::set_log_sink([](cutils::LogLevel, std::string_view, void*) {});
        app.add(Method::get, "/", make_servlet([](Request& q, Response& r) {
                    r.add_header("X-Own", "1");
                    r.text("id=" + std::string(q.has_id() ? q.id() : "") + " user=" + q.user());
                }))
            .value();
        app.add(Method::get, "/boom", make_servlet([](Request&, Response&) { throw 42; })).value();
    }
    void teardown() override { cutils::set_log_sink(nullptr); }

    template <class F>
    void use(cutils::Result<std::unique_ptr<F>> filter) {
        app.add_filter(std::move(filter).value());
    }
    std::string ask(std::string_view fields = {}, std::string_view line = "GET /") {
        Conversation talk(app);
        talk.say(std::string(line) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n");
        return talk.heard();
    }
    // The values of all fields of that name in a response, with "|" behind each.
    static std::string field(const std::string& response, const std::string& name) {
        std::string values;
        const std::string begin = "\r\n" + name + ": ";
        for (std::size_t at = 0; (at = response.find(begin, at)) != std::string::npos;) {
            at += begin.size();
            values += response.substr(at, response.find("\r\n", at) - at) + "|";
        }
        return values;
    }
    static std::string status(const std::string& response) { return response.substr(9, 3); }
    static std::string body(const std::string& response) {
        return response.substr(response.find("\r\n\r\n") + 4);
    }
};

}  // namespace webby_test
