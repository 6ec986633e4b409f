#include "webby/application.h"

#include <string>

#include "cutils/log.h"
#include "test/webby/conversation.h"

#include "test/support/harness.h"

using namespace webby;
using namespace webby_test;

namespace {

// Writes down when it ran; answers or throws when told to.
struct Witness final : Filter {
    Witness(std::string& the_diary, const char* the_name) : diary(the_diary), name(the_name) {}
    bool on_request(Request& request, Response& response) override {
        diary.append(name).append("> ");
        if (request.header("X-Stop") == name) {
            response.error(Status::forbidden);
            return false;
        }
        if (request.header("X-Throw") == name) throw 42;
        return true;
    }
    void on_response(const Request&, Response& response) override {
        diary.append("<").append(name).append(" ");
        response.add_header("X-Seen", name);
    }
    std::string& diary;
    const char* name;
};

}  // namespace

TEST_GROUP_BASE(Application, test_support::Fixture) {
    Application app;
    std::string diary;

    void setup() override {
        cutils::set_log_sink([](cutils::LogLevel, std::string_view, void*) {});
        app.add(Method::get, "/a", make_servlet([this](Request&, Response& r) {
                    diary += "servlet ";
                    r.text("a");
                }))
            .value();
        app.add(Method::put, "/a", make_servlet([](Request&, Response&) {})).value();
        app.add(Method::get, "/boom", make_servlet([](Request&, Response& r) {
                    r.add_header("X", "y");
                    r.text("half");
                    throw std::runtime_error("boom");
                }))
            .value();
    }
    void teardown() override { cutils::set_log_sink(nullptr); }

    void add_filters() {
        app.add_filter(std::make_unique<Witness>(diary, "one"));
        app.add_filter(std::make_unique<Witness>(diary, "two"));
    }
    std::string ask(const std::string& line, const std::string& fields = {}) {
        Conversation talk(app);
        talk.say(line + " HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n");
        return talk.heard();
    }
};

TEST(Application, UnknownPathsAre404) { STRCMP_CONTAINS("404 Not Found", ask("GET /b").c_str()); }

TEST(Application, OtherMethodsAre405WithAllow) {
    const std::string heard = ask("POST /a");
    STRCMP_CONTAINS("405 Method Not Allowed", heard.c_str());
    STRCMP_CONTAINS("Allow: GET, HEAD, PUT, OPTIONS\r\n", heard.c_str());
}

TEST(Application, OptionsAreAnswered) {
    const std::string heard = ask("OPTIONS /a");
    STRCMP_CONTAINS("204 No Content", heard.c_str());
    STRCMP_CONTAINS("Allow: GET, HEAD, PUT, OPTIONS\r\n", heard.c_str());
    STRCMP_CONTAINS("Allow: GET, HEAD, PUT, OPTIONS\r\n", ask("OPTIONS *").c_str());
    STRCMP_CONTAINS("404", ask("OPTIONS /b").c_str());
}

TEST(Application, AnExceptionLeavesNothingOfTheResponse) {
    CHECK_EQUAL(
        std::string("HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n"
                    "Content-Length: 26\r\n\r\n500 Internal Server Error\n"),
        ask("GET /boom"));
}

TEST(Application, FiltersSurroundTheServlet) {
    add_filters();
    const std::string heard = ask("GET /a");
    STRCMP_EQUAL("one> two> servlet <two <one ", diary.c_str());
    STRCMP_CONTAINS("X-Seen: two\r\nX-Seen: one\r\n", heard.c_str());
}

TEST(Application, AFilterCanAnswer) {
    add_filters();
    STRCMP_CONTAINS("403", ask("GET /a", "X-Stop: one\r\n").c_str());
    STRCMP_EQUAL("one> <one ", diary.c_str());
}

TEST(Application, AFilterThatThrowsIsA500) {
    add_filters();
    STRCMP_CONTAINS("500", ask("GET /a", "X-Throw: two\r\n").c_str());
    STRCMP_EQUAL("one> two> <two <one ", diary.c_str());
}

TEST(Application, FiltersSeeWhatTheServerAnswersItself) {
    add_filters();
    STRCMP_CONTAINS("X-Seen: one", ask("GET /nowhere").c_str());
}
