// Forwards TCP connections to another server, known by its name.
//
//   forward PORT HOST:PORT     port 0 takes any free one
//
// Each client gets a coroutine: it connects to the server, then carries bytes both ways until both sides have
// ended. When one ends (a client that has asked all it wants), that is passed on, and the other direction
// goes on. Bytes go from socket to socket inside the kernel; a slow receiver slows its sender down, and
// nobody else.
#include <evcorothread/copy_stream.h>
#include <evcorothread/ev_connect.h>
#include <evcorothread/ev_tcp_acceptor.h>
#include <evcorothread/signal_watch.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

using namespace evcorothread;
using namespace std::chrono_literals;

static void forward(EvLoop& loop, Resolver& names, const std::string& where, EvSocket client) {
    auto server = connect(loop, names, where, 10s);
    if (!server) {
        std::fprintf(stderr, "forward: %s\n", server.error().message().c_str());
        return;
    }
    client.set_idle_timeout(10min);
    server->set_idle_timeout(10min);
    const RelayResult done = relay(client, *server, Deadline::never);
    if (done) return;
    // Whoever is left must not take this for an orderly end.
    (void)nutils::set_reset_on_close(client.fd(), true);
    (void)nutils::set_reset_on_close(server->fd(), true);
}  // both close here

int main(int argc, char** argv) {
    const int port = argc == 3 ? std::atoi(argv[1]) : -1;
    if (port < 0 || port > 65535) {
        std::fprintf(stderr, "usage: forward PORT HOST:PORT\n");
        return 2;
    }
    const std::string where = argv[2];
    corothread::StackPool stacks({.count = 1000, .pages = 8});  // clients at most; others wait
    EvLoop loop(stacks);
    OffloadPool pool;
    Resolver names(pool);
    auto acceptor = EvTcpAcceptor::listen(
        loop, nutils::SockAddr::loopback(static_cast<std::uint16_t>(port)),
        [&](EvSocket client) { forward(loop, names, where, std::move(client)); }, {{}, "forward"});
    if (!acceptor) {
        std::fprintf(stderr, "forward: %s\n", acceptor.error().message().c_str());
        return 1;
    }
    const SignalWatch ending(loop, {SIGTERM, SIGINT}, [&loop](int) { loop.stop(); });
    std::printf("listening at %s\n", acceptor->local_address().to_string().c_str());
    std::fflush(stdout);
    loop.run();
    acceptor->close();
    loop.shutdown(5s);
}
