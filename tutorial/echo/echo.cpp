// An echo server in C++; the same in C is echo_c.c.
//
//   echo [PORT]     9999 unless told; 0 takes any free port
//
// `echo` is the whole server, as if there were only one client. Each recv and send_all waits for this client
// alone; meanwhile the loop runs the others, all on one OS thread.
#include <evcorothread/ev_tcp_acceptor.h>

#include <cstdio>
#include <cstdlib>

using namespace evcorothread;
using namespace std::chrono_literals;

static void echo(EvSocket socket) {
    char buffer[4096];
    while (auto got = socket.recv(buffer, 3s))
        if (!socket.send_all({buffer, got.bytes}, 3s)) break;
}  // the socket closes here, the stack goes back

int main(int argc, char** argv) {
    const int port = argc > 1 ? std::atoi(argv[1]) : 9999;
    if (port < 0 || port > 65535) {
        std::fprintf(stderr, "usage: echo [PORT]\n");
        return 2;
    }
    corothread::StackPool stacks({.count = 100, .pages = 5});  // 100 coroutines at most: the throttle
    EvLoop loop(stacks);
    auto acceptor =
        EvTcpAcceptor::listen(loop, nutils::SockAddr::any(static_cast<std::uint16_t>(port)), echo);
    if (!acceptor) {
        std::fprintf(stderr, "echo: %s\n", acceptor.error().message().c_str());
        return 1;
    }
    std::printf("listening at 127.0.0.1:%u\n", static_cast<unsigned>(acceptor->local_address().port()));
    std::fflush(stdout);
    loop.run();  // until the program is ended
}
