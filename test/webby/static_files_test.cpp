#include "webby/static_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "cutils/log.h"
#include "test/webby/conversation.h"
#include "test/webby/temp_folder.h"
#include "webby/application.h"

#include "test/support/harness.h"

using namespace webby;
using namespace webby_test;

TEST_GROUP_BASE(StaticFiles, test_support::Fixture) {
    TempFolder folder;
    Application app;

    void setup() override {
        folder.write("secret.txt", "SECRET");
        folder.write("root/index.html", "<h1>home</h1>");
        folder.write("root/a b.txt", "spaces");
        folder.write("root/sub/index.html", "sub");
        folder.write("root/sub/page.css", "css");
        folder.write("root/bare/x.bin", "x");
        folder.write("root/.hidden", "hidden");
        folder.write("root/.git/config", "hidden");
        folder.write("root/.well-known/acme", "token");
        folder.write("root/empty.txt", "");
        folder.write("root/big.bin", std::string(100'000, 'b'));
        folder.link("../secret.txt", "root/leak-relative");
        folder.link(folder.path() + "/secret.txt", "root/leak-absolute");
        folder.link("..", "root/leak-folder");
        folder.link("sub/page.css", "root/inside.css");
        folder.link("loop", "root/loop");
        ::mkfifo((folder.path() + "/root/fifo").c_str(), 0600);
        app.add(Method::get, "/*path",
                std::make_unique<StaticFiles>(Directory::open(folder.path() + "/root").value()))
            .value();
    }
    std::string ask(const std::string& line, const std::string& fields = {}) {
        Conversation talk(app);
        talk.say(line + " HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n");
        return talk.heard();
    }
    std::string get(const std::string& target) { return ask("GET " + target); }
    static std::string field(const std::string& heard, const std::string& name) {
        const std::size_t at = heard.find("\r\n" + name + ": ");
        if (at == std::string::npos) return {};
        const std::size_t begin = at + name.size() + 4;
        return heard.substr(begin, heard.find("\r\n", begin) - begin);
    }
    static std::string body(const std::string& heard) { return heard.substr(heard.find("\r\n\r\n") + 4); }
};

TEST(StaticFiles, AFileIsServedWithItsTypeAndValidators) {
    const std::string heard = get("/sub/page.css");
    STRCMP_CONTAINS("HTTP/1.1 200 OK\r\n", heard.c_str());
    STRCMP_EQUAL("text/css; charset=utf-8", field(heard, "Content-Type").c_str());
    STRCMP_EQUAL("3", field(heard, "Content-Length").c_str());
    LONGS_EQUAL(29, field(heard, "Last-Modified").size());
    CHECK(field(heard, "ETag").starts_with('"'));
    STRCMP_EQUAL("css", body(heard).c_str());
}

TEST(StaticFiles, AFileOfTheFutureSaysNothingOfItsTime) {
    folder.write("root/later.txt", "later");
    const timespec times[] = {{.tv_sec = 4'000'000'000, .tv_nsec = 0},
                              {.tv_sec = 4'000'000'000, .tv_nsec = 0}};
    CHECK_EQUAL(0, ::utimensat(AT_FDCWD, (folder.path() + "/root/later.txt").c_str(), times, 0));
    const std::string heard = get("/later.txt");
    STRCMP_EQUAL("later", body(heard).c_str());
    STRCMP_EQUAL("", field(heard, "Last-Modified").c_str());
    STRCMP_CONTAINS("304 Not Modified",
                    ask("GET /later.txt", "If-None-Match: " + field(heard, "ETag") + "\r\n").c_str());
}

TEST(StaticFiles, AFolderIsItsIndex) {
    STRCMP_EQUAL("<h1>home</h1>", body(get("/")).c_str());
    STRCMP_EQUAL("sub", body(get("/sub/")).c_str());
    STRCMP_EQUAL("text/html; charset=utf-8", field(get("/sub/"), "Content-Type").c_str());
    STRCMP_CONTAINS("404", get("/bare/").c_str());
}

TEST(StaticFiles, AFolderWithoutItsSlashIsElsewhere) {
    const std::string heard = get("/sub?a=b");
    STRCMP_CONTAINS("301 Moved Permanently", heard.c_str());
    STRCMP_EQUAL("/sub/?a=b", field(heard, "Location").c_str());
    STRCMP_EQUAL("/sub/",
                 field(get("//sub"), "Location").c_str());  // never "//sub/", which names another host
}

TEST(StaticFiles, LargeFilesComeFromTheFile) { CHECK(body(get("/big.bin")) == std::string(100'000, 'b')); }

TEST(StaticFiles, EmptyFilesAreEmpty) {
    const std::string heard = get("/empty.txt");
    STRCMP_EQUAL("0", field(heard, "Content-Length").c_str());
    STRCMP_EQUAL("", body(heard).c_str());
}

TEST(StaticFiles, NamesAreDecoded) { STRCMP_EQUAL("spaces", body(get("/a%20b.txt")).c_str()); }

TEST(StaticFiles, HeadHasTheLengthAndNoBody) {
    for (const char* path : {"/big.bin", "/sub/page.css"}) {
        const std::string heard = ask(std::string("HEAD ") + path);
        CHECK_EQUAL(field(get(path), "Content-Length"), field(heard, "Content-Length"));
        STRCMP_EQUAL("", body(heard).c_str());
    }
}

TEST(StaticFiles, WhatTheClientHasIsNotSentAgain) {
    const std::string first = get("/sub/page.css");
    for (const std::string& fields :
         {"If-None-Match: " + field(first, "ETag"), "If-Modified-Since: " + field(first, "Last-Modified")}) {
        const std::string heard = ask("GET /sub/page.css", fields + "\r\n");
        STRCMP_CONTAINS("HTTP/1.1 304 Not Modified\r\n", heard.c_str());
        CHECK_EQUAL(field(first, "ETag"), field(heard, "ETag"));
        STRCMP_EQUAL("", body(heard).c_str());
        STRCMP_EQUAL("", field(heard, "Content-Length").c_str());
    }
    STRCMP_CONTAINS("412 Precondition Failed", ask("GET /sub/page.css", "If-Match: \"x\"\r\n").c_str());
}

TEST(StaticFiles, AChangedFileHasAnotherTag) {
    const std::string before = field(get("/sub/page.css"), "ETag");
    folder.write("root/sub/page.css", "css2");
    CHECK(before != field(get("/sub/page.css"), "ETag"));
}

TEST(StaticFiles, NothingOutsideTheRootIsReachable) {
    for (const char* path : {"/../secret.txt",
                             "/sub/../../secret.txt",
                             "/%2e%2e/secret.txt",
                             "/..%2fsecret.txt",
                             "/%2e%2e%2fsecret.txt",
                             "/..%5csecret.txt",
                             "/..\\secret.txt",
                             "/sub/..%2f..%2fsecret.txt",
                             "/leak-relative",
                             "/leak-absolute",
                             "/leak-folder/secret.txt",
                             "/leak-folder/",
                             "/leak-folder/root/index.html",
                             "/%252e%252e/secret.txt",
                             "/./../secret.txt",
                             "//../secret.txt",
                             "/sub/%2e%2e/%2e%2e/secret.txt",
                             "/secret.txt%00.html",
                             "/....//secret.txt",
                             "/%c0%ae%c0%ae/secret.txt",
                             "/loop",
                             "/sub/page.css/../../../secret.txt"}) {
        const std::string heard = get(path);
        CHECK_TEXT(heard.find("SECRET") == std::string::npos, path);
        CHECK_TEXT(heard.starts_with("HTTP/1.1 404") || heard.starts_with("HTTP/1.1 400"), path);
    }
}

TEST(StaticFiles, LinksThatStayInsideAreFollowed) { STRCMP_EQUAL("css", body(get("/inside.css")).c_str()); }

TEST(StaticFiles, OnlyFilesAndFoldersAreServed) { STRCMP_CONTAINS("404", get("/fifo").c_str()); }

TEST(StaticFiles, AFileIsNoFolder) {
    STRCMP_CONTAINS("404", get("/sub/page.css/").c_str());
    STRCMP_CONTAINS("404", get("/sub/page.css/x").c_str());
}

TEST(StaticFiles, HiddenNamesAreHidden) {
    STRCMP_CONTAINS("404", get("/.hidden").c_str());
    STRCMP_CONTAINS("404", get("/.git/config").c_str());
    STRCMP_CONTAINS("404", get("/.well-known/.x").c_str());
    STRCMP_EQUAL("token", body(get("/.well-known/acme")).c_str());
}

TEST(StaticFiles, LongNamesAre404) { STRCMP_CONTAINS("404", get("/" + std::string(3000, 'a')).c_str()); }

TEST(StaticFiles, OtherMethodsAreNotAllowed) {
    const std::string heard = ask("DELETE /index.html");
    STRCMP_CONTAINS("405", heard.c_str());
    STRCMP_EQUAL("GET, HEAD, OPTIONS", field(heard, "Allow").c_str());
}

TEST(StaticFiles, WithoutOpenat2NothingOutsideIsReachableEither) {
    const Directory root = Directory::open(folder.path() + "/root").value();
    CHECK(root.open_stepwise("sub/page.css").ok());
    CHECK(root.open_stepwise("sub").ok());
    CHECK(root.open_stepwise("sub/").ok());
    CHECK(root.open_stepwise("").ok());
    for (const char* path :
         {"../secret.txt", "sub/../../secret.txt", "leak-relative", "leak-absolute", "leak-folder/secret.txt",
          "loop", "sub/page.css/x", "/etc/passwd", "sub//page.css", ".", ".."})
        CHECK_TRUE_TEXT(root.open_stepwise(path).error() == std::errc::no_such_file_or_directory, path);
}

TEST(StaticFiles, AMissingRootIsAnErrorWithItsName) {
    const auto missing = Directory::open(folder.path() + "/nowhere");
    CHECK(missing.error() == std::errc::no_such_file_or_directory);
    STRCMP_CONTAINS("/nowhere", missing.error().message().c_str());
}
