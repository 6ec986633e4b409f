// fork_main: fork_child's safe form for those who do not want to watch the child. Internal.
#pragma once

#include <sys/types.h>

#include <functional>

#include "cutils/result.h"
#include "evcorothread/fork_child.h"

namespace evcorothread::process {

// Forks a process that runs `main` and ends with what it returns, as fork_child() says; returns its pid. It
// is the caller's to reap.
[[nodiscard]] cutils::Result<pid_t> fork_main(EvLoop& loop, const std::function<int()>& main,
                                              const ForkOptions& options = {});

}  // namespace evcorothread::process
