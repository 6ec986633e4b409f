// Greet, step 4, in C: many clients at a time. Compare it with step 3: one number is different. The same in
// C++ is step4.cpp.
//
//   step4_c [ADDR:PORT]     127.0.0.1:5555 unless told; port 0 takes a free one
#include <errno.h>
#include <evcorothread/evthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static EVLOOP* loop;

static void on_signal(int number) {
    const int saved = errno;
    (void)number;
    EVLOOP_break(loop);  // a store and a write(2): one of the few things that are allowed here
    errno = saved;
}

#define LONGEST_LINE 256

// Sends bytes, not text: a name may have zeros in it.
static int send_bytes(EVSOCKET* socket, const char* bytes, int size, int flags) {
    return EVSOCKET_send(socket, bytes, (size_t)size, flags, EVTIMEOUT_never());
}
static int say(EVSOCKET* socket, const char* text) { return send_bytes(socket, text, (int)strlen(text), 0); }

// Receives a line; the end of the stream ends one, too. Returns its length without its end, or -1 with errno:
// EMSGSIZE when it does not fit, ENODATA when there is none.
static int recv_line(EVSOCKET* socket, char* line, int size) {
    int length = 0;
    for (;;) {
        const char* end;
        const int got = EVSOCKET_recv(socket, line + length, (size_t)(size - length), 0, EVTIMEOUT_never());
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
static int converse(EVSOCKET* socket) {
    char name[LONGEST_LINE];
    int length;

    if (say(socket, "What's your name?\n") < 0) return -1;
    length = recv_line(socket, name, sizeof name);
    if (length < 0 && errno == EMSGSIZE) return say(socket, "That is too long a name for me.\n") < 0 ? -1 : 0;
    if (length < 0) return -1;
    if (length == 0) return say(socket, "Hello, stranger!\n") < 0 ? -1 : 0;
    // MSG_MORE: more is about to follow, so it all goes out in one piece.
    if (send_bytes(socket, "Hello, ", 7, MSG_MORE) < 0 || send_bytes(socket, name, length, MSG_MORE) < 0)
        return -1;
    return say(socket, "!\n") < 0 ? -1 : 0;
}

// Ends the conversation so that the client hears all of it: bytes that nobody has read when a socket closes
// turn the close into a reset, which may overtake our last words. A second for each piece; see step 5.
static void hang_up(EVSOCKET* socket) {
    char rest[512];
    if (EVSOCKET_shutdown_send(socket) != 0) return;
    while (EVSOCKET_recv(socket, rest, sizeof rest, 0, EVTIMEOUT_ms(1000)) > 0) continue;
}

// What the server does for a client. The socket closes when it returns.
static void serve(EVTHREAD* thread, EVSOCKET* socket, void* user_ctx) {
    (void)thread;
    (void)user_ctx;
    if (converse(socket) == 0)
        hang_up(socket);
    else
        perror("greet: lost a client");
}

static int choose(int fd, EVTHREAD_PROC* proc, void** user_ctx) {
    (void)fd;
    (void)user_ctx;
    *proc = serve;
    return 0;
}

int main(int argc, char** argv) {
    STACKS stacks;
    SOCKADDR address;
    EVTCPACCEPTOR* acceptor;
    char where[512];

    if (argc > 2 || SOCKADDR_parse(&address, argc > 1 ? argv[1] : "127.0.0.1:5555") != 0) {
        fprintf(stderr, "usage: step4_c [ADDR:PORT]    port 0 takes a free one\n");
        return 2;
    }
    if (STACKS_init(&stacks, 1000, 16) != 0 || (loop = EVLOOP_init(&stacks)) == NULL) {  // as many clients
        perror("greet");
        return 1;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    signal(SIGALRM, on_signal);
    acceptor = EVTCPACCEPTOR_init_ex(loop, &address, 511, choose, -1, -1);
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
    alarm(2);                       // those who are being served have two seconds,
    EVLOOP_run(loop);               // or less, if there is nobody
    alarm(0);
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGALRM, SIG_IGN);
    EVLOOP_free(loop);  // cancels those who are left
    STACKS_destroy(&stacks);
    return 0;
}
