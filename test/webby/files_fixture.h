// FilesFixture: a folder and a StaticFiles over it, asked through an Exchange driven by hand.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <ctime>
#include <memory>
#include <string>
#include <utility>

#include "test/webby/conversation.h"
#include "test/webby/heard.h"
#include "test/webby/temp_folder.h"
#include "webby/application.h"
#include "webby/http_date.h"
#include "webby/static_files.h"

#include "test/support/harness.h"

namespace webby_test {

using namespace webby;

class FilesFixture : public test_support::Fixture {
  public:
    TempFolder folder;
    std::unique_ptr<Application> app;

    // remember: also what was changed just now.
    void serve(FilesOptions options = {}, bool steps = false, bool remember = false) {
        app = std::make_unique<Application>();
        Directory root = Directory::open(folder.path()).value();
        if (steps) root.use_steps();
        auto files = std::make_unique<StaticFiles>(std::move(root), std::move(options));
        if (remember) files->use_clock([] { return std::time(nullptr) + 100; });
        app->add(Method::get, "/*path", std::move(files)).value();
    }
    // A file that was last changed so many seconds ago, on a full second.
    std::time_t write(const std::string& name, std::string_view content, std::time_t age = 1000) {
        folder.write(name, content);
        const std::time_t when = std::time(nullptr) - age;
        const timespec times[2] = {{when, 0}, {when, 0}};
        ::utimensat(AT_FDCWD, (folder.path() + "/" + name).c_str(), times, 0);
        return when;
    }
    static std::string date(std::time_t time) {
        char text[kHttpDateSize];
        write_http_date(time, text);
        return {text, kHttpDateSize};
    }

    Heard ask(const std::string& path, const std::string& fields = {}, const std::string& method = "GET") {
        if (!app) serve();
        Conversation talk(*app);
        talk.say(method + " " + path + " HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n");
        return Heard(talk.heard());
    }
};

}  // namespace webby_test
