// Mutex: one coroutine at a time, also across waits; first come, first served. And MutexLock, its guard.
#pragma once

#include <cstddef>
#include <string_view>
#include <system_error>
#include <utility>

#include "cutils/check.h"
#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/intrusive.h"
#include "evcorothread/wait_point.h"

namespace evcorothread {

struct SyncWaiter;

// For coroutines of one loop. They run one at a time, so what is done without waiting needs no lock; a mutex
// keeps others out of what waits in the middle:
//
//   Mutex sending;
//   {
//       MutexLock lock(sending, 1s);
//       if (!lock) return lock.error();
//       if (auto sent = socket.send_all(head, 1s); !sent) return sent.error;
//       if (auto sent = socket.send_all(body, 1s); !sent) return sent.error;
//   }
//
// Fair:   unlock() hands it over to the one that has waited longest; nobody overtakes, so whoever unlocks and
//         locks again queues behind the others. That is so with EvLoopOptions::shuffle_seed, too: who is next
//         is settled by the order of lock() calls, not by the order in which coroutines run.
// Owner:  whoever holds it. Destroying it locked, or while coroutines wait at it, is a bug and aborts.
// Thread: coroutines of one loop only; those of two that meet at it abort.
// Cancel: in a canceled coroutine lock() returns `canceled` even when it is free; try_lock() and unlock() go
//         on working. A coroutine that was handed the mutex and canceled before it ran has it, and lock()
//         says so; the cancel is seen by its next wait.
// Cost:   a call each for lock and unlock while it is free; 32 bytes, no allocation.
class EVC_API Mutex {
  public:
    // `reason` is what its waiters are shown to wait for; it is kept, not copied: a literal.
    explicit Mutex(const char* reason = "mutex") : reason_(reason) {}
    Mutex(const Mutex&) = delete;
    Mutex& operator=(const Mutex&) = delete;
    ~Mutex();

    // Waits until it is free, then holds it.
    //
    // Before:   called in a coroutine thread that does not hold it; must be unlocked by the same one, before
    //           its function returns.
    // Suspends: only while another coroutine holds it. With a deadline that has passed, it is a try_lock().
    // Errors:   timed_out, canceled: it is not held.
    // Cost:     while it is free, a call and a store.
    [[nodiscard]] std::error_code lock(Deadline deadline) {
        const Wake cause = take(deadline);
        return cause == Wake::event ? std::error_code() : to_error(cause);
    }

    // Holds it if it is free; false when anybody holds it, this coroutine included. Never suspends.
    // Before: called in a coroutine thread.
    [[nodiscard]] bool try_lock();

    // Lets go; the one that has waited longest holds it from now on, and runs when its turn comes.
    // Before: held by the calling coroutine.
    void unlock();

    [[nodiscard]] bool locked() const { return owner_ != nullptr; }
    // Does the calling coroutine hold it?
    [[nodiscard]] bool held() const;

    // For people who look inside: the name and id of the coroutine that holds it, or nothing and 0.
    // Lifetime: the name as long as that one holds it.
    [[nodiscard]] std::string_view owner_name() const;
    [[nodiscard]] std::uint64_t owner_id() const;

  private:
    friend class Condition;
    friend struct GdbLayout;
    Wake take(Deadline deadline);
    Wake take_slowly(ThreadCore& self, Deadline deadline);
    Wake wait_for_ever(ThreadCore& self);
    void lock_again();
    void check_waiter(const ThreadCore& self) const;

    ThreadCore* owner_ = nullptr;
    cutils::List<SyncWaiter> waiters_;  // empty while nobody holds it
    const char* reason_;
};

// Holds a mutex until the end of the block; or not, and says so:
//
//   MutexLock lock(mutex, 1s);
//   if (!lock) return lock.error();
//
// A guard that did not get the mutex and was never asked (if (lock), error()) aborts when it dies: what was
// behind it ran unprotected. That goes for Deadline::never, too: the coroutine may be canceled.
//
// Owner: a local of the coroutine that locks.
class MutexLock {
  public:
    // Suspends, and errors: as Mutex::lock.
    [[nodiscard]] MutexLock(Mutex& mutex, Deadline deadline)
        : mutex_(mutex), error_(mutex.lock(deadline)), held_(!error_) {}
    MutexLock(const MutexLock&) = delete;
    MutexLock& operator=(const MutexLock&) = delete;
    ~MutexLock() {
        if (held_)
            mutex_.unlock();
        else
            EVC_CHECK(asked_ || !error_, "a MutexLock did not get its mutex, and nobody asked it");
    }

    [[nodiscard]] explicit operator bool() const {
        asked_ = true;
        return held_;
    }
    // Why it is not held; none when it is, or was.
    [[nodiscard]] std::error_code error() const {
        asked_ = true;
        return error_;
    }
    [[nodiscard]] Mutex& mutex() const { return mutex_; }

    // Lets go before the end of the block. Before: held.
    void unlock() {
        EVC_CHECK(std::exchange(held_, false), "a MutexLock is unlocked that does not hold its mutex");
        mutex_.unlock();
    }

  private:
    Mutex& mutex_;
    std::error_code error_;
    bool held_;
    mutable bool asked_ = false;
};

}  // namespace evcorothread
