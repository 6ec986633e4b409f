// ThreadReport: where one coroutine thread is, and why; what EvLoop::report_threads and EvLoop::dump show.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "corothread/backtrace.h"
#include "cutils/clock.h"
#include "cutils/export.h"
#include "evcorothread/ev_thread.h"

namespace evcorothread {

// What to look at, from cheap to dear.
struct DumpOptions {
    bool backtraces = true;  // about 5 µs a coroutine; as text some 10 µs more for each function not seen yet
    bool stack_peaks = true;  // one mincore(2) a coroutine
    std::size_t most = 1000;  // coroutines shown; the others are counted
};

// One coroutine thread, at one moment. A copy: stays good when the thread goes on.
struct ThreadReport {
    std::uint64_t id = 0;  // 0: it waits for a stack
    std::string name;
    EvThreadState state = EvThreadState::finished;
    bool canceled = false;
    std::string waits_for;  // the reason of its wait: "recv", "mutex"; empty when it is not parked
    std::string detail;     // at what: "descriptor 7, peer 10.0.0.2:443", "held by "writer" (id 3)"
    std::optional<cutils::Duration> waiting;   // for how long, when the loop measures waits
    std::optional<cutils::Duration> deadline;  // from now; none: it may wait for ever
    // Of the stack on which it stands: its own, or that of a Generator or Coroutine that it has resumed.
    // Units: bytes. Used now; and the most that it has been used since the memory was last given back, in
    // whole pages, maybe by an earlier coroutine. 0: not looked at.
    std::size_t stack_size = 0;
    std::size_t stack_used = 0;
    std::size_t stack_peak = 0;
    // Where it stands; empty when it has not begun.
    corothread::Backtrace backtrace;
};

// What a loop measures when it is asked to (EvLoop::measure): what would cost something at every switch.
struct LoopMeasures {
    // Since when each coroutine waits. Cost: a reading of the clock a wait, about 30 ns.
    bool waits = false;
    // How deep the coroutines of each name use their stacks. Cost: two system calls and a fresh page or more
    // for each coroutine, about 3 µs: to choose a size, not to be left on.
    bool stacks = false;
    // Whether everybody waits for each other. When no coroutine is ready, none waits for a descriptor, a
    // deadline or another OS thread, and no acceptor, timer or Hold is there, then nobody but EvLoop::post()
    // and signal functions can end any wait: it is logged once, with a dump. A loop that is woken by these
    // should keep a Hold, which says so. A select counts as a wait that others may end. Cost: none while
    // anything of that kind is there.
    bool deadlocks = false;
};

// How deep the coroutines of one name have used their stacks.
struct StackUse {
    std::string name;
    std::uint64_t ended = 0;  // coroutines of that name
    std::size_t deepest = 0;  // bytes, in whole pages
};

// One line, and its backtrace below.
EVC_API std::string to_string(const ThreadReport& report);

}  // namespace evcorothread
