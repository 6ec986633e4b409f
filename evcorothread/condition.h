// Condition: coroutines that hold a Mutex wait until another one has changed what it protects.
#pragma once

#include <concepts>
#include <system_error>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/intrusive.h"
#include "evcorothread/mutex.h"

namespace evcorothread {

// Usage:
//
//   Mutex mutex;
//   Condition not_empty;
//
//   MutexLock lock(mutex, Deadline::never);                       // who takes
//   if (!lock) return lock.error();
//   if (auto error = not_empty.wait(mutex, [&] { return !queue.empty(); }, 1s)) return error;
//   take(queue.front());
//
//   queue.push(item);                                             // who puts, in a lock of its own
//   not_empty.notify_one();
//
// Fair:   notify_one() wakes the one that has waited longest. Others may lock the mutex before it runs, so
//         what it waited for need not be true any more: wait with a predicate.
// Owner:  whoever holds it. Destroying it while coroutines wait at it is a bug and aborts; those that have
//         been notified do not touch it any more.
// Thread: coroutines of one loop only. notify_… may be called outside a coroutine, too.
// Cost:   24 bytes, no allocation; a wait costs two switches.
class EVC_API Condition {
  public:
    // `reason`: see Mutex.
    explicit Condition(const char* reason = "condition") : reason_(reason) {}
    Condition(const Condition&) = delete;
    Condition& operator=(const Condition&) = delete;
    ~Condition();

    // Unlocks the mutex, waits to be notified, and locks it again.
    //
    // Before:   called in a coroutine thread that holds `mutex`.
    // Suspends: until notified; then until the mutex is free.
    // After:    the mutex is held again, whatever is returned. Locking it again has no deadline and is not
    //           cut short by a cancel (it is done behind a shield): a canceled coroutine, too, comes
    //           back with what it held, so that its guards are right. It may therefore return later than
    //           `deadline`, by as long as others hold the mutex.
    // Errors:   timed_out, canceled; at once, without unlocking, when this coroutine was canceled before. One
    //           that was notified and then canceled, or too late, returns no error: no notification is lost.
    [[nodiscard]] std::error_code wait(Mutex& mutex, Deadline deadline);

    // Waits, as often as it takes, until `ready()` is true. It is called with the mutex held; what it throws
    // comes out of here, with the mutex held.
    // After:  no error means that ready() was true when it was last asked, and that nobody has had the mutex
    //         since then.
    // Errors: timed_out (ready() was still false at the deadline), canceled (it was not asked again).
    template <std::predicate Ready>
    [[nodiscard]] std::error_code wait(Mutex& mutex, Ready&& ready, Deadline deadline) {
        if (std::error_code error = begin(mutex, deadline)) return error;
        while (!ready()) {
            if (std::error_code error = wait(mutex, deadline)) {
                if (error == std::errc::timed_out && ready()) break;
                return error;
            }
        }
        return {};
    }

    // Wakes the one that has waited longest, if any; it runs when its turn comes and the mutex is free. The
    // caller need not hold the mutex. Never suspends.
    void notify_one();
    // Wakes all that wait now, in that order.
    void notify_all();

  private:
    // Is the mutex held, the coroutine not canceled? Makes a deadline from a duration, once for all waits.
    static std::error_code begin(Mutex& mutex, Deadline& deadline);

    cutils::List<SyncWaiter> waiters_;
    const char* reason_;
};

}  // namespace evcorothread
