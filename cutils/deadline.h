// Deadline: until when a call may wait. The last parameter of every function that may suspend, without a
// default: a function without one never suspends.
#pragma once

#include <sys/time.h>

#include <chrono>
#include <cstdint>
#include <limits>

#include "cutils/clock.h"

namespace cutils {

// A value, copied freely, usable on every thread. Made from
//
//   socket.recv(buffer, 3s);                        a duration: three seconds from when the wait begins
//   socket.recv(buffer, loop.now() + 3s);           a time point: one deadline for a whole request
//   socket.recv(buffer, Deadline::never);           no limit, and it says so
//   socket.recv(buffer, Deadline::from(timeval));   the C face; a null pointer means never
//
// A duration is counted from the moment the called function first looks at the clock, on the clock of whoever
// waits (a loop may have a virtual one), once for the whole call: recv_exact(…, 3s) takes three seconds in
// all, not three seconds a piece. Zero or negative: the call does what it can without waiting, then reports
// timed_out.
class Deadline {
  public:
    // Units: any std::chrono duration; too long for 64 bits of nanoseconds (292 years) means never.
    template <class Rep, class Period>
    constexpr Deadline(std::chrono::duration<Rep, Period> from_now) noexcept
        : ns_(saturate(from_now)), relative_(ns_ != kNever) {}

    constexpr Deadline(TimePoint at) noexcept : ns_(at.time_since_epoch().count()), relative_(false) {}

    static const Deadline never;

    // From the C face's timeout: null means never. A negative or unnormalized value is taken as it counts.
    static constexpr Deadline from(const timeval* timeout) noexcept {
        if (timeout == nullptr) return Deadline(TimePoint(Duration(kNever)));
        const double seconds =
            static_cast<double>(timeout->tv_sec) + static_cast<double>(timeout->tv_usec) * 1e-6;
        if (seconds >= 9.2e9 || seconds <= -9.2e9) return Deadline(std::chrono::duration<double>(seconds));
        // Whole seconds first: in microseconds what outweighs each other here need not have room.
        return Deadline(std::chrono::seconds(timeout->tv_sec + timeout->tv_usec / 1'000'000) +
                        std::chrono::microseconds(timeout->tv_usec % 1'000'000));
    }

    [[nodiscard]] constexpr bool is_never() const noexcept { return ns_ == kNever; }
    [[nodiscard]] constexpr bool is_relative() const noexcept { return relative_; }

    // The same deadline as a point in time, seen from `now`. Call it once, then wait as often as needed.
    [[nodiscard]] constexpr Deadline resolved(TimePoint now) const noexcept {
        return relative_ ? Deadline(add(now, ns_)) : *this;
    }

    // Before: not relative (call resolved() first). For never: TimePoint::max().
    [[nodiscard]] constexpr TimePoint at() const noexcept { return TimePoint(Duration(ns_)); }

    [[nodiscard]] constexpr bool passed(TimePoint now) const noexcept { return resolved(now).at() <= now; }

    // What is left, never negative; Duration::max() for never.
    [[nodiscard]] constexpr Duration remaining(TimePoint now) const noexcept {
        if (is_never()) return Duration::max();
        const TimePoint end = resolved(now).at();
        return end <= now ? Duration::zero() : end - now;
    }

    // The earlier of two, seen from `now`; the result is resolved.
    [[nodiscard]] static constexpr Deadline earlier(Deadline a, Deadline b, TimePoint now) noexcept {
        const Deadline x = a.resolved(now);
        const Deadline y = b.resolved(now);
        return x.ns_ <= y.ns_ ? x : y;
    }

  private:
    static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

    template <class Rep, class Period>
    static constexpr std::int64_t saturate(std::chrono::duration<Rep, Period> d) noexcept {
        using Seconds = std::chrono::duration<double>;
        const double seconds = std::chrono::duration_cast<Seconds>(d).count();
        if (!(seconds < 9.2e9)) return kNever;  // not a number, too
        if (seconds <= -9.2e9) return std::numeric_limits<std::int64_t>::min() / 2;
        return std::chrono::duration_cast<Duration>(d).count();
    }
    static constexpr TimePoint add(TimePoint now, std::int64_t ns) noexcept {
        std::int64_t sum = 0;
        if (__builtin_add_overflow(now.time_since_epoch().count(), ns, &sum)) [[unlikely]]
            sum = ns > 0 ? kNever : std::numeric_limits<std::int64_t>::min();
        return TimePoint(Duration(sum));
    }

    std::int64_t ns_;
    bool relative_;
};

inline constexpr Deadline Deadline::never{TimePoint::max()};

}  // namespace cutils
