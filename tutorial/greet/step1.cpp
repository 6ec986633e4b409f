// Greet, step 1: a server that says hello to whoever connects, and hangs up. The same in C is step1_c.c.
//
//   step1 [ADDR:PORT]     127.0.0.1:5555 unless told; port 0 takes a free one
#include <evcorothread/ev_tcp_acceptor.h>
#include <evcorothread/signal_watch.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

using namespace evcorothread;

// What the server does for a client.
static void serve(EvSocket socket) {
    (void)socket.send_all("Hello, whoever you are!\n", Deadline::never);
}  // the socket closes here

int main(int argc, char** argv) {
    const auto address = nutils::SockAddr::parse(argc > 1 ? argv[1] : "127.0.0.1:5555");
    if (argc > 2 || !address) {
        std::fprintf(stderr, "usage: step1 [ADDR:PORT]    port 0 takes a free one\n");
        return 2;
    }
    corothread::StackPool stacks({.count = 1});  // one client at a time
    EvLoop loop(stacks);
    const SignalWatch ending(loop, {SIGTERM, SIGINT, SIGALRM}, [&loop](int) { loop.stop(); });
    auto acceptor = EvTcpAcceptor::listen(loop, *address, serve);
    if (!acceptor) {
        std::fprintf(stderr, "greet: %s\n", acceptor.error().message().c_str());
        return 1;
    }
    std::printf("greet: listening on %s\n", acceptor->local_address().to_string().c_str());
    std::fflush(stdout);

    loop.run();         // until a signal comes
    acceptor->close();  // nobody new
    alarm(2);           // whoever is being served has two seconds,
    loop.run();         // or less, if there is nobody
    alarm(0);
}  // the loop cancels who is left
