// A plugin with a copy of the library inside itself: linked with the archives, and with plugin.map, so that
// neither it takes another copy's functions nor another takes its.
#include <evcorothread/ev_socket.h>
#include <evcorothread/ev_tcp_acceptor.h>
#include <evcorothread/evthread.h>

#include <stdexcept>

using namespace evcorothread;
using namespace std::chrono_literals;

static void echo(EvSocket socket) {
    char buffer[256];
    while (auto got = socket.recv(buffer, 5s))
        if (!socket.send_all({buffer, got.bytes}, 5s)) break;
}

// Where this copy's code is.
extern "C" __attribute__((visibility("default"))) const void* plugin_identity() {
    return reinterpret_cast<const void*>(&STACKS_init);
}

// Is the calling code, for this copy, in a coroutine?
extern "C" __attribute__((visibility("default"))) bool plugin_is_in_a_coroutine() {
    return this_evthread::in_evthread();
}

// A server and a client on a loop of its own; how many of `rounds` came back right.
extern "C" __attribute__((visibility("default"))) int plugin_echoes(int rounds) {
    int right = 0;
    corothread::StackPool stacks({.count = 4});
    EvLoop loop(stacks);
    auto acceptor = EvTcpAcceptor::listen(loop, nutils::SockAddr::parse("127.0.0.1:0").value(), echo).value();
    loop.spawn("client", [&] {
        auto socket = EvSocket::connect(loop, acceptor.local_address(), 5s).value();
        char buffer[8];
        for (int i = 0; i < rounds; ++i) {
            try {
                if (!socket.send_all("12345678", 5s)) break;
                throw std::runtime_error("an exception of this copy's coroutine");
            } catch (const std::runtime_error&) {
                right += socket.recv_exact(buffer, 5s) ? 1 : 0;  // suspends inside catch
            }
        }
        acceptor.close();
    });
    loop.run();
    return right;
}
