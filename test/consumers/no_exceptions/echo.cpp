// A program built with -fno-exceptions -fno-rtti, which therefore uses the C face: a server and its client on
// one loop.
#include <evcorothread/evthread.h>

#include <cstdio>
#include <cstring>

static void serve(EVTHREAD*, EVSOCKET* socket, void*) {
    char buffer[256];
    for (int got; (got = EVSOCKET_recv(socket, buffer, sizeof buffer, 0, EVTIMEOUT_ms(5000))) > 0;)
        if (EVSOCKET_send(socket, buffer, static_cast<size_t>(got), 0, EVTIMEOUT_ms(5000)) != got) return;
}

static int choose(int, EVTHREAD_PROC* proc, void** context) {
    *proc = serve;
    *context = nullptr;
    return 0;
}

struct Talk {
    EVTCPACCEPTOR* acceptor;
    bool good;
};

static void ask(EVTHREAD* thread, EVSOCKET*, void* context) {
    Talk* const talk = static_cast<Talk*>(context);
    SOCKADDR address;
    EVTCPACCEPTOR_address(talk->acceptor, &address);
    EVSOCKET* const socket = EVSOCKET_init(thread, -1, 0);
    char answer[5];
    talk->good = EVSOCKET_connect(socket, SOCKADDR_saddr(&address), SOCKADDR_length(&address),
                                  EVTIMEOUT_ms(5000)) == 0 &&
                 EVSOCKET_send(socket, "hello", 5, 0, EVTIMEOUT_ms(5000)) == 5 &&
                 EVSOCKET_recv_all(socket, answer, 5, 0, EVTIMEOUT_ms(5000)) == 5 &&
                 std::memcmp(answer, "hello", 5) == 0;
    EVTCPACCEPTOR_close(talk->acceptor);
}

int main() {
    STACKS stacks;
    SOCKADDR address;
    if (STACKS_init(&stacks, 4, 5) != 0 || SOCKADDR_parse(&address, "127.0.0.1:0") != 0) return 1;
    EVLOOP* const loop = EVLOOP_init(&stacks);
    if (loop == nullptr) return 1;
    Talk talk = {EVTCPACCEPTOR_init_ex(loop, &address, 5, choose, -1, -1), false};
    if (talk.acceptor == nullptr) return 1;
    EVTHREAD_start(EVTHREAD_init(loop, ask, &talk), nullptr);
    EVLOOP_run(loop);
    EVLOOP_free(loop);
    STACKS_destroy(&stacks);
    std::puts(talk.good ? "echoed" : "not echoed");
    return talk.good ? 0 : 1;
}
