// The program: serves a folder. Everything it does, an application can do with webby::Server. Its parts are
// in webby/program.
#include <sys/resource.h>

#include <optional>
#include <string>
#include <utility>

#include "webby/program/arguments.h"
#include "webby/program/command_line.h"
#include "webby/program/options.h"
#include "webby/program/passed_sockets.h"
#include "webby/program/serve.h"

namespace {

// Connections are descriptors; the soft limit is for programs that use select(2).
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
    using namespace webby::program;
    Arguments arguments;
    CommandLine line;
    describe(line, arguments);
    if (const std::optional<int> code = line.read(argc, argv)) return *code;
    const PassedSockets passed = PassedSockets::take();
    if (std::string wrong = complete(line, arguments, passed); !wrong.empty())
        return complain(std::move(wrong));
    raise_descriptor_limit();
    return serve(arguments);
}
