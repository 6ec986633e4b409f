// Echo, 3rd form: processes that are there before the clients come.
//
//   preforked [ADDR:PORT [IDLE-SECONDS]]
//
// The parent forks kWorkers children at the start and then only watches over them. Every child is the
// iterative server, all on the same listening socket: the kernel gives each connection to one of those that
// wait in accept. No fork between a client's arrival and its first answer any more.
//
// Limits: kWorkers clients at once, whether busy or silent; the next one waits in the listen queue. As much
//         memory when nobody is there as when all are busy. (Apache's prefork module adds and ends workers
//         as they are needed, which moves this limit, and does not remove it.)
// Right:  as the 2nd form, for short connections; and for code that cannot be anything but one process for
//         one client.
#include <sys/wait.h>

#include <set>

#include "tutorial/servers/blocking_echo.h"

namespace {

constexpr std::size_t kWorkers = 100;

[[noreturn]] void work(int listener, int idle_seconds) {
    for (;;) {
        const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd >= 0) {
            servers::echo(fd, idle_seconds);
            close(fd);
        } else if (!servers::accept_again(errno)) {
            nanosleep(&servers::kPause, nullptr);
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    using namespace servers;
    const Command command = parse_command("preforked", argc, argv);
    const sigset_t open = block_signals({SIGTERM, SIGINT, SIGCHLD});
    sigset_t watched;
    sigemptyset(&watched);
    for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&watched, signal);
    const int listener = listen_at("preforked", command.address, 0);
    const pid_t self = getpid();

    std::set<pid_t> workers;
    for (;;) {
        while (workers.size() < kWorkers) {
            const pid_t worker = fork();
            if (worker == 0) {
                become_child(self, open);
                work(listener, command.idle_seconds);
            }
            if (worker < 0) break;  // no room for more processes; tried again below
            workers.insert(worker);
        }
        // Nothing to do but wait for a signal, so that no handler is needed: it is taken out of the queue.
        // With workers missing, a look now and then. A worker that ended (it was killed, it crashed) is
        // replaced, not faster than ten a second: one that crashes at its start must not keep the machine
        // busy.
        const int signal = workers.size() < kWorkers ? sigtimedwait(&watched, nullptr, &kPause)
                                                     : sigwaitinfo(&watched, nullptr);
        if (signal == SIGTERM || signal == SIGINT) break;
        if (signal != SIGCHLD) continue;  // EAGAIN: time has passed; EINTR: stopped and continued
        for (pid_t worker; (worker = waitpid(-1, nullptr, WNOHANG)) > 0;) workers.erase(worker);
        nanosleep(&kPause, nullptr);
    }
    for (const pid_t worker : workers) kill(worker, SIGTERM);
    while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) continue;
}
