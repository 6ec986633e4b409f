// Echo, 5th form: one thread that asks the kernel who is ready, with poll.
//
//   polling [ADDR:PORT [IDLE-SECONDS]]
//
// No process and no thread of its own for a client any more, and so no stack: where the client's
// conversation stands has to be written down, in a Client. The straight line recv, send, recv of the
// earlier forms is cut up: whatever would block is left for later, and taken up again when poll says so.
//
// Limits: RLIMIT_NOFILE; each pass hands the whole list to the kernel and walks through all of it, ready or
//         not: the cost of one answer grows with the number of clients that are silent. One core. A call
//         that blocks anywhere (a file, a name to resolve) stops everybody.
// Right:  for up to some hundred descriptors, and where there must be no library.
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "tutorial/servers/common.h"

namespace {

using Clock = std::chrono::steady_clock;

volatile sig_atomic_t ending = 0;
void on_end(int) { ending = 1; }

// What the local variables of echo() have become.
struct Client {
    char buffer[4096];
    std::size_t begin = 0, end = 0;  // what has come and still has to go back
    Clock::time_point deadline;
};

// Does what can be done now, one recv and one send at most: others want their turn. False: the client is
// done. There is nothing left to send when the client has finished: while there is, nothing is received. So
// a client that sends, and does not read, fills its own two socket buffers, and not our memory.
bool serve(int fd, Client& client) {
    if (client.begin == client.end) {
        const ssize_t got = recv(fd, client.buffer, sizeof client.buffer, 0);
        if (got < 0) return errno == EAGAIN || errno == EINTR;
        if (got == 0) return false;
        client.begin = 0;
        client.end = static_cast<std::size_t>(got);
    }
    const ssize_t sent = send(fd, client.buffer + client.begin, client.end - client.begin, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    client.begin += static_cast<std::size_t>(sent);
    return true;
}

struct Server {
    int listener;
    std::chrono::seconds idle;
    std::vector<pollfd> polled{};                    // the listener, then the clients
    std::vector<std::unique_ptr<Client>> clients{};  // clients[i] is that of polled[i]; none for the listener
    Clock::time_point accept_from{};                 // no descriptors left: not before then

    // One connection a pass; those that wait make poll return at once.
    void accept_one(Clock::time_point now) {
        const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (!servers::accept_again(errno))
                accept_from = now + std::chrono::nanoseconds(servers::kPause.tv_nsec);
            return;
        }
        servers::set_nodelay(fd);
        polled.push_back({fd, POLLIN, 0});
        clients.push_back(std::make_unique<Client>());
        clients.back()->deadline = now + idle;
    }

    void drop(std::size_t i) {
        close(polled[i].fd);
        polled[i] = polled.back();
        clients[i] = std::move(clients.back());
        polled.pop_back();
        clients.pop_back();
    }

    // Waits for somebody to be ready, until `until` at most.
    void wait(Clock::time_point now, Clock::time_point until, const sigset_t& open) {
        const bool accepting = now >= accept_from;
        if (!accepting) until = std::min(until, accept_from);
        polled[0] = {accepting ? listener : -1, POLLIN, 0};
        const auto left = std::max(std::chrono::nanoseconds(0), std::chrono::nanoseconds(until - now));
        const timespec timeout = {left.count() / 1'000'000'000, left.count() % 1'000'000'000};
        if (ppoll(polled.data(), polled.size(), until == Clock::time_point::max() ? nullptr : &timeout,
                  &open) < 0)
            for (pollfd& one : polled)
                one.revents = 0;  // EINTR; or ENOMEM, and then the next pass tries again
    }

    // One walk over everybody; returns when the next of them will have been silent for too long.
    Clock::time_point serve_all(Clock::time_point now) {
        Clock::time_point next = Clock::time_point::max();
        for (std::size_t i = polled.size(); --i > 0;) {  // backwards: drop() puts the last one in the place
            Client& client = *clients[i];
            if (polled[i].revents != 0) {
                if (!serve(polled[i].fd, client)) {
                    drop(i);
                    continue;
                }
                client.deadline = now + idle;
                polled[i].events = client.begin == client.end ? POLLIN : POLLOUT;
            } else if (now >= client.deadline) {
                drop(i);
                continue;
            }
            next = std::min(next, client.deadline);
        }
        if (polled[0].revents != 0) {
            accept_one(now);
            next = std::min(next, now + idle);
        }
        return next;
    }
};

}  // namespace

int main(int argc, char** argv) {
    using namespace servers;
    const Command command = parse_command("polling", argc, argv);
    const sigset_t open = block_signals({SIGTERM, SIGINT});
    on_signal(SIGTERM, on_end);
    on_signal(SIGINT, on_end);
    Server server{listen_at("polling", command.address, SOCK_NONBLOCK),
                  std::chrono::seconds(command.idle_seconds)};
    server.polled.push_back({server.listener, POLLIN, 0});
    server.clients.push_back(nullptr);
    Clock::time_point next = Clock::time_point::max();
    while (ending == 0) {
        server.wait(Clock::now(), next, open);
        next = server.serve_all(Clock::now());
    }
}  // no client has anything that the kernel does not close by itself
