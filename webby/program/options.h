// The options of the command line, which are the keys of the configuration file, too.
#pragma once

#include <string>

#include "webby/program/arguments.h"
#include "webby/program/command_line.h"
#include "webby/program/passed_sockets.h"

namespace webby::program {

// Lifetime: the arguments outlive the command line, which writes to them.
void describe(CommandLine& line, Arguments& arguments);

// What belongs together among the options, once all are read. Empty, or what is wrong.
[[nodiscard]] std::string complete(const CommandLine& line, Arguments& arguments,
                                   const PassedSockets& passed);

}  // namespace webby::program
