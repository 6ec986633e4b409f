// The webby program: a configuration file, reloads, a moved access log, SIGTERM.
#include "webby/program/options.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <optional>

#include "evcorothread/ev_thread.h"
#include "evcorothread/fork_child.h"
#include "test/faults/http_client.h"
#include "webby/program/arguments.h"
#include "webby/program/command_line.h"
#include "webby/program/passed_sockets.h"
#include "webby/program/serve.h"

namespace faults {
namespace {

using namespace evcorothread;

// What its main() does.
int webby_main(const std::string& config) {
    using namespace webby::program;
    Arguments arguments;
    CommandLine line;
    describe(line, arguments);
    std::string name = "webby", option = "--config", file = config;
    char* argv[] = {name.data(), option.data(), file.data(), nullptr};
    if (const std::optional<int> code = line.read(3, argv)) return *code;
    const PassedSockets passed = PassedSockets::take();
    if (std::string wrong_with = complete(line, arguments, passed); !wrong_with.empty())
        return complain(std::move(wrong_with));
    return serve(arguments);
}

bool is_there(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0;
}

// Until it is there, or the program has ended.
bool wait_until(const process::ChildProcess& child, const std::string& path) {
    for (int i = 0; i < 1000 && !child.status(); ++i) {
        if (is_there(path)) return true;
        if (this_evthread::delay(5ms)) break;
    }
    return false;
}

}  // namespace

void program(const Life& life) {
    const std::string config = life.folder + "/webby.conf", socket = life.folder + "/webby.sock",
                      log = life.folder + "/access.log", moved = log + ".1";
    in_loop([&](EvLoop& loop) {
        auto child = process::fork_child(loop, [&] { return webby_main(config) == 0 ? 0 : 1; });
        if (!good("fork", child)) return;
        const auto address = nutils::SockAddr::unix_path(socket);
        if (!good("a path", address)) return;
        const auto look = [&] {
            (void)ask(life, loop, *address, {.target = "/small.txt", .ending = "small\n"});
            (void)ask(life, loop, *address, {.target = "/", .ending = "</html>\n"});
        };
        if (wait_until(*child, socket)) {
            look();
            if (std::rename(log.c_str(), moved.c_str()) != 0)
                failed("the access log", std::error_code(errno, std::generic_category()));
            if (auto error = child->kill(SIGHUP)) failed("kill", error);
            if (!wait_until(*child, log)) failed("the access log", "was not opened again");
            look();
        } else if (!child->status()) {
            wrong("webby neither serves nor ends");
        }
        if (!child->status())
            if (auto error = child->kill(SIGTERM)) {
                failed("kill", error);
                (void)child->kill(SIGTERM);
            }
        check_end("webby", *child);
    });
}

}  // namespace faults
