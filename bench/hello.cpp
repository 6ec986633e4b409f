// hello [--listen ADDR:PORT] [--root DIR] [--workers N] [--filters N] [--cert FILE --key FILE]
//       [--defer-accept 0|1]
//
// webby as an application embeds it, with one route, GET /hello, and the static files of DIR, if there is
// one. What bench/http.sh measures; with workers, loops on OS threads of their own, named loop-0, loop-1, …
// and pinned to a core each, what bench/two_loops.sh measures.
//
// With a certificate it speaks HTTPS there, which bench/https.sh measures.
//
// Prints "hello: serving http://ADDR:PORT/hello" (or https) when it is ready; ends by SIGTERM or SIGINT.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "corothread/stack_pool.h"
#include "evcorothread/cross_event.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/loop_group.h"
#include "evcorothread/signal_watch.h"
#include "webby/filter.h"
#include "webby/request.h"
#include "webby/response.h"
#include "webby/server.h"

namespace {

using namespace std::chrono_literals;

int fail(const cutils::Error& error) {
    std::fprintf(stderr, "hello: %s\n", error.message().c_str());
    return 1;
}

const char* scheme = "http";

// Sees each request and each response.
class LetsAllPass final : public webby::Filter {
    bool on_request(webby::Request& request, webby::Response&) override { return !request.path().empty(); }
    void on_response(const webby::Request&, webby::Response& response) override {
        seen_ += response.status() == webby::Status::ok;
    }
    std::size_t seen_ = 0;
};

void announce(const webby::Server& server) {
    std::printf("hello: serving %s://%s/hello\n", scheme, server.addresses().front().to_string().c_str());
    std::fflush(stdout);
}

int serve(webby::Server& server) {
    corothread::StackPool stacks({.count = 1000, .pages = 16});
    evcorothread::EvLoop loop(stacks);
    if (const cutils::Result<void> listening = server.attach(loop); !listening)
        return fail(listening.error());
    const evcorothread::SignalWatch signals(loop, {SIGTERM, SIGINT}, [&server](int) { server.stop(); });
    announce(server);
    loop.run();
    return 0;
}

int serve_with_workers(webby::Server& server, std::size_t workers) {
    corothread::StackPool stacks({.count = 1});
    evcorothread::EvLoop loop(stacks);
    evcorothread::CrossEvent end;
    const evcorothread::SignalWatch signals(loop, {SIGTERM, SIGINT}, [&end](int) { end.set(); });
    evcorothread::LoopGroup group(
        {.loops = workers, .stacks = {.count = 1000, .pages = 16}, .pin = true, .name = "loop"});
    if (const cutils::Result<void> started = group.start(); !started) return fail(started.error());
    if (const cutils::Result<void> listening = server.attach(group); !listening)
        return fail(listening.error());
    announce(server);
    loop.spawn("end", [&] {
        (void)end.wait(cutils::Deadline::never);
        server.stop();
        (void)group.shutdown(5s);
    });
    loop.run();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::map<std::string_view, const char*> options = {
        {"--listen", "127.0.0.1:0"}, {"--root", nullptr}, {"--workers", nullptr}, {"--filters", "0"},
        {"--cert", nullptr},         {"--key", nullptr},  {"--defer-accept", "0"}};
    for (int i = 1; i < argc; i += 2) {
        const auto option = options.find(argv[i]);
        if (i + 1 == argc || option == options.end()) {
            std::fprintf(stderr,
                         "usage: hello [--listen ADDR:PORT] [--root DIR] [--workers N] [--filters N] [--cert "
                         "FILE --key FILE] [--defer-accept 0|1]\n");
            return 2;
        }
        option->second = argv[i + 1];
    }
    const char* const root = options["--root"];
    const char* const workers = options["--workers"];

    webby::ServerOptions how{.listen = {options["--listen"]}, .timeouts = {.idle = 600s}};
    how.defer_accept = std::string_view(options["--defer-accept"]) == "1";
    if (options["--cert"] != nullptr && options["--key"] != nullptr) {
        how.listen_tls = std::exchange(how.listen, {});
        how.tls.certificates = {{options["--cert"], options["--key"]}};
        scheme = "https";
    }
    webby::Server server(how);
    for (long more = std::strtol(options["--filters"], nullptr, 10); more > 0; --more)
        server.add_filter(std::make_unique<LetsAllPass>());
    server.get("/hello",
               [](webby::Request&, webby::Response& response) { response.text("Hello, world!\n"); });
    if (root != nullptr) server.files("/", root);
    return workers == nullptr ? serve(server)
                              : serve_with_workers(server, std::strtoul(workers, nullptr, 10));
}
