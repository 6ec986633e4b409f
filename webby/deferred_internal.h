// DeferredState: what a Deferred and the exchange that waits for it share. Internal.
#pragma once

#include <atomic>
#include <mutex>
#include <system_error>

#include "cutils/deadline.h"
#include "evcorothread/cross_event.h"
#include "webby/deferred.h"
#include "webby/response.h"

namespace evcorothread {
class EvLoop;
}

namespace webby {

class DeferredState {
  public:
    // One reference is the exchange's (its Response's), the others are handles.
    void add_reference() { references_.fetch_add(1, std::memory_order_relaxed); }
    void drop_reference() {
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }
    void add_handle() {
        handles_.fetch_add(1, std::memory_order_relaxed);
        add_reference();
    }
    // The last one without complete() completes it as an error.
    void drop_handle();

    void complete();
    [[nodiscard]] bool is_complete();
    [[nodiscard]] bool is_wanted();
    // Nobody wants it any more. Any thread.
    void give_up();
    // The connection that waits; it stays open until it is told, or gives up.
    void is_for(int fd);
    [[nodiscard]] bool client_gone();

    // Waits in a coroutine or on an OS thread. Errors: timed_out, canceled; nothing when it was given up.
    [[nodiscard]] std::error_code wait(cutils::Deadline deadline) { return done_.wait(deadline); }

    // From now on `waiter` is told by a post to `loop`. False: complete already. On the loop's thread, or
    // `waiter` ends there, after give_up().
    [[nodiscard]] bool tell(evcorothread::EvLoop& loop, AnswerWaiter& waiter);

    // Somebody uses the request meanwhile: the exchange must live until it is complete.
    void pin() { pinned_ = true; }
    [[nodiscard]] bool is_pinned() const { return pinned_; }

    Response response;

  private:
    enum class Status { pending, complete, given_up };

    std::atomic<int> references_{2};
    std::atomic<int> handles_{1};
    std::mutex mutex_;
    Status status_ = Status::pending;
    bool pinned_ = false;
    evcorothread::CrossEvent done_;
    evcorothread::EvLoop* loop_ = nullptr;
    int fd_ = -1;
    AnswerWaiter* waiter_ = nullptr;  // told on the loop's thread, without the lock
};

}  // namespace webby
