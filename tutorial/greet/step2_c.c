// Greet, step 2, in C: a conversation. It works, as long as clients are people who type; see step 3. The same
// in C++ is step2.cpp.
//
//   step2_c [ADDR:PORT]     127.0.0.1:5555 unless told; port 0 takes a free one
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

static int say(EVSOCKET* socket, const char* text) {
    return EVSOCKET_send(socket, text, strlen(text), 0, EVTIMEOUT_never());
}

// What the server does for a client. The socket closes when it returns.
static void serve(EVTHREAD* thread, EVSOCKET* socket, void* user_ctx) {
    char name[256];
    char answer[300];
    int got;

    (void)thread;
    (void)user_ctx;
    if (say(socket, "What's your name?\n") < 0) return;
    got = EVSOCKET_recv(socket, name, sizeof name - 1, 0, EVTIMEOUT_never());
    if (got <= 0) return;
    name[got] = '\0';
    name[strcspn(name, "\r\n")] = '\0';
    snprintf(answer, sizeof answer, "Hello, %s!\n", name);
    say(socket, answer);
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
        fprintf(stderr, "usage: step2_c [ADDR:PORT]    port 0 takes a free one\n");
        return 2;
    }
    if (STACKS_init(&stacks, 1, 16) != 0 || (loop = EVLOOP_init(&stacks)) == NULL) {  // one client at a time
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
    alarm(2);                       // whoever is being served has two seconds,
    EVLOOP_run(loop);               // or less, if there is nobody
    alarm(0);
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGALRM, SIG_IGN);
    EVLOOP_free(loop);  // cancels who is left
    STACKS_destroy(&stacks);
    return 0;
}
