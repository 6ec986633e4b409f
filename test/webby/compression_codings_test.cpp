// ContentEncoder and EncodedSource, checked with the libraries' own decoders.
#include <memory>
#include <string>

#include "corothread/stack_pool.h"
#include "evcorothread/ev_loop.h"
#include "test/webby/decoders.h"
#include "webby/content_coding.h"

#include "test/support/harness.h"

using namespace webby;
using namespace webby_test;
using enum ContentCoding;
using nutils::IoResult;
using nutils::NetError;

namespace {

constexpr ContentCoding kAll[] = {gzip, br, zstd};

const char* name(ContentCoding coding) { return to_string(coding).data(); }

std::string prose(std::size_t size) {
    std::string text;
    for (unsigned i = 0; text.size() < size; ++i)
        text.append("line ").append(std::to_string(i * 7919)).append(" of a page that repeats itself\n");
    text.resize(size);
    return text;
}

// What does not get smaller.
std::string noise(std::size_t size) {
    std::string text(size, ' ');
    std::uint64_t state = 88172645463325252u;
    for (char& c : text) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        c = static_cast<char>(state);
    }
    return text;
}

class Pieces final : public BodySource {
  public:
    Pieces(std::string text, std::size_t step, std::error_code end = NetError::eof)
        : text_(std::move(text)), step_(step), end_(end) {}
    IoResult read(std::span<char> buffer) override {
        if (at_ == text_.size()) return {0, end_};
        const std::size_t size = text_.copy(buffer.data(), std::min(step_, buffer.size()), at_);
        at_ += size;
        return {size, {}};
    }

  private:
    std::string text_;
    std::size_t step_, at_ = 0;
    std::error_code end_;
};

EncodedSource coded_source(ContentCoding coding, std::unique_ptr<BodySource> plain) {
    return EncodedSource(std::move(plain), ContentEncoder::make(coding).value());
}

std::string read_all(BodySource& source, std::size_t room, std::error_code& end) {
    std::string all, buffer(room, ' ');
    IoResult got;
    do {
        got = source.read(buffer);
        all.append(buffer, 0, got.bytes);
    } while (got && (got.bytes > 0 || source.take_work() > 0));
    end = got.error;
    return all;
}

}  // namespace

TEST_GROUP_BASE(ContentCoding, test_support::Fixture){};

TEST(ContentCoding, AllOfThemAreThere) {
    LONGS_EQUAL(3, content_codings().size());
    for (const auto coding : kAll) CHECK(ContentEncoder::make(coding).ok());
    CHECK(ContentEncoder::make(identity).error() == std::errc::not_supported);
}

TEST(ContentCoding, AWholeBodyComesBack) {
    for (const auto coding : kAll)
        for (const std::string& body : {std::string(), std::string("x"), prose(100), prose(5'000),
                                        prose(1'000'000), std::string(3'000'000, '\0'), noise(200'000)}) {
            const std::string coded = encode(coding, body).value();
            CHECK_TEXT(decode(coding, coded) == body, name(coding));
            if (body.size() >= 5'000 && body.size() != 200'000)
                CHECK_TEXT(coded.size() < body.size() / 3, name(coding));
        }
}

TEST(ContentCoding, FedInPartsItComesBack) {
    const std::string body = prose(50'000);
    for (const auto coding : kAll)
        for (const std::size_t part : {1u, 7u, 1000u, 30'000u}) {
            auto encoder = ContentEncoder::make(coding).value();
            std::string coded;
            for (std::size_t at = 0; at < body.size(); at += part)
                CHECK_FALSE(encoder.feed(std::string_view(body).substr(at, part), coded));
            CHECK_FALSE(encoder.finish(coded));
            CHECK_TEXT(decode(coding, coded) == body, name(coding));
        }
}

TEST(ContentCoding, AnExpectedSizeMayBeWrong) {
    const std::string body = prose(300'000);
    for (const auto coding : kAll)
        for (const std::uint64_t expected : {std::uint64_t{1}, std::uint64_t{300}, ~std::uint64_t{0}}) {
            auto encoder = ContentEncoder::make(coding, expected).value();
            std::string coded;
            CHECK_FALSE(encoder.feed(body, coded));
            CHECK_FALSE(encoder.finish(coded));
            CHECK_TEXT(decode(coding, coded) == body, name(coding));
        }
}

TEST(ContentCoding, WhatWasFlushedCanBeRead) {
    for (const auto coding : kAll) {
        auto encoder = ContentEncoder::make(coding).value();
        std::string coded;
        CHECK_FALSE(encoder.feed("hello ", coded));
        CHECK_FALSE(encoder.flush(coded));
        CHECK_TEXT(decode(coding, coded) == "hello <cut>", name(coding));
        CHECK_FALSE(encoder.feed("world", coded));
        CHECK_FALSE(encoder.flush(coded));
        CHECK_TEXT(decode(coding, coded) == "hello world<cut>", name(coding));
        CHECK_FALSE(encoder.finish(coded));
        CHECK_TEXT(decode(coding, coded) == "hello world", name(coding));
    }
}

TEST(ContentCoding, AStepFitsIntoAnyRoom) {
    const std::string body = prose(20'000);
    for (const auto coding : kAll)
        for (const std::size_t room : {1u, 3u, 16u, 5000u}) {
            auto encoder = ContentEncoder::make(coding).value();
            std::string coded, buffer(room, ' ');
            std::string_view left = body;
            ContentEncoder::Step step;
            do {
                step = encoder.step(left, buffer, ContentEncoder::Until::finished);
                coded.append(buffer, 0, step.bytes);
            } while (!step.ready && !step.error);
            CHECK_TEXT(decode(coding, coded) == body, name(coding));
        }
}

TEST(ContentCoding, ASourceIsCodedAsItIsRead) {
    for (const auto coding : kAll)
        for (const std::string& body : {std::string(), prose(10), prose(200'000), noise(100'000)})
            for (const std::size_t step : {100u, 100'000u}) {
                std::error_code end;
                auto source = coded_source(coding, std::make_unique<Pieces>(body, step));
                const std::string coded = read_all(source, 32 * 1024, end);
                CHECK_TEXT(end == NetError::eof, name(coding));
                CHECK_TEXT(decode(coding, coded) == body, name(coding));
            }
}

TEST(ContentCoding, ASourceGivesSomethingAfterSoMuchSilence) {
    class Endless final : public BodySource {
      public:
        explicit Endless(std::size_t& bytes) : bytes_(bytes) {}
        IoResult read(std::span<char> buffer) override {
            std::fill(buffer.begin(), buffer.end(), '\0');
            bytes_ += buffer.size();
            return {buffer.size(), {}};
        }

      private:
        std::size_t& bytes_;
    };
    for (const auto coding : kAll) {
        std::size_t bytes = 0;
        auto source = coded_source(coding, std::make_unique<Endless>(bytes));
        std::string buffer(32 * 1024, ' ');
        for (int i = 0; i < 10; ++i) {
            const std::size_t before = bytes;
            for (;;) {
                const std::size_t here = bytes;
                const IoResult got = source.read(buffer);
                CHECK_TEXT(!got.error && bytes - here <= 32 * 1024, name(coding));
                CHECK_EQUAL_TEXT(bytes - here, source.take_work(), name(coding));
                if (got.error || got.bytes > 0) break;
            }
            CHECK_TEXT(bytes - before <= 300 * 1024, name(coding));
        }
    }
}

TEST(ContentCoding, ASourceHoldsItsEncodersMemoryToo) {
    class Large final : public BodySource {
      public:
        IoResult read(std::span<char>) override { return {0, NetError::eof}; }
        std::size_t held() const override { return 5'000'000; }
    };
    for (const auto coding : kAll) {
        const auto source = coded_source(coding, std::make_unique<Large>());
        CHECK_TEXT(source.held() > 5'250'000 && source.held() < 9'000'000, name(coding));
    }
}

TEST(ContentCoding, ASourceThatFailsFails) {
    for (const auto coding : kAll) {
        std::error_code end;
        const auto broken = std::make_error_code(std::errc::io_error);
        auto source = coded_source(coding, std::make_unique<Pieces>(prose(100'000), 4096, broken));
        CHECK_TEXT(decode(coding, read_all(source, 32 * 1024, end)) != prose(100'000), name(coding));
        CHECK_EQUAL(broken, end);
    }
}

TEST(ContentCoding, ACoroutinesStackIsEnough) {
    corothread::StackPool stacks({.count = 1, .pages = 8});
    evcorothread::EvLoop loop(stacks);
    bool good = false;
    loop.spawn("coder", [&good] {
        good = true;
        for (const auto coding : kAll)
            for (const std::size_t size : {1'000u, 70'000u, 1'000'000u})
                good = good &&
                       decode(coding, encode(coding, prose(size) + noise(size)).value()).size() == 2 * size;
    });
    loop.run();
    CHECK(good);
}

TEST(ContentCoding, TextIsCompressibleAndPicturesAreNot) {
    for (const char* type :
         {"text/html", "text/html; charset=utf-8", "TEXT/CSS", "application/json", "image/svg+xml",
          "application/problem+json", "application/atom+xml; charset=utf-8", "font/ttf", "application/wasm",
          " text/plain ; x"})
        CHECK_TRUE_TEXT(is_compressible(type), type);
    for (const char* type : {"", "image/png", "video/mp4", "application/zip", "application/octet-stream",
                             "font/woff2", "text/event-stream", "application/gzip", "json", "xtext/html"})
        CHECK_FALSE_TEXT(is_compressible(type), type);
}
