// Greet, step 7, in C: several processes, one listening socket. Each worker is the server of step 6; the
// parent keeps them running. The same in C++ is step7.cpp.
//
//   step7_c [ADDR:PORT [SECONDS [WORKERS]]]     127.0.0.1:5555, 10 and a worker for each CPU unless told;
//                                           port 0 takes a free one
//
//   SIGTERM, SIGINT    ends it, after the conversations in flight
//   SIGHUP             replaces the workers, one by one
#include <errno.h>
#include <evcorothread/evthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LONGEST_LINE 256

// A timeout counts from each call. For a deadline that holds for many calls, one remembers the time at which
// all must be over, and says each time how much is left: never negative, so at the end a call still does what
// it can do at once.
static long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
static struct timeval left_until(long deadline) {
    const long left = deadline - now_ms();
    return EVTIMEOUT_ms(left > 0 ? left : 0);
}

// Sends bytes, not text: a name may have zeros in it.
static int send_bytes(EVSOCKET* socket, const char* bytes, int size, int flags, long deadline) {
    return EVSOCKET_send(socket, bytes, (size_t)size, flags, left_until(deadline));
}
static int say(EVSOCKET* socket, const char* text, long deadline) {
    return send_bytes(socket, text, (int)strlen(text), 0, deadline);
}

// Receives a line; the end of the stream ends one, too. Returns its length without its end, or -1 with errno:
// EMSGSIZE when it does not fit, ENODATA when there is none.
static int recv_line(EVSOCKET* socket, char* line, int size, long deadline) {
    int length = 0;
    for (;;) {
        const char* end;
        const int got =
            EVSOCKET_recv(socket, line + length, (size_t)(size - length), 0, left_until(deadline));
        if (got < 0) return -1;
        if (got == 0 && length == 0) {
            errno = ENODATA;
            return -1;
        }
        end = memchr(line + length, '\n', (size_t)got);
        length += got;
        if (end != NULL) length = (int)(end - line);
        if (end != NULL || got == 0) break;
        if (length == size) {
            errno = EMSGSIZE;
            return -1;
        }
    }
    while (length > 0 && line[length - 1] == '\r') --length;
    return length;
}

// 0, or -1 with errno.
static int converse(EVSOCKET* socket, long deadline) {
    char name[LONGEST_LINE];
    int length;

    if (say(socket, "What's your name?\n", deadline) < 0) return -1;
    length = recv_line(socket, name, sizeof name, deadline);
    if (length < 0 && errno == EMSGSIZE)
        return say(socket, "That is too long a name for me.\n", deadline) < 0 ? -1 : 0;
    if (length < 0 && errno == ETIMEDOUT) {
        say(socket, "I cannot wait any longer. Bye!\n", deadline);
        errno = ETIMEDOUT;
    }
    if (length < 0) return -1;
    if (length == 0) return say(socket, "Hello, stranger!\n", deadline) < 0 ? -1 : 0;
    // MSG_MORE: more is about to follow, so it all goes out in one piece.
    if (send_bytes(socket, "Hello, ", 7, MSG_MORE, deadline) < 0 ||
        send_bytes(socket, name, length, MSG_MORE, deadline) < 0)
        return -1;
    return say(socket, "!\n", deadline) < 0 ? -1 : 0;
}

// Ends the conversation so that the client hears all of it: bytes that nobody has read when a socket closes
// turn the close into a reset, which may overtake our last words.
static void hang_up(EVSOCKET* socket, long deadline) {
    char rest[512];
    const long in_a_second = now_ms() + 1000;
    const long enough = in_a_second < deadline ? in_a_second : deadline;
    if (EVSOCKET_shutdown_send(socket) != 0) return;
    while (EVSOCKET_recv(socket, rest, sizeof rest, 0, left_until(enough)) > 0) continue;
}

enum event { ESTABLISHED, SUCCEEDED, FAILED };

// What the coroutines of the server work on.
struct server {
    EVLOOP* loop;
    EVTCPACCEPTOR* acceptor;  // NULL once it is closed
    EVCHANNEL* events;        // of enum event
    EVCHANNEL* signals;       // of int
    EVSIGNAL* watch;
    long patience;  // milliseconds, for a conversation
    int worker;
};

static void tell(struct server* server, enum event event) {
    EVCHANNEL_send(server->events, &event, EVTIMEOUT_never());
}

// What the server does for a client. The socket closes when it returns.
static void serve(EVTHREAD* thread, EVSOCKET* socket, void* user_ctx) {
    struct server* server = user_ctx;
    const long deadline = now_ms() + server->patience;  // one for all that follows
    (void)thread;
    tell(server, ESTABLISHED);
    if (converse(socket, deadline) == 0) {
        hang_up(socket, deadline);
        tell(server, SUCCEEDED);
    } else {
        tell(server, FAILED);
    }
}

static int choose(void* server, int fd, EVTHREAD_PROC* proc, void** user_ctx) {
    (void)fd;
    *proc = serve;
    *user_ctx = server;
    return 0;
}

// Hands signals on to the statistics, until those have ended and it is canceled.
static int watch_signals(EVTHREAD* thread, void* user_ctx) {
    struct server* server = user_ctx;
    int number;
    (void)thread;
    while ((number = EVSIGNAL_wait(server->watch, EVTIMEOUT_never())) > 0)
        EVCHANNEL_send(server->signals, &number, EVTIMEOUT_never());
    return 0;
}

// Counts, and says so on every change; ends the server when a signal comes, and itself when the last
// conversation has told how it went.
static void count(struct server* server) {
    long long established = 0, succeeded = 0, failed = 0;
    long long accepted = 0;  // known once the acceptor is closed
    long until = 0;
    enum event event;
    int number;
    EVCHANNEL_ARM arms[2] = {{NULL, EVCHANNEL_RECV, NULL, 0}, {NULL, EVCHANNEL_RECV, NULL, 0}};

    arms[0].channel = server->events;
    arms[0].message = &event;
    arms[1].channel = server->signals;
    arms[1].message = &number;
    while (server->acceptor != NULL || succeeded + failed < accepted) {
        switch (EVCHANNEL_select(arms, 2, server->acceptor != NULL ? EVTIMEOUT_never() : left_until(until))) {
            case 0:
                if (event == ESTABLISHED) ++established;
                if (event == SUCCEEDED) ++succeeded;
                if (event == FAILED) ++failed;
                printf("worker %d (%d): %lld in all, %lld active, %lld failed\n", server->worker,
                       (int)getpid(), established, established - succeeded - failed, failed);
                fflush(stdout);
                break;
            case 1:
                if (server->acceptor == NULL) break;  // we know
                accepted = EVTCPACCEPTOR_accepted(server->acceptor);
                EVTCPACCEPTOR_close(server->acceptor);
                server->acceptor = NULL;
                until = now_ms() + server->patience + 1000;
                break;
            default: return;  // timed out: somebody keeps to no deadline
        }
    }
}

// The watcher of signals is a child of the statistics: it ends with them, and then the loop has nothing to
// do.
static void statistics(EVTHREAD* thread, EVSOCKET* socket, void* user_ctx) {
    struct server* server = user_ctx;
    EVBUNDLE* const children = EVBUNDLE_init(server->loop, EVTIMEOUT_never());
    (void)thread;
    (void)socket;
    if (children == NULL || EVBUNDLE_go(children, "signals", watch_signals, server) != 0) {
        perror("greet");
        abort();
    }
    count(server);
    EVBUNDLE_free(children);
}

// Channels, the watch for signals, and the statistics. 0, or -1 with errno.
static int prepare(struct server* server, const int* numbers, int numbers_count) {
    EVTHREAD* thread;
    server->events = EVCHANNEL_init(server->loop, sizeof(enum event), 100);
    server->signals = EVCHANNEL_init(server->loop, sizeof(int), 1);
    server->watch = EVSIGNAL_init(server->loop, numbers, numbers_count);
    thread = EVTHREAD_init(server->loop, statistics, server);
    if (server->events == NULL || server->signals == NULL || server->watch == NULL || thread == NULL)
        return -1;
    EVTHREAD_set_name(thread, "statistics");
    return EVTHREAD_start(thread, NULL);
}

// What a worker is to do; known before the first fork.
struct plan {
    long patience;
    char where[512];
};

// A worker process, from fork to exit.
static int work(EVWORKER* self, void* user_ctx) {
    static const int ending[] = {SIGTERM};
    const struct plan* plan = user_ctx;
    STACKS stacks;
    struct server server = {NULL, NULL, NULL, NULL, NULL, 0, 0};

    server.patience = plan->patience;
    server.worker = EVWORKER_index(self);
    // A thousand clients, the statistics, and the watcher of signals.
    if (STACKS_init(&stacks, 1002, 16) != 0 || (server.loop = EVLOOP_init(&stacks)) == NULL ||
        prepare(&server, ending, 1) != 0 ||
        (server.acceptor = EVTCPACCEPTOR_init_fd_ctx(server.loop, EVWORKER_take_listener(self), choose,
                                                     &server, -1, -1)) == NULL) {
        perror("greet: worker");
        return 1;
    }
    if (server.worker == 0 && EVWORKER_generation(self) == 0) {  // said once, and by now it is true
        printf("greet: listening on %s\n", plan->where);
        fflush(stdout);
    }
    EVWORKER_ready(self);
    EVLOOP_run(server.loop);  // until the statistics, and with them all conversations, have ended
    EVLOOP_free(server.loop);
    STACKS_destroy(&stacks);
    return 0;
}

int main(int argc, char** argv) {
    struct plan plan;
    SOCKADDR address;
    int listener;
    int ended;
    const double seconds = argc > 2 ? atof(argv[2]) : 10;
    const int workers = argc > 3 ? atoi(argv[3]) : 0;  // 0: one for each CPU

    if (argc > 4 || !(seconds > 0 && seconds <= 3600) || workers < 0 || (argc > 3 && workers == 0) ||
        SOCKADDR_parse(&address, argc > 1 ? argv[1] : "127.0.0.1:5555") != 0) {
        fprintf(stderr, "usage: step7_c [ADDR:PORT [SECONDS [WORKERS]]]    port 0 takes a free one\n");
        return 2;
    }
    plan.patience = (long)(seconds * 1000);
    listener = EVWORKERS_listen(&address, 511, &address);
    if (listener < 0) {
        perror("greet: listen");
        return 1;
    }
    SOCKADDR_to_string(&address, plan.where, sizeof plan.where);

    // Whoever is told to end has as long as a conversation may take, and five seconds more.
    ended = EVWORKERS_run_ex(workers, listener, work, &plan, EVTIMEOUT_ms(plan.patience + 5000),
                             EVTIMEOUT_ms(10000), NULL);
    if (ended < 0) perror("greet: workers");
    return ended < 0 ? 1 : ended;
}
