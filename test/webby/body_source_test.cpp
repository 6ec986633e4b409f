// Bodies that are made while they are sent, through an Exchange driven by hand.
#include "webby/body_source.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>

#include "cutils/log.h"
#include "test/webby/conversation.h"
#include "webby/application.h"
#include "webby/chunked.h"

#include "test/support/harness.h"

using namespace webby;
using namespace webby_test;
using nutils::IoResult;
using nutils::NetError;

namespace {

std::string letters(std::size_t size) {
    std::string text(size, ' ');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 26);
    return text;
}

struct Script {
    std::string text;                     // what it gives …
    std::size_t step = kWhole;            // … in pieces of so many bytes …
    std::error_code end = NetError::eof;  // … and how it ends
    bool ends_with_last_piece = false;    // in the same call
    bool throws = false;                  // instead of the end
    std::optional<std::uint64_t> size{};  // what is said of it
    int reads = 0;                        // how often it was asked
    int alive = 0;                        // how many sources there are
};

class ScriptedSource final : public BodySource {
  public:
    explicit ScriptedSource(Script& script) : script_(script) { ++script_.alive; }
    ScriptedSource(const ScriptedSource&) = delete;
    ScriptedSource& operator=(const ScriptedSource&) = delete;
    ~ScriptedSource() override { --script_.alive; }

    IoResult read(std::span<char> buffer) override {
        ++script_.reads;
        const std::size_t size = std::min({buffer.size(), script_.step, script_.text.size() - at_});
        script_.text.copy(buffer.data(), size, at_);
        at_ += size;
        const bool last = at_ == script_.text.size();
        if (size > 0 && !(last && script_.ends_with_last_piece)) return {size, {}};
        if (script_.throws) throw std::runtime_error("oops");
        return {size, script_.end};
    }

  private:
    Script& script_;
    std::size_t at_ = 0;
};

}  // namespace

TEST_GROUP_BASE(BodySource, test_support::Fixture) {
    Application app;
    Script script;

    void setup() override {
        cutils::set_log_sink([](cutils::LogLevel, std::string_view, void*) {});
        app.add(Method::get, "/made", make_servlet([this](Request&, Response& r) {
                    r.source(std::make_unique<ScriptedSource>(script), script.size);
                }))
            .value();
        app.add(Method::get, "/hello", make_servlet([](Request&, Response& r) { r.text("hello\n"); }))
            .value();
        app.add(Method::post, "/early", make_servlet([this](Request&, Response& r) {
                    r.source(std::make_unique<ScriptedSource>(script), script.size);
                }),
                {.stream_body = true})
            .value();
    }
    void teardown() override {
        cutils::set_log_sink(nullptr);
        LONGS_EQUAL(0, script.alive);
    }
    // What the server says, and "<closed>" when it then closes.
    std::string ask(const std::string& input) {
        Conversation talk(app);
        talk.say(input);
        return talk.heard() + (talk.closed() ? "<closed>" : "");
    }
    std::string get(const std::string& line_end = " HTTP/1.1\r\nHost: a\r\n\r\n") {
        return ask("GET /made" + line_end);
    }
};

TEST(BodySource, WithoutASizeItIsChunked) {
    script.text = "hello world";
    CHECK_EQUAL(
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n"),
        get());
}

TEST(BodySource, SmallPiecesShareAChunk) {
    script.text = letters(20);
    script.step = 1;
    CHECK_EQUAL("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n" + script.text + "\r\n0\r\n\r\n",
                get());
}

TEST(BodySource, OneThatDribblesDoesNotHoldTheOthersUp) {
    script.text = letters(100);
    script.step = 1;
    const std::string heard = get();
    STRCMP_CONTAINS("\r\n20\r\nabc", heard.c_str());
    CHECK(heard.ends_with("\r\n4\r\nstuv\r\n0\r\n\r\n"));
}

TEST(BodySource, AnEmptyOneIsOnlyTheLastChunk) {
    CHECK_EQUAL(std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), get());
}

TEST(BodySource, MayEndWithItsLastPiece) {
    script.text = "abc";
    script.ends_with_last_piece = true;
    CHECK_EQUAL(std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
                get());
}

TEST(BodySource, WithASizeItHasALength) {
    script.text = "hello world";
    script.size = 11;
    CHECK_EQUAL(std::string("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"), get());
}

TEST(BodySource, ASizeOfNothingReadsNothing) {
    script.size = 0;
    CHECK_EQUAL(std::string("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), get());
    LONGS_EQUAL(0, script.reads);
}

TEST(BodySource, ALargeOneIsSentPieceByPiece) {
    script.text = letters(1'000'000);
    script.size = script.text.size();
    Conversation talk(app);
    talk.say("GET /made HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(talk.heard() == "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + script.text);
    CHECK(talk.sends() > 10);
    CHECK(talk.idle());
}

TEST(BodySource, ALargeOneIsSentChunkByChunk) {
    script.text = letters(100'000);
    script.step = 7'000;
    std::string expected = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const auto& [at, size] :
         {std::pair(0, "8000"), {0x8000, "8000"}, {0x10000, "8000"}, {0x18000, "6a0"}})
        expected.append(size)
            .append("\r\n")
            .append(script.text, static_cast<std::size_t>(at), 0x8000)
            .append("\r\n");
    CHECK(get() == expected + "0\r\n\r\n");
}

TEST(BodySource, IsReadOnlyAsFastAsItIsSent) {
    script.text = letters(1'000'000);
    Conversation talk(app);
    Http1Engine& engine = talk.exchange().engine();
    const std::string_view input = "GET /made HTTP/1.1\r\nHost: a\r\n\r\n";
    input.copy(engine.input_space().data(), input.size());
    engine.received(input.size());
    CHECK(talk.exchange().advance() == Exchange::Want::send);
    const int reads = script.reads;
    CHECK(talk.exchange().advance() == Exchange::Want::send);  // nothing was sent: nothing is read
    CHECK_EQUAL(reads, script.reads);
    CHECK(engine.output_text().size() < 40'000);
    engine.sent();
    CHECK_EQUAL(reads + 1, script.reads);
    talk.start_again();  // its connection ended
    LONGS_EQUAL(0, script.alive);
}

TEST(BodySource, GoesWhenItsConnectionDoes) {
    script.text = letters(1'000'000);
    Conversation talk(app);
    Http1Engine& engine = talk.exchange().engine();
    const std::string_view input = "GET /made HTTP/1.1\r\nHost: a\r\n\r\n";
    input.copy(engine.input_space().data(), input.size());
    engine.received(input.size());
    CHECK(talk.exchange().advance() == Exchange::Want::send);
    LONGS_EQUAL(1, script.alive);
    engine.forget_output();
    LONGS_EQUAL(0, script.alive);
    CHECK_FALSE(engine.has_output());
    CHECK(engine.next() == Http1Engine::Step::close);
}

TEST(BodySource, WhatWasAskedMeanwhileIsAnsweredAfterIt) {
    script.text = letters(70'000);
    script.size = script.text.size();
    const std::string heard =
        ask("GET /made HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /made "
            "HTTP/1.1\r\nHost: a\r\n\r\n");
    const std::string made = "HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + script.text;
    CHECK(
        heard ==
        made +
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 6\r\n\r\nhello\n" +
            made);
}

TEST(BodySource, AClientOfHttp10HearsItUntilTheEnd) {
    script.text = letters(50'000);
    CHECK(get(" HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") ==
          "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + script.text + "<closed>");
    script.size = script.text.size();
    CHECK(get(" HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") ==
          "HTTP/1.1 200 OK\r\nContent-Length: 50000\r\nConnection: keep-alive\r\n\r\n" + script.text);
}

TEST(BodySource, TheConnectionClosesAfterItWhereItShould) {
    script.text = letters(50'000);
    const std::string heard = get(" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    CHECK(heard.starts_with(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n8000\r\n"));
    CHECK(heard.ends_with("\r\n0\r\n\r\n<closed>"));
}

TEST(BodySource, ForHeadItIsNeverRead) {
    script.text = "hello";
    CHECK_EQUAL(std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                ask("HEAD /made HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK_EQUAL(std::string("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n"),
                ask("HEAD /made HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    script.size = 5;
    CHECK_EQUAL(std::string("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
                ask("HEAD /made HTTP/1.1\r\nHost: a\r\n\r\n"));
    LONGS_EQUAL(0, script.reads);
}

TEST(BodySource, OneThatEndsTooEarlyCutsTheConnection) {
    script.text = "hello";
    script.size = 6;
    CHECK_EQUAL(std::string("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello<closed>"), get());
}

TEST(BodySource, OneThatHasMoreIsNotAskedForIt) {
    script.text = "hello";
    script.size = 3;
    CHECK_EQUAL(std::string("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhel"), get());
}

TEST(BodySource, OneThatFailsCutsTheConnectionWithoutALastChunk) {
    script.text = "hello";
    script.end = std::make_error_code(std::errc::io_error);
    const std::string broken = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n<closed>";
    CHECK_EQUAL(broken, get());
    script.end = {};  // nothing, and no reason why
    CHECK_EQUAL(broken, get());
    script.throws = true;
    CHECK_EQUAL(broken, get());
}

TEST(BodySource, OneThatFailsLaterIsCutAfterWhatWasSent) {
    script.text = letters(100'000);
    script.throws = true;
    const std::string heard = get();
    CHECK(heard.ends_with("<closed>"));
    CHECK(heard.find("0\r\n\r\n") == std::string::npos);
    CHECK(heard.find(script.text.substr(0x18000)) != std::string::npos);
}

TEST(BodySource, TheBodyNobodyReadIsSkippedAfterIt) {
    script.text = letters(50'000);
    script.size = script.text.size();
    const std::string heard =
        ask("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcdeGET /hello HTTP/1.1\r\nHost: "
            "a\r\n\r\n");
    CHECK(heard.starts_with("HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + script.text +
                            "HTTP/1.1 200 OK"));
    CHECK(heard.ends_with("\r\n\r\nhello\n"));
}

TEST(BodySource, TheLastBodyWins) {
    {
        Response response;
        response.source(std::make_unique<ScriptedSource>(script), 7);
        CHECK(response.has_source() && response.has_size() && response.body_size() == 7);
        response.source(std::make_unique<ScriptedSource>(script));
        CHECK(response.has_source() && !response.has_size());
        LONGS_EQUAL(1, script.alive);
        response.text("abc");
        LONGS_EQUAL(0, script.alive);
        CHECK(response.has_text() && response.body_size() == 3);
        response.source(std::make_unique<ScriptedSource>(script));
        CHECK(response.body_text().empty());
    }
    LONGS_EQUAL(0, script.alive);
}

TEST(BodySource, ChunksOfAnySizeHaveTheirLine) {
    for (const std::size_t size : {1u, 9u, 15u, 16u, 255u, 256u, 4095u, 4096u, 5000u}) {
        const std::size_t most = 5000;
        std::string room(framed_size(most), '?');
        const std::string text = letters(size);
        text.copy(room.data() + chunk_line_size(most), size);
        const char* const end = frame_chunk(room.data(), size, most);
        char line[32];
        std::snprintf(line, sizeof line, "%zx\r\n", size);
        CHECK_EQUAL(line + text + "\r\n", std::string(static_cast<const char*>(room.data()), end));
    }
}
