// Files that are compressed on the way.
#include <string>

#include "test/webby/decoders.h"
#include "test/webby/files_fixture.h"

#include "test/support/harness.h"

using namespace webby_test;

TEST_GROUP_BASE(CompressedFiles, FilesFixture) {
    std::string small, large;

    void setup() override {
        while (large.size() < 300'000)
            large += "a line of text, number " + std::to_string(large.size()) + "\n";
        small = large.substr(0, 5'000);
        write("small.txt", small);
        write("large.txt", large);
        write("tiny.txt", large.substr(0, 1023));
        write("huge.txt", std::string(2'000'001, 'h'));
        write("picture.png", small);
        write("ready.txt", small);
        write("ready.txt.br", "READY");
        serve({.cache_control = "max-age=5",
               .precompressed = true,
               .compress = true,
               .compress_maximum = 2'000'000});
    }
    Heard ask_for(const std::string& codings, const std::string& path, const std::string& fields = {}) {
        return ask(path, "Accept-Encoding: " + codings + "\r\n" + fields);
    }
};

TEST(CompressedFiles, TheyComeBackWhole) {
    for (const ContentCoding coding : {ContentCoding::gzip, ContentCoding::br, ContentCoding::zstd}) {
        const std::string name(to_string(coding));
        const Heard one = ask_for(name, "/small.txt"), other = ask_for(name, "/large.txt");
        CHECK(decode(coding, one.body()) == small);
        CHECK(decode(coding, other.body()) == large);
        CHECK_EQUAL(std::to_string(one.body().size()), one.field("Content-Length"));
        CHECK_EQUAL(std::string("chunked"), other.field("Transfer-Encoding"));
        for (const Heard& heard : {one, other}) {
            CHECK_EQUAL(name, heard.field("Content-Encoding"));
            CHECK_EQUAL(std::string("Accept-Encoding"), heard.field("Vary"));
            CHECK_EQUAL(std::string("text/plain; charset=utf-8"), heard.field("Content-Type"));
            CHECK_EQUAL(std::string("max-age=5"), heard.field("Cache-Control"));
            CHECK_FALSE(heard.has("Accept-Ranges"));
            CHECK(heard.body().size() < 100'000);
        }
    }
}

TEST(CompressedFiles, SmallHugeAndPackedOnesAreSentAsTheyAre) {
    for (const char* path : {"/tiny.txt", "/huge.txt", "/picture.png"})
        CHECK_FALSE_TEXT(ask_for("gzip", path).has("Content-Encoding"), path);
}

TEST(CompressedFiles, RangesAreOfThePlainFile) {
    const Heard heard = ask_for("gzip", "/large.txt", "Range: bytes=5-9\r\n");
    STRCMP_EQUAL("206", heard.status().c_str());
    CHECK(heard.body() == large.substr(5, 5));
    CHECK_FALSE(heard.has("Content-Encoding"));
    STRCMP_EQUAL("Accept-Encoding", heard.field("Vary").c_str());
}

TEST(CompressedFiles, WhoTakesNoPlainBytesGetsAllOfThemInsteadOfARange) {
    const Heard heard = ask_for("gzip, identity;q=0", "/small.txt", "Range: bytes=5-9\r\n");
    STRCMP_EQUAL("200", heard.status().c_str());
    CHECK(gunzip(heard.body()) == small);
}

TEST(CompressedFiles, TheirTagIsWeakAndTheirOwn) {
    const Heard heard = ask_for("gzip", "/small.txt");
    const std::string etag = heard.field("ETag"), plain = ask("/small.txt").field("ETag");
    CHECK_EQUAL("W/" + plain.substr(0, plain.size() - 1) + "-gzip\"", etag);
    const Heard unchanged = ask_for("gzip", "/small.txt", "If-None-Match: " + etag + "\r\n");
    STRCMP_EQUAL("304", unchanged.status().c_str());
    CHECK_EQUAL(etag, unchanged.field("ETag"));
    STRCMP_EQUAL("Accept-Encoding", unchanged.field("Vary").c_str());
    STRCMP_EQUAL("200", ask_for("gzip", "/small.txt", "If-None-Match: " + plain + "\r\n").status().c_str());
    STRCMP_EQUAL("412", ask_for("gzip", "/small.txt", "If-Match: " + etag + "\r\n").status().c_str());
    // A part of what was compressed cannot be asked for: the bytes may be others now.
    const std::string part = "Range: bytes=0-9\r\nIf-Range: " + etag + "\r\n";
    STRCMP_EQUAL("200", ask_for("gzip", "/small.txt", part).status().c_str());
}

TEST(CompressedFiles, SomebodysWorkGoesBeforeOurs) {
    STRCMP_EQUAL("READY", ask_for("gzip, br, zstd", "/ready.txt").body().c_str());
    STRCMP_EQUAL("gzip", ask_for("gzip, br;q=0.5", "/ready.txt").field("Content-Encoding").c_str());
    CHECK(gunzip(ask_for("gzip", "/ready.txt").body()) == small);
}

TEST(CompressedFiles, WhoLikesThemPlainGetsThemPlain) {
    CHECK(ask_for("identity, gzip;q=0.5", "/small.txt").body() == small);
    CHECK(ask("/small.txt").body() == small);
    STRCMP_EQUAL("406", ask_for("identity;q=0", "/small.txt").status().c_str());
    STRCMP_EQUAL("gzip", ask_for("identity;q=0, gzip", "/small.txt").field("Content-Encoding").c_str());
}

TEST(CompressedFiles, HeadHasTheFieldsOfGet) {
    for (const char* path : {"/small.txt", "/large.txt", "/ready.txt", "/picture.png"}) {
        const Heard head = ask(path, "Accept-Encoding: br\r\n", "HEAD");
        CHECK_EQUAL(ask_for("br", path).head(), head.head());
        CHECK(head.body().empty());
    }
}

TEST(CompressedFiles, WhatMustNotBeTransformedIsNot) {
    serve({.cache_control = "no-transform", .compress = true});
    CHECK(ask_for("gzip", "/small.txt").body() == small);
}

TEST(CompressedFiles, OnlyWhatCouldBeCompressedVaries) {
    serve({.compress = true});
    CHECK_FALSE(ask_for("gzip", "/picture.png").has("Vary"));
    CHECK(ask("/small.txt").has("Vary"));
}
