// A client's whole life, for whoever may block for it. Four of the servers share this function; they differ
// in who calls it. coroutines.cpp has it again, with waits that do not block.
#pragma once

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstddef>

#include "tutorial/servers/common.h"

namespace servers {

// send may take less than it was given, when the client reads slowly and the kernel's buffer is full.
inline bool send_all(int fd, const char* data, std::size_t size) {
    while (size > 0) {
        const ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);  // a client that is gone: EPIPE, not SIGPIPE
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return false;  // gone, or it has not read for idle_seconds (EAGAIN)
        data += sent;
        size -= static_cast<std::size_t>(sent);
    }
    return true;
}

// Sends back what comes, until the client has finished sending, is gone, or is silent for too long.
inline void echo(int fd, int idle_seconds) {
    const timeval idle = {idle_seconds, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &idle, sizeof idle);
    set_nodelay(fd);
    char buffer[4096];
    for (;;) {
        const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return;
        if (!send_all(fd, buffer, static_cast<std::size_t>(got))) return;
    }
}

}  // namespace servers
