// WaitPoint: the only park and the only wake. Every suspension of a coroutine thread — socket, timer,
// channel, join, mutex — is one of these, on the waiting coroutine's own stack.
#pragma once

#include <cstdint>
#include <system_error>

#include "cutils/deadline.h"
#include "cutils/export.h"

namespace evcorothread {

using cutils::Deadline;
using cutils::Duration;
using cutils::TimePoint;

struct ThreadCore;

// What ended a wait. Exactly one of them does.
enum class Wake : std::uint8_t {
    event,      // what was waited for
    timed_out,  // the deadline came first
    canceled,   // the waiting coroutine was asked to stop
    closed,     // what was waited on went away
};

EVC_API const char* to_string(Wake cause);

// What kind of thing is waited for, as far as it is known: for those who look inside (EvLoop::dump).
enum class WaitKind : std::uint16_t {
    anything,    // whatever else: other OS threads, another process
    delay,       // time alone
    descriptor,  // the kernel; `number` is the descriptor
    described,   // as `anything`; an ObjectPoint has somebody who says more
    // From here on only coroutines of the same loop, or functions that the loop calls, can end the wait.
    join,
    bundle,
    // An ObjectPoint says at what.
    mutex,
    channel,
    sync,  // condition, event, semaphore, wait group
    select,
};
// The std::error_code a wait that ended like this reports: none for event, else the NetError of the same
// name.
EVC_API std::error_code to_error(Wake cause);

// One wait of the current coroutine. Whoever will end it keeps a pointer until then:
//
//   WaitPoint point("a ticket");        // in the waiter
//   queue.push(point);
//   Wake cause = point.wait(deadline);  // suspends
//   if (cause != Wake::event) queue.remove(point);   // nobody else will wake it any more
//
//   queue.pop().wake();                 // in whoever has the ticket; queues the waiter, does not switch to
//   it
//
// There is no way to resume a coroutine but through the WaitPoint it waits at, so nobody can wake it out of
// somebody else's wait.
//
// Owner:    the waiting coroutine, as a local. Thread: its loop's.
// Lifetime: must not be woken after wait() has returned: take it out of every queue first.
class EVC_API WaitPoint {
  public:
    // `reason` says what is waited for, for people who look inside; it is kept, not copied: a literal.
    // Before: called in a coroutine thread.
    explicit WaitPoint(const char* reason);
    WaitPoint(const WaitPoint&) = delete;
    WaitPoint& operator=(const WaitPoint&) = delete;

    // Waits until woken, or until the deadline, or until this coroutine is canceled. Once a point.
    // Suspends: unless already woken, canceled, or the deadline has passed.
    // Cost:     one switch to the next ready coroutine; with a deadline, one reading of the clock.
    Wake wait(Deadline deadline);

    // Ends the wait: the waiter goes behind the other ready ones. False when it had been ended before, by
    // whatever. Never suspends.
    bool wake(Wake cause = Wake::event);

    // As wake, but also tells a waiter that was woken and has not run yet: for owners whose object is about
    // to go.
    void wake_closed();

    [[nodiscard]] const char* reason() const { return reason_; }
    [[nodiscard]] WaitKind kind() const { return kind_; }
    // Which one of them, where the kind says so.
    [[nodiscard]] int number() const { return number_; }

  private:
    friend struct ThreadCore;
    friend struct ObjectPoint;
    friend struct GdbLayout;
    WaitPoint(ThreadCore& waiter, const char* reason, WaitKind kind, int number)
        : thread_(&waiter), reason_(reason), kind_(kind), number_(number) {}
    ThreadCore* thread_;
    const char* reason_;
    Wake cause_ = Wake::event;
    bool woken_ = false;
    // In what would be padding; constants are written together with the two above.
    WaitKind kind_ = WaitKind::anything;
    int number_ = 0;
};

}  // namespace evcorothread
