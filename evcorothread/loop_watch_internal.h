// What looking inside a loop needs beyond the loop itself: the list of all loops, and measurements. Internal.
#pragma once

#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "evcorothread/loop_core_internal.h"
#include "evcorothread/thread_report.h"

namespace evcorothread {

// What a loop has been asked to measure, and what came of it.
struct LoopMeasurements {
    LoopMeasures wanted;
    bool deadlock_reported = false;
    // By the index of the stack; made when waits are first measured, memory only where coroutines were.
    struct Free {
        void operator()(TimePoint* times) const { std::free(times); }
    };
    std::unique_ptr<TimePoint, Free> waits_since;
    std::map<std::string, StackUse, std::less<>> stacks;
};

// All loops of the process: for debuggers, which begin at its head, and for request_dump_of_all().
void enter_in_list_of_loops(LoopCore& loop);
void leave_list_of_loops(LoopCore& loop);
// Nobody enters or leaves while it is held: around a fork, and to walk it.
[[nodiscard]] std::unique_lock<std::mutex> hold_list_of_loops();
// For those who may hold it already: an empty lock when somebody has it.
[[nodiscard]] std::unique_lock<std::mutex> try_hold_list_of_loops();
[[nodiscard]] LoopCore* first_loop();

// Says so, once, when nobody is left who could end any of the waits. Before: nothing is ready.
void look_for_deadlock(LoopCore& loop);

}  // namespace evcorothread
