// What FilesOptions change; and that what is remembered of files is never old.
#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cutils/log.h"
#include "test/support/allocation_faults.h"
#include "test/support/death.h"
#include "test/support/log_capture.h"
#include "test/webby/files_fixture.h"
#include "webby/file_cache_internal.h"
#include "webby/folder_listing_internal.h"
#include "webby/server.h"

#include "test/support/harness.h"

using namespace webby_test;

TEST_GROUP_BASE(FileOptions, FilesFixture){void setup() override{write("index.html", "home");
write("app.js", "script");
write("sub/start.htm", "start");
write("sub/x.txt", "x");
}
}
;

TEST(FileOptions, TheFirstIndexThatIsThereStandsForTheFolder) {
    serve({.index = {"none.html", "start.htm", "x.txt"}});
    STRCMP_EQUAL("start", ask("/sub/").body().c_str());
    STRCMP_EQUAL("404", ask("/").status().c_str());
    serve({.index = {}});
    STRCMP_EQUAL("404", ask("/").status().c_str());
}

TEST(FileOptions, CacheControlIsSaidOfFilesAndNotOfErrors) {
    serve({.cache_control = "public, max-age=60"});
    const Heard file = ask("/app.js");
    STRCMP_EQUAL("public, max-age=60", file.field("Cache-Control").c_str());
    STRCMP_EQUAL(
        "public, max-age=60",
        ask("/app.js", "If-None-Match: " + file.field("ETag") + "\r\n").field("Cache-Control").c_str());
    STRCMP_EQUAL("public, max-age=60", ask("/app.js", "Range: bytes=0-1\r\n").field("Cache-Control").c_str());
    CHECK_FALSE(ask("/none").has("Cache-Control"));
    CHECK_FALSE(ask("/app.js", "Range: bytes=99-\r\n").has("Cache-Control"));
    CHECK_FALSE(ask("/app.js", "If-Match: \"x\"\r\n").has("Cache-Control"));
}

TEST(FileOptions, CacheControlMustBeAValue) {
    const auto split = [this] {
        const StaticFiles files(Directory::open(folder.path()).value(), {.cache_control = "a\r\nX: y"});
    };
    STRCMP_CONTAINS("cache_control", test_support::abort_message(split).c_str());
    Server server({.listen = {"127.0.0.1:0"}});
    server.files("/", folder.path(), {.cache_control = "a\nb"});
    cutils::set_log_sink([](cutils::LogLevel, std::string_view, void*) {});
    CHECK(server.run().error() == std::errc::invalid_argument);
    cutils::set_log_sink(nullptr);
}

TEST(FileOptions, ASinglePageAnswersForWhatIsNotThere) {
    serve({.spa_fallback = "/index.html"});
    for (const char* path : {"/users/7", "/", "/sub/", "/sub/none"})
        STRCMP_EQUAL_TEXT("home", ask(path).body().c_str(), path);
    STRCMP_EQUAL("200", ask("/users/7").status().c_str());
    STRCMP_EQUAL("text/html; charset=utf-8", ask("/users/7").field("Content-Type").c_str());
    STRCMP_EQUAL("script", ask("/app.js").body().c_str());
    STRCMP_EQUAL("404", ask("/none.js", "Accept: */*\r\n").status().c_str());
    STRCMP_EQUAL("home", ask("/john.doe", "Accept: text/html,*/*\r\n").body().c_str());
    STRCMP_EQUAL("404", ask("/.git/config", "Accept: text/html\r\n").status().c_str());
    STRCMP_EQUAL("304",
                 ask("/users/7", "If-None-Match: " + ask("/").field("ETag") + "\r\n").status().c_str());
}

TEST(FileOptions, WhereTheClientsTasteDecidesCachesAreTold) {
    serve({.spa_fallback = "/index.html"});
    STRCMP_EQUAL("200", ask("/v1.2", "Accept: text/html\r\n").status().c_str());
    STRCMP_EQUAL("Accept", ask("/v1.2", "Accept: text/html\r\n").field("Vary").c_str());
    STRCMP_EQUAL("404", ask("/v1.2", "Accept: */*\r\n").status().c_str());
    STRCMP_EQUAL("Accept", ask("/v1.2", "Accept: */*\r\n").field("Vary").c_str());
    CHECK_FALSE(ask("/people/7").has("Vary"));
    CHECK_FALSE(ask("/app.js").has("Vary"));
}

TEST(FileOptions, ASinglePageThatIsNotThereIs404) {
    serve({.spa_fallback = "none.html"});
    STRCMP_EQUAL("404", ask("/users/7").status().c_str());
}

TEST(FileOptions, NothingIsListedUnlessWanted) { STRCMP_EQUAL("404", ask("/sub/").status().c_str()); }

TEST(FileOptions, AListHasFoldersAndFilesInOrderAndNoHiddenOnes) {
    write("sub/b.txt", std::string(2048, 'b'), 0);
    write("sub/a.txt", "a");
    write("sub/.hidden", "hidden");
    write("sub/zz/inside", "");
    folder.link("a.txt", "sub/link.txt");
    folder.link("/etc/passwd", "sub/leak.txt");
    ::mkfifo((folder.path() + "/sub/fifo").c_str(), 0600);
    serve({.index = {}, .listing = true});
    const Heard heard = ask("/sub/");
    STRCMP_EQUAL("text/html; charset=utf-8", heard.field("Content-Type").c_str());
    std::string names, left = heard.body();
    for (std::size_t at; (at = left.find("<a href=\"")) != std::string::npos; left.erase(0, at + 9))
        names += left.substr(at + 9, left.find('"', at + 9) - at - 9) + " ";
    STRCMP_EQUAL("../ ./zz/ ./a.txt ./b.txt ./link.txt ./start.htm ./x.txt ", names.c_str());
    STRCMP_CONTAINS("<td>2.0 KiB</td>", heard.body().c_str());
    STRCMP_CONTAINS("<td>1 B</td>", heard.body().c_str());
    STRCMP_CONTAINS(">zz/</a></td><td></td>", heard.body().c_str());
    const std::time_t then = std::time(nullptr) - 1000;
    char day[16];
    std::strftime(day, sizeof day, "%Y-%m-%d", std::gmtime(&then));
    STRCMP_CONTAINS((std::string("<td>") + day).c_str(), heard.body().c_str());
}

TEST(FileOptions, WhatIsListedIsEscaped) {
    write("odd/<script>alert(1)&'\".txt", "");
    write("odd/java:script?#%", "");
    serve({.listing = true});
    const std::string page = ask("/odd/").body();
    CHECK(page.find("<script>") == std::string::npos);
    STRCMP_CONTAINS("&lt;script&gt;alert(1)&amp;&#39;&quot;.txt", page.c_str());
    STRCMP_CONTAINS("href=\"./java:script%3F%23%25\"", page.c_str());
    STRCMP_CONTAINS("<h1>/odd/</h1>", page.c_str());
}

TEST(FileOptions, WhatIsListedCanBeHad) {
    write("odd/a b&c<d>\"e'f?#%.txt", "found");
    serve({.listing = true});
    const std::string page = ask("/odd/").body();
    const std::size_t at = page.find("href=\"./") + 8;
    std::string link = page.substr(at, page.find('"', at) - at);
    for (const auto& [escaped, plain] : {std::pair("&amp;", "&"), {"&#39;", "'"}})
        if (const std::size_t found = link.find(escaped); found != std::string::npos)
            link.replace(found, std::string(escaped).size(), plain);
    STRCMP_EQUAL("found", ask("/odd/" + link).body().c_str());
}

TEST(FileOptions, TheRootHasNoFolderAbove) {
    serve({.index = {}, .listing = true});
    const Heard heard = ask("/"), head = ask("/", {}, "HEAD");
    CHECK(heard.body().find("../") == std::string::npos);
    CHECK_EQUAL(heard.head(), head.head());
    STRCMP_EQUAL("301", ask("/sub").status().c_str());
}

TEST(FileOptions, WithStepsEverythingIsTheSame) {
    folder.link("/etc/passwd", "leak.txt");
    for (const bool steps : {false, true}) {
        serve({.listing = true}, steps);
        STRCMP_EQUAL("home", ask("/").body().c_str());
        STRCMP_EQUAL("x", ask("/sub/x.txt").body().c_str());
        STRCMP_EQUAL("404", ask("/leak.txt").status().c_str());
        STRCMP_EQUAL("404", ask("/sub/none").status().c_str());
        CHECK(ask("/sub/").body().find("x.txt") != std::string::npos);
        CHECK(ask("/").body() == "home");
    }
}

// --- what is remembered ---

TEST(FileOptions, AChangedFileIsSeenAtOnce) {
    for (const bool remember : {false, true}) {
        serve({}, false, remember);
        for (std::size_t i = 0; i < 20; ++i) {
            const std::string content(i, 'c');
            write("changing.txt", content);
            CHECK_EQUAL(content, ask("/changing.txt").body());
            CHECK_EQUAL(content, ask("/changing.txt").body());
        }
    }
}

TEST(FileOptions, WhatIsReplacedIsSeenAtOnce) {
    serve({}, false, true);
    for (std::size_t i = 0; i < 5; ++i) {
        const std::string content(5, static_cast<char>('a' + i));
        write("new", content);
        std::filesystem::rename(folder.path() + "/new", folder.path() + "/current.txt");
        CHECK_EQUAL(content, ask("/current.txt").body());
    }
}

TEST(FileOptions, WhatIsGoneOrElsewhereIsSoAtOnce) {
    TempFolder outside;
    outside.write("app.js", "script");
    serve({}, false, true);
    STRCMP_EQUAL("script", ask("/app.js").body().c_str());
    std::filesystem::remove(folder.path() + "/app.js");
    STRCMP_EQUAL("404", ask("/app.js").status().c_str());
    folder.link(outside.path() + "/app.js", "app.js");
    STRCMP_EQUAL("404", ask("/app.js").status().c_str());
}

TEST(FileOptions, WhatIsRememberedAnswersLikeWhatIsNot) {
    write("large.txt", std::string(100'000, 'l'));
    for (const char* path : {"/", "/app.js", "/large.txt", "/sub/x.txt"})
        for (const char* fields :
             {"", "Range: bytes=0-1\r\n", "If-Match: \"x\"\r\n", "Accept-Encoding: gzip\r\n"}) {
            serve({}, false, false);
            const Heard fresh = ask(path, fields);
            serve({}, false, true);
            for (int i = 0; i < 3; ++i) {
                const Heard known = ask(path, fields);
                CHECK_EQUAL(fresh.head(), known.head());
                CHECK_EQUAL(fresh.body(), known.body());
            }
        }
}

TEST(FileOptions, WithoutMemoryNothingWrongIsSent) {
    write("large.txt", std::string(100'000, 'l'));
    cutils::set_log_sink([](cutils::LogLevel, std::string_view, void*) {});
    for (const char* target : {"/sub/x.txt", "/large.txt", "/sub/"}) {
        const std::string input =
            "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0,2-3\r\n\r\n";
        serve({.index = {}, .listing = true});
        const Heard whole = ask(target, "Range: bytes=0-0,2-3\r\n");
        bool good = true;
        const std::size_t runs = test_support::for_each_failing_allocation([&] {
            Conversation talk(*app);
            talk.say(input);
            const Heard heard(talk.heard());
            good = good && (heard.status() == "500" || heard.status() == "" || talk.closed() ||
                            (heard.status() == whole.status() && heard.body().size() == whole.body().size()));
        });
        CHECK_TEXT(good, target);
        CHECK_TEXT(runs > 3, target);
    }
    cutils::set_log_sink(nullptr);
}

TEST_GROUP_BASE(FileCache, FilesFixture){
    static FileCache::Entry entry(std::size_t size){auto file = std::make_shared<ServedFile>();
file->content.assign(size, 'x');
return file;
}
struct stat info_of(const std::string& name) {
    struct stat info {};
    ::stat((folder.path() + "/" + name).c_str(), &info);
    return info;
}
}
;

TEST(FileCache, WhatWasPutIsFound) {
    FileCache cache;
    const FileCache::Entry one = entry(1);
    CHECK(cache.find("one") == nullptr);
    cache.put("one", one);
    CHECK(cache.find("one") == one);
    const FileCache::Entry other = entry(2);
    cache.put("one", other);
    CHECK(cache.find("one") == other);
}

TEST(FileCache, HoldsNoMoreThanItMay) {
    FileCache cache;
    std::vector<std::weak_ptr<const ServedFile>> all;
    for (std::size_t i = 0; i < 5 * FileCache::kEntries; ++i) {
        auto file = entry(1);
        all.push_back(file);
        cache.put(std::to_string(i), std::move(file));
    }
    std::size_t alive = 0;
    for (const auto& file : all) alive += file.expired() ? 0 : 1;
    CHECK(alive <= 2 * FileCache::kEntries);
    FileCache large;
    all.clear();
    for (std::size_t i = 0; i < 1000; ++i) {
        auto file = entry(16 * 1024);
        all.push_back(file);
        large.put(std::to_string(i), std::move(file));
    }
    alive = 0;
    for (const auto& file : all) alive += file.expired() ? 0 : 1;
    CHECK(alive * 16 * 1024 <= 2 * FileCache::kBytes);
}

TEST(FileCache, WhatIsAskedForOftenStays) {
    FileCache cache;
    const FileCache::Entry favourite = entry(1);
    cache.put("favourite", favourite);
    for (std::size_t i = 0; i < 5 * FileCache::kEntries; ++i) {
        cache.put(std::to_string(i), entry(1));
        CHECK(cache.find("favourite") == favourite);
    }
}

TEST(FileCache, ThreadsMayMeetInIt) {
    FileCache cache;
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 10; ++t)  // more than shards
        threads.emplace_back([&] {
            for (std::size_t i = 0; i < 2000; ++i) {
                const std::size_t size = i % 50;
                const FileCache::Entry found = cache.find(std::to_string(size));
                if (found != nullptr && found->content.size() != size) ++wrong;
                if (found == nullptr || i % 7 == 0) cache.put(std::to_string(size), entry(size));
            }
        });
    for (std::thread& thread : threads) thread.join();
    LONGS_EQUAL(0, wrong.load());
}

TEST(FileCache, AStampTellsChangesApart) {
    write("a", "one");
    const FileStamp before(info_of("a"));
    CHECK(before == FileStamp(info_of("a")));
    write("b", "two");
    CHECK_FALSE(before == FileStamp(info_of("b")));  // another file, as old and as large
    write("a", "four");
    CHECK_FALSE(before == FileStamp(info_of("a")));
    FileStamp touched = before;
    touched.changed.tv_nsec += 1;
    CHECK_FALSE(before == touched);
}

TEST(FileCache, OnlyWhatWasNotChangedJustNowHasSettled) {
    FileStamp stamp;
    stamp.modified.tv_sec = stamp.changed.tv_sec = 1000;
    CHECK_FALSE(stamp.has_settled(1000));
    CHECK_FALSE(stamp.has_settled(1002));
    CHECK(stamp.has_settled(1003));
    stamp.changed.tv_sec = 1002;
    CHECK_FALSE(stamp.has_settled(1003));
    stamp.modified.tv_sec = 5000;  // from the future: never
    CHECK_FALSE(stamp.has_settled(1010));
}

TEST(FileOptions, AnIndexIsTheNameOfAFile) {
    const auto said = [](const std::string& index) {
        const cutils::Result<void> checked = check(FilesOptions{.index = {"index.html", index}});
        return checked ? std::string("ok") : checked.error().message();
    };
    for (const char* good : {"index.html", "start", "html/start.html", "..html", ".start"})
        STRCMP_EQUAL("ok", said(good).c_str());
    for (const char* bad : {"", ".", "..", "/index.html", "a/../index.html", "a/", "a//b"})
        STRCMP_CONTAINS(("FilesOptions::index \"" + std::string(bad) + "\"").c_str(), said(bad).c_str());
    CHECK_FALSE(check(FilesOptions{.index = {std::string("a\0b", 3)}}).ok());
    STRCMP_CONTAINS("cache_control",
                    check(FilesOptions{.cache_control = "a\r\nb"}).error().message().c_str());
}

TEST(FileOptions, AServerSaysWhatIsWrongWithThem) {
    Server web({.listen = {"127.0.0.1:0"}});
    web.files("/", folder.path(), {.index = {".."}});
    STRCMP_CONTAINS("FilesOptions::index \"..\"", web.start().error().message().c_str());
}

TEST(FileOptions, ASinglePageThatIsMissingIsToldWhenTheServerIsMade) {
    const test_support::LogCapture log;
    Server web({.listen = {"127.0.0.1:0"}});
    web.files("/", folder.path(), {.spa_fallback = "/index.html"});
    STRCMP_EQUAL("", log.text().c_str());
    web.files("/app", folder.path(), {.spa_fallback = "/none.html"});
    STRCMP_CONTAINS("there is no none.html in ", log.text().c_str());
    CHECK(web.check().ok());
}
