// tls_clients handshakes PORT SECONDS CLIENTS: that many clients at a time connect to 127.0.0.1:PORT, shake
// hands in full (no session is resumed), have one GET /hello answered and hang up, over and over. Prints
// "tls_clients: N handshakes in S s, PROTOCOL CIPHER".
//
// tls_clients idle PORT COUNT: opens COUNT connections, has one GET /hello answered on each, then leaves them
// open and silent until its standard input ends. Prints "tls_clients: COUNT open" when all are idle.
//
// Exit 1 and a reason when a connection is refused, closed or unanswered. Certificates are not verified.
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "corothread/stack_pool.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/tls_socket.h"
#include "nutils/sock_addr.h"

namespace {

using namespace std::chrono_literals;
using evcorothread::EvLoop;
using evcorothread::EvSocket;
using evcorothread::TlsContext;
using evcorothread::TlsSocket;

constexpr std::string_view kRequest = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "tls_clients: %s\n", what.c_str());
    std::exit(1);
}

TlsContext context() {
    auto made = TlsContext::client({.verify = false, .alpn = {"http/1.1"}, .cached_sessions = 0});
    if (!made) fail(made.error().message());
    return *std::move(made);
}

// A connection on which one request has been answered.
TlsSocket answered(EvLoop& loop, const TlsContext& tls, const nutils::SockAddr& server) {
    auto plain = EvSocket::connect(loop, server, 10s);
    if (!plain) fail(plain.error().message());
    auto socket = TlsSocket::connect(*std::move(plain), tls, "127.0.0.1", 10s);
    if (!socket) fail(socket.error().message());
    if (!socket->send_all(kRequest, 10s)) fail("closed before the request");
    std::string heard;
    char buffer[4096];
    while (heard.find("Hello, world!\n") == std::string::npos) {
        const auto got = socket->recv(buffer, 10s);
        if (!got) fail("no answer: " + got.error.message());
        heard.append(buffer, got.bytes);
    }
    if (!heard.starts_with("HTTP/1.1 200")) fail("answered with something other than 200");
    return *std::move(socket);
}

int handshakes(const nutils::SockAddr& server, double seconds, std::size_t clients) {
    corothread::StackPool stacks({.count = clients, .pages = 16});
    EvLoop loop(stacks);
    const TlsContext tls = context();
    const auto begin = std::chrono::steady_clock::now();
    const auto end = begin + std::chrono::duration<double>(seconds);
    std::size_t count = 0;
    std::string agreed;
    for (std::size_t i = 0; i < clients; ++i)
        loop.spawn("client", [&] {
            while (std::chrono::steady_clock::now() < end) {
                TlsSocket socket = answered(loop, tls, server);
                if (agreed.empty()) agreed = socket.info().protocol + " " + socket.info().cipher;
                // A reset: no port of ours is left waiting for a minute.
                const linger now{1, 0};
                ::setsockopt(socket.fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
                socket.abort();
                ++count;
            }
        });
    loop.run();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::printf("tls_clients: %zu handshakes in %.3f s, %s\n", count, took.count(), agreed.c_str());
    return 0;
}

int idle(const nutils::SockAddr& server, std::size_t count) {
    corothread::StackPool stacks({.count = 1, .pages = 16});
    EvLoop loop(stacks);
    const TlsContext tls = context();
    std::vector<TlsSocket> sockets;
    loop.spawn("clients", [&] {
        while (sockets.size() < count) sockets.push_back(answered(loop, tls, server));
    });
    loop.run();
    std::printf("tls_clients: %zu open\n", sockets.size());
    std::fflush(stdout);
    char byte;
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    const std::string_view what = argc > 1 ? argv[1] : "";
    const auto server = nutils::SockAddr::parse(std::string("127.0.0.1:") + (argc > 2 ? argv[2] : "0"));
    if (server && what == "handshakes" && argc == 5)
        return handshakes(*server, std::strtod(argv[3], nullptr), std::strtoul(argv[4], nullptr, 10));
    if (server && what == "idle" && argc == 4) return idle(*server, std::strtoul(argv[3], nullptr, 10));
    std::fprintf(stderr, "usage: tls_clients handshakes PORT SECONDS CLIENTS | idle PORT COUNT\n");
    return 2;
}
