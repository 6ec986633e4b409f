// CrossWaiter: one wait that another OS thread may end. Internal.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>

#include "cutils/intrusive.h"
#include "evcorothread/inbox_internal.h"
#include "evcorothread/wait_point.h"

namespace evcorothread {

struct LoopCore;

// Of a coroutine, which parks, or of an OS thread outside any loop, which blocks. What is waited on has a
// lock and, under it, a list of these:
//
//   std::unique_lock lock(mutex_);                     // in the waiter
//   if (have_one) return {};
//   CrossWaiter waiter("a ticket");
//   return to_error(waiters_.wait(waiter, lock, deadline));      // a CrossQueue
//
//   const std::lock_guard lock(mutex_);                // in whoever has the ticket
//   if (!waiters_.empty()) waiters_.pop().wake();
//
// Exactly once: whoever takes the waiter out of the list, under the lock, decides. When it is the waker, the
// wait ends with `event` even if deadline or cancel came meanwhile: what was handed over is not lost. When it
// is the waiter itself, nobody knows it any more.
//
// How it comes home: the waker puts it into the inbox of the waiter's loop while it still holds the lock. So
// a waiter that comes back for another reason, and takes the lock, finds itself in the list, or in its own
// loop's inbox, or already out of it; it can leave each without waiting for anybody.
//
// Owner: the waiter, as a local. Cost: no allocation.
class CrossWaiter : public cutils::ListHook<CrossWaiter> {
  public:
    // Before: in a coroutine, or outside any loop. In a function that a loop calls it aborts: it would block
    // the loop.
    explicit CrossWaiter(const char* reason);

    // Before: `lock` is held, and is again on return. *this is in a list, and is not on return.
    Wake wait(std::unique_lock<std::mutex>& lock, Deadline deadline);

    // Before: under the lock that wait() was given; *this is out of the list.
    void wake(Wake cause = Wake::event);

  private:
    struct Parked {
        explicit Parked(const char* reason);
        WaitPoint point;
        Inbox::Delivery delivery;
        LoopCore& loop;
    };
    Wake park(std::unique_lock<std::mutex>& lock, Deadline deadline);
    Wake block(std::unique_lock<std::mutex>& lock, Deadline deadline);

    std::optional<Parked> parked_;  // none: an OS thread
    std::condition_variable woken_;
    bool is_woken_ = false;
    Wake cause_ = Wake::event;
};

// Those who wait for one thing, first come, first served. Under the lock of what is waited on.
class CrossQueue {
  public:
    [[nodiscard]] bool empty() const { return waiters_.empty(); }
    // Has every wait returned? One that was woken, and has not run, has not.
    [[nodiscard]] bool unused() const { return inside_ == 0; }

    Wake wait(CrossWaiter& waiter, std::unique_lock<std::mutex>& lock, Deadline deadline) {
        waiters_.push_back(waiter);
        ++inside_;
        const Wake cause = waiter.wait(lock, deadline);
        --inside_;
        return cause;
    }
    // Before: not empty. The caller wakes it.
    CrossWaiter& pop() { return waiters_.pop_front(); }
    void wake_all(Wake cause = Wake::event) {
        while (!empty()) pop().wake(cause);
    }

  private:
    cutils::List<CrossWaiter, CrossWaiter> waiters_;
    std::size_t inside_ = 0;
};

}  // namespace evcorothread
