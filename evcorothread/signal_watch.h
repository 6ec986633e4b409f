// SignalWatch: a function called on the loop when the process receives a signal.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <utility>

#include "cutils/export.h"
#include "evcorothread/ev_loop.h"

namespace evcorothread {

// Usage:
//
//   SignalWatch stop(loop, {SIGTERM, SIGINT}, [&](int) { loop.stop(); });
//
// The function runs on the loop's own stack, outside any coroutine and outside any signal handler: anything
// is allowed but waiting. While it lives, the named signals' dispositions are libevent's; afterwards what
// they were.
//
// Owner:   whoever holds it; may be destroyed in its own function.
// Thread:  the loop's. In a process, one loop at a time watches signals (libevent's rule).
// Work:    none: EvLoop::run returns although signals are watched.
// Errors:  std::system_error from the constructor (EINVAL for a signal that cannot be caught). An exception
//          that leaves the function is logged.
class EVC_API SignalWatch {
  public:
    SignalWatch(EvLoop& loop, std::initializer_list<int> signals, std::function<void(int signal)> function)
        : SignalWatch(loop, std::span(signals.begin(), signals.size()), std::move(function)) {}
    SignalWatch(EvLoop& loop, std::span<const int> signals, std::function<void(int signal)> function);
    SignalWatch(SignalWatch&&) noexcept;
    SignalWatch& operator=(SignalWatch&&) noexcept;
    ~SignalWatch();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace evcorothread
