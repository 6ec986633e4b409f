// ServerFixture: a server and its clients over real sockets, in one loop with a virtual clock: a test of a
// minute takes a millisecond, and waits for nothing.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "corothread/stack_pool.h"
#include "cutils/log.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_socket.h"
#include "webby/server.h"

#include "test/support/harness.h"

namespace webby_test {

using namespace webby;
using namespace std::chrono_literals;
using corothread::StackPool;
using evcorothread::EvLoop;
using evcorothread::EvSocket;
namespace this_evthread = evcorothread::this_evthread;

// A client in a coroutine of the loop. All it notices it writes down; the test checks afterwards, outside
// coroutines.
template <class Stream>
class ClientOver {
  public:
    explicit ClientOver(Stream socket) : socket_(std::move(socket)) {}

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
    Stream& socket() { return socket_; }

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

    Stream socket_;
    std::string heard_;
    std::error_code error_;
};

class Client final : public ClientOver<EvSocket> {
  public:
    Client(EvLoop& loop, const nutils::SockAddr& server)
        : ClientOver(EvSocket::connect(loop, server, 1s).value_or({})) {}
};

inline std::string get(std::string_view path, std::string_view fields = {}) {
    return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}

inline std::string ok(std::string_view body, std::string_view extra = {}) {
    return "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n" + std::string(extra) + "\r\n" + std::string(body);
}

inline void ignore_log(cutils::LogLevel, std::string_view, void*) {}

class ServerFixture : public test_support::Fixture {
  public:
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
        server->post("/count",
                     [](Request& q, Response& r) {
                         std::size_t bytes = 0;
                         char buffer[1000];
                         nutils::IoResult got;
                         while ((got = q.read_body(buffer, 20s))) bytes += got.bytes;
                         r.text(std::to_string(bytes) +
                                (got.eof() ? " eof" : std::string(" ").append(got.error.message())));
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

}  // namespace webby_test
