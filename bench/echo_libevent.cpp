// echo_libevent: what libevent alone costs an echo, written by hand: one persistent edge-triggered event a
// connection, registered once, one recv and one send a request. No time limit, and a client that does not
// read loses its connection: a floor to measure against, not a server. Used by bench/echo.sh.
#include <event2/event.h>

#include <cerrno>

#include "bench/echo_common.h"

namespace {

struct Connection {
    event* watch;
};

void end_connection(int fd, Connection* connection) {
    event_free(connection->watch);
    close(fd);
    delete connection;
}

void on_ready(int fd, short, void* context) {
    auto* connection = static_cast<Connection*>(context);
    char buffer[4096];
    for (;;) {
        const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) return end_connection(fd, connection);
        if (send(fd, buffer, static_cast<std::size_t>(got), MSG_NOSIGNAL) != got)
            return end_connection(fd, connection);
        if (got < static_cast<ssize_t>(sizeof buffer)) return;  // what comes later tells again
    }
}

void on_connection(int listener, short, void* context) {
    for (;;) {
        const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        bench::set_nodelay(fd);
        auto* connection = new Connection{};
        connection->watch = event_new(static_cast<event_base*>(context), fd, EV_READ | EV_ET | EV_PERSIST,
                                      on_ready, connection);
        event_add(connection->watch, nullptr);
    }
}

}  // namespace

int main() {
    event_base* const base = event_base_new();
    const int listener = bench::listen_on_loopback("echo_libevent");
    event_add(event_new(base, listener, EV_READ | EV_ET | EV_PERSIST, on_connection, base), nullptr);
    event_base_dispatch(base);
}
