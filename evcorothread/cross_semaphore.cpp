#include "evcorothread/cross_semaphore.h"

#include <limits>
#include <mutex>

#include "evcorothread/cross_waiter_internal.h"

namespace evcorothread {

struct CrossSemaphore::Impl {
    std::mutex mutex;
    std::size_t permits;
    CrossQueue waiters;  // only while there is no permit
};

CrossSemaphore::CrossSemaphore(std::size_t permits) : impl_(std::make_unique<Impl>()) {
    impl_->permits = permits;
}

CrossSemaphore::~CrossSemaphore() {
    const std::lock_guard lock(impl_->mutex);
    EVC_CHECK(impl_->waiters.unused(), "a CrossSemaphore is destroyed while somebody waits for it");
}

std::error_code CrossSemaphore::acquire(Deadline deadline) {
    if (const std::error_code refused = CrossWaiter::refusal()) return refused;
    std::unique_lock lock(impl_->mutex);
    if (impl_->permits > 0) {
        --impl_->permits;
        return {};
    }
    CrossWaiter waiter("semaphore");
    return to_error(impl_->waiters.wait(waiter, lock, deadline));
}

bool CrossSemaphore::try_acquire() {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->permits == 0) return false;
    --impl_->permits;
    return true;
}

void CrossSemaphore::release(std::size_t permits) {
    const std::lock_guard lock(impl_->mutex);
    for (; permits > 0 && !impl_->waiters.empty(); --permits) impl_->waiters.pop().wake();
    EVC_CHECK(permits <= std::numeric_limits<std::size_t>::max() - impl_->permits,
              "a CrossSemaphore is given more permits than it can count");
    impl_->permits += permits;
}

std::size_t CrossSemaphore::available() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->permits;
}

}  // namespace evcorothread
