// A server with a thread of its own and clients that block, for tests of what all paradigms must do.
#pragma once

#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "nutils/blocking_socket.h"
#include "test/support/log_capture.h"
#include "webby/server.h"

#include "test/support/harness.h"

namespace webby_test {

using namespace std::chrono_literals;
using namespace webby;
using nutils::BlockingSocket;

inline constexpr Paradigm kAllParadigms[] = {Paradigm::coroutine, Paradigm::thread, Paradigm::event};

class StartedServerFixture : public test_support::Fixture {
  public:
    StartedServerFixture() { ::alarm(300); }
    ~StartedServerFixture() override { ::alarm(0); }
    void setup() override {
        log.emplace();
        options.listen = {"127.0.0.1:0"};
        options.max_active = 20;
        options.threads = 20;
        options.timeouts.linger = 100ms;
    }
    void teardown() override {
        server.reset();
        log.reset();
    }

    Server& make(Paradigm paradigm) {
        server.reset();
        options.paradigm = paradigm;
        server = std::make_unique<Server>(options);
        return *server;
    }
    BlockingSocket client() const { return BlockingSocket::connect(server->addresses().at(0), 10s).value(); }

    // Until `text` has come, without Date fields.
    static std::string hear_until(BlockingSocket& socket, std::string_view text) {
        std::string heard;
        char buffer[4096];
        while (heard.find(text) == std::string::npos) {
            const auto got = socket.recv(buffer, 20s);
            if (!got) return heard + "<" + got.error.message() + ">";
            heard.append(buffer, got.bytes);
        }
        return heard;
    }
    static std::string hear_all(BlockingSocket& socket) {
        std::string heard;
        char buffer[16 * 1024];
        for (;;) {
            const auto got = socket.recv(buffer, 20s);
            if (!got) return got.eof() ? heard : heard + "<" + got.error.message() + ">";
            heard.append(buffer, got.bytes);
        }
    }
    // Says `input` and hears what comes until the server closes.
    std::string talk(std::string_view input) const {
        BlockingSocket socket = client();
        if (!socket.send_all(input, 20s)) return "<not sent>";
        return hear_all(socket);
    }
    // The last request of a connection.
    static std::string get(std::string_view target, std::string_view fields = {},
                           std::string_view host = "a") {
        return "GET " + std::string(target) + " HTTP/1.1\r\nHost: " + std::string(host) +
               "\r\nConnection: close\r\n" + std::string(fields) + "\r\n";
    }
    static std::string body_of(const std::string& response) {
        const std::size_t end = response.find("\r\n\r\n");
        return end == std::string::npos ? "<" + response + ">" : response.substr(end + 4);
    }
    // Waits for what another thread does.
    template <class F>
    static bool soon(F&& is_true) {
        for (int i = 0; i < 2000; ++i) {
            if (is_true()) return true;
            ::usleep(5000);
        }
        return false;
    }

    ServerOptions options;
    std::unique_ptr<Server> server;
    std::optional<test_support::LogCapture> log;
};

}  // namespace webby_test
