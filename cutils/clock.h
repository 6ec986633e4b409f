// The one clock: monotonic, in nanoseconds. Wall-clock time never decides when a wait ends.
#pragma once

#include <chrono>

namespace cutils {

using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC on Linux
using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<Clock, Duration>;

// Cost: one vdso call, about 25 ns.
inline TimePoint monotonic_now() { return Clock::now(); }

}  // namespace cutils
