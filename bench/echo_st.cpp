// echo_st: the echo of bench/echo.sh on State Threads, with epoll and a time limit on every call.
#include <st.h>

#include "bench/echo_common.h"

namespace {

constexpr st_utime_t kIdle = 60'000'000;  // µs

void* serve(void* context) {
    auto* const socket = static_cast<st_netfd_t>(context);
    char buffer[4096];
    for (;;) {
        const ssize_t got = st_read(socket, buffer, sizeof buffer, kIdle);
        if (got <= 0) break;
        if (st_write(socket, buffer, static_cast<std::size_t>(got), kIdle) != got) break;
    }
    st_netfd_close(socket);
    return nullptr;
}

}  // namespace

int main() {
    std::signal(SIGPIPE, SIG_IGN);     // st_write is write(2)
    st_set_eventsys(ST_EVENTSYS_ALT);  // epoll
    if (st_init() != 0) return 1;
    const st_netfd_t listener = st_netfd_open_socket(bench::listen_on_loopback("echo_st"));
    for (;;) {
        const st_netfd_t socket = st_accept(listener, nullptr, nullptr, ST_UTIME_NO_TIMEOUT);
        if (socket == nullptr) continue;
        bench::set_nodelay(st_netfd_fileno(socket));
        if (st_thread_create(serve, socket, 0, 0) == nullptr) st_netfd_close(socket);
    }
}
