// SelectGuard: lets exactly one of several OS threads end a select. Internal.
#pragma once

#include <atomic>

#include "evcorothread/channel.h"
#include "evcorothread/inbox_internal.h"
#include "evcorothread/loop_core_internal.h"
#include "evcorothread/wait_point.h"

namespace evcorothread {

// A select whose arms are all of its own loop needs none: its point is woken once. One that waits at a
// SharedChannel, too, can be met by partners on several OS threads at the same moment. Whoever hands over a
// value, takes one, or says that a channel is closed, first takes the guard; one gets it, the others go to
// whoever waits behind this select. Deadline, cancel and descriptors move nothing: they wake the point as
// ever, and the select, when it runs, takes its guard itself. Is that too late, then an arm has happened.
//
// It is never given back: a select that goes on waiting makes a new one. So nobody ever has to wait to learn
// whether it is to be had.
//
// Owner: the selecting coroutine, as a local. Its loop's channels know it as their waiter's point: one that
//        nobody waits at.
struct SelectGuard : ObjectPoint {
    SelectGuard(ThreadCore& self, WaitPoint& its_point)
        : ObjectPoint(self, "select", WaitKind::select, nullptr),
          point(its_point),
          delivery(its_point),
          loop(self.loop) {}

    // By any OS thread; once it has succeeded, it never will again.
    [[nodiscard]] bool take() { return !taken_.exchange(true, std::memory_order_acq_rel); }
    [[nodiscard]] bool free() const { return !taken_.load(std::memory_order_acquire); }

    // By its own loop's channels: takes it and wakes the select.
    [[nodiscard]] bool take_here(Wake cause) {
        if (!take()) return false;
        (void)point.wake(cause);
        return true;
    }
    // By whoever has taken it, under the lock of the channel in whose queue it was: until that lock is free,
    // the select does not return.
    void wake() {
        if (t_here.loop == &loop)
            (void)point.wake();
        else
            loop.inbox.deliver(delivery);
    }

    WaitPoint& point;
    Inbox::Delivery delivery;
    LoopCore& loop;

  private:
    std::atomic<bool> taken_{false};
};

// Where a select waits.
struct SelectPoint : ObjectPoint {
    SelectPoint(ThreadCore& self, const void* arms) : ObjectPoint(self, "select", WaitKind::select, arms) {}
    // What its loop's channels are to wake: itself, or its guard.
    WaitPoint* for_channels = this;
    ChannelWaiter::Met begin = ChannelWaiter::Met::nobody;
    SelectGuard* guard = nullptr;

    void use(SelectGuard& its_guard) {
        for_channels = guard = &its_guard;
        begin = ChannelWaiter::Met::guarded;
    }
};

}  // namespace evcorothread
