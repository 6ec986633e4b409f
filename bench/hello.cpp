// hello [--listen ADDR:PORT] [--root DIR]: webby as an application embeds it, with one route, GET /hello, and
// the static files of DIR, if there is one. What bench/http.sh measures.
//
// Prints "hello: serving http://ADDR:PORT/hello" when it is ready; ends by SIGTERM or SIGINT.
#include <csignal>
#include <cstdio>
#include <string_view>

#include "corothread/stack_pool.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/signal_watch.h"
#include "webby/request.h"
#include "webby/response.h"
#include "webby/server.h"

int main(int argc, char** argv) {
    using namespace std::chrono_literals;
    const char* listen = "127.0.0.1:0";
    const char* root = nullptr;
    for (int i = 1; i < argc; i += 2) {
        const std::string_view option = argv[i];
        if (i + 1 == argc || (option != "--listen" && option != "--root")) {
            std::fprintf(stderr, "usage: hello [--listen ADDR:PORT] [--root DIR]\n");
            return 2;
        }
        (option == "--listen" ? listen : root) = argv[i + 1];
    }

    webby::Server server({.listen = {listen}, .timeouts = {.idle = 600s}});
    server.get("/hello",
               [](webby::Request&, webby::Response& response) { response.text("Hello, world!\n"); });
    if (root != nullptr) server.files("/", root);

    corothread::StackPool stacks({.count = 1000, .pages = 16});
    evcorothread::EvLoop loop(stacks);
    if (const cutils::Result<void> listening = server.attach(loop); !listening) {
        std::fprintf(stderr, "hello: %s\n", listening.error().message().c_str());
        return 1;
    }
    const evcorothread::SignalWatch signals(loop, {SIGTERM, SIGINT}, [&server](int) { server.stop(); });
    std::printf("hello: serving http://%s/hello\n", server.addresses().front().to_string().c_str());
    std::fflush(stdout);
    loop.run();
    return 0;
}
