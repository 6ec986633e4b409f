#include "evcorothread/cross_mutex.h"

#include <array>
#include <mutex>
#include <string>
#include <string_view>

#include "evcorothread/cross_waiter_internal.h"

namespace evcorothread {
namespace {

// Who holds it, for those who look inside. A copy: it may end with the mutex locked.
struct Holder {
    std::uint64_t id = 0;  // of a coroutine; none: an OS thread, or nobody
    std::array<char, 32> name{};

    void is_me() {
        const ThreadCore* const self = t_here.thread;
        id = self != nullptr ? self->id : 0;
        const std::string_view whole = self != nullptr ? self->name() : std::string_view();
        name[whole.copy(name.data(), name.size() - 1)] = '\0';
    }
    [[nodiscard]] std::string to_string() const {
        return id != 0 ? held_by(name.data(), id) : "held by an OS thread";
    }
};

}  // namespace

struct CrossMutex::Impl final : WaitDetail {
    mutable std::mutex mutex;
    bool locked = false;
    bool handed_over = false;  // and the new holder has not run yet
    Holder holder;
    CrossQueue waiters;  // only while it is locked

    void take() {
        locked = true;
        handed_over = false;
        holder.is_me();
    }
    std::string wait_detail() const override {
        const std::lock_guard lock(mutex);
        return handed_over ? "handed over just now" : holder.to_string();
    }
};

CrossMutex::CrossMutex() : impl_(std::make_unique<Impl>()) {}

CrossMutex::~CrossMutex() {
    const std::lock_guard lock(impl_->mutex);
    EVC_CHECK(!impl_->locked && impl_->waiters.unused(), "a CrossMutex is destroyed while it is locked");
}

std::error_code CrossMutex::lock(Deadline deadline) {
    if (const std::error_code refused = CrossWaiter::refusal()) return refused;
    std::unique_lock lock(impl_->mutex);
    if (!impl_->locked) {
        impl_->take();
        return {};
    }
    CrossWaiter waiter("mutex", impl_.get());
    const Wake cause = impl_->waiters.wait(waiter, lock, deadline);
    if (cause == Wake::event) impl_->take();
    return to_error(cause);
}

bool CrossMutex::try_lock() {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->locked) return false;
    impl_->take();
    return true;
}

void CrossMutex::unlock() {
    const std::lock_guard lock(impl_->mutex);
    EVC_CHECK(impl_->locked, "CrossMutex::unlock() of one that is not locked");
    impl_->handed_over = impl_->locked = !impl_->waiters.empty();
    if (impl_->handed_over) impl_->waiters.pop().wake();  // it stays locked, for another
}

}  // namespace evcorothread
