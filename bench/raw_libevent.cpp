// raw_libevent [PORT]: what libevent alone costs, written by hand: one persistent edge-triggered event a
// connection, one recv and one send a request, a fixed answer. Nothing of HTTP is understood beyond the blank
// line that ends a request's head; no time limit, no routing, no log. A floor to measure servers against, not
// a server.
//
// Prints "raw_libevent: listening on 127.0.0.1:PORT" when ready; ends by SIGTERM or SIGINT.
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

constexpr std::string_view kResponse =
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Content-Length: 14\r\n"
    "\r\n"
    "Hello, world!\n";
constexpr std::string_view kBlankLine = "\r\n\r\n";

struct Connection {
    event* watch = nullptr;
    int fd = -1;
    std::size_t matched = 0;  // how much of a blank line the last bytes were
};

void close_connection(Connection* connection) {
    event_free(connection->watch);
    close(connection->fd);
    delete connection;
}

// Counts the ends of heads in `bytes`, which may begin or end in the middle of one.
int requests_ended(Connection& connection, std::string_view bytes) {
    if (connection.matched == 0 && bytes.size() >= kBlankLine.size() &&
        bytes.find(kBlankLine) == bytes.size() - 4) {
        return 1;  // as good as always: exactly one whole request
    }
    int ended = 0;
    for (const char byte : bytes) {
        if (byte == kBlankLine[connection.matched]) {
            if (++connection.matched == kBlankLine.size()) {
                connection.matched = 0;
                ++ended;
            }
        } else {
            connection.matched = byte == '\r' ? 1 : 0;
        }
    }
    return ended;
}

void on_ready(int fd, short, void* context) {
    auto* connection = static_cast<Connection*>(context);
    char buffer[4096];
    for (;;) {
        const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) return close_connection(connection);
        for (int n = requests_ended(*connection, {buffer, static_cast<std::size_t>(got)}); n > 0; --n) {
            // A client that does not read its answers loses the connection: a responder for benchmarks keeps
            // none back.
            if (send(fd, kResponse.data(), kResponse.size(), MSG_NOSIGNAL) !=
                static_cast<ssize_t>(kResponse.size()))
                return close_connection(connection);
        }
        if (got < static_cast<ssize_t>(sizeof buffer))
            return;  // edge-triggered: what comes later tells again
    }
}

void on_connection(int listener, short, void* context) {
    for (;;) {
        const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        const int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        auto* connection = new Connection;
        connection->fd = fd;
        connection->watch = event_new(static_cast<event_base*>(context), fd, EV_READ | EV_ET | EV_PERSIST,
                                      on_ready, connection);
        event_add(connection->watch, nullptr);
    }
}

int listen_on_loopback(unsigned short port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    socklen_t length = sizeof address;
    auto* name = reinterpret_cast<sockaddr*>(&address);
    if (fd < 0 || bind(fd, name, length) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, name, &length) != 0) {
        std::perror("raw_libevent");
        std::exit(1);
    }
    std::printf("raw_libevent: listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    std::fflush(stdout);
    return fd;
}

void on_signal(int, short, void* context) { event_base_loopbreak(static_cast<event_base*>(context)); }

}  // namespace

int main(int argc, char** argv) {
    const int port = argc > 1 ? std::atoi(argv[1]) : 0;
    event_base* base = event_base_new();
    for (const int signal : {SIGTERM, SIGINT})
        event_add(evsignal_new(base, signal, on_signal, base), nullptr);
    const int listener = listen_on_loopback(static_cast<unsigned short>(port));
    event_add(event_new(base, listener, EV_READ | EV_ET | EV_PERSIST, on_connection, base), nullptr);
    event_base_dispatch(base);
    return 0;
}
