#include "webby/access_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "nutils/unique_fd.h"
#include "test/support/log_capture.h"
#include "test/webby/conversation.h"
#include "test/webby/temp_folder.h"
#include "webby/application.h"

#include "test/support/harness.h"

using namespace webby;
using namespace webby_test;

namespace {

std::string text_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

// What a log of that format has after one conversation.
std::string logged(AccessLogFormat format, std::string_view input) {
    TempFolder folder;
    Application app;
    app.add(Method::get, "/", make_servlet([](Request& q, Response& r) {
                q.set_user("ada");
                r.text("hello");
            }))
        .value();
    const AccessLogFile file = AccessLogFile::open(folder.path() + "/log").value();
    AccessLog log(file, format);
    Conversation talk(app);
    talk.context().access_log = &log;
    talk.say(input);
    log.flush();
    return text_of(folder.path() + "/log");
}

}  // namespace

TEST_GROUP_BASE(AccessLog, test_support::Fixture){};

TEST(AccessLog, EveryAnswerIsALineInTheFile) {
    TempFolder folder;
    const std::string path = folder.path() + "/access.log";
    Application app;
    app.add(Method::get, "/", make_servlet([](Request&, Response& r) { r.text("hello"); })).value();
    {
        const AccessLogFile opened = AccessLogFile::open(path).value();
        AccessLog log(opened);
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
    const auto log = AccessLogFile::open("/nonexistent/access.log");
    CHECK_FALSE(log.ok());
    STRCMP_CONTAINS("/nonexistent/access.log", log.error().message().c_str());
}

TEST(AccessLog, CombinedLinesHaveTheRefererAndTheUserAgent) {
    const std::string line =
        logged(AccessLogFormat::combined,
               "GET / HTTP/1.1\r\nHost: a\r\nReferer: http://b/\r\nUser-Agent: t\"x\r\n\r\n");
    STRCMP_CONTAINS("127.0.0.1 - ada [", line.c_str());
    STRCMP_CONTAINS("] \"GET / HTTP/1.1\" 200 5 \"http://b/\" \"t\\x22x\"\n", line.c_str());
}

TEST(AccessLog, JsonLinesHaveTheHostTheIdAndTheTimeTaken) {
    const std::string line =
        logged(AccessLogFormat::json, "GET / HTTP/1.1\r\nHost: a:81\r\nUser-Agent: t\r\n\r\n");
    STRCMP_CONTAINS("\"user\":\"ada\",\"host\":\"a:81\",\"method\":\"GET\",\"target\":\"/\"", line.c_str());
    STRCMP_CONTAINS(",\"status\":200,\"bytes\":5,\"seconds\":0.0", line.c_str());
    STRCMP_CONTAINS(",\"id\":\"", line.c_str());
    STRCMP_CONTAINS(",\"referer\":null,\"user_agent\":\"t\"}\n", line.c_str());
}

TEST(AccessLog, ARefusedRequestTookNoTime) {
    const std::string lines =
        logged(AccessLogFormat::json, "GET / HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n");
    const std::string last = lines.substr(lines.find('\n') + 1);
    STRCMP_CONTAINS("\"method\":null,\"target\":null,\"version\":null,\"status\":400", last.c_str());
    STRCMP_CONTAINS("\"seconds\":null", last.c_str());
}

TEST(AccessLog, IsReopenedForAllWhoWriteAfterItWasMovedAway) {
    TempFolder folder;
    const std::string path = folder.path() + "/access.log";
    Application app;
    const AccessLogFile file = AccessLogFile::open(path).value();
    AccessLog log(file);
    AccessLog other = log.duplicate().value();
    Conversation talk(app);
    talk.context().access_log = &log;
    talk.say("GET /before HTTP/1.1\r\nHost: a\r\n\r\n");
    log.flush();
    std::filesystem::rename(path, path + ".1");
    file.reopen().value();
    talk.say("GET /after HTTP/1.1\r\nHost: a\r\n\r\n");
    log.flush();
    talk.context().access_log = &other;
    talk.say("GET /other HTTP/1.1\r\nHost: a\r\n\r\n");
    other.flush();
    STRCMP_CONTAINS("/before", text_of(path + ".1").c_str());
    CHECK(text_of(path + ".1").find("/after") == std::string::npos);
    STRCMP_CONTAINS("/after", text_of(path).c_str());
    STRCMP_CONTAINS("/other", text_of(path).c_str());
}

TEST(AccessLog, ALineThatWasCutForWantOfRoomIsNotPartOfTheNext) {
    test_support::LogCapture log_lines;
    int ends[2];
    CHECK_EQUAL(0, ::pipe2(ends, O_CLOEXEC));
    const nutils::UniqueFd reader(ends[0]), writer(ends[1]);
    CHECK_EQUAL(4096, ::fcntl(writer.get(), F_SETPIPE_SZ, 4096));
    Application app;
    const AccessLogFile file = AccessLogFile::open("/proc/self/fd/" + std::to_string(writer.get())).value();
    CHECK_EQUAL(0, ::fcntl(file.fd(), F_SETFL, O_NONBLOCK));
    AccessLog log(file);
    AccessLog other = log.duplicate().value();
    Conversation talk(app);
    talk.context().access_log = &log;
    for (int i = 0; i < 100; ++i) talk.say("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n");
    log.flush();
    talk.say("GET /lost HTTP/1.1\r\nHost: a\r\n\r\n");
    log.flush();
    CHECK_EQUAL(1, log_lines.lines());
    std::string heard(5000, '\0');
    LONGS_EQUAL(4096, ::read(reader.get(), heard.data(), heard.size()));
    CHECK(heard[4095] != '\n');
    talk.context().access_log = &other;
    talk.say("GET /after HTTP/1.1\r\nHost: a\r\n\r\n");
    talk.say("GET /last HTTP/1.1\r\nHost: a\r\n\r\n");
    other.flush();
    const auto size = ::read(reader.get(), heard.data(), heard.size());
    heard.resize(static_cast<std::size_t>(size));
    STRCMP_EQUAL("\n127.0.0.1 - ", heard.substr(0, 13).c_str());
    STRCMP_CONTAINS("\"GET /after HTTP/1.1\" 404 ", heard.c_str());
    CHECK_EQUAL(3, std::count(heard.begin(), heard.end(), '\n'));
}

TEST(AccessLog, OfAPipeThatNobodyReadsAnyMoreIsDropped) {
    test_support::LogCapture log_lines;
    int ends[2];
    CHECK_EQUAL(0, ::pipe2(ends, O_CLOEXEC));
    nutils::UniqueFd reader(ends[0]), writer(ends[1]);
    Application app;
    const AccessLogFile file = AccessLogFile::open("/proc/self/fd/" + std::to_string(writer.get())).value();
    AccessLog log(file);
    Conversation talk(app);
    talk.context().access_log = &log;
    reader.reset();
    talk.say("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    log.flush();
    talk.say("GET /b HTTP/1.1\r\nHost: a\r\n\r\n");
    log.flush();
    CHECK_EQUAL("warning: access log: Broken pipe; lines are dropped\n", log_lines.text());
}

TEST(AccessLog, StaysWhereItWasWhenItCannotBeReopened) {
    TempFolder folder;
    const std::string path = folder.path() + "/sub";
    std::filesystem::create_directory(path);
    const AccessLogFile file = AccessLogFile::open(path + "/log").value();
    std::filesystem::rename(path, path + ".1");
    CHECK_FALSE(file.reopen().ok());
    LONGS_EQUAL(5, ::write(file.fd(), "still", 5));
    STRCMP_EQUAL("still", text_of(path + ".1/log").c_str());
}
