// Echo, 4th form: a thread of the operating system for each client.
//
//   threaded [ADDR:PORT [IDLE-SECONDS]]
//
// As the 2nd form, with a thread where the process was: cheaper to start, less memory, and everything can
// be shared. That is the price, too: what is shared needs a lock (here the set of open clients), and a
// thread that crashes takes all clients with it.
//
// Limits: kMostClients at once (others wait in the listen queue); threads-max and the process's share of
//         it; the kernel switches between them.
// Right:  up to some hundreds of clients, or when they compute more than they wait: threads use all cores
//         by themselves.
#include <poll.h>

#include <condition_variable>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>

#include "tutorial/servers/blocking_echo.h"

namespace {

constexpr std::size_t kMostClients = 2000;

volatile sig_atomic_t ending = 0;
void on_end(int) { ending = 1; }

// The open clients' descriptors. Whoever closes one takes it out under the lock first: so end_all never
// shuts down a number that means another connection by now.
struct Clients {
    std::mutex lock;
    std::condition_variable all_gone;
    std::set<int> open;
};

void serve(Clients& clients, int fd, int idle_seconds) {
    servers::echo(fd, idle_seconds);
    const std::lock_guard hold(clients.lock);
    clients.open.erase(fd);
    close(fd);
    // Told under the lock: end_all returns, and Clients goes, only when this thread has let go of it.
    if (clients.open.empty()) clients.all_gone.notify_one();
}

void end_all(Clients& clients) {
    std::unique_lock hold(clients.lock);
    for (const int fd : clients.open) shutdown(fd, SHUT_RDWR);  // ends a recv or send that waits
    clients.all_gone.wait(hold, [&clients] { return clients.open.empty(); });
}

}  // namespace

int main(int argc, char** argv) {
    using namespace servers;
    const Command command = parse_command("threaded", argc, argv);
    // Threads inherit this mask: signals come to the main thread alone, and only while ppoll waits.
    const sigset_t open = block_signals({SIGTERM, SIGINT});
    on_signal(SIGTERM, on_end);
    on_signal(SIGINT, on_end);
    const int listener = listen_at("threaded", command.address, SOCK_NONBLOCK);

    Clients clients;
    bool pause = false;  // no descriptors, no memory or no threads left: do not accept for a moment
    while (ending == 0) {
        pollfd waiting = {pause ? -1 : listener, POLLIN, 0};
        const int ready = ppoll(&waiting, 1, pause ? &kPause : nullptr, &open);
        pause = false;
        if (ready <= 0) continue;  // EINTR, or the pause is over
        {
            const std::lock_guard hold(clients.lock);
            pause = clients.open.size() >= kMostClients;
        }
        if (pause) continue;
        const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) {
            pause = !accept_again(errno);
            continue;
        }
        {
            const std::lock_guard hold(clients.lock);
            clients.open.insert(fd);
        }
        try {
            std::thread(serve, std::ref(clients), fd, command.idle_seconds).detach();
        } catch (const std::system_error& error) {
            std::fprintf(stderr, "threaded: %s\n", error.what());
            const std::lock_guard hold(clients.lock);
            clients.open.erase(fd);
            close(fd);  // the client shall know
            pause = true;
        }
    }
    close(listener);
    end_all(clients);
}
