// Ranges of static files.
#include <string>

#include "test/webby/files_fixture.h"
#include "webby/byte_ranges.h"

#include "test/support/harness.h"

using namespace webby_test;

namespace {
std::string digits(std::size_t size) {
    std::string text(size, ' ');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('0' + i % 10);
    return text;
}
}  // namespace

TEST_GROUP_BASE(FileRanges, FilesFixture) {
    const std::string small = digits(1000), large = digits(100'000);
    std::time_t modified = 0;

    void setup() override {
        write("small.txt", small);
        modified = write("large.txt", large);
        write("empty.txt", "");
    }
    // Undoes multipart/byteranges: "content-range=bytes;" for each part; "<malformed>" in the end, if it is.
    static std::string parts(const Heard& heard) {
        const std::string type = heard.field("Content-Type");
        const std::string start = "multipart/byteranges; boundary=";
        if (!type.starts_with(start)) return "<" + type + ">";
        const std::string frame = "--" + type.substr(start.size());
        std::string all, left = "\r\n" + heard.body();
        for (;;) {
            if (left == "\r\n" + frame + "--\r\n") return all;
            const std::string head =
                "\r\n" + frame + "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: ";
            const std::size_t line = left.find("\r\n\r\n");
            if (!left.starts_with(head) || line == std::string::npos) return all + "<malformed>";
            const std::size_t end = left.find("\r\n" + frame, line);
            if (end == std::string::npos) return all + "<malformed>";
            all += left.substr(head.size(), line - head.size()) + "=" +
                   left.substr(line + 4, end - line - 4) + ";";
            left.erase(0, end);
        }
    }
};

TEST(FileRanges, OneIsPartialContent) {
    struct Case {
        const char* range;
        const char* content_range;
        std::size_t first, size;
    };
    constexpr Case kCases[] = {
        {"0-0", "bytes 0-0/1000", 0, 1},         {"10-19", "bytes 10-19/1000", 10, 10},
        {"990-", "bytes 990-999/1000", 990, 10}, {"-5", "bytes 995-999/1000", 995, 5},
        {"-5000", "bytes 0-999/1000", 0, 1000},  {"990-2000", "bytes 990-999/1000", 990, 10}};
    for (const Case& c : kCases) {
        const Heard heard = ask("/small.txt", "Range: bytes=" + std::string(c.range) + "\r\n");
        STRCMP_EQUAL_TEXT("206", heard.status().c_str(), c.range);
        STRCMP_EQUAL_TEXT(c.content_range, heard.field("Content-Range").c_str(), c.range);
        CHECK_TRUE_TEXT(heard.body() == small.substr(c.first, c.size), c.range);
        CHECK_TRUE_TEXT(heard.field("Content-Length") == std::to_string(c.size), c.range);
        STRCMP_EQUAL_TEXT("text/plain; charset=utf-8", heard.field("Content-Type").c_str(), c.range);
    }
}

TEST(FileRanges, OneOfALargeFileComesFromTheFile) {
    const Heard heard = ask("/large.txt", "Range: bytes=12345-54321\r\n");
    STRCMP_EQUAL("206", heard.status().c_str());
    STRCMP_EQUAL("bytes 12345-54321/100000", heard.field("Content-Range").c_str());
    CHECK(heard.body() == large.substr(12345, 54321 - 12345 + 1));
    STRCMP_EQUAL(ask("/large.txt").field("ETag").c_str(), heard.field("ETag").c_str());
}

TEST(FileRanges, SeveralAreMultipart) {
    for (const char* path : {"/small.txt", "/large.txt"}) {
        const std::string& whole = path == std::string("/small.txt") ? small : large;
        const std::string size = std::to_string(whole.size());
        const Heard heard = ask(path, "Range: bytes=0-9, 500-509, -3\r\n");
        STRCMP_EQUAL("206", heard.status().c_str());
        CHECK_FALSE(heard.has("Content-Range"));
        CHECK_EQUAL(std::to_string(heard.body().size()), heard.field("Content-Length"));
        CHECK_EQUAL("bytes 0-9/" + size + "=0123456789;bytes 500-509/" + size + "=0123456789;bytes " +
                        std::to_string(whole.size() - 3) + "-" + std::to_string(whole.size() - 1) + "/" +
                        size + "=789;",
                    parts(heard));
    }
}

TEST(FileRanges, LargePartsArriveWhole) {
    const Heard heard = ask("/large.txt", "Range: bytes=50000-98999,0-49990\r\n");
    CHECK(parts(heard) == "bytes 50000-98999/100000=" + large.substr(50'000, 49'000) +
                              ";bytes 0-49990/100000=" + large.substr(0, 49'991) + ";");
}

TEST(FileRanges, OneThatIsLeftOfSeveralIsNoMultipart) {
    const Heard heard = ask("/small.txt", "Range: bytes=5000-, 7-8\r\n");
    STRCMP_EQUAL("bytes 7-8/1000", heard.field("Content-Range").c_str());
    STRCMP_EQUAL("78", heard.body().c_str());
}

TEST(FileRanges, PartsThatCostMoreThanTheWholeAreTheWhole) {
    std::string many = "Range: bytes=0-0";
    for (std::size_t i = 1; i < ByteRanges::kMost; ++i)
        many.append(",").append(std::to_string(9 * i)).append("-").append(std::to_string(9 * i));
    const Heard heard = ask("/small.txt", many + "\r\n");
    STRCMP_EQUAL("200", heard.status().c_str());
    CHECK(heard.body() == small);
    STRCMP_EQUAL("text/plain; charset=utf-8", heard.field("Content-Type").c_str());
    STRCMP_EQUAL("206", ask("/large.txt", many + "\r\n").status().c_str());
}

TEST(FileRanges, WhatIsMalformedOrGreedyIsIgnored) {
    for (const char* range :
         {"bytes=a-b", "bytes=5-2", "items=0-1", "bytes=0-5,3-9", "bytes=0-,-1", "nonsense",
          "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,"
          "30-30,32-32"}) {
        const Heard heard = ask("/large.txt", "Range: " + std::string(range) + "\r\n");
        STRCMP_EQUAL_TEXT("200", heard.status().c_str(), range);
        CHECK_TRUE_TEXT(heard.body() == large, range);
        CHECK_FALSE_TEXT(heard.has("Content-Range"), range);
    }
}

TEST(FileRanges, TwoFieldsAreMalformed) {
    STRCMP_EQUAL("200", ask("/small.txt", "Range: bytes=0-1\r\nRange: bytes=2-3\r\n").status().c_str());
}

TEST(FileRanges, BehindTheEndIs416) {
    for (const char* range : {"bytes=1000-", "bytes=5000-6000", "bytes=-0"}) {
        const Heard heard = ask("/small.txt", "Range: " + std::string(range) + "\r\n");
        STRCMP_EQUAL_TEXT("416", heard.status().c_str(), range);
        STRCMP_EQUAL_TEXT("bytes */1000", heard.field("Content-Range").c_str(), range);
        CHECK_FALSE_TEXT(heard.has("ETag") || heard.has("Accept-Ranges"), range);
    }
    STRCMP_EQUAL("bytes */0", ask("/empty.txt", "Range: bytes=0-\r\n").field("Content-Range").c_str());
    STRCMP_EQUAL("200", ask("/empty.txt", "Range: bytes=-1\r\n").status().c_str());
}

TEST(FileRanges, HeadHasNone) {
    const Heard heard = ask("/small.txt", "Range: bytes=0-1\r\n", "HEAD");
    STRCMP_EQUAL("200", heard.status().c_str());
    STRCMP_EQUAL("1000", heard.field("Content-Length").c_str());
    STRCMP_EQUAL("bytes", heard.field("Accept-Ranges").c_str());
}

TEST(FileRanges, IfRangeDecides) {
    const std::string etag = ask("/large.txt").field("ETag");
    struct Case {
        std::string validator;
        const char* status;
    };
    for (const Case& c :
         {Case{etag, "206"}, Case{"W/" + etag, "200"}, Case{"\"other\"", "200"}, Case{date(modified), "206"},
          Case{date(modified + 1), "200"}, Case{"nonsense", "200"}}) {
        const std::string fields = "Range: bytes=0-1\r\nIf-Range: " + c.validator + "\r\n";
        STRCMP_EQUAL_TEXT(c.status, ask("/large.txt", fields).status().c_str(), c.validator.c_str());
    }
    // What cannot be had of another one is the whole, and no error.
    STRCMP_EQUAL("200",
                 ask("/large.txt", "Range: bytes=999999-\r\nIf-Range: \"other\"\r\n").status().c_str());
}

TEST(FileRanges, ConditionsGoBeforeRanges) {
    const std::string etag = ask("/large.txt").field("ETag");
    struct Case {
        std::string fields;
        const char* status;
    };
    for (const Case& c : {Case{"If-None-Match: " + etag, "304"}, Case{"If-Match: \"other\"", "412"},
                          Case{"If-Match: " + etag, "206"}, Case{"If-None-Match: \"other\"", "206"},
                          Case{"If-Modified-Since: " + date(modified), "304"},
                          Case{"If-Unmodified-Since: " + date(modified - 1), "412"},
                          Case{"If-Unmodified-Since: " + date(modified), "206"},
                          Case{"If-Match: " + etag + "\r\nIf-None-Match: " + etag, "304"}})
        STRCMP_EQUAL_TEXT(c.status,
                          ask("/large.txt", "Range: bytes=0-1\r\n" + c.fields + "\r\n").status().c_str(),
                          c.fields.c_str());
}
