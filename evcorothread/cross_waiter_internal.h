// CrossWaiter: one wait that another OS thread may end. Internal.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>

#include "cutils/intrusive.h"
#include "evcorothread/inbox_internal.h"
#include "evcorothread/loop_core_internal.h"
#include "evcorothread/wait_point.h"

namespace evcorothread {

struct LoopCore;
struct SelectGuard;

// Of a coroutine, which parks, or of an OS thread outside any loop, which blocks. What is waited on has a
// lock and, under it, a list of these:
//
//   if (const auto refused = CrossWaiter::refusal()) return refused;
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
    // What every call with a deadline asks first, whether it will have to wait or not: `canceled` in a
    // coroutine that may not wait any more. In a function that a loop calls it aborts: it might block the
    // loop.
    [[nodiscard]] static std::error_code refusal();

    // Before: in a coroutine, or outside any loop; anything else aborts.
    explicit CrossWaiter(const char* reason, const WaitDetail* detail = nullptr);
    // An arm of a select, whose wait others may end, too: it does not wait() itself.
    explicit CrossWaiter(SelectGuard& guard) : guard_(&guard) {}

    // May it be woken? Then whoever asked has to, who has taken it out of its list. Always, but for an arm.
    [[nodiscard]] bool take();
    // Would take() say so just now, to another one than `asking`?
    [[nodiscard]] bool free_for(const SelectGuard* asking) const;

    // Before: `lock` is held, and is again on return. *this is in a list, and is not on return.
    Wake wait(std::unique_lock<std::mutex>& lock, Deadline deadline);

    // Before: under the lock that wait() was given; *this is out of the list.
    void wake(Wake cause = Wake::event);
    // Of an arm, under that lock: has somebody woken it, and how?
    [[nodiscard]] bool is_woken() const { return is_woken_; }
    [[nodiscard]] Wake cause() const { return cause_; }

  private:
    struct Parked {
        Parked(const char* reason, const WaitDetail* detail);
        ObjectPoint point;
        Inbox::Delivery delivery;
        LoopCore& loop;
    };
    Wake park(std::unique_lock<std::mutex>& lock, Deadline deadline);
    Wake block(std::unique_lock<std::mutex>& lock, Deadline deadline);

    std::optional<Parked> parked_;  // none: an OS thread, or an arm
    SelectGuard* const guard_ = nullptr;
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
    // Before: not empty, and no arm of a select ever in it. The caller wakes it.
    CrossWaiter& pop() { return waiters_.pop_front(); }
    void wake_all(Wake cause = Wake::event) {
        while (CrossWaiter* const waiter = take()) waiter->wake(cause);
    }

    // The first one that may be woken, out of the queue; the caller wakes it. Null: none.
    CrossWaiter* take() {
        while (!empty())
            if (CrossWaiter& first = pop(); first.take()) return &first;
        return nullptr;
    }
    // Would take() find one that is not of the select of `asking`?
    [[nodiscard]] bool somebody(const SelectGuard* asking) {
        return waiters_.find_if([&](const CrossWaiter& waiter) { return waiter.free_for(asking); }) !=
               nullptr;
    }
    // For an arm of a select: waits elsewhere, for several things.
    void enter(CrossWaiter& arm) {
        waiters_.push_back(arm);
        ++inside_;
    }
    void leave(CrossWaiter& arm) {
        arm.unlink();
        --inside_;
    }

  private:
    cutils::List<CrossWaiter, CrossWaiter> waiters_;
    std::size_t inside_ = 0;
};

}  // namespace evcorothread
