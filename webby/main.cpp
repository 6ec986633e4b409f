// The program: serves a folder. Everything it does, an application can do with webby::Server. Its parts are
// in webby/program.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <utility>

#include "webby/program/arguments.h"
#include "webby/program/config_file.h"
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
    CLI::App parser("webby: serves a folder over HTTP/1.1, with coroutines, threads or callbacks.", "webby");
    describe(parser, arguments);
    try {
        parser.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return parser.exit(error);  // --help, --version
        return complain(error.what());
    }
    if (!arguments.config.empty())
        if (const cutils::Result<void> read = read_config(parser, arguments.config); !read)
            return complain(words(read.error()));
    if (arguments.print_config) {
        std::fputs(config_of(parser).c_str(), stdout);
        return 0;
    }
    const PassedSockets passed = PassedSockets::take();
    if (std::string wrong = complete(parser, arguments, passed); !wrong.empty())
        return complain(std::move(wrong));
    raise_descriptor_limit();
    return serve(arguments);
}
