#include "webby/program/options.h"

#include <CLI/CLI.hpp>

#include "webby/program/options_internal.h"

namespace webby::program {
namespace {

void describe_configuration(CLI::App& parser, Arguments& arguments) {
    parser
        .add_option(
            "--config", arguments.config,
            "reads what the command line does not say: lines like listen = \"127.0.0.1:80\", named as the "
            "options are (TOML, without tables)")
        ->type_name("FILE")
        ->configurable(false);
    parser
        .add_flag("--print-config", arguments.print_config,
                  "prints the whole configuration as such a file, and ends")
        ->configurable(false);
}

}  // namespace

void describe(CLI::App& parser, Arguments& arguments) {
    parser.set_version_flag("--version", "webby " EVC_VERSION)->configurable(false);
    parser.get_help_ptr()->configurable(false);
    describe_configuration(parser, arguments);
    describe_server(parser, arguments);
    describe_site(parser, arguments);
}

}  // namespace webby::program
