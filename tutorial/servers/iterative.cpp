// Echo, 1st form: one client after the other.
//
//   iterative [ADDR:PORT [IDLE-SECONDS]]
//
// Accept, serve until the client is done, accept the next one. The shortest server there is, and the one in
// which nothing can go wrong between clients, since there is never more than one. All others wait in the
// kernel's listen queue (their connect succeeds; nobody answers), for as long as the one that is served
// likes.
//
// Limits: one client at a time; net.core.somaxconn of them waiting.
// Right:  for a service whose answer takes microseconds and whose clients close at once (the old daytime),
//         or a tool with one user.
#include "tutorial/servers/blocking_echo.h"

// There is nothing to put in order, so that the handler may end the process itself; the kernel closes what
// is open.
static void on_end(int) { _exit(0); }

int main(int argc, char** argv) {
    using namespace servers;
    const Command command = parse_command("iterative", argc, argv);
    on_signal(SIGTERM, on_end);
    on_signal(SIGINT, on_end);
    const int listener = listen_at("iterative", command.address, 0);
    for (;;) {
        const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd >= 0) {
            echo(fd, command.idle_seconds);
            close(fd);
        } else if (!accept_again(errno)) {
            nanosleep(&kPause, nullptr);
        }
    }
}
