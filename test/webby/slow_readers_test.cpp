// Clients that take their answers slowly, or not at all: they hold no thread and no stack, in any paradigm.
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "test/webby/started_server.h"
#include "test/webby/temp_folder.h"
#include "webby/body_source.h"

#include "test/support/harness.h"

using namespace webby_test;

namespace {

constexpr std::size_t kMuch = 8'000'000;

// Byte number n of every answer.
char byte_at(std::uint64_t n) { return static_cast<char>('a' + (n * 7 + n / 251) % 26); }

class Pattern final : public BodySource {
  public:
    nutils::IoResult read(std::span<char> buffer) override {
        if (at_ == kMuch) return {0, nutils::NetError::eof};
        const auto size = std::min<std::size_t>(kMuch - at_, buffer.size());
        for (char& c : buffer.first(size)) c = byte_at(at_++);
        return {size, {}};
    }

  private:
    std::size_t at_ = 0;
};

class SlowReadersFixture : public StartedServerFixture {
  public:
    void setup() override {
        StartedServerFixture::setup();
        much.resize(kMuch);
        for (std::size_t i = 0; i < kMuch; ++i) much[i] = byte_at(i);
        folder.emplace();
        folder->write("file", much);
        options.threads = options.max_active = 2;
    }
    void teardown() override {
        folder.reset();
        StartedServerFixture::teardown();
    }
    void start(Paradigm paradigm) {
        make(paradigm);
        server->get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
        server->get("/text", [this](Request&, Response& r) { r.text(much); });
        server->get("/source", [](Request&, Response& r) { r.source(std::make_unique<Pattern>(), kMuch); });
        server->get("/written", [this](Request&, Response& r) { (void)r.write(much, 60s); });
        server->files("/files", folder->path());
        server->start().value();
    }
    // Has asked, and has begun to be answered, so far as fits between it and the server.
    BlockingSocket asks(std::string_view target, std::string_view more = {}) const {
        BlockingSocket socket = client();
        const std::string request = get(target) + std::string(more);
        CHECK(socket.send_all(request, 20s).error == std::error_code());
        char byte;
        CHECK(soon([&] { return ::recv(socket.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1; }));
        return socket;
    }

    std::string much;
    std::optional<TempFolder> folder;
};

}  // namespace

TEST_GROUP_BASE(SlowReaders, SlowReadersFixture){};

TEST(SlowReaders, KeepNobodyFromBeingServed) {
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        std::vector<BlockingSocket> slow;
        for (const char* target : {"/text", "/files/file", "/source", "/text", "/files/file", "/source"})
            slow.push_back(asks(target));
        STRCMP_CONTAINS("hello\n", talk(get("/hello")).c_str());
        for (BlockingSocket& socket : slow) CHECK(body_of(hear_all(socket)) == much);
    }
}

TEST(SlowReaders, AreAnsweredWholeWhenTheServerStops) {
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        BlockingSocket text = asks("/text"), source = asks("/source");
        server->stop();
        CHECK(body_of(hear_all(text)) == much);
        CHECK(body_of(hear_all(source)) == much);
        server->join();
    }
}

TEST(SlowReaders, GetTheirNextAnswerWhenTheyHaveTakenTheFirst) {
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        BlockingSocket socket = client();
        const std::string two = "GET /text HTTP/1.1\r\nHost: a\r\n\r\n" + get("/hello");
        CHECK(socket.send_all(two.substr(0, 60), 20s).error == std::error_code());
        STRCMP_CONTAINS("hello\n", talk(get("/hello")).c_str());
        CHECK(socket.send_all(two.substr(60), 20s).error ==
              std::error_code());  // arrives while it is answered
        const std::string heard = hear_all(socket);
        CHECK(heard.find(much) != std::string::npos);
        STRCMP_CONTAINS("hello\n", heard.substr(heard.size() - 10).c_str());
    }
}

// The kernel takes no more until a third of its megabytes has gone, which takes these clients longer than the
// I/O timeout.
TEST(SlowReaders, WhoReadSteadilyAreNotCut) {
    options.timeouts.io = test_support::patience(400ms);
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        const int small = 128 * 1024;  // or the client's kernel would take as much
        std::vector<BlockingSocket> slow;
        for (const char* target : {"/text", "/files/file", "/source", "/written"}) {
            slow.push_back(client());
            ::setsockopt(slow.back().fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
            const std::string request = "GET " + std::string(target) + " HTTP/1.0\r\n\r\n";
            CHECK(slow.back().send_all(request, 20s).error == std::error_code());
        }
        // To their ends in turns: none waits while another is read.
        std::vector<std::string> heard(slow.size());
        std::string piece(64 * 1024, '\0');
        std::size_t ended = 0;
        for (int step = 0; ended < slow.size(); ++step) {
            ended = 0;
            for (std::size_t i = 0; i < slow.size(); ++i) {
                const nutils::IoResult got = slow[i].recv(piece, 20s);
                heard[i].append(piece, 0, got.bytes);
                ended += got ? 0 : 1;
            }
            if (step < 30) ::usleep(40'000);
        }
        for (const std::string& answer : heard) CHECK(body_of(answer) == much);
    }
}

namespace {

// Has something to say, and fails.
class Failing final : public BodySource {
  public:
    nutils::IoResult read(std::span<char> buffer) override {
        if (std::exchange(begun_, true)) return {0, std::make_error_code(std::errc::io_error)};
        buffer[0] = 'x';
        return {1, {}};
    }

  private:
    bool begun_ = false;
};

}  // namespace

// To them the end of the connection is the end of the answer.
TEST(SlowReaders, OfHttp10AreToldOfAnAnswerThatBrokeOff) {
    for (const Paradigm paradigm : kAllParadigms) {
        make(paradigm).get("/fails", [](Request&, Response& r) { r.source(std::make_unique<Failing>()); });
        server->get("/hello", [](Request&, Response& r) { r.source(std::make_unique<Pattern>()); });
        server->start().value();
        STRCMP_CONTAINS("<Connection reset by peer>", talk("GET /fails HTTP/1.0\r\n\r\n").c_str());
        CHECK(body_of(talk("GET /hello HTTP/1.0\r\n\r\n")) == much);
    }
}

TEST(SlowReaders, ThatTakeNothingAreResetAfterTheIoTimeout) {
    options.timeouts.io = 200ms;
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        BlockingSocket text = asks("/text"), file = asks("/files/file");
        for (BlockingSocket* socket : {&text, &file}) {
            CHECK(soon([&] {
                pollfd asked = {socket->fd(), 0, 0};
                return ::poll(&asked, 1, 0) == 1;  // it is broken
            }));
            STRCMP_CONTAINS("<Connection reset by peer>", hear_all(*socket).c_str());
        }
        STRCMP_CONTAINS("hello\n", talk(get("/hello")).c_str());
    }
}

TEST(SlowReaders, ThatGoAwayAreForgotten) {
    options.drain = 60s;
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        for (int i = 0; i < 6; ++i) {
            const BlockingSocket socket = asks(i % 2 == 0 ? "/text" : "/files/file");
            const linger now{1, 0};
            ::setsockopt(socket.fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
        }
        const cutils::TimePoint stopped = cutils::monotonic_now();
        server->stop();
        server->join();
        CHECK(cutils::monotonic_now() - stopped < 30s);
    }
}
