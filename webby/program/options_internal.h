// The parts of describe(): see options.h.
#pragma once

#include "webby/program/arguments.h"

namespace CLI {
class App;
}

namespace webby::program {

// Where and how it serves, and whom.
void describe_server(CLI::App& parser, Arguments& arguments);
// What it serves.
void describe_site(CLI::App& parser, Arguments& arguments);

}  // namespace webby::program
