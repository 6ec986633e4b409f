// StallDetector: says who keeps the loop from running others, and where.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "corothread/backtrace.h"
#include "cutils/clock.h"
#include "cutils/export.h"
#include "evcorothread/ev_loop.h"

namespace evcorothread {

// One stall, while it goes on.
struct StallReport {
    std::uint64_t id = 0;             // of the coroutine; 0: a function that the loop calls
    std::string name;                 // of the coroutine
    cutils::Duration lasted{};        // so far
    corothread::Backtrace backtrace;  // of the loop's OS thread; empty when it did not answer
    std::uint64_t unreported = 0;     // stalls since the last report that were not reported
};

// For people: names, addresses, and, where the program has debug information, files and lines.
// Cost: milliseconds (corothread/source_lines.h); the log's report pays them on the detector's OS thread.
EVC_API std::string to_string(const StallReport& report);

struct StallDetectorOptions {
    // A coroutine, or a function that the loop calls, may keep the loop so long. Units: at least 1 ms.
    cutils::Duration limit = std::chrono::milliseconds(100);
    // At most one report in this time; the others are counted.
    cutils::Duration every = std::chrono::seconds(1);
    // Called on the detector's own OS thread, while the loop is stuck; must not throw. Null: a warning in the
    // log.
    std::function<void(const StallReport&)> report{};
    // What interrupts the loop's OS thread for its backtrace. 0: SIGRTMIN + 7.
    int signal = 0;
};

// While it lives, an OS thread of its own looks every quarter of the limit whether the loop has switched, or
// gone round, since it last looked. A loop that waits for descriptors and timers is not stuck.
//
//   EvLoop loop(stacks);
//   StallDetector stalls(loop, {.limit = 50ms});
//   loop.run();
//
//   warning: coroutine "resize" (id 17) has kept the loop for 62.5 ms
//     #0 blur(Image&)+0x3f1 (/usr/bin/server+0x8d21) at blur.cpp:88
//
// The backtrace is taken by the loop's thread itself, in a handler of the signal, on an alternate stack: what
// is interrupted goes on (system calls that cannot be restarted say EINTR, which all of ours hide). The
// signal's disposition is the detector's while any lives, then what it was. Where the signal is blocked the
// report has no backtrace.
//
// Owner:  the application. Thread: made and destroyed on the loop's, outside coroutines or in one; before its
//         loop. Not for a virtual clock.
// Errors: std::system_error (no OS thread, no signal).
// Cost:   to the loop two stores a pass; its own thread wakes four times in each limit, 40 times a second. In
//         a process that had but one OS thread the kernel then takes about 30 ns more for each system call on
//         a descriptor, as with any second thread.
class EVC_API StallDetector {
  public:
    using Options = StallDetectorOptions;

    explicit StallDetector(EvLoop& loop, Options options = {});
    StallDetector(const StallDetector&) = delete;
    StallDetector& operator=(const StallDetector&) = delete;
    ~StallDetector();

    // The longest time that the loop was seen without a switch, as exact as a quarter of the limit; shorter
    // ones than that are not seen. Any thread.
    [[nodiscard]] cutils::Duration longest() const;
    // How many stalls were longer than the limit. Any thread.
    [[nodiscard]] std::uint64_t count() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace evcorothread
