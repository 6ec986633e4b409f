// Files that somebody has compressed before.
#include <string>

#include "test/webby/files_fixture.h"

#include "test/support/harness.h"

using namespace webby_test;

TEST_GROUP_BASE(FileCodings, FilesFixture){void setup() override{write("page.css", "plain css");
write("page.css.br", "BR");
write("page.css.gz", "GZIP");
write("page.css.zst", "ZSTD!", 10);
write("old.css", "new text", 100);
write("old.css.gz", "OLD", 200);
write("lonely.css", "lonely");
write("large.js", std::string(50'000, 'p'));
write("large.js.gz", std::string(20'000, 'g'));
serve({.cache_control = "max-age=5", .precompressed = true});
}
Heard ask_for(const std::string& codings, const std::string& path = "/page.css",
              const std::string& fields = {}) {
    return ask(path, "Accept-Encoding: " + codings + "\r\n" + fields);
}
}
;

TEST(FileCodings, TheOneTheClientLikesBestIsSent) {
    struct Case {
        const char* codings;
        const char* coding;
        const char* body;
    };
    constexpr Case kCases[] = {{"gzip", "gzip", "GZIP"},
                               {"gzip, br", "br", "BR"},
                               {"gzip, deflate, br, zstd", "zstd", "ZSTD!"},
                               {"gzip;q=1, br;q=0.5", "gzip", "GZIP"},
                               {"*", "zstd", "ZSTD!"},
                               {"*, zstd;q=0", "br", "BR"},
                               {"identity, gzip;q=0.5", "", "plain css"},
                               {"deflate", "", "plain css"},
                               {"", "", "plain css"},
                               {"identity;q=0, br", "br", "BR"}};
    for (const Case& c : kCases) {
        const Heard heard = ask_for(c.codings);
        STRCMP_EQUAL_TEXT("200", heard.status().c_str(), c.codings);
        STRCMP_EQUAL_TEXT(c.coding, heard.field("Content-Encoding").c_str(), c.codings);
        STRCMP_EQUAL_TEXT(c.body, heard.body().c_str(), c.codings);
        STRCMP_EQUAL_TEXT("text/css; charset=utf-8", heard.field("Content-Type").c_str(), c.codings);
        STRCMP_EQUAL_TEXT("Accept-Encoding", heard.field("Vary").c_str(), c.codings);
        STRCMP_EQUAL_TEXT("max-age=5", heard.field("Cache-Control").c_str(), c.codings);
    }
}

TEST(FileCodings, TheTextOfAnErrorIsNotCoded) {
    const Heard behind = ask_for("gzip", "/page.css", "Range: bytes=100-\r\n");
    STRCMP_EQUAL("416", behind.status().c_str());
    STRCMP_EQUAL("bytes */4", behind.field("Content-Range").c_str());
    CHECK_FALSE(behind.has("Content-Encoding"));
    STRCMP_EQUAL("Accept-Encoding", behind.field("Vary").c_str());
    const Heard changed = ask_for("gzip", "/page.css", "If-Match: \"x\"\r\n");
    STRCMP_EQUAL("412", changed.status().c_str());
    CHECK_FALSE(changed.has("Content-Encoding"));
}

TEST(FileCodings, WithoutAFieldItIsThePlainOne) {
    const Heard heard = ask("/page.css");
    STRCMP_EQUAL("plain css", heard.body().c_str());
    STRCMP_EQUAL("Accept-Encoding", heard.field("Vary").c_str());
}

TEST(FileCodings, EachHasATagOfItsOwn) {
    const std::string plain = ask("/page.css").field("ETag"), gzip = ask_for("gzip").field("ETag"),
                      br = ask_for("br").field("ETag");
    CHECK(plain != gzip && gzip != br && br != plain);
    STRCMP_EQUAL("304", ask_for("gzip", "/page.css", "If-None-Match: " + gzip + "\r\n").status().c_str());
    STRCMP_EQUAL("200", ask_for("gzip", "/page.css", "If-None-Match: " + plain + "\r\n").status().c_str());
    const Heard unchanged = ask_for("gzip", "/page.css", "If-None-Match: " + gzip + "\r\n");
    STRCMP_EQUAL("Accept-Encoding", unchanged.field("Vary").c_str());
    CHECK_FALSE(unchanged.has("Content-Encoding"));
}

TEST(FileCodings, ATagTellsFilesOfOneTimeAndSizeApart) {
    const std::time_t now = write("same.css", "1234");
    write("same.css.gz", "abcd");
    CHECK(ask("/same.css").field("Last-Modified") == date(now));
    CHECK(ask("/same.css").field("ETag") != ask_for("gzip", "/same.css").field("ETag"));
}

TEST(FileCodings, RangesAreOfWhatIsSent) {
    const Heard heard = ask_for("br", "/page.css", "Range: bytes=1-5\r\n");
    STRCMP_EQUAL("206", heard.status().c_str());
    STRCMP_EQUAL("bytes 1-1/2", heard.field("Content-Range").c_str());
    STRCMP_EQUAL("R", heard.body().c_str());
    STRCMP_EQUAL("br", heard.field("Content-Encoding").c_str());
    const Heard large = ask_for("gzip", "/large.js", "Range: bytes=-3\r\n");
    STRCMP_EQUAL("bytes 19997-19999/20000", large.field("Content-Range").c_str());
    STRCMP_EQUAL("ggg", large.body().c_str());
}

TEST(FileCodings, OneThatIsOlderThanTheFileIsNotSent) {
    STRCMP_EQUAL("new text", ask_for("gzip", "/old.css").body().c_str());
}

TEST(FileCodings, OneThatIsNotThereIsNotMissed) {
    const Heard heard = ask_for("gzip, br, zstd", "/lonely.css");
    STRCMP_EQUAL("lonely", heard.body().c_str());
    CHECK_FALSE(heard.has("Content-Encoding"));
}

TEST(FileCodings, AsItselfItIsAFileLikeOthers) {
    const Heard heard = ask_for("gzip", "/page.css.gz");
    STRCMP_EQUAL("GZIP", heard.body().c_str());
    STRCMP_EQUAL("application/gzip", heard.field("Content-Type").c_str());
    CHECK_FALSE(heard.has("Content-Encoding"));
}

TEST(FileCodings, WhoRefusesAllThereIsGets406) {
    const Heard heard = ask_for("identity;q=0", "/lonely.css");
    STRCMP_EQUAL("406", heard.status().c_str());
    STRCMP_EQUAL("Accept-Encoding", heard.field("Vary").c_str());
    STRCMP_EQUAL("406", ask_for("*;q=0").status().c_str());
}

TEST(FileCodings, HeadHasTheFieldsOfGet) {
    for (const char* codings : {"gzip", "zstd", "deflate"}) {
        const Heard head = ask("/page.css", "Accept-Encoding: " + std::string(codings) + "\r\n", "HEAD");
        CHECK_EQUAL(ask_for(codings).head(), head.head());
    }
}

TEST(FileCodings, AnIndexHasThemToo) {
    write("index.html", "plain");
    write("index.html.gz", "GZ");
    STRCMP_EQUAL("GZ", ask_for("gzip", "/").body().c_str());
}

TEST(FileCodings, HiddenAndForeignOnesAreNotSent) {
    write("odd.css", "plain");
    folder.link("/etc/passwd", "odd.css.gz");
    STRCMP_EQUAL("plain", ask_for("gzip", "/odd.css").body().c_str());
    ::mkdir((folder.path() + "/odd.css.br").c_str(), 0700);
    STRCMP_EQUAL("plain", ask_for("br", "/odd.css").body().c_str());
}

TEST(FileCodings, WithoutTheOptionTheyAreNotLookedFor) {
    serve();
    const Heard heard = ask_for("gzip");
    STRCMP_EQUAL("plain css", heard.body().c_str());
    CHECK_FALSE(heard.has("Vary"));
}
