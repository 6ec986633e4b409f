// mirror [--listen ADDR:PORT] [--paradigm NAME]: webby with one servlet that says what it understood, a line
// a request: "METHOD TARGET LENGTH-OF-BODY". What test/diff and test/webby/load compare and count.
//
// GET /big answers 8 MB. Prints "mirror: serving http://ADDR:PORT/" when it is ready;
// ends by SIGTERM or SIGINT, as soon as what is in flight is answered.
#include <csignal>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>

#include "corothread/stack_pool.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/signal_watch.h"
#include "webby/paradigm.h"
#include "webby/request.h"
#include "webby/response.h"
#include "webby/server.h"

namespace {

using namespace std::chrono_literals;

void reflect(webby::Request& request, webby::Response& response) {
    std::string line(request.method_name());
    line += ' ';
    line += request.target();
    line += ' ';
    line += std::to_string(request.body().size());
    response.text(line + "\n");
}

void add_routes(webby::Server& server) {
    server.get("/big", [](webby::Request&, webby::Response& response) {
        response.text(std::string(8'000'000, 'x'));
    });
    for (const char* pattern : {"/", "/*rest"}) {
        server.get(pattern, reflect);
        server.post(pattern, reflect);
        server.put(pattern, reflect);
        server.del(pattern, reflect);
        server.patch(pattern, reflect);
    }
}

int usage() {
    std::fprintf(stderr, "usage: mirror [--listen ADDR:PORT] [--paradigm coroutine|thread|event]\n");
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    std::map<std::string_view, const char*> options = {{"--listen", "127.0.0.1:0"},
                                                       {"--paradigm", "coroutine"}};
    for (int i = 1; i < argc; i += 2) {
        const auto option = options.find(argv[i]);
        if (i + 1 == argc || option == options.end()) return usage();
        option->second = argv[i + 1];
    }
    const auto paradigm = webby::parse_paradigm(options["--paradigm"]);
    if (!paradigm) return usage();

    webby::Server server({.listen = {options["--listen"]}, .paradigm = *paradigm, .threads = 32});
    add_routes(server);
    corothread::StackPool stacks({.count = 1000, .pages = 16});
    evcorothread::EvLoop loop(stacks);
    if (const cutils::Result<void> listening = server.attach(loop); !listening) {
        std::fprintf(stderr, "mirror: %s\n", listening.error().message().c_str());
        return 1;
    }
    const evcorothread::SignalWatch signals(loop, {SIGTERM, SIGINT}, [&server](int) { server.stop(); });
    std::printf("mirror: serving http://%s/\n", server.addresses().front().to_string().c_str());
    std::fflush(stdout);
    loop.run();
    return 0;
}
