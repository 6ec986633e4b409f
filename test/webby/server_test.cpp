// What the server does for its clients, over real sockets.
#include <fcntl.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "nutils/blocking_socket.h"
#include "test/webby/server_fixture.h"
#include "test/webby/temp_folder.h"

#include "test/support/harness.h"

using namespace webby_test;

TEST_GROUP_BASE(Server, ServerFixture){};

TEST(Server, AnswersOverASocket) { CHECK_EQUAL(ok("hello\n"), heard_by(get("/hello"))); }

TEST(Server, KeepsConnectionsAndAnswersPipelinedRequestsInOrder) {
    attach();
    std::vector<std::string> heard;
    client([&](Client& c) {
        heard.push_back(c.ask(get("/hello")));
        heard.push_back(c.ask(get("/nowhere")).substr(0, 12));
        c.say(get("/slow") + get("/hello") +
              "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        for (int i = 0; i < 3; ++i) heard.push_back(c.hear());
    });
    loop.run();
    CHECK_EQUAL(ok("hello\n"), heard[0]);
    CHECK_EQUAL(std::string("HTTP/1.1 404"), heard[1]);
    CHECK_EQUAL(ok("slow\n"), heard[2]);
    CHECK_EQUAL(ok("hello\n"), heard[3]);
    CHECK_EQUAL(ok("abc"), heard[4]);
}

TEST(Server, KnowsItsClient) { CHECK_EQUAL(ok("127.0.0.1"), heard_by(get("/peer"))); }

TEST(Server, ARequestMayComeByteByByte) {
    attach();
    std::string heard;
    client([&](Client& c) {
        for (const char byte : get("/hello")) {
            c.say({&byte, 1});
            (void)this_evthread::delay(10ms);
        }
        heard = c.hear();
    });
    loop.run();
    CHECK_EQUAL(ok("hello\n"), heard);
}

TEST(Server, LargeBodiesGoBothWays) {
    attach();
    std::string big, echo;
    client([&](Client& c) { big = c.ask(get("/big")); });
    client([&](Client& c) {
        c.say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" +
              std::string(1'000'000, 'y'));
        echo = c.hear();
    });
    loop.run();
    CHECK(big == ok(std::string(8'000'000, 'x')));
    CHECK(echo == ok(std::string(1'000'000, 'y')));
}

TEST(Server, FilesAreServedWhole) {
    TempFolder folder;
    std::string content(3'000'000, ' ');
    for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7 + i / 251);
    folder.write("big.bin", content);
    folder.write("index.html", "<p>");
    serve().files("/static/", folder.path());
    attach();
    std::string big, index, moved;
    client([&](Client& c) {
        big = c.ask(get("/static/big.bin"));
        index = c.ask(get("/static/"));
        moved = c.ask(get("/static"));
    });
    loop.run();
    CHECK(big.size() > content.size() && big.substr(big.size() - content.size()) == content);
    STRCMP_CONTAINS("<p>", index.c_str());
    STRCMP_CONTAINS("301 Moved Permanently", moved.c_str());
    STRCMP_CONTAINS("Location: /static/\r\n", moved.c_str());
}

TEST(Server, AFileThatHasShrunkCutsTheConnection) {
    TempFolder folder;
    folder.write("a.bin", std::string(1'000'000, 'a'));
    serve().get("/shrunk", [&](Request&, Response& r) {
        r.file(nutils::UniqueFd(::open((folder.path() + "/a.bin").c_str(), O_RDONLY | O_CLOEXEC)), 2'000'000);
    });
    attach();
    std::string heard;
    client([&](Client& c) { heard = c.ask(get("/shrunk")); });
    loop.run();
    STRCMP_CONTAINS("Content-Length: 2000000\r\n", heard.c_str());
    CHECK(heard.size() < 1'001'000);
}

TEST(Server, AServletReadsItsBodyAsItArrives) {
    attach();
    std::string whole, late;
    client([&](Client& c) {
        c.say("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n" +
              std::string(5'000'000, 'z'));
        whole = c.hear();
    });
    client([&](Client& c) {
        c.say("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n");
        late = c.hear();
        c.say("abc");
        (void)this_evthread::delay(3s);
        c.say("def");
        late += c.hear();
    });
    loop.run();
    CHECK_EQUAL(ok("5000000 eof"), whole);
    CHECK_EQUAL("HTTP/1.1 100 Continue\r\n\r\n" + ok("6 eof"), late);
}

TEST(Server, AnAnswerToAHalfClosedClientArrives) {
    attach();
    std::string heard;
    bool ended = false;
    client([&](Client& c) {
        c.say(get("/slow"));
        c.finish();
        heard = c.hear();
        ended = c.ends();
    });
    loop.run();
    CHECK_EQUAL(ok("slow\n"), heard);
    CHECK(ended);
}

TEST(Server, AnIdleConnectionHoldsNoStack) {
    attach();
    std::size_t in_use = 99, idle = 0;
    for (int i = 0; i < 10; ++i)
        client([&](Client& c) {
            (void)c.ask(get("/hello"));
            (void)this_evthread::delay(1s);
            in_use = stacks.in_use() - static_cast<std::size_t>(clients);  // the clients have theirs
            idle = std::max(idle, server->counts().idle);
        });
    loop.run();
    LONGS_EQUAL(0, in_use);
    LONGS_EQUAL(10, idle);
}

TEST(Server, WithoutAFreeStackRequestsWaitTheirTurn) {
    // In a loop of its own, so that clients do not take the stacks.
    options.max_active = 2;
    serve().start().value();
    std::vector<std::thread> threads;
    std::atomic<int> served{0};
    for (int i = 0; i < 10; ++i)
        threads.emplace_back([&] {
            auto socket = nutils::BlockingSocket::connect(address(), 10s);
            if (!socket || !socket->send_all(get("/hello", "Connection: close\r\n"), 10s)) return;
            char buffer[1000];
            std::string heard;
            while (auto got = socket->recv(buffer, 10s)) heard.append(buffer, got.bytes);
            if (heard.find("hello\n") != std::string::npos) ++served;
        });
    for (std::thread& thread : threads) thread.join();
    LONGS_EQUAL(10, served);
}

TEST(Server, MoreConnectionsThanAllowedWaitToBeAccepted) {
    options.max_connections = 2;
    attach();
    cutils::Duration waited{};
    for (int i = 0; i < 2; ++i)
        client([&](Client& c) {
            (void)c.ask(get("/hello"));
            (void)this_evthread::delay(5s);
        });
    go([&] {
        (void)this_evthread::delay(1s);
        const auto start = loop.now();
        Client c(loop, address());
        (void)c.ask(get("/hello"));
        waited = loop.now() - start;
    });
    loop.run();
    CHECK(waited >= 4s && waited < 4100ms);
}

TEST(Server, ABodyThatIsMadeMeanwhileComesAsFastAsItIsTaken) {
    class Letters final : public BodySource {
      public:
        nutils::IoResult read(std::span<char> buffer) override {
            if (left_ == 0) return {0, nutils::NetError::eof};
            const std::size_t size = std::min(buffer.size(), left_);
            std::fill_n(buffer.begin(), size, 'm');
            left_ -= size;
            return {size, {}};
        }

      private:
        std::size_t left_ = 8'000'000;
    };
    serve().get("/made", [](Request&, Response& r) { r.source(std::make_unique<Letters>(), 8'000'000); });
    attach();
    std::size_t body = 0;
    bool answered_meanwhile = false;
    client([&](Client& c) {
        c.say(get("/made"));
        (void)this_evthread::delay(10s);  // what fits between us is sent, and no more is made
        const std::string heard = c.hear();
        body = heard.size() - heard.find("\r\n\r\n") - 4;
    });
    client([&](Client& c) {
        (void)this_evthread::delay(5s);
        answered_meanwhile = c.ask(get("/hello")) == ok("hello\n");
    });
    loop.run();
    CHECK_EQUAL(8'000'000, body);
    CHECK(answered_meanwhile);
}
