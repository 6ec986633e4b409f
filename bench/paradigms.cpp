// paradigms --paradigm thread|coroutine|event [--root DIR] [--cert FILE --key FILE]: one application, driven
// in each of webby's ways. What bench/paradigms.sh measures, and bench/http.sh where it compares paradigms.
//
// GET /hello answers at once, GET /wait after ten milliseconds in which the server only waits, as it would
// for a database: a coroutine sleeps, a thread sleeps, an event servlet leaves its response to a timer.
// Anything else is a file of DIR. With a certificate the same is served over TLS, on a second port.
//
// Prints "paradigms: serving http://ADDR:PORT/" and "… https://ADDR:PORT/" when it is ready; ends by SIGTERM
// or SIGINT.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <deque>
#include <map>
#include <string_view>
#include <thread>
#include <utility>

#include "corothread/stack_pool.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/ev_timer.h"
#include "evcorothread/signal_watch.h"
#include "webby/deferred.h"
#include "webby/paradigm.h"
#include "webby/request.h"
#include "webby/response.h"
#include "webby/server.h"

namespace {

using namespace std::chrono_literals;
using webby::Paradigm;

constexpr auto kWait = 10ms;
constexpr std::size_t kAtATime = 1000;  // stacks, or threads: neither is what a comparison should run out of

// Completes responses ten milliseconds after they came. All wait equally long, so they end in the order in
// which they came: a queue and one timer. On the loop's thread.
class Later {
  public:
    explicit Later(evcorothread::EvLoop& loop) : timer_(loop, [this] { answer_those_due(); }) {}

    void answer(webby::Deferred answer) {
        waiting_.push_back({Clock::now() + kWait, std::move(answer)});
        if (waiting_.size() == 1) timer_.start(kWait);
    }

  private:
    using Clock = std::chrono::steady_clock;
    struct Waiting {
        Clock::time_point until;
        webby::Deferred answer;
    };

    void answer_those_due() {
        const Clock::time_point now = Clock::now();
        while (!waiting_.empty() && waiting_.front().until <= now) {
            const webby::Deferred answer = std::move(waiting_.front().answer);
            waiting_.pop_front();
            complete(answer);
        }
        if (!waiting_.empty()) timer_.start(waiting_.front().until - now);
    }
    static void complete(webby::Deferred answer) {
        answer.response().text("waited\n");
        answer.complete();
    }

    std::deque<Waiting> waiting_;
    evcorothread::EvTimer timer_;
};

void add_routes(webby::Server& server, Paradigm paradigm, Later& later) {
    server.get("/hello",
               [](webby::Request&, webby::Response& response) { response.text("Hello, world!\n"); });
    switch (paradigm) {
        case Paradigm::coroutine:
            server.get("/wait", [](webby::Request&, webby::Response& response) {
                if (!evcorothread::this_evthread::delay(kWait)) response.text("waited\n");
            });
            break;
        case Paradigm::thread:
            server.get("/wait", [](webby::Request&, webby::Response& response) {
                std::this_thread::sleep_for(kWait);
                response.text("waited\n");
            });
            break;
        case Paradigm::event:
            server.get("/wait", [&later](webby::Request&, webby::Response& response) {
                later.answer(response.defer());
            });
            break;
    }
}

int usage() {
    std::fprintf(
        stderr, "usage: paradigms --paradigm thread|coroutine|event [--root DIR] [--cert FILE --key FILE]\n");
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    std::map<std::string_view, const char*> options = {
        {"--paradigm", ""}, {"--root", nullptr}, {"--cert", nullptr}, {"--key", nullptr}};
    for (int i = 1; i < argc; i += 2) {
        const auto option = options.find(argv[i]);
        if (i + 1 == argc || option == options.end()) return usage();
        option->second = argv[i + 1];
    }
    const auto paradigm = webby::parse_paradigm(options["--paradigm"]);
    const bool secure = options["--cert"] != nullptr;
    if (!paradigm || secure != (options["--key"] != nullptr)) return usage();

    webby::ServerOptions how{.listen = {"127.0.0.1:0"}, .paradigm = *paradigm, .timeouts = {.idle = 600s}};
    how.threads = kAtATime;
    if (secure) {
        how.listen_tls = {"127.0.0.1:0"};
        how.tls.certificates = {{options["--cert"], options["--key"]}};
    }
    corothread::StackPool stacks({.count = kAtATime, .pages = 16});
    evcorothread::EvLoop loop(stacks);
    Later later(loop);
    webby::Server server(how);
    add_routes(server, *paradigm, later);
    if (options["--root"] != nullptr) server.files("/", options["--root"]);
    if (const cutils::Result<void> listening = server.attach(loop); !listening) {
        std::fprintf(stderr, "paradigms: %s\n", listening.error().message().c_str());
        return 1;
    }
    const evcorothread::SignalWatch signals(loop, {SIGTERM, SIGINT}, [&server](int) { server.stop(); });
    std::printf("paradigms: serving http://%s/\n", server.addresses().front().to_string().c_str());
    if (secure) std::printf("paradigms: serving https://%s/\n", server.addresses()[1].to_string().c_str());
    std::fflush(stdout);
    loop.run();
    return 0;
}
