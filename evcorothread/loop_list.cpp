#include "evcorothread/loop_watch_internal.h"

// The list is what a debugger finds loops by, also in a core file: a plain global that is there from the
// beginning to the end of the process, whatever is constructed or destroyed in which order.
extern "C" {
[[gnu::visibility("default"), gnu::used]] evcorothread::LoopCore* evcorothread_loops = nullptr;
}

namespace evcorothread {
namespace {

constinit std::mutex list_mutex;

}  // namespace

std::unique_lock<std::mutex> hold_list_of_loops() { return std::unique_lock(list_mutex); }
LoopCore* first_loop() { return evcorothread_loops; }

void enter_in_list_of_loops(LoopCore& loop) {
    const auto held = hold_list_of_loops();
    loop.next_loop = evcorothread_loops;
    loop.linked_from = &evcorothread_loops;
    if (loop.next_loop != nullptr) loop.next_loop->linked_from = &loop.next_loop;
    evcorothread_loops = &loop;
}

void leave_list_of_loops(LoopCore& loop) {
    const auto held = hold_list_of_loops();
    *loop.linked_from = loop.next_loop;
    if (loop.next_loop != nullptr) loop.next_loop->linked_from = loop.linked_from;
}

}  // namespace evcorothread
