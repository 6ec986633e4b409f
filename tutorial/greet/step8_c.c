// Greet, step 8, in C: over TLS. The same in C++ is step8.cpp.
//
//   step8_c CERTIFICATE KEY [ADDR:PORT [SECONDS]]     two PEM files; 127.0.0.1:5555 and 10 unless told;
//                                                     port 0 takes a free one
//
//   SIGTERM, SIGINT    ends it, after the conversations in flight
//   SIGHUP             reads the files again: who comes from then on gets the new certificate
#include <errno.h>
#include <evcorothread/evthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static int say(EVTLS* tls, const char* text, long deadline) {
    return EVTLS_send(tls, text, strlen(text), left_until(deadline));
}

// Receives a line; the end of the stream ends one, too. Returns its length without its end, or -1 with errno:
// EMSGSIZE when it does not fit, ENODATA when there is none.
static int recv_line(EVTLS* tls, char* line, int size, long deadline) {
    int length = 0;
    for (;;) {
        const char* end;
        const int got = EVTLS_recv(tls, line + length, (size_t)(size - length), left_until(deadline));
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
static int converse(EVTLS* tls, long deadline) {
    char name[LONGEST_LINE];
    char answer[LONGEST_LINE + 16];
    int length;

    if (say(tls, "What's your name?\n", deadline) < 0) return -1;
    length = recv_line(tls, name, sizeof name, deadline);
    if (length < 0 && errno == EMSGSIZE)
        return say(tls, "That is too long a name for me.\n", deadline) < 0 ? -1 : 0;
    if (length < 0 && errno == ETIMEDOUT) {
        say(tls, "I cannot wait any longer. Bye!\n", deadline);
        errno = ETIMEDOUT;
    }
    if (length < 0) return -1;
    if (length == 0) return say(tls, "Hello, stranger!\n", deadline) < 0 ? -1 : 0;
    // Every send is a record of its own, so it is put together first. Bytes, not text: a name may have zeros.
    memcpy(answer, "Hello, ", 7);
    memcpy(answer + 7, name, (size_t)length);
    memcpy(answer + 7 + length, "!\n", 2);
    return EVTLS_send(tls, answer, (size_t)length + 9, left_until(deadline)) < 0 ? -1 : 0;
}

// Shakes hands, talks, says goodbye. TLS has a goodbye of its own: a client that hears it knows that it has
// heard all, and that nobody has cut the connection.
static int greet(EVSOCKET* socket, const EVTLSCONTEXT* context, long deadline) {
    const long in_a_second = now_ms() + 1000;
    EVTLS_ERROR why;
    EVTLS* const tls = EVTLS_accept(socket, context, left_until(deadline), &why);
    if (tls == NULL) {
        fprintf(stderr, "greet: %s\n", why.text);
        return -1;
    }
    if (converse(tls, deadline) != 0) return -1;
    EVTLS_close(tls, left_until(in_a_second < deadline ? in_a_second : deadline));
    return 0;
}

enum event { ESTABLISHED, SUCCEEDED, FAILED };

// What the coroutines of the server work on.
struct server {
    EVLOOP* loop;
    EVTCPACCEPTOR* acceptor;  // NULL once it is closed
    EVCHANNEL* events;        // of enum event
    EVCHANNEL* signals;       // of int
    EVSIGNAL* watch;
    EVTLSCONTEXT* context;
    long patience;  // milliseconds, for a conversation
};

static void tell(struct server* server, enum event event) {
    EVCHANNEL_send(server->events, &event, EVTIMEOUT_never());
}

// What the server does for a client. The socket closes when it returns.
static void serve(EVTHREAD* thread, EVSOCKET* socket, void* user_ctx) {
    struct server* server = user_ctx;
    const long deadline = now_ms() + server->patience;  // one for all that follows, the handshake included
    (void)thread;
    tell(server, ESTABLISHED);
    tell(server, greet(socket, server->context, deadline) == 0 ? SUCCEEDED : FAILED);
}

static int choose(void* server, int fd, EVTHREAD_PROC* proc, void** user_ctx) {
    (void)fd;
    *proc = serve;
    *user_ctx = server;
    return 0;
}

static void reload(EVTLSCONTEXT* context) {
    EVTLS_ERROR why;
    if (EVTLSCONTEXT_reload(context, &why) == 0)
        printf("greet: new certificate\n");
    else
        printf("greet: the old certificate stays: %s\n", why.text);
    fflush(stdout);
}

// Hands signals that end the server on to the statistics, until those have ended and it is canceled.
static int watch_signals(EVTHREAD* thread, void* user_ctx) {
    struct server* server = user_ctx;
    int number;
    (void)thread;
    while ((number = EVSIGNAL_wait(server->watch, EVTIMEOUT_never())) > 0) {
        if (number == SIGHUP)
            reload(server->context);
        else
            EVCHANNEL_send(server->signals, &number, EVTIMEOUT_never());
    }
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
                printf("connections: %lld in all, %lld active, %lld failed\n", established,
                       established - succeeded - failed, failed);
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

static int explain(void) {
    fprintf(stderr,
            "usage: step8_c CERTIFICATE KEY [ADDR:PORT [SECONDS]]    port 0 takes a free one\n"
            "A certificate to try it out, and its key, are made by\n"
            "  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 "
            "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 "
            "-keyout key.pem -out cert.pem\n");
    return 2;
}

int main(int argc, char** argv) {
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    STACKS stacks;
    SOCKADDR address;
    char where[512];
    EVTLS_OPTIONS options = {0};
    EVTLS_ERROR why;
    const double seconds = argc > 4 ? atof(argv[4]) : 10;
    struct server server = {NULL, NULL, NULL, NULL, NULL, NULL, 0};

    if (argc < 3 || argc > 5 || !(seconds > 0 && seconds <= 3600) ||
        SOCKADDR_parse(&address, argc > 3 ? argv[3] : "127.0.0.1:5555") != 0)
        return explain();
    server.patience = (long)(seconds * 1000);
    options.certificate_file = argv[1];
    options.key_file = argv[2];
    server.context = EVTLSCONTEXT_server(&options, &why);
    if (server.context == NULL) {
        fprintf(stderr, "greet: %s\n", why.text);
        return 1;
    }
    // A thousand clients, the statistics, and the watcher of signals.
    if (STACKS_init(&stacks, 1002, 16) != 0 || (server.loop = EVLOOP_init(&stacks)) == NULL ||
        prepare(&server, numbers, 3) != 0) {
        perror("greet");
        return 1;
    }
    server.acceptor = EVTCPACCEPTOR_init_ctx(server.loop, &address, 511, choose, &server, -1, -1);
    if (server.acceptor == NULL) {
        perror("greet: listen");
        return 1;
    }
    EVTCPACCEPTOR_address(server.acceptor, &address);
    SOCKADDR_to_string(&address, where, sizeof where);
    printf("greet: listening on %s\n", where);
    fflush(stdout);

    EVLOOP_run(server.loop);  // until the statistics, and with them all conversations, have ended
    EVLOOP_free(server.loop);
    EVTLSCONTEXT_free(server.context);
    STACKS_destroy(&stacks);
    return 0;
}
