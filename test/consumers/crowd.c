// Many clients of an echo server that has fewer stacks than they are: crowd PORT PID CLIENTS STACKS
//
// All connect and send a line. As many as there are stacks must be answered, the others must wait, and
// meanwhile the server (process PID) must use no CPU. When one client leaves, one of those waiting must be
// served; in the end all. Prints one line; exit code 0 when all of that is so.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CLIENTS = 1000, LINE = 16 };
enum state { CONNECTING, WAITING, ANSWERED, GONE };

static struct client {
    int fd;
    enum state state;
    double since;
    char line[LINE], got[LINE];
    size_t size;
} clients[MAX_CLIENTS];
static struct sockaddr_in server;
static int count, answered, gone, again;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Noreturn void fail(const char* what) {
    printf("%s (%d answered, %d gone)\n", what, answered, gone);
    exit(1);
}

// User and system time of a process, in clock ticks.
static long ticks_of(const char* pid) {
    char path[64], text[1024], *at;
    long utime, stime;
    FILE* file;
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    if ((file = fopen(path, "r")) == NULL || fgets(text, sizeof text, file) == NULL)
        fail("the server is gone");
    fclose(file);
    // Behind the name, which may have blanks in it: the state is field 3, the times are 14 and 15.
    if ((at = strrchr(text, ')')) == NULL ||
        sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &utime, &stime) != 2)
        fail("cannot read the server's times");
    return utime + stime;
}

static void begin(struct client* client) {
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0) fail("no socket");
    if (connect(client->fd, (struct sockaddr*)&server, sizeof server) != 0 && errno != EINPROGRESS)
        fail(strerror(errno));
    client->state = CONNECTING;
    client->since = now();
}

static void leave(struct client* client) {
    close(client->fd);
    client->state = GONE;
    ++gone;
}

static void step(struct client* client) {
    ssize_t done;
    if (client->state == CONNECTING) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) fail(strerror(error));
        done = send(client->fd, client->line, LINE, MSG_NOSIGNAL);
        if (done != LINE) fail("cannot send");
        client->state = WAITING;
        return;
    }
    done = recv(client->fd, client->got + client->size, LINE - client->size, 0);
    if (done < 0 && errno == EAGAIN) return;
    if (done <= 0) fail("the server closed a connection that it should serve");
    client->size += (size_t)done;
    if (client->size < LINE) return;
    if (memcmp(client->got, client->line, LINE) != 0) fail("the answer is another client's");
    client->state = ANSWERED;
    ++answered;
}

// Serves the sockets until `enough` are answered, or for `seconds`.
//
// With `leaving`, who is answered leaves, and who has waited for a second tries anew: whom a full listen
// queue has turned away sends again only after seconds, as TCP has it, and the server does not wait longer
// than three.
static void go_on(int enough, double seconds, int leaving) {
    const double start = now(), end = start + seconds;
    while (answered < enough && now() < end) {
        struct pollfd waiting[MAX_CLIENTS];
        struct client* whose[MAX_CLIENTS];
        nfds_t n = 0;
        for (int i = 0; i < count; ++i) {
            struct client* const client = &clients[i];
            if (client->state == ANSWERED && leaving) leave(client);
            if (client->state == GONE || client->state == ANSWERED) continue;
            if (leaving && now() > (client->since > start ? client->since : start) + 1) {
                close(client->fd);
                begin(client);
                ++again;
            }
            waiting[n].fd = client->fd;
            waiting[n].events = client->state == CONNECTING ? POLLOUT : POLLIN;
            whose[n++] = client;
        }
        poll(waiting, n, leaving ? 100 : 1 + (int)((end - now()) * 1000));
        for (nfds_t i = 0; i < n; ++i)
            if (waiting[i].revents != 0) step(whose[i]);
    }
}

int main(int argc, char** argv) {
    if (argc != 5) fail("usage: crowd PORT PID CLIENTS STACKS");
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)atoi(argv[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const char* const pid = argv[2];
    count = atoi(argv[3]);
    const int stacks = atoi(argv[4]);
    if (count > MAX_CLIENTS) fail("too many clients");

    const double start = now();
    for (int i = 0; i < count; ++i) {
        snprintf(clients[i].line, LINE, "client %07u\n", (unsigned)i % 1000000u);
        begin(&clients[i]);
    }
    go_on(stacks, 20, 0);
    go_on(count, 0.1, 0);  // would any more be served?
    if (answered != stacks) fail("not as many are served as there are stacks");

    const long before = ticks_of(pid);
    go_on(count, 1, 0);
    const long used = ticks_of(pid) - before;
    if (answered != stacks) fail("more are served than there are stacks");
    if (now() - start > 2.8)
        fail("too slow here: the server's patience of three seconds is part of the test");
    if (used > 1) fail("the server uses CPU while it is saturated and idle");

    for (int i = 0; i < count && gone == 0; ++i)
        if (clients[i].state == ANSWERED) leave(&clients[i]);
    go_on(stacks + 1, 10, 0);
    if (answered != stacks + 1) fail("nobody is served when a stack comes back");

    go_on(count, 30, 1);
    if (answered != count) fail("not all are served in the end");
    printf(
        "%d clients, %d stacks: %d at once, %d later, %d of them after a new try; %ld ticks of CPU in an "
        "idle second\n",
        count, stacks, stacks, count - stacks, again, used);
    return 0;
}
