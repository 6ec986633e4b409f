// SignalQueue: signals as something a coroutine waits for.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/result.h"
#include "evcorothread/ev_loop.h"

namespace evcorothread {

// Usage:
//
//   SignalQueue signals(loop, {SIGHUP, SIGTERM});
//   while (auto signal = signals.wait(Deadline::never)) {
//       if (*signal == SIGTERM) break;
//       reload();      // what arrives meanwhile waits for the next call
//   }
//
// Nothing is lost between two waits: arrivals are counted for each signal. Two different signals come out in
// the order in which the first of each arrived; of a burst of both, in turns. (The kernel itself keeps only
// one of a signal that arrives again before the process has run.)
//
// Owner:   whoever holds it; coroutines that wait when it is destroyed return `closed`. Not movable.
// Thread:  the loop's. In a process, one loop at a time watches signals (libevent's rule); several queues and
//          SignalWatches of that loop may watch the same signal, and each gets it.
// Work:    none of its own: EvLoop::run goes on because a coroutine waits, not because signals are watched.
// Signals: while it lives, their dispositions are libevent's; afterwards what they were.
// Errors:  std::system_error from the constructor (EINVAL for a signal that cannot be caught).
// Cost:    two system calls a signal to make it, and none to wait; an arrival allocates nothing.
class EVC_API SignalQueue {
  public:
    SignalQueue(EvLoop& loop, std::initializer_list<int> signals)
        : SignalQueue(loop, std::span(signals.begin(), signals.size())) {}
    SignalQueue(EvLoop& loop, std::span<const int> signals);
    SignalQueue(const SignalQueue&) = delete;
    SignalQueue& operator=(const SignalQueue&) = delete;
    ~SignalQueue();

    // Waits for the next signal and returns its number. Several coroutines may wait: each signal goes to one
    // of them, first come, first served.
    // Before:   called in a coroutine thread of this queue's loop.
    // Suspends: unless one has arrived already.
    // Errors:   timed_out, canceled; closed: the queue is being destroyed. A coroutine that is canceled after
    //           a signal was handed to it gets the signal; the cancel is seen by its next wait.
    [[nodiscard]] cutils::Result<int> wait(Deadline deadline);

    // The next one that has arrived, if any. Never suspends.
    [[nodiscard]] std::optional<int> try_wait();

    // How many of `signal` have arrived and were not taken yet.
    [[nodiscard]] std::size_t pending(int signal) const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace evcorothread
