// The program's life: it serves until it is told to end.
#pragma once

#include "webby/program/arguments.h"

namespace webby::program {

// The exit code.
int serve(const Arguments& arguments);

}  // namespace webby::program
