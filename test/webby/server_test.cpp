// The server over real sockets. Server and clients share one loop with a virtual clock: a test of a minute takes a
// millisecond, and waits for nothing.
#include "webby/server.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "corothread/stack_pool.h"
#include "cutils/log.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_socket.h"
#include "nutils/blocking_socket.h"
#include "test/webby/temp_folder.h"

#include "test/support/harness.h"

using namespace webby;
using namespace webby_test;
using namespace std::chrono_literals;
using corothread::StackPool;
using cutils::Deadline;
using evcorothread::EvLoop;
using evcorothread::EvSocket;
namespace this_evthread = evcorothread::this_evthread;

namespace {

// A client in a coroutine of the loop. All it notices it writes down; the test checks afterwards, outside coroutines.
class Client {
  public:
    Client(EvLoop& loop, const nutils::SockAddr& server) : socket_(EvSocket::connect(loop, server, 1s).value_or({})) {}

    [[nodiscard]] bool connected() const { return socket_.is_open(); }
    void say(std::string_view text) { (void)socket_.send_all(text, 60s); }
    void finish() { (void)socket_.shutdown_send(); }
    void reset() {
        const linger now{1, 0};
        ::setsockopt(socket_.fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
        socket_.close();
    }

    // The next response, whole, without its Date field; what has come if the connection ends before.
    std::string hear() {
        std::size_t end;
        while ((end = heard_.find("\r\n\r\n")) == std::string::npos)
            if (!more()) return std::exchange(heard_, {});
        end += 4;
        const std::size_t length = heard_.find("Content-Length: ");
        if (length < end) end += static_cast<std::size_t>(std::stoul(heard_.substr(length + 16)));
        while (heard_.size() < end)
            if (!more()) return std::exchange(heard_, {});
        std::string response = heard_.substr(0, end);
        heard_.erase(0, end);
        const std::size_t date = response.find("Date: ");
        if (date != std::string::npos) response.erase(date, 37);
        return response;
    }
    // Everything until the end, and how it ended.
    std::string hear_all() {
        while (more()) {
        }
        return std::exchange(heard_, {});
    }
    // Waits for the end without a word.
    bool ends() { return heard_.empty() && !more() && error_ == nutils::NetError::eof; }
    [[nodiscard]] std::error_code error() const { return error_; }
    EvSocket& socket() { return socket_; }

    std::string ask(std::string_view text) {
        say(text);
        return hear();
    }

  private:
    bool more() {
        char buffer[16 * 1024];
        const auto got = socket_.recv(buffer, 1000s);
        if (!got) {
            error_ = got.error;
            return false;
        }
        heard_.append(buffer, got.bytes);
        return true;
    }

    EvSocket socket_;
    std::string heard_;
    std::error_code error_;
};

std::string get(std::string_view path, std::string_view fields = {}) {
    return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}

std::string ok(std::string_view body, std::string_view extra = {}) {
    return "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n" + std::string(extra) + "\r\n" + std::string(body);
}

void ignore_log(cutils::LogLevel, std::string_view, void*) {}

}  // namespace

TEST_GROUP_BASE(Server, test_support::Fixture) {
    StackPool stacks{{.count = 20, .pages = 16}};
    EvLoop loop{stacks, evcorothread::EvLoopOptions{evcorothread::LoopClock::virtual_time, {}}};
    ServerOptions options{.listen = {"127.0.0.1:0"}};
    std::unique_ptr<Server> server;
    int clients = 0;

    void setup() override { cutils::set_log_sink(ignore_log); }
    void teardown() override {
        server.reset();
        cutils::set_log_sink(nullptr);
        LONGS_EQUAL(0, stacks.in_use());
    }

    Server& serve() {
        server = std::make_unique<Server>(options);
        server->get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
        server->post("/echo", [](Request& q, Response& r) { r.text(q.body()); });
        server->get("/slow", [](Request&, Response& r) {
            (void)this_evthread::delay(5s);
            r.text("slow\n");
        });
        server->get("/big", [](Request&, Response& r) { r.text(std::string(8'000'000, 'x')); });
        server->get("/peer", [](Request& q, Response& r) { r.text(q.peer().ip().to_string()); });
        server->post(
            "/count",
            [](Request& q, Response& r) {
                std::size_t bytes = 0;
                char buffer[1000];
                nutils::IoResult got;
                while ((got = q.read_body(buffer, 20s))) bytes += got.bytes;
                r.text(std::to_string(bytes) + (got.eof() ? " eof" : " " + got.error.message()));
            },
            {.body_limit = 10'000'000, .stream_body = true});
        return *server;
    }
    void attach() {
        if (!server) serve();
        server->attach(loop).value();
    }
    const nutils::SockAddr& address() { return server->addresses().at(0); }

    // Runs `work` in a coroutine; the last one to end stops the server.
    void go(std::function<void()> work) {
        ++clients;
        loop.spawn("client", [this, work = std::move(work)] {
            work();
            if (--clients == 0) server->stop();
        });
    }
    void client(std::function<void(Client&)> talk) {
        go([this, talk = std::move(talk)] {
            Client c(loop, address());
            talk(c);
        });
    }
    std::string heard_by(const std::string& input) {
        if (!server || server->addresses().empty()) attach();
        std::string heard;
        client([&](Client& c) { heard = c.ask(input); });
        loop.run();
        return heard;
    }
};

TEST(Server, AnswersOverASocket) { CHECK_EQUAL(ok("hello\n"), heard_by(get("/hello"))); }

TEST(Server, KeepsConnectionsAndAnswersPipelinedRequestsInOrder) {
    attach();
    std::vector<std::string> heard;
    client([&](Client& c) {
        heard.push_back(c.ask(get("/hello")));
        heard.push_back(c.ask(get("/nowhere")).substr(0, 12));
        c.say(get("/slow") + get("/hello") + "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
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
        c.say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + std::string(1'000'000, 'y'));
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
        c.say("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n" + std::string(5'000'000, 'z'));
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

// --- time ---

TEST(Server, AHeadHasOneDeadlineHoweverItDribbles) {
    attach();
    std::string heard;
    cutils::Duration took{};
    client([&](Client& c) {
        const auto start = loop.now();
        c.say("GET /hello HTTP/1.1\r\nHost: a\r\n");
        for (int i = 0; i < 9; ++i) {
            (void)this_evthread::delay(1s);
            c.say("X");
        }
        heard = c.hear();
        took = loop.now() - start;
    });
    loop.run();
    STRCMP_CONTAINS("HTTP/1.1 408 Request Timeout\r\n", heard.c_str());
    STRCMP_CONTAINS("Connection: close\r\n", heard.c_str());
    CHECK(took >= 10s && took < 10100ms);
}

TEST(Server, EachHeadHasItsOwnDeadline) {
    attach();
    std::string heard;
    client([&](Client& c) {
        c.say("GET /hello HTTP/1.1\r\n");
        (void)this_evthread::delay(9s);
        c.say("Host: a\r\n\r\nGET /hello HT");
        (void)this_evthread::delay(9s);
        c.say("TP/1.1\r\nHost: a\r\n\r\n");
        heard = c.hear() + c.hear();
    });
    loop.run();
    CHECK_EQUAL(ok("hello\n") + ok("hello\n"), heard);
}

TEST(Server, ABodyThatStallsIs408) {
    attach();
    std::string heard;
    cutils::Duration took{};
    client([&](Client& c) {
        c.say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n");
        (void)this_evthread::delay(20s);
        c.say("abc");
        const auto start = loop.now();
        heard = c.hear();
        took = loop.now() - start;
    });
    loop.run();
    STRCMP_CONTAINS("HTTP/1.1 408 Request Timeout\r\n", heard.c_str());
    CHECK(took >= 30s && took < 30100ms);
}

TEST(Server, AnIdleConnectionIsClosedWithoutAWord) {
    attach();
    bool fresh_ended = false, used_ended = false;
    cutils::Duration took{};
    client([&](Client& c) { fresh_ended = c.ends(); });
    client([&](Client& c) {
        (void)c.ask(get("/hello"));
        const auto start = loop.now();
        used_ended = c.ends();
        took = loop.now() - start;
    });
    loop.run();
    CHECK(fresh_ended);
    CHECK(used_ended);
    CHECK(took >= 60s && took < 60100ms);
}

TEST(Server, AClientThatReadsNothingIsCut) {
    attach();
    std::size_t heard = 0;
    client([&](Client& c) {
        c.say(get("/big"));
        (void)this_evthread::delay(100s);
        heard = c.hear_all().size();
    });
    loop.run();
    CHECK(heard > 0);
    CHECK(heard < 8'000'000);
}

TEST(Server, AClientThatReadsSlowlyIsNotCut) {
    // A unix socket: TCP has timers of its own, in real time.
    TempFolder folder;
    options.listen = {"unix:" + folder.path() + "/s"};
    attach();
    std::size_t heard = 0;
    cutils::Duration took{};
    client([&](Client& c) {
        (void)this_evthread::delay(1ms);
        const auto start = loop.now();
        c.say(get("/big"));
        std::string buffer(250'000, '\0');
        while (auto got = c.socket().recv(buffer, 25s)) {
            heard += got.bytes;
            (void)this_evthread::delay(20s);
        }
        took = loop.now() - start;
    });
    loop.run();
    CHECK(heard > 8'000'000);
    CHECK(took > 500s);
}

// --- what goes wrong ---

TEST(Server, ARefusedClientReadsWhyAlthoughItGoesOnSending) {
    attach();
    std::string heard;
    std::error_code error;
    client([&](Client& c) {
        c.say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n");
        c.say(std::string(200'000, 'x'));
        (void)this_evthread::delay(100ms);
        heard = c.hear();
        c.finish();
        (void)c.hear_all();
        error = c.error();
    });
    loop.run();
    STRCMP_CONTAINS("HTTP/1.1 413 Content Too Large\r\n", heard.c_str());
    CHECK_EQUAL(std::error_code(nutils::NetError::eof), error);
}

TEST(Server, AResetConnectionLeavesTheServerServing) {
    attach();
    std::string heard;
    client([&](Client& c) {
        c.say(get("/big"));
        char byte;
        (void)c.socket().recv({&byte, 1}, 1s);
        c.reset();
    });
    client([&](Client& c) {
        c.say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
        c.reset();
    });
    client([&](Client& c) {
        c.say(get("/slow"));
        c.reset();
    });
    client([&](Client& c) {
        (void)this_evthread::delay(10s);
        heard = c.ask(get("/hello"));
    });
    loop.run();
    CHECK_EQUAL(ok("hello\n"), heard);
}

TEST(Server, AServletThatWaitsDoesNotHoldUpOthers) {
    attach();
    std::vector<std::string> order;
    client([&](Client& c) { order.push_back(c.ask(get("/slow"))); });
    client([&](Client& c) { order.push_back(c.ask(get("/hello"))); });
    loop.run();
    CHECK_EQUAL(ok("hello\n"), order[0]);
    CHECK_EQUAL(ok("slow\n"), order[1]);
}

// --- stacks and connections ---

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

// --- beginning and end ---

TEST(Server, StoppingClosesIdleConnectionsAndFinishesRequests) {
    attach();
    std::string slow, late;
    bool idle_ended = false, refused = false;
    client([&](Client& c) { slow = c.ask(get("/slow")); });
    client([&](Client& c) {
        (void)c.ask(get("/hello"));
        idle_ended = c.ends();
    });
    client([&](Client&) {
        (void)this_evthread::delay(1s);
        server->stop();
        (void)this_evthread::delay(1ms);
        refused = !EvSocket::connect(loop, address(), 1s).ok();
    });
    loop.run();
    CHECK_EQUAL(ok("slow\n", "Connection: close\r\n"), slow);
    CHECK(idle_ended);
    CHECK(refused);
    LONGS_EQUAL(0, server->counts().connections);
}

TEST(Server, StoppingCutsWhatTakesTooLong) {
    options.drain = 2s;
    attach();
    std::string heard;
    cutils::Duration took{};
    client([&](Client& c) {
        const auto start = loop.now();
        c.say("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
        (void)this_evthread::delay(1s);
        server->stop();
        heard = c.hear_all();
        took = loop.now() - start;
    });
    loop.run();
    CHECK(took >= 3s && took < 3100ms);
}

TEST(Server, ListensAtSeveralAddresses) {
    TempFolder folder;
    options.listen = {"127.0.0.1:0", "[::1]:0", "unix:" + folder.path() + "/s"};
    attach();
    LONGS_EQUAL(3, server->addresses().size());
    CHECK(server->addresses()[0].port() != 0);
    std::vector<std::string> heard;
    client([&](Client&) {
        for (const nutils::SockAddr& at : server->addresses()) heard.push_back(Client(loop, at).ask(get("/hello")));
    });
    loop.run();
    for (const std::string& response : heard) CHECK_EQUAL(ok("hello\n"), response);
}

TEST(Server, SeveralServersLiveInOneLoop) {
    attach();
    Server other({.listen = {"127.0.0.1:0"}});
    other.get("/hello", [](Request&, Response& r) { r.text("other\n"); });
    other.attach(loop).value();
    std::string first, second;
    client([&](Client& c) {
        first = c.ask(get("/hello"));
        second = Client(loop, other.addresses()[0]).ask(get("/hello"));
        other.stop();
    });
    loop.run();
    CHECK_EQUAL(ok("hello\n"), first);
    CHECK_EQUAL(ok("other\n"), second);
}

TEST(Server, StartedAndStoppedManyTimesLeavesNothingBehind) {
    for (int i = 0; i < 50; ++i) {
        Server one({.listen = {"127.0.0.1:0"}, .max_active = 4});
        one.get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
        one.start().value();
        auto socket = nutils::BlockingSocket::connect(one.addresses()[0], 10s).value();
        CHECK(socket.send_all(get("/hello"), 10s));
        char buffer[1000];
        CHECK(socket.recv(buffer, 10s));
        one.stop();
        if (i % 2 == 0) one.join();
    }
}

TEST(Server, RunServesUntilItIsStopped) {
    TempFolder folder;
    options.listen = {"unix:" + folder.path() + "/s"};
    const auto at = nutils::SockAddr::parse(options.listen[0]).value();
    serve();
    bool ok_result = false;
    std::thread thread([&] { ok_result = server->run().ok(); });
    while (!nutils::BlockingSocket::connect(at, 1s)) std::this_thread::yield();
    server->stop();
    thread.join();
    CHECK(ok_result);
    CHECK_FALSE(nutils::BlockingSocket::connect(at, 1s).ok());
}

TEST(Server, WhatCannotStartSaysWhy) {
    attach();
    Server taken({.listen = {address().to_string()}});
    CHECK(taken.start().error() == std::errc::address_in_use);
    Server nonsense({.listen = {"nowhere"}});
    STRCMP_CONTAINS("nowhere", nonsense.start().error().message().c_str());
    Server route({.listen = {"127.0.0.1:0"}});
    route.get("no-slash", [](Request&, Response&) {});
    STRCMP_CONTAINS("no-slash", route.run().error().message().c_str());
    Server folder({.listen = {"127.0.0.1:0"}});
    folder.files("/", "/nonexistent");
    STRCMP_CONTAINS("/nonexistent", folder.run().error().message().c_str());
    Server log({.listen = {"127.0.0.1:0"}, .access_log = "/nonexistent/log"});
    STRCMP_CONTAINS("/nonexistent/log", log.run().error().message().c_str());
}

TEST(Server, AServerThatNeverRanIsNoTrouble) { Server never({.listen = {"127.0.0.1:0"}}); }

TEST(Server, AnAttachedServerMayDieWithClientsConnected) {
    attach();
    EvSocket idle;
    loop.spawn("client", [&] {
        idle = EvSocket::connect(loop, address(), 1s).value();
        (void)idle.send_all("GET /hello HTT", 1s);
        loop.stop();
    });
    loop.run();
    loop.run_ready();
    server.reset();
}

TEST(Server, RequestsAreLogged) {
    TempFolder folder;
    options.access_log = folder.path() + "/access.log";
    (void)heard_by(get("/hello?x"));
    server.reset();
    std::ifstream file(folder.path() + "/access.log");
    std::string line;
    std::getline(file, line);
    STRCMP_CONTAINS("127.0.0.1 - - [", line.c_str());
    STRCMP_CONTAINS("] \"GET /hello?x HTTP/1.1\" 200 6", line.c_str());
}

TEST(Server, StopBeforeRunEndsItAtOnce) {
    serve().stop();
    CHECK(server->run().ok());
}
