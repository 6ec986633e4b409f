// What the classic servers of this folder have in common, so that each shows only what is its own: the
// command line, the listening socket, the line that says "ready", and what to do when accept fails. Only
// POSIX and Linux.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string>

namespace servers {

// PROGRAM [ADDR:PORT [IDLE-SECONDS]]
struct Command {
    sockaddr_in address{};
    int idle_seconds = 60;  // a client that neither sends nor reads for that long is dropped
};

inline Command parse_command(const char* name, int argc, char** argv) {
    Command command;
    const std::string where = argc > 1 ? argv[1] : "127.0.0.1:9999";
    const std::size_t colon = where.find(':');
    const std::string port_text = colon == std::string::npos ? "" : where.substr(colon + 1);
    char* end = nullptr;
    const long port = std::strtol(port_text.c_str(), &end, 10);
    if (argc > 2) command.idle_seconds = std::atoi(argv[2]);
    if (argc > 3 || port_text.empty() || *end != '\0' || port < 0 || port > 65535 ||
        command.idle_seconds <= 0 ||
        inet_pton(AF_INET, where.substr(0, colon).c_str(), &command.address.sin_addr) != 1) {
        std::fprintf(stderr, "usage: %s [ADDR:PORT [IDLE-SECONDS]]    IPv4; port 0 takes a free one\n", name);
        std::exit(2);
    }
    command.address.sin_family = AF_INET;
    command.address.sin_port = htons(static_cast<std::uint16_t>(port));
    return command;
}

// Listens, and says so. `flags`: SOCK_NONBLOCK for those who wait with poll; a connection that poll has
// seen may be gone when accept comes, and a blocking accept would then wait for the next one, deaf to
// everything else.
inline int listen_at(const char* name, sockaddr_in address, int flags) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    const int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);  // a restart need not wait for TIME_WAIT
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (fd < 0 || bind(fd, generic, size) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, generic, &size) != 0) {
        std::fprintf(stderr, "%s: %s\n", name, std::strerror(errno));
        std::exit(1);
    }
    char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
    std::printf("%s: listening on %s:%d\n", name, text, ntohs(address.sin_port));
    std::fflush(stdout);
    return fd;
}

// A line is sent when it is written: without this, Nagle's algorithm may hold back the end of a long one
// until the peer has acknowledged its beginning.
inline void set_nodelay(int fd) {
    const int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

// After accept has failed: is the next attempt as good as any? True when it was only this connection that
// broke (Linux reports its network errors here), or a signal that came. False when there are no descriptors
// or no memory: the connection stays in the queue, accept would fail again at once, and a loop of that is a
// busy one. Then: wait kPause.
inline bool accept_again(int error) {
    switch (error) {
        case EINTR:
        case EAGAIN:
        case ECONNABORTED:
        case EPROTO:
        case EPERM:
        case ENETDOWN:
        case ENOPROTOOPT:
        case EHOSTDOWN:
        case ENONET:
        case EHOSTUNREACH:
        case EOPNOTSUPP:
        case ENETUNREACH: return true;
        default: return false;  // EMFILE, ENFILE, ENOBUFS, ENOMEM
    }
}
inline constexpr timespec kPause{0, 100'000'000};  // 100 ms

inline void on_signal(int signal, void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;  // without SA_RESTART: what waits returns EINTR
    sigaction(signal, &action, nullptr);
}

// Blocks `signals` from now on and returns the mask to wait with: the old one, with them open. A signal
// that is looked at only between two waits is missed when it comes just before a wait begins; one that is
// blocked, and let in by ppoll (or sigwaitinfo) alone, is not.
inline sigset_t block_signals(std::initializer_list<int> signals) {
    sigset_t blocked, open;
    sigemptyset(&blocked);
    for (const int signal : signals) sigaddset(&blocked, signal);
    sigprocmask(SIG_BLOCK, &blocked, &open);
    for (const int signal : signals) sigdelset(&open, signal);
    return open;
}

// In a child: signals do again what they do by default, and the parent's end is ours, however it ends.
inline void become_child(pid_t parent, const sigset_t& open) {
    for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) on_signal(signal, SIG_DFL);
    sigprocmask(SIG_SETMASK, &open, nullptr);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(0);  // it ended before we asked to be told
}

}  // namespace servers
