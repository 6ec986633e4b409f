#include "evcorothread/semaphore.h"

#include <limits>

#include "evcorothread/sync_waiter_internal.h"

namespace evcorothread {

namespace {
struct PermitWaiter final : SyncWaiter {
    PermitWaiter(ThreadCore& waiter, const char* reason, const void* what, std::size_t count)
        : SyncWaiter(waiter, reason, what), permits(count) {}
    const std::size_t permits;
};
}  // namespace

Semaphore::~Semaphore() {
    EVC_CHECK(waiters_.empty(), "a Semaphore is destroyed while coroutines wait at it");
}

std::error_code Semaphore::acquire(std::size_t count, Deadline deadline) {
    ThreadCore& self = ThreadCore::current();
    if (self.refuses_waits()) return NetError::canceled;
    if (try_acquire(count)) return {};
    PermitWaiter waiter(self, reason_, this, count);
    const Wake cause = wait_in(waiters_, waiter, deadline);
    // Those behind it may want less than it did.
    if (cause != Wake::event) serve();
    return to_error(cause);
}

bool Semaphore::try_acquire(std::size_t count) {
    EVC_CHECK(count > 0, "no permit at all is asked of a Semaphore");
    if (permits_ < count || !waiters_.empty()) return false;
    permits_ -= count;
    return true;
}

void Semaphore::release(std::size_t count) {
    EVC_CHECK(count <= std::numeric_limits<std::size_t>::max() - permits_,
              "a Semaphore is given more permits than it can count");
    permits_ += count;
    if (!waiters_.empty()) serve();
}

void Semaphore::serve() {
    check_thread_of(waiters_);
    while (!waiters_.empty()) {
        const std::size_t count = static_cast<PermitWaiter&>(waiters_.front()).permits;
        if (count > permits_) return;
        if (wake_front(waiters_)) permits_ -= count;
    }
}

}  // namespace evcorothread
