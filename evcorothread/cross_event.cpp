#include "evcorothread/cross_event.h"

#include <mutex>

#include "evcorothread/cross_waiter_internal.h"

namespace evcorothread {

struct CrossEvent::Impl {
    std::mutex mutex;
    bool is_set = false;
    CrossQueue waiters;
};

CrossEvent::CrossEvent() : impl_(std::make_unique<Impl>()) {}

CrossEvent::~CrossEvent() {
    const std::lock_guard lock(impl_->mutex);  // the set() that ended the last wait has let go
    EVC_CHECK(impl_->waiters.unused(), "a CrossEvent is destroyed while somebody waits for it");
}

void CrossEvent::set() {
    const std::lock_guard lock(impl_->mutex);
    impl_->is_set = true;
    impl_->waiters.wake_all();
}

void CrossEvent::reset() {
    const std::lock_guard lock(impl_->mutex);
    impl_->is_set = false;
}

bool CrossEvent::is_set() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->is_set;
}

std::error_code CrossEvent::wait(Deadline deadline) {
    if (const std::error_code refused = CrossWaiter::refusal()) return refused;
    std::unique_lock lock(impl_->mutex);
    if (impl_->is_set) return {};
    CrossWaiter waiter("event");
    return to_error(impl_->waiters.wait(waiter, lock, deadline));
}

}  // namespace evcorothread
