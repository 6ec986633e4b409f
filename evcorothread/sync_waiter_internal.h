// SyncWaiter: a coroutine in the queue of a mutex, condition, semaphore, event or wait group. Internal.
#pragma once

#include "cutils/intrusive.h"
#include "evcorothread/loop_core_internal.h"
#include "nutils/net_error.h"

namespace evcorothread {

using nutils::NetError;

// Lives on the waiter's stack. Whoever wakes it takes it out of the queue first; a waiter whose wait ended in
// another way takes itself out when it runs. So a waiter that was woken with `event` never touches the object
// it waited at again, and the object may be gone by then.
struct SyncWaiter : cutils::ListHook<> {
    SyncWaiter(ThreadCore& waiter, const char* reason, const void* what, WaitKind kind = WaitKind::sync)
        : self(waiter), point(waiter, reason, kind, what) {}

    ThreadCore& self;
    ObjectPoint point;
};

using SyncQueue = cutils::List<SyncWaiter>;

// Waits in line. After anything but `event`, the waiter has left the queue.
// Before: all that wait there are coroutines of one loop.
[[gnu::always_inline]] inline Wake wait_unchecked(SyncQueue& queue, SyncWaiter& waiter, Deadline deadline) {
    queue.push_back(waiter);
    const Wake cause = ThreadCore::wait(waiter.point, deadline);
    if (cause != Wake::event) [[unlikely]]
        waiter.unlink();
    return cause;
}

[[gnu::always_inline]] inline Wake wait_in(SyncQueue& queue, SyncWaiter& waiter, Deadline deadline) {
    EVC_CHECK(queue.empty() || &queue.front().self.loop == &waiter.self.loop,
              "coroutines of two loops wait at the same object: it belongs to one loop");
    return wait_unchecked(queue, waiter, deadline);
}

// Takes the first one out, and wakes it. False when its wait had ended in another way: it got nothing.
// Before: not empty; called on the loop's OS thread.
[[gnu::always_inline]] inline bool wake_front(SyncQueue& queue) {
    if (!queue.front().linked()) __builtin_unreachable();  // spares pop_front() the question
    return ThreadCore::wake(queue.pop_front().point, Wake::event);
}

inline void check_thread_of(SyncQueue& queue) {
    if (!queue.empty()) queue.front().self.loop.check_thread();
}

// Wakes the first one that still waits. False when nobody does.
inline bool wake_one(SyncQueue& queue) {
    check_thread_of(queue);
    while (!queue.empty())
        if (wake_front(queue)) return true;
    return false;
}

inline void wake_all(SyncQueue& queue) {
    check_thread_of(queue);
    while (!queue.empty()) wake_front(queue);
}

}  // namespace evcorothread
