// A web server of several processes: a parent that keeps workers running over one listening socket.
//
//   prefork 127.0.0.1:8080 4
//   kill -HUP  PARENT      every worker is replaced by a fresh one, one after the other; nobody is refused
//   kill -TERM WORKER      it finishes what it has begun, and another one takes its place
//   kill -TERM PARENT      all finish what they have begun
//
// A worker that crashes takes its own requests with it and nobody else's. What several loops in one process
// do (ServerOptions::workers) costs less memory, and shares what the servlets remember.
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "corothread/stack_pool.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/signal_watch.h"
#include "evcorothread/workers.h"
#include "nutils/listen_stream.h"
#include "webby/server.h"

namespace {

using namespace std::chrono_literals;
namespace process = evcorothread::process;

int serve(process::Worker& self) {
    corothread::StackPool stacks({.count = 1000});
    evcorothread::EvLoop loop(stacks);
    webby::Server server({.listen = {"fd:" + std::to_string(self.take_listener().release())}});
    server.get("/", [](webby::Request&, webby::Response& response) {
        response.text("worker " + std::to_string(::getpid()) + "\n");
    });
    server.get("/slow", [](webby::Request&, webby::Response& response) {
        (void)evcorothread::this_evthread::delay(100ms);
        response.text("worker " + std::to_string(::getpid()) + "\n");
    });
    if (const auto listening = server.attach(loop); !listening) {
        std::fprintf(stderr, "prefork: %s\n", listening.error().message().c_str());
        return 1;
    }
    const evcorothread::SignalWatch stop(loop, {SIGTERM}, [&server](int) { server.stop(); });
    self.ready();
    loop.run();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const auto address = nutils::SockAddr::parse(argc > 1 ? argv[1] : "127.0.0.1:8080");
    if (!address) {
        std::fprintf(stderr, "prefork: %s\n", address.error().message().c_str());
        return 2;
    }
    auto listener = nutils::listen_stream(*address);
    if (!listener) {
        std::fprintf(stderr, "prefork: %s\n", listener.error().message().c_str());
        return 2;
    }
    // A worker gets a connection when its request is there. Without it, one that has said nothing yet when
    // its worker is told to end is closed: it holds nothing that would be lost, but its client has to try
    // again.
    const int seconds = 5;
    (void)::setsockopt(listener->get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
    std::printf("prefork: serving at http://%s/\n",
                nutils::SockAddr::local_of(listener->get())->to_string().c_str());
    std::fflush(stdout);
    process::WorkersOptions options;
    options.count = argc > 2 ? static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10)) : 0;
    process::Workers workers(*std::move(listener), serve, options);
    return workers.run();
}
