// The C face, compiled as C11: that the header is C, that its types are those the article's program uses, and
// a whole program's life without a line of C++. Called from c_face_test.cpp.
#include "evcorothread/compat/corothread/evthread.h"

#include <string.h>
#include <unistd.h>

// The exact types: a cast would hide a difference, an assignment does not.
static int (*const libinit)(void) = CTHREAD_libinit;
static int (*const stacks_init)(STACKS*, int, int) = STACKS_init;
static EVLOOP* (*const loop_init)(STACKS*) = EVLOOP_init;
static EVTCPACCEPTOR* (*const acceptor_init_ex)(EVLOOP*, const SOCKADDR*, int, EVTHREAD_FACTORY, int,
                                                int) = EVTCPACCEPTOR_init_ex;
static int (*const recv_)(EVSOCKET*, void*, size_t, int, struct timeval) = EVSOCKET_recv;
static int (*const send_)(EVSOCKET*, const void*, size_t, int, struct timeval) = EVSOCKET_send;
static int (*const delay_)(EVTHREAD*, struct timeval) = EVTHREAD_delay;

_Static_assert(sizeof(SOCKADDR) <= 128, "an address by value");

struct work {
    int sockets[2];
    char got[16];
    int steps;
};

static void echo(EVTHREAD* thread, struct tagEVSOCKET* socket, void* user_ctx) {
    char buffer[16];
    int rt;
    (void)thread;
    (void)user_ctx;
    while ((rt = recv_(socket, buffer, sizeof buffer, 0, EVTIMEOUT_ms(5000))) > 0) {
        if (send_(socket, buffer, (size_t)rt, 0, EVTIMEOUT_ms(5000)) != rt) break;
    }
}

static void client(EVTHREAD* thread, struct tagEVSOCKET* socket, void* user_ctx) {
    struct work* work = user_ctx;
    (void)delay_(thread, EVTIMEOUT_ms(1));
    if (EVSOCKET_send(socket, "in C", 4, 0, EVTIMEOUT_ms(5000)) == 4) ++work->steps;
    if (EVSOCKET_recv_all(socket, work->got, 4, 0, EVTIMEOUT_ms(5000)) == 4) ++work->steps;
}

static int echo_factory(int fd, EVTHREAD_PROC* proc, void** ctx) {
    (void)fd;
    *proc = echo;
    *ctx = NULL;
    return 0;
}

// Returns NULL when all went well, else what did not.
const char* c_face_in_c11(const int sockets[2]);
const char* c_face_in_c11(const int sockets[2]) {
    struct work work = {{sockets[0], sockets[1]}, "", 0};
    STACKS stacks;
    EVLOOP* loop;
    EVTHREAD *server, *caller;
    EVTCPACCEPTOR* acceptor;
    IPADDRESS addr;
    SOCKADDR saddr;

    if (libinit() != 0) return "CTHREAD_libinit";
    if (stacks_init(&stacks, 10, 5) != 0) return "STACKS_init";
    if ((loop = loop_init(&stacks)) == NULL) return "EVLOOP_init";
    if (IPADDRESS_any(&addr, AF_INET) != 0) return "IPADDRESS_any";
    if (SOCKADDR_init(&saddr, &addr, 0) != 0) return "SOCKADDR_init";
    if ((acceptor = acceptor_init_ex(loop, &saddr, 30, echo_factory, 8192, 8192)) == NULL)
        return "EVTCPACCEPTOR_init_ex";
    if (EVTCPACCEPTOR_close(acceptor) != 0) return "EVTCPACCEPTOR_close";

    server = EVTHREAD_init(loop, echo, NULL);
    caller = EVTHREAD_init(loop, client, &work);
    if (server == NULL || caller == NULL) return "EVTHREAD_init";
    if (EVTHREAD_start(server, EVSOCKET_init(server, work.sockets[0], 1)) != 0) return "EVTHREAD_start";
    if (EVTHREAD_start(caller, EVSOCKET_init(caller, work.sockets[1], 1)) != 0) return "EVTHREAD_start";
    if (EVLOOP_run(loop) != 0) return "EVLOOP_run";
    if (work.steps != 2 || memcmp(work.got, "in C", 4) != 0) return "the echo";

    if (EVLOOP_free(loop) != 0) return "EVLOOP_free";
    if (STACKS_destroy(&stacks) != 0) return "STACKS_destroy";
    return NULL;
}
