// Bodies that take work to make: a loop does a little of it at a time.
#include <algorithm>
#include <memory>
#include <string>

#include "test/webby/decoders.h"
#include "test/webby/heard.h"
#include "test/webby/server_fixture.h"
#include "webby/body_source.h"
#include "webby/compression.h"
#include "webby/content_coding.h"

#include "test/support/harness.h"

using namespace webby_test;

namespace {

constexpr std::size_t kMuch = 8'000'000;
constexpr std::size_t kATurn = 32 * 1024;  // what one connection does before others, or little more

// A page that gets very small.
class Page final : public BodySource {
  public:
    explicit Page(std::size_t& read) : read_(read) {}
    nutils::IoResult read(std::span<char> buffer) override {
        if (at_ == kMuch) return {0, nutils::NetError::eof};
        const std::size_t size = std::min(kMuch - at_, buffer.size());
        std::fill_n(buffer.begin(), size, 'p');
        at_ += size;
        read_ += size;
        return {size, {}};
    }

  private:
    std::size_t& read_;
    std::size_t at_ = 0;
};

class LeavesNothing final : public Filter {
  public:
    Wants wants() const override { return {.response_data = true}; }
    void on_response_data(const Request&, std::string& piece) override { piece.clear(); }
};

// The first byte in 100 KB.
class LeavesLittle final : public Filter {
  public:
    Wants wants() const override { return {.response_data = true}; }
    void on_response_data(const Request&, std::string& piece) override {
        const bool first = seen_ / 100'000 != (seen_ + piece.size()) / 100'000;
        seen_ += piece.size();
        piece.assign(first ? "x" : "");
    }

  private:
    std::size_t seen_ = 0;
};

}  // namespace

TEST_GROUP_BASE(BoundedWork, ServerFixture) {
    std::size_t read = 0;  // of all sources
    std::size_t most = 0;  // … between two turns of another coroutine
    std::size_t turns = 0;

    void begin(Paradigm paradigm, std::unique_ptr<Filter> filter) {
        server.reset();
        read = most = turns = 0;
        options.paradigm = paradigm;
        serve().add_filter(std::move(filter));
        server->get("/source", [this](Request&, Response& r) {
            r.source(std::make_unique<Page>(read));
            r.add_header("Content-Type", "text/html");
        });
        server->get("/sized", [this](Request&, Response& r) {
            r.source(std::make_unique<Page>(read), kMuch);
            r.add_header("Content-Type", "text/html");
        });
        server->get("/text", [](Request&, Response& r) { r.html(std::string(kMuch, 'p')); });
        attach();
    }
    // What a client hears, while another coroutine watches how often it has its turn.
    std::string hear(const std::string& request) {
        std::string heard;
        bool done = false;
        client([&](Client& c) {
            c.say(request);
            heard = c.hear_all();
            done = true;
        });
        go([&] {
            std::size_t before = 0;
            while (!done) {
                ++turns;
                most = std::max(most, read - before);
                before = read;
                this_evthread::yield();
            }
        });
        loop.run();
        return heard;
    }
};

TEST(BoundedWork, IsAllThatALoopDoesOfALargeBodyAtATime) {
    for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::event})
        for (const ContentCoding coding : content_codings())
            for (const char* path : {"/source", "/sized"}) {
                begin(paradigm, std::make_unique<Compression>());
                const std::string fields =
                    "Connection: close\r\nAccept-Encoding: " + std::string(to_string(coding)) + "\r\n";
                const Heard heard(hear(get(path, fields)));
                CHECK(decode(coding, heard.body()) == std::string(kMuch, 'p'));
                CHECK_EQUAL(kMuch, read);
                CHECK(most <= 2 * kATurn);
            }
}

TEST(BoundedWork, ATextIsCodedByAndBy) {
    for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::event}) {
        begin(paradigm, std::make_unique<Compression>());
        const Heard heard(hear(get("/text", "Connection: close\r\nAccept-Encoding: gzip\r\n")));
        CHECK(gunzip(heard.body()) == std::string(kMuch, 'p'));
        CHECK(turns >= kMuch / (2 * kATurn));
    }
}

TEST(BoundedWork, IsNotMoreForFiltersThatLeaveLittleOrNothing) {
    for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::event}) {
        begin(paradigm, std::make_unique<LeavesNothing>());
        CHECK_EQUAL(std::string(), Heard(hear(get("/source", "Connection: close\r\n"))).body());
        CHECK_EQUAL(kMuch, read);
        CHECK(most <= 2 * kATurn);
        begin(paradigm, std::make_unique<LeavesLittle>());
        CHECK_EQUAL(std::string(80, 'x'), Heard(hear(get("/source", "Connection: close\r\n"))).body());
        CHECK(most <= 2 * kATurn);
    }
}

TEST(BoundedWork, EndsWhenTheClientGoes) {
    for (const Paradigm paradigm : {Paradigm::coroutine, Paradigm::event}) {
        begin(paradigm, std::make_unique<LeavesLittle>());
        client([&](Client& c) {
            c.say(get("/source"));
            c.reset();
        });
        loop.run();  // ends
    }
}
