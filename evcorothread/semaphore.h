// Semaphore: so many at a time. Coroutines take permits, and wait while there are not enough.
#pragma once

#include <cstddef>
#include <system_error>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/intrusive.h"
#include "evcorothread/wait_point.h"

namespace evcorothread {

struct SyncWaiter;

// Usage:
//
//   Semaphore queries(10);                                // ten at a time
//   if (auto error = queries.acquire(500ms)) return error;
//   const cutils::ScopeExit give_back([&] { queries.release(); });
//   ask(database);
//
// Fair:   first come, first served, whatever they ask for: one that wants many permits is not overtaken by
//         others that want few, and try_acquire() gets nothing while somebody waits.
// Owner:  whoever holds it. Destroying it while coroutines wait at it is a bug and aborts; those that have
//         been given their permits do not touch it any more.
// Thread: coroutines of one loop only. release() and try_acquire() may be called outside a coroutine, too.
// Cancel: in a canceled coroutine acquire() returns `canceled` even when there are permits. One that was
//         given its permits and canceled before it ran has them, and acquire() says so. The permits of one
//         that is canceled, or too late, before that go to the next.
// Cost:   32 bytes, no allocation.
class EVC_API Semaphore {
  public:
    // `reason`: see Mutex.
    explicit Semaphore(std::size_t permits, const char* reason = "semaphore")
        : permits_(permits), reason_(reason) {}
    Semaphore(const Semaphore&) = delete;
    Semaphore& operator=(const Semaphore&) = delete;
    ~Semaphore();

    // Takes `count` permits, all at once; waits until there are as many and everybody before has got theirs.
    // Before:   called in a coroutine thread; count > 0.
    // Suspends: unless there are enough and nobody waits. With a deadline that has passed, it is a
    //           try_acquire().
    // Errors:   timed_out, canceled: none is taken.
    [[nodiscard]] std::error_code acquire(std::size_t count, Deadline deadline);
    [[nodiscard]] std::error_code acquire(Deadline deadline) { return acquire(1, deadline); }

    // Takes them if that needs no waiting. Never suspends. Before: count > 0.
    [[nodiscard]] bool try_acquire(std::size_t count = 1);

    // Gives permits back, or more than there were. Never suspends.
    void release(std::size_t count = 1);

    // How many are there to take.
    [[nodiscard]] std::size_t available() const { return permits_; }

  private:
    void serve();

    std::size_t permits_;
    cutils::List<SyncWaiter> waiters_;  // the first of them wants more than there are
    const char* reason_;
};

}  // namespace evcorothread
