#include "webby/access_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "test/webby/conversation.h"
#include "test/webby/temp_folder.h"
#include "webby/application.h"

#include "test/support/harness.h"

using namespace webby;
using namespace webby_test;

TEST_GROUP_BASE(AccessLog, test_support::Fixture){};

TEST(AccessLog, LinesAreInTheCommonFormat) {
    std::string line;
    AccessLog::format(line, "127.0.0.1", "GET", "/hello?a=b", Version::http_1_1, Status::ok, 14, 784111777);
    STRCMP_EQUAL("127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /hello?a=b HTTP/1.1\" 200 14",
                 line.c_str());
}

TEST(AccessLog, WhatTheClientChoseIsEscaped) {
    std::string line;
    AccessLog::format(line, "::1", "GET", "/\"\\\x1b\xc3\xa4\n", Version::http_1_0, Status::not_found, 0, 0);
    STRCMP_EQUAL(
        "::1 - - [01/Jan/1970:00:00:00 +0000] \"GET /\\x22\\x5c\\x1b\\xc3\\xa4\\x0a HTTP/1.0\" 404 0",
        line.c_str());
}

TEST(AccessLog, ARequestWithoutALineHasADash) {
    std::string line;
    AccessLog::format(line, "::1", "", "", Version::http_1_1, Status::bad_request, 5, 0);
    STRCMP_CONTAINS("] \"-\" 400 5", line.c_str());
}

TEST(AccessLog, EveryAnswerIsALineInTheFile) {
    TempFolder folder;
    const std::string path = folder.path() + "/access.log";
    Application app;
    app.add(Method::get, "/", make_servlet([](Request&, Response& r) { r.text("hello"); })).value();
    {
        AccessLog log = AccessLog::open(path).value();
        Conversation talk(app);
        talk.context().access_log = &log;
        talk.say("GET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD /x HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n");
        CHECK(log.has_lines());
        log.flush();
        CHECK_FALSE(log.has_lines());
    }
    std::ifstream file(path);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    STRCMP_CONTAINS("127.0.0.1 - - [", text.c_str());
    STRCMP_CONTAINS("] \"GET / HTTP/1.1\" 200 5\n", text.c_str());
    STRCMP_CONTAINS("] \"HEAD /x HTTP/1.1\" 404 0\n", text.c_str());
    STRCMP_CONTAINS("] \"-\" 400 16\n", text.c_str());
}

TEST(AccessLog, AFileThatCannotBeOpenedIsAnErrorWithItsName) {
    const auto log = AccessLog::open("/nonexistent/access.log");
    CHECK_FALSE(log.ok());
    STRCMP_CONTAINS("/nonexistent/access.log", log.error().message().c_str());
}
