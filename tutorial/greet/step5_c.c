// Greet, step 5, in C: deadlines. A conversation takes ten seconds at most, whatever the client does or does
// not. The same in C++ is step5.cpp.
//
//   step5_c [ADDR:PORT [SECONDS]]     127.0.0.1:5555 and 10 unless told; port 0 takes a free one
#include <errno.h>
#include <evcorothread/evthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static EVLOOP* loop;

static void on_signal(int number) {
    const int saved = errno;
    (void)number;
    EVLOOP_break(loop);  // a store and a write(2): one of the few things that are allowed here
    errno = saved;
}

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

// What the server does for a client. The socket closes when it returns.
static void serve(EVTHREAD* thread, EVSOCKET* socket, void* user_ctx) {
    const long* patience = user_ctx;
    const long deadline = now_ms() + *patience;  // one for all that follows
    (void)thread;
    if (converse(socket, deadline) == 0)
        hang_up(socket, deadline);
    else
        perror("greet: lost a client");
}

static int choose(void* patience, int fd, EVTHREAD_PROC* proc, void** user_ctx) {
    (void)fd;
    *proc = serve;
    *user_ctx = patience;
    return 0;
}

int main(int argc, char** argv) {
    STACKS stacks;
    SOCKADDR address;
    EVTCPACCEPTOR* acceptor;
    char where[512];
    const double seconds = argc > 2 ? atof(argv[2]) : 10;
    long patience;  // milliseconds

    if (argc > 3 || !(seconds > 0 && seconds <= 3600) ||
        SOCKADDR_parse(&address, argc > 1 ? argv[1] : "127.0.0.1:5555") != 0) {
        fprintf(stderr, "usage: step5_c [ADDR:PORT [SECONDS]]    port 0 takes a free one\n");
        return 2;
    }
    patience = (long)(seconds * 1000);
    if (STACKS_init(&stacks, 1000, 16) != 0 || (loop = EVLOOP_init(&stacks)) == NULL) {  // as many clients
        perror("greet");
        return 1;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    acceptor = EVTCPACCEPTOR_init_ctx(loop, &address, 511, choose, &patience, -1, -1);
    if (acceptor == NULL) {
        perror("greet: listen");
        return 1;
    }
    EVTCPACCEPTOR_address(acceptor, &address);
    SOCKADDR_to_string(&address, where, sizeof where);
    printf("greet: listening on %s\n", where);
    fflush(stdout);

    EVLOOP_run(loop);               // until a signal comes
    EVTCPACCEPTOR_close(acceptor);  // nobody new
    EVLOOP_run(loop);               // until the last client has gone: `patience` at most
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    EVLOOP_free(loop);
    STACKS_destroy(&stacks);
    return 0;
}
