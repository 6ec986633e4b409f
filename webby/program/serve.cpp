#include "webby/program/serve.h"

#include <cstdio>
#include <exception>
#include <string>

#include "corothread/stack_pool.h"
#include "cutils/log.h"
#include "evcorothread/cross_event.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/loop_group.h"
#include "webby/program/reloading.h"
#include "webby/program/service.h"
#include "webby/program/signals.h"
#include "webby/program/site.h"

namespace webby::program {
namespace {

// The address of that number, the plain ones first.
std::string url_of(const Arguments& arguments, const Server& server, std::size_t number) {
    const nutils::SockAddr& address = server.addresses()[number];
    const bool tls = number >= arguments.server.listen.size();
    return address.is_ip() ? (tls ? "https://" : "http://") + address.to_string() + "/" : address.to_string();
}

void announce(const Arguments& arguments, const Server& server, Service& service) {
    for (std::size_t i = 1; i < server.addresses().size(); ++i)
        cutils::log(cutils::LogLevel::info, "webby: also at %s", url_of(arguments, server, i).c_str());
    const std::string what =
        "serving " + arguments.root + " at " + url_of(arguments, server, 0) + " (" + arguments.paradigm + ")";
    std::printf("webby: %s\n", what.c_str());
    std::fflush(stdout);
    service.ready(what);
}

int serve_alone(const Arguments& arguments) {
    corothread::StackPool stacks(
        {.count = arguments.server.max_active, .pages = arguments.server.stack_pages});
    evcorothread::EvLoop loop(stacks);
    Loaded loaded;
    Server server(arguments.server);
    if (const cutils::Result<void> filled = fill(server, arguments, loaded); !filled)
        return complain(words(filled.error()));
    Service service(loop, nullptr);
    // Before anybody can be connected, and take it for one that may be told.
    const Ending ending(loop, [&] {
        service.stopping();
        server.stop();
    });
    const Reloading reloading(loop, arguments, server, loaded, service);
    if (const cutils::Result<void> listening = server.attach(loop); !listening)
        return complain(words(listening.error()));
    announce(arguments, server, service);
    loop.run();
    return 0;
}

// The workers serve; this thread's loop only waits for signals.
int serve_with_workers(const Arguments& arguments) {
    corothread::StackPool stacks({.count = 1});
    evcorothread::EvLoop loop(stacks);
    evcorothread::CrossEvent end;

    const std::size_t count = evcorothread::LoopGroup({.loops = arguments.server.workers}).size();
    evcorothread::LoopGroup workers({.loops = count,
                                     .stacks = {.count = (arguments.server.max_active + count - 1) / count,
                                                .pages = arguments.server.stack_pages},
                                     .name = "webby"});
    if (const cutils::Result<void> started = workers.start(); !started)
        return complain(words(started.error()));
    Loaded loaded;
    Server server(arguments.server);
    if (const cutils::Result<void> filled = fill(server, arguments, loaded); !filled)
        return complain(words(filled.error()));
    Service service(loop, &workers);
    const Ending ending(loop, [&] {
        service.stopping();
        end.set();
    });
    const Reloading reloading(loop, arguments, server, loaded, service);
    if (const cutils::Result<void> listening = server.attach(workers); !listening)
        return complain(words(listening.error()));
    announce(arguments, server, service);
    loop.spawn("end", [&] {
        (void)end.wait(cutils::Deadline::never);
        server.stop();
        (void)evcorothread::this_evthread::delay(arguments.server.drain_delay);
        (void)workers.shutdown(arguments.server.drain + std::chrono::seconds(5));
    });
    loop.run();
    return 0;
}

}  // namespace

std::string words(const cutils::Error& error) {
    const bool ours = error == std::errc::invalid_argument && !error.context().empty();
    return ours ? error.context() : error.message();
}

int complain(std::string text) {
    for (char& c : text)
        if (c == '\n') c = ' ';
    std::fprintf(stderr, "webby: %s\n", text.c_str());
    return kUsageError;
}

int serve(const Arguments& arguments) {
    try {
        return arguments.server.workers == 1 ? serve_alone(arguments) : serve_with_workers(arguments);
    } catch (const std::exception& error) {  // no memory for so many stacks
        return complain(error.what());
    }
}

}  // namespace webby::program
