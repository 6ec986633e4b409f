// EvTimer: calls a function on the loop later, once or again and again.
#pragma once

#include <functional>
#include <memory>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "evcorothread/ev_loop.h"

namespace evcorothread {

// Usage:
//
//   EvTimer sweep(loop, [&] { cache.sweep(); });
//   sweep.start_periodic(30s);
//
// The function runs on the loop's own stack, outside any coroutine: it must be short and must not wait; to do
// more, spawn from it. A coroutine that only wants to pause uses this_evthread::delay.
//
// Owner:   whoever holds it; stopped when destroyed, also from inside its own function. Movable: what was
//          moved from is not running, and cannot be started. A running timer is work: EvLoop::run goes on
//          while there is one.
// Thread:  the loop's.
// Errors:  an exception that leaves the function is logged; a periodic timer goes on.
// Cost:    O(log n) to start, a store to stop; never early, late by the loop's latency, and by 0.5 ms at most
//          when timers are due in quick succession.
class EVC_API EvTimer {
  public:
    // Errors: std::bad_alloc.
    EvTimer(EvLoop& loop, std::function<void()> function);
    EvTimer(EvTimer&&) noexcept;
    EvTimer& operator=(EvTimer&&) noexcept;
    ~EvTimer();

    // Calls the function once, when the time comes. A running timer is set anew.
    void start(Deadline when);

    // Calls it every `period`, the first time one period from now. Periods that were missed, because the loop
    // was busy, are skipped, not made up for. Before: period > 0.
    void start_periodic(Duration period);

    void stop();
    [[nodiscard]] bool running() const;

  private:
    struct Impl;
    [[nodiscard]] Impl& impl() const;
    std::unique_ptr<Impl> impl_;
};

}  // namespace evcorothread
