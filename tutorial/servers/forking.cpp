// Echo, 2nd form: a process for each client.
//
//   forking [ADDR:PORT [IDLE-SECONDS]]
//
// The parent accepts and forks; the child serves its client as the iterative server does, and ends. What is
// new is all about processes: each closes the descriptor that belongs to the other; a child that has ended
// stays a zombie until the parent has asked for it; the parent must not end before its children.
//
// Limits: kMostClients at once (others wait in the listen queue), RLIMIT_NPROC, memory: some tens of KiB a
//         child, and the kernel's share of a process; a fork for each connection, however short.
// Right:  for clients that stay long, are not many, and must not harm each other: a child may crash, leak,
//         or change its user (sshd works this way).
#include <poll.h>
#include <sys/wait.h>

#include <set>

#include "tutorial/servers/blocking_echo.h"

namespace {

constexpr std::size_t kMostClients = 2000;

volatile sig_atomic_t ending = 0;
void on_end(int) { ending = 1; }
void on_child(int) {}  // it only has to end the wait: a signal without a handler would not

// Several children may end before their parent runs, and their SIGCHLDs become one: ask until there is none
// left.
void reap(std::set<pid_t>& children) {
    for (;;) {
        const pid_t child = waitpid(-1, nullptr, WNOHANG);
        if (child < 0 && errno == EINTR) continue;
        if (child <= 0) return;  // those that are left are alive, or there are none (ECHILD)
        children.erase(child);
    }
}

void end_all(std::set<pid_t>& children) {
    for (const pid_t child : children)
        kill(child, SIGTERM);  // ours, not reaped: no other process has this number
    while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) continue;
}

}  // namespace

int main(int argc, char** argv) {
    using namespace servers;
    const Command command = parse_command("forking", argc, argv);
    // All three come only while ppoll waits.
    const sigset_t open = block_signals({SIGTERM, SIGINT, SIGCHLD});
    on_signal(SIGTERM, on_end);
    on_signal(SIGINT, on_end);
    on_signal(SIGCHLD, on_child);
    const int listener = listen_at("forking", command.address, SOCK_NONBLOCK);
    const pid_t self = getpid();

    std::set<pid_t> children;
    bool pause = false;  // no descriptors, no memory or no processes left: do not accept for a moment
    while (ending == 0) {
        const bool room = !pause && children.size() < kMostClients;
        pollfd waiting = {room ? listener : -1, POLLIN, 0};
        const int ready =
            ppoll(&waiting, 1, pause ? &kPause : nullptr, &open);  // EINTR: a signal; see above and below
        pause = false;
        reap(children);
        if (ready <= 0) continue;

        const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) {
            pause = !accept_again(errno);
            continue;
        }
        const pid_t child = fork();
        if (child == 0) {
            become_child(self, open);
            close(listener);
            echo(fd, command.idle_seconds);
            _exit(0);  // not exit: what the parent has registered or buffered is not ours
        }
        close(fd);  // the child has it; and without a child, the client shall know
        if (child > 0) {
            children.insert(child);
        } else {
            std::fprintf(stderr, "forking: fork: %s\n", std::strerror(errno));
            pause = true;
        }
    }
    close(listener);
    end_all(children);
}
