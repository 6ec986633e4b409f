// Echo, 7th form: a coroutine thread for each client.
//
//   coroutines [ADDR:PORT [IDLE-SECONDS]]
//
// `echo` is that of the first four forms again, a straight line with its variables in its own stack frame;
// and the process is that of the 6th, one thread that waits in epoll. recv and send_all look as if they
// blocked. They do, for this coroutine: its stack is put aside, and the loop goes on with the next one that
// is ready. Nothing is shared between OS threads, so nothing is locked.
//
// Limits: kMostClients stacks (others wait in the listen queue, which costs nothing), of which those pages
//         take memory that were used; RLIMIT_NOFILE; one core a loop; a call that blocks stops everybody.
// Right:  for thousands of clients, and a protocol that one wants to read.
#include <evcorothread/ev_tcp_acceptor.h>
#include <evcorothread/signal_watch.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

using namespace evcorothread;

static constexpr std::size_t kMostClients = 2000;

static void echo(EvSocket socket, std::chrono::seconds idle) {
    char buffer[4096];
    while (auto got = socket.recv(buffer, idle))
        if (!socket.send_all({buffer, got.bytes}, idle)) break;
}  // the socket closes here, the stack goes back

int main(int argc, char** argv) {
    const auto address = nutils::SockAddr::parse(argc > 1 ? argv[1] : "127.0.0.1:9999");
    const std::chrono::seconds idle(argc > 2 ? std::atoi(argv[2]) : 60);
    if (argc > 3 || !address || idle.count() <= 0) {
        std::fprintf(stderr, "usage: coroutines [ADDR:PORT [IDLE-SECONDS]]    port 0 takes a free one\n");
        return 2;
    }
    corothread::StackPool stacks({.count = kMostClients, .pages = 5});
    EvLoop loop(stacks);
    auto acceptor = EvTcpAcceptor::listen(
        loop, *address, [idle](EvSocket socket) { echo(std::move(socket), idle); }, {{.backlog = SOMAXCONN}});
    if (!acceptor) {
        std::fprintf(stderr, "coroutines: %s\n", acceptor.error().message().c_str());
        return 1;
    }
    const SignalWatch ending(loop, {SIGTERM, SIGINT}, [&loop](int) { loop.stop(); });
    std::printf("coroutines: listening on %s\n", acceptor->local_address().to_string().c_str());
    std::fflush(stdout);
    loop.run();
    acceptor->close();
    loop.shutdown(std::chrono::seconds(5));  // cancels every wait; each echo returns, and closes its socket
}
