// Inbox: what other OS threads have for a loop: posted functions, and waits that are over. Internal.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "cutils/intrusive.h"
#include "evcorothread/wait_point.h"

namespace evcorothread {

// Everything that comes in is queued under one short lock. The loop looks before it goes to sleep, so the
// eventfd is written only for a loop that sleeps: one write(2) for a whole batch. It is written under the
// lock, too: whoever has seen what came in may end the loop, and nobody must then still be on his way to its
// eventfd.
//
// Thread: deliver, post and ring from any; the rest on the loop's.
class Inbox {
  public:
    // A wait that is over. On the waiter's stack: no allocation.
    struct Delivery : cutils::ListHook<Delivery> {
        explicit Delivery(WaitPoint& p) : point(p) {}
        WaitPoint& point;
    };

    // Of an adopted base nobody knows when it sleeps: then every first one is written.
    explicit Inbox(bool knows_sleep) : knows_sleep_(knows_sleep) {}
    Inbox(const Inbox&) = delete;
    Inbox& operator=(const Inbox&) = delete;
    // Nobody who delivered, posted or rang is still inside.
    ~Inbox() { const std::lock_guard lock(mutex_); }

    // Before anything else. The eventfd stays the caller's.
    void use(int wake_fd) { wake_fd_ = wake_fd; }

    void post(std::function<void()> function);
    // Lifetime: until its point is woken, or it is withdrawn.
    void deliver(Delivery& delivery);
    // Makes the loop look at its flags.
    void ring();
    // The same on the loop's thread, without the lock.
    void ring_here();

    // Its point will not be woken any more, if it has not been.
    void withdraw(Delivery& delivery);

    // Is there something? May be late in saying so, but never once may_sleep() has looked.
    [[nodiscard]] bool pending() const { return pending_.load(std::memory_order_relaxed); }
    // Wakes the points delivered, then runs the functions posted, as of now.
    void empty();

    // Before the loop blocks: false, there is something. Else whoever comes writes to the eventfd, until
    // awake().
    bool may_sleep();
    void awake() { asleep_.store(false, std::memory_order_relaxed); }

    // Destroys what is posted and has not run, and what that posts while it is destroyed: while the loop is
    // still all there, since sockets of its own may be in it.
    void drop();

    // Around a fork, which must not leave it locked by a thread that is no more. Then, in the child: the
    // functions posted so far, which are the parent's. (Those of the batch that runs are dropped behind it.)
    [[nodiscard]] std::unique_lock<std::mutex> hold() { return std::unique_lock(mutex_); }
    [[nodiscard]] std::vector<std::function<void()>> take_posted() {
        ++forks_;
        return std::exchange(posted_, {});
    }

  private:
    void came();

    int wake_fd_ = -1;
    const bool knows_sleep_;
    std::atomic<bool> asleep_{false};
    std::atomic<bool> pending_{false};
    std::mutex mutex_;
    std::vector<std::function<void()>> posted_;
    cutils::List<Delivery, Delivery> delivered_;
    unsigned forks_ = 0;                        // whose child this is: the loop's
    std::vector<std::function<void()>> spare_;  // the loop's: the room of the last batch
};

}  // namespace evcorothread
