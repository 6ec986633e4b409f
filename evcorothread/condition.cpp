#include "evcorothread/condition.h"

#include "evcorothread/sync_waiter_internal.h"

namespace evcorothread {

Condition::~Condition() {
    EVC_CHECK(waiters_.empty(), "a Condition is destroyed while coroutines wait at it");
}

std::error_code Condition::begin(Mutex& mutex, Deadline& deadline) {
    const ThreadCore& self = ThreadCore::current();
    EVC_CHECK(mutex.owner_ == &self, "Condition::wait() wants a Mutex that the calling coroutine holds");
    if (self.refuses_waits()) return NetError::canceled;
    if (deadline.is_relative()) deadline = deadline.resolved(self.loop.precise_now());
    return {};
}

std::error_code Condition::wait(Mutex& mutex, Deadline deadline) {
    if (const std::error_code error = begin(mutex, deadline)) return error;
    SyncWaiter waiter(*t_here.thread, reason_, this);
    mutex.unlock();
    const Wake cause = wait_in(waiters_, waiter, deadline);
    mutex.lock_again();
    return to_error(cause);
}

void Condition::notify_one() { wake_one(waiters_); }
void Condition::notify_all() { wake_all(waiters_); }

}  // namespace evcorothread
