// Runs a scenario in a process of its own, under strace if something is to fail, and looks at it from
// outside: how it ends, what it says, what it leaves. The launcher itself is not traced, so no injected fault
// can blind it.
#pragma once

#include <string>
#include <vector>

#include "test/faults/scenario.h"

namespace faults {

// Exit codes beside 0 (as it should be) and 1.
constexpr int kNoTracing = 77;

// `tracing`: arguments of strace; empty: nothing fails. The exit code for main().
int launch(Scenario scenario, const std::vector<std::string>& tracing);

}  // namespace faults
