// Echo, 6th form: libevent calls a function when something has happened.
//
//   callbacks [ADDR:PORT [IDLE-SECONDS]]
//
// The loop, the list and the clock of the 5th form are the library's now, and it asks the kernel through
// epoll, which is told once of every client and then returns only those that are ready. What is left to us
// are the pieces between two waits, each a function; and the Client, which carries what they know from one
// to the next. Who reads it must put the pieces together: on_readable, flush, perhaps on_writable,
// on_readable again. An echo has one place to wait in each direction. A protocol with a dozen has a dozen
// states.
//
// Limits: RLIMIT_NOFILE; one core; a call that blocks stops everybody.
// Right:  for thousands of clients, and a protocol that fits in few states.
#include <event2/event.h>

#include <unordered_set>

#include "tutorial/servers/common.h"

namespace {

struct Client;

struct Server {
    event_base* base = nullptr;
    event* accepting = nullptr;
    event* pause_over = nullptr;
    const timeval* idle =
        nullptr;  // a "common timeout": libevent keeps equal ones in a list instead of a heap
    std::unordered_set<Client*> clients{};
};

// What the local variables of echo() have become.
struct Client {
    Server& server;
    int fd;
    event* readable = nullptr;
    event* writable = nullptr;
    char buffer[4096]{};
    std::size_t begin = 0, end = 0;  // what has come and still has to go back
};

void drop(Client* client) {
    client->server.clients.erase(client);
    if (client->readable != nullptr) event_free(client->readable);
    if (client->writable != nullptr) event_free(client->writable);
    close(client->fd);
    delete client;
}

// Sends what there is. When the kernel does not take all of it, the client reads slowly: from then on we
// wait until it has read, and do not receive, so that it cannot fill our memory.
void flush(Client* client) {
    const ssize_t sent =
        send(client->fd, client->buffer + client->begin, client->end - client->begin, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return drop(client);
    if (sent > 0) client->begin += static_cast<std::size_t>(sent);
    if (client->begin < client->end) {
        event_del(client->readable);
        event_add(client->writable, client->server.idle);
    } else if (event_pending(client->readable, EV_READ, nullptr) == 0) {
        event_add(client->readable, client->server.idle);
    }
}

void on_readable(int fd, short what, void* context) {
    auto* client = static_cast<Client*>(context);
    if ((what & EV_READ) == 0) return drop(client);  // EV_TIMEOUT: silent for too long
    const ssize_t got = recv(fd, client->buffer, sizeof client->buffer, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return drop(client);
    client->begin = 0;
    client->end = static_cast<std::size_t>(got);
    flush(client);
}

void on_writable(int, short what, void* context) {
    auto* client = static_cast<Client*>(context);
    if ((what & EV_WRITE) == 0) return drop(client);  // it does not read
    flush(client);
}

void on_connection(int listener, short, void* context) {
    auto& server = *static_cast<Server*>(context);
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if (servers::accept_again(errno)) return;
        const timeval pause = {0, servers::kPause.tv_nsec / 1000};
        event_del(server.accepting);
        event_add(server.pause_over, &pause);
        return;
    }
    servers::set_nodelay(fd);
    auto* client = new Client{server, fd};
    server.clients.insert(client);
    client->readable = event_new(server.base, fd, EV_READ | EV_PERSIST, on_readable, client);
    client->writable = event_new(server.base, fd, EV_WRITE, on_writable, client);
    if (client->readable == nullptr || client->writable == nullptr ||
        event_add(client->readable, server.idle) != 0)
        drop(client);
}

void on_pause_over(int, short, void* context) {
    event_add(static_cast<Server*>(context)->accepting, nullptr);
}

void on_end(int, short, void* context) { event_base_loopbreak(static_cast<Server*>(context)->base); }

}  // namespace

int main(int argc, char** argv) {
    using namespace servers;
    const Command command = parse_command("callbacks", argc, argv);
    Server server;
    server.base = event_base_new();
    if (server.base == nullptr) return 1;  // libevent has said why
    const timeval idle = {command.idle_seconds, 0};
    server.idle = event_base_init_common_timeout(server.base, &idle);
    // libevent catches the signal and calls us from the loop, where everything is allowed.
    event* const on_sigterm = evsignal_new(server.base, SIGTERM, on_end, &server);
    event* const on_sigint = evsignal_new(server.base, SIGINT, on_end, &server);
    event_add(on_sigterm, nullptr);
    event_add(on_sigint, nullptr);
    const int listener = listen_at("callbacks", command.address, SOCK_NONBLOCK);
    server.accepting = event_new(server.base, listener, EV_READ | EV_PERSIST, on_connection, &server);
    server.pause_over = evtimer_new(server.base, on_pause_over, &server);
    event_add(server.accepting, nullptr);

    event_base_dispatch(server.base);

    while (!server.clients.empty()) drop(*server.clients.begin());
    for (event* const each : {on_sigterm, on_sigint, server.accepting, server.pause_over}) event_free(each);
    event_base_free(server.base);
    close(listener);
}
