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
#include "webby/program/signals.h"

namespace webby::program {
namespace {

// The address of that number, the plain ones first.
std::string url_of(const Arguments& arguments, const Server& server, std::size_t number) {
    const nutils::SockAddr& address = server.addresses()[number];
    const bool tls = number >= arguments.server.listen.size();
    return address.is_ip() ? (tls ? "https://" : "http://") + address.to_string() + "/" : address.to_string();
}

void announce(const Arguments& arguments, const Server& server) {
    for (std::size_t i = 1; i < server.addresses().size(); ++i)
        cutils::log(cutils::LogLevel::info, "webby: also at %s", url_of(arguments, server, i).c_str());
    std::printf("webby: serving %s at %s (%s)\n", arguments.root.c_str(),
                url_of(arguments, server, 0).c_str(), arguments.paradigm.c_str());
    std::fflush(stdout);
}

// Before the files, which are everywhere else.
void add_pages(const Arguments& arguments, Server& server) {
    if (!arguments.status.empty()) server.status_page(arguments.status);
    if (!arguments.metrics.empty()) server.metrics_page(arguments.metrics);
    if (!arguments.health.empty()) server.health(arguments.health);
}

int serve_alone(const Arguments& arguments) {
    corothread::StackPool stacks(
        {.count = arguments.server.max_active, .pages = arguments.server.stack_pages});
    evcorothread::EvLoop loop(stacks);
    Server server(arguments.server);
    add_pages(arguments, server);
    server.files("/", arguments.root, arguments.files);
    if (const cutils::Result<void> listening = server.attach(loop); !listening)
        return complain(listening.error().message());
    const Ending ending(loop, [&server] { server.stop(); });
    const Reloading reloading(loop, arguments, server);
    announce(arguments, server);
    loop.run();
    return 0;
}

// The workers serve; this thread's loop only waits for signals.
int serve_with_workers(const Arguments& arguments) {
    corothread::StackPool stacks({.count = 1});
    evcorothread::EvLoop loop(stacks);
    evcorothread::CrossEvent end;
    const Ending ending(loop, [&end] { end.set(); });

    const std::size_t count = evcorothread::LoopGroup({.loops = arguments.server.workers}).size();
    evcorothread::LoopGroup workers({.loops = count,
                                     .stacks = {.count = (arguments.server.max_active + count - 1) / count,
                                                .pages = arguments.server.stack_pages},
                                     .name = "webby"});
    if (const cutils::Result<void> started = workers.start(); !started)
        return complain(started.error().message());
    Server server(arguments.server);
    add_pages(arguments, server);
    server.files("/", arguments.root, arguments.files);
    if (const cutils::Result<void> listening = server.attach(workers); !listening)
        return complain(listening.error().message());
    const Reloading reloading(loop, arguments, server);
    announce(arguments, server);
    loop.spawn("end", [&] {
        (void)end.wait(cutils::Deadline::never);
        server.stop();
        (void)workers.shutdown(arguments.server.drain + std::chrono::seconds(5));
    });
    loop.run();
    return 0;
}

}  // namespace

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
