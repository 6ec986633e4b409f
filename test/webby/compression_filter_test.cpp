// The filter, in an application, through an Exchange driven by hand.
#include <unistd.h>

#include <fcntl.h>

#include <memory>
#include <string>

#include "cutils/log.h"
#include "test/support/allocation_faults.h"
#include "test/webby/conversation.h"
#include "test/webby/decoders.h"
#include "test/webby/heard.h"
#include "test/webby/temp_folder.h"
#include "webby/application.h"
#include "webby/compression.h"
#include "webby/content_coding.h"

#include "test/support/harness.h"

using namespace webby;
using namespace webby_test;
using nutils::NetError;

namespace {

std::string page(std::size_t size) {
    std::string text;
    while (text.size() < size) text += "<p>a paragraph like the others</p>\n";
    text.resize(size);
    return text;
}

class OneText final : public BodySource {
  public:
    explicit OneText(std::string text) : text_(std::move(text)) {}
    nutils::IoResult read(std::span<char> buffer) override {
        if (at_ == text_.size()) return {0, NetError::eof};
        const std::size_t size = text_.copy(buffer.data(), buffer.size(), at_);
        at_ += size;
        return {size, {}};
    }

  private:
    std::string text_;
    std::size_t at_ = 0;
};

}  // namespace

TEST_GROUP_BASE(Compression, test_support::Fixture) {
    Application app;
    TempFolder folder;

    void setup() override {
        cutils::set_log_sink([](cutils::LogLevel, std::string_view, void*) {});
        app.add_filter(std::make_unique<Compression>());
        get("/page", [](Request&, Response& r) { r.html(page(20'000)); });
        get("/large", [](Request&, Response& r) { r.html(page(500'000)); });
        get("/small", [](Request&, Response& r) { r.html(page(1023)); });
        get("/picture", [](Request&, Response& r) { r.body(page(20'000), "image/png"); });
        get("/untyped", [](Request&, Response& r) { r.body(page(20'000), {}); });
        get("/coded", [](Request&, Response& r) {
            r.html(page(20'000));
            r.add_header("Content-Encoding", "x");
        });
        get("/protected", [](Request&, Response& r) {
            r.html(page(20'000));
            r.add_header("Cache-Control", "max-age=1, No-Transform");
        });
        get("/part", [](Request&, Response& r) {
            r.html(page(20'000));
            r.status(Status::partial_content);
        });
        get("/error", [](Request&, Response& r) {
            r.html(page(20'000));
            r.status(Status::internal_error);
        });
        get("/tagged", [](Request& q, Response& r) {
            r.add_header("ETag", "\"t\"");
            r.add_header("Accept-Ranges", "bytes");
            r.add_header("Vary", "Cookie");
            if (q.headers().has("If-None-Match")) return static_cast<void>(r.status(Status::not_modified));
            r.html(page(20'000));
        });
        get("/source", [](Request&, Response& r) {
            r.source(std::make_unique<OneText>(page(200'000)));
            r.add_header("Content-Type", "text/html");
        });
        get("/sized", [](Request&, Response& r) {
            r.source(std::make_unique<OneText>(page(500)), 500);
            r.add_header("Content-Type", "text/html");
        });
        folder.write("file", page(100'000));
        get("/file", [this](Request&, Response& r) {
            r.file(nutils::UniqueFd(::open((folder.path() + "/file").c_str(), O_RDONLY | O_CLOEXEC)), 90'000,
                   10'000);
            r.add_header("Content-Type", "text/html");
        });
    }
    void teardown() override { cutils::set_log_sink(nullptr); }
    void get(const char* path, void (*servlet)(Request&, Response&)) {
        app.add(Method::get, path, make_servlet(servlet)).value();
    }
    template <class F>
    void get(const char* path, F servlet) {
        app.add(Method::get, path, make_servlet(std::move(servlet))).value();
    }
    Heard ask(const std::string& path, const std::string& fields = "Accept-Encoding: gzip\r\n",
              const std::string& method = "GET", const std::string& version = "HTTP/1.1") {
        Conversation talk(app);
        talk.say(method + " " + path + " " + version + "\r\nHost: a\r\n" + fields + "\r\n");
        return Heard(talk.heard());
    }
};

TEST(Compression, AWholeBodyIsCodedAsTheClientLikes) {
    struct Case {
        const char* field;
        const char* coding;
    };
    constexpr Case kCases[] = {{"gzip", "gzip"},
                               {"gzip, deflate, br", "br"},
                               {"gzip, deflate, br, zstd", "zstd"},
                               {"gzip;q=1, br;q=0.1", "gzip"}};
    for (const Case& c : kCases) {
        const Heard heard = ask("/page", "Accept-Encoding: " + std::string(c.field) + "\r\n");
        CHECK_EQUAL(std::string(c.coding), heard.field("Content-Encoding"));
        CHECK_EQUAL(std::string("Accept-Encoding"), heard.field("Vary"));
        CHECK_EQUAL(std::to_string(heard.body().size()), heard.field("Content-Length"));
        CHECK(heard.body().size() < 1000);
        CHECK(decode(*parse_content_coding(c.coding), heard.body()) == page(20'000));
    }
}

TEST(Compression, WhoTakesNothingGetsItAsItIs) {
    for (const char* fields : {"", "Accept-Encoding: deflate\r\n", "Accept-Encoding: identity;q=0\r\n",
                               "Accept-Encoding: gzip;q=0\r\n"}) {
        const Heard heard = ask("/page", fields);
        CHECK_EQUAL(std::string(), heard.field("Content-Encoding"));
        CHECK_EQUAL(std::string("Accept-Encoding"), heard.field("Vary"));
        CHECK(heard.body() == page(20'000));
    }
}

TEST(Compression, WhatShouldNotBeCodedIsNot) {
    for (const char* path : {"/small", "/picture", "/untyped", "/coded", "/protected", "/part", "/sized"}) {
        const Heard heard = ask(path);
        CHECK_TRUE_TEXT(heard.field("Vary").empty(), path);
        CHECK_TRUE_TEXT(heard.field("Content-Encoding") != "gzip", path);
        CHECK_TRUE_TEXT(heard.field("Content-Length") == std::to_string(heard.body().size()), path);
    }
}

TEST(Compression, ErrorsAreCodedToo) { CHECK(gunzip(ask("/error").body()) == page(20'000)); }

TEST(Compression, ALargeBodyIsCodedWhileItIsSent) {
    const Heard heard = ask("/large");
    CHECK_EQUAL(std::string("chunked"), heard.field("Transfer-Encoding"));
    CHECK_EQUAL(std::string("gzip"), heard.field("Content-Encoding"));
    CHECK(gunzip(heard.body()) == page(500'000));
}

TEST(Compression, ASourceIsCodedWhileItIsSent) {
    for (const ContentCoding coding : content_codings()) {
        const Heard heard = ask("/source", "Accept-Encoding: " + std::string(to_string(coding)) + "\r\n");
        CHECK_EQUAL(std::string("chunked"), heard.field("Transfer-Encoding"));
        CHECK(decode(coding, heard.body()) == page(200'000));
    }
}

TEST(Compression, APartOfAFileIsCodedWhileItIsSent) {
    CHECK(gunzip(ask("/file").body()) == page(100'000).substr(10'000));
}

TEST(Compression, ACodedBodyHasAWeakTagAndNoRanges) {
    const Heard coded = ask("/tagged"), plain = ask("/tagged", "");
    CHECK_EQUAL(std::string("W/\"t\""), coded.field("ETag"));
    CHECK_EQUAL(std::string(), coded.field("Accept-Ranges"));
    CHECK_EQUAL(std::string("Cookie, Accept-Encoding"), coded.field("Vary"));
    CHECK_EQUAL(std::string("\"t\""), plain.field("ETag"));
    CHECK_EQUAL(std::string("bytes"), plain.field("Accept-Ranges"));
    CHECK_EQUAL(std::string("Cookie, Accept-Encoding"), plain.field("Vary"));
}

TEST(Compression, NotModifiedSaysWhatTheBodyWouldHaveSaid) {
    const Heard heard = ask("/tagged", "Accept-Encoding: gzip\r\nIf-None-Match: W/\"t\"\r\n");
    CHECK_EQUAL(std::string("304"), heard.status());
    CHECK_EQUAL(std::string("W/\"t\""), heard.field("ETag"));
    CHECK_EQUAL(std::string("Cookie, Accept-Encoding"), heard.field("Vary"));
    CHECK_EQUAL(std::string(), heard.field("Content-Encoding"));
}

TEST(Compression, HeadHasTheFieldsOfGet) {
    for (const char* path : {"/page", "/large", "/source", "/tagged", "/small"}) {
        const Heard get = ask(path), head = ask(path, "Accept-Encoding: gzip\r\n", "HEAD");
        CHECK_EQUAL(get.head(), head.head());
        CHECK(head.body().empty());
    }
}

TEST(Compression, AClientOfHttp10HearsALargeOneUntilTheEnd) {
    const Heard heard = ask("/large", "Accept-Encoding: gzip\r\n", "GET", "HTTP/1.0");
    CHECK_EQUAL(std::string("close"), heard.field("Connection"));
    CHECK(gunzip(heard.body()) == page(500'000));
}

TEST(Compression, VaryIsSaidOnce) {
    Response response;
    add_vary(response, "Accept-Encoding");
    add_vary(response, "accept-encoding");
    CHECK_EQUAL(std::string_view("Accept-Encoding"), *response.find_header("Vary"));
    add_vary(response, "Cookie");
    CHECK_EQUAL(std::string_view("Accept-Encoding, Cookie"), *response.find_header("Vary"));
    response.set_header("Vary", "*");
    add_vary(response, "Cookie");
    CHECK_EQUAL(std::string_view("*"), *response.find_header("Vary"));
}

TEST(Compression, WithoutMemoryItIsAnErrorOrTheWhole) {
    for (const char* path : {"/page", "/large", "/source", "/file"}) {
        const std::string input =
            "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n";
        const auto plain = [](const Heard& heard) {
            return heard.has("Content-Encoding") ? gunzip(heard.body()) : heard.body();
        };
        const std::string whole = plain(ask(path));
        bool good = true;
        const std::size_t runs = test_support::for_each_failing_allocation([&] {
            Conversation talk(app);
            talk.say(input);
            const Heard heard(talk.heard());
            good = good && (heard.status() == "500" || heard.status() == "" || talk.closed() ||
                            plain(heard) == whole);
        });
        CHECK_TEXT(good, path);
        CHECK_TEXT(runs > 5, path);
    }
}
