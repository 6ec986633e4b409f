#include "evcorothread/cross_mutex.h"

#include <mutex>
#include <utility>

#include "evcorothread/cross_waiter_internal.h"

namespace evcorothread {

struct CrossMutex::Impl {
    std::mutex mutex;
    bool locked = false;
    CrossQueue waiters;  // only while it is locked
};

CrossMutex::CrossMutex() : impl_(std::make_unique<Impl>()) {}

CrossMutex::~CrossMutex() {
    const std::lock_guard lock(impl_->mutex);
    EVC_CHECK(!impl_->locked && impl_->waiters.unused(), "a CrossMutex is destroyed while it is locked");
}

std::error_code CrossMutex::lock(Deadline deadline) {
    std::unique_lock lock(impl_->mutex);
    if (!impl_->locked) {
        impl_->locked = true;
        return {};
    }
    CrossWaiter waiter("mutex");
    return to_error(impl_->waiters.wait(waiter, lock, deadline));
}

bool CrossMutex::try_lock() {
    const std::lock_guard lock(impl_->mutex);
    return !std::exchange(impl_->locked, true);
}

void CrossMutex::unlock() {
    const std::lock_guard lock(impl_->mutex);
    EVC_CHECK(impl_->locked, "CrossMutex::unlock() of one that is not locked");
    if (impl_->waiters.empty())
        impl_->locked = false;
    else
        impl_->waiters.pop().wake();  // it stays locked, for another
}

}  // namespace evcorothread
