// What the echo servers of bench/ share: a listening socket on loopback, and the line that says so. They end
// by SIGTERM, at once: there is nothing to put in order.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace bench {

inline void end_at_once(int) { _exit(0); }

inline int listen_on_loopback(const char* name) {
    std::signal(SIGTERM, end_at_once);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (fd < 0 || bind(fd, generic, length) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, generic, &length) != 0) {
        std::perror(name);
        std::exit(1);
    }
    std::printf("%s: listening on 127.0.0.1:%d\n", name, ntohs(address.sin_port));
    std::fflush(stdout);
    return fd;
}

inline void set_nodelay(int fd) {
    const int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

}  // namespace bench
