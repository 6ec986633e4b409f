#include "evcorothread/loop_watch_internal.h"

extern "C" evcorothread::LoopCore* evcorothread_loops;  // in gdb_layout.cpp: debuggers look there, too

namespace evcorothread {
namespace {

constinit std::mutex list_mutex;

}  // namespace

std::unique_lock<std::mutex> hold_list_of_loops() { return std::unique_lock(list_mutex); }
std::unique_lock<std::mutex> try_hold_list_of_loops() {
    return std::unique_lock(list_mutex, std::try_to_lock);
}
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
