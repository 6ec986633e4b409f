#include "evcorothread/mutex.h"

#include "evcorothread/loop_core_internal.h"
#include "evcorothread/sync_waiter_internal.h"

namespace evcorothread {

Mutex::~Mutex() {
    EVC_CHECK(waiters_.empty(), "a Mutex is destroyed while coroutines wait at it");
    EVC_CHECK(owner_ == nullptr, "a Mutex is destroyed while it is held");
}

inline void Mutex::check_waiter(const ThreadCore& self) const {
    EVC_CHECK(owner_ != &self, "a Mutex is locked by the coroutine that holds it already");
    EVC_CHECK(&owner_->loop == &self.loop,
              "coroutines of two loops use the same Mutex: it belongs to one loop");
}

Wake Mutex::take(Deadline deadline) {
    ThreadCore& self = ThreadCore::current();
    if (!self.canceled()) [[likely]] {
        if (owner_ == nullptr) {
            owner_ = &self;
            return Wake::event;
        }
        if (deadline.is_never()) return wait_for_ever(self);
    }
    return take_slowly(self, deadline);
}

[[gnu::noinline]] Wake Mutex::take_slowly(ThreadCore& self, Deadline deadline) {
    if (self.refuses_waits()) return Wake::canceled;
    if (owner_ == nullptr) {  // canceled, but shielded
        owner_ = &self;
        return Wake::event;
    }
    check_waiter(self);
    SyncWaiter waiter(self, reason_, this, WaitKind::mutex);
    return wait_unchecked(waiters_, waiter, deadline);
}

// The usual wait: a function of its own, so that nothing of a deadline must survive the switch.
[[gnu::noinline]] Wake Mutex::wait_for_ever(ThreadCore& self) {
    check_waiter(self);
    if (self.canceled()) __builtin_unreachable();  // take() has looked
    SyncWaiter waiter(self, reason_, this, WaitKind::mutex);
    return wait_unchecked(waiters_, waiter, Deadline::never);
}

// For Condition: whoever waited gets the mutex back, canceled or not.
void Mutex::lock_again() {
    ThreadCore& self = *t_here.thread;
    if (owner_ == nullptr) {
        owner_ = &self;
        return;
    }
    const LastingShield shield(Deadline::never);
    SyncWaiter waiter(self, reason_, this, WaitKind::mutex);
    const Wake cause = wait_unchecked(waiters_, waiter, Deadline::never);
    EVC_CHECK(cause == Wake::event, "a wait without a deadline and behind a shield ended without its event");
}

bool Mutex::try_lock() {
    ThreadCore& self = ThreadCore::current();
    if (owner_ != nullptr) return false;
    owner_ = &self;
    return true;
}

void Mutex::unlock() {
    EVC_CHECK(owner_ != nullptr, "a Mutex is unlocked that nobody holds");
    EVC_CHECK(owner_ == t_here.thread, "a Mutex is unlocked by a coroutine that does not hold it");
    while (!waiters_.empty()) {
        owner_ = &waiters_.front().self;
        if (wake_front(waiters_)) return;
        // Its deadline has passed, or it was canceled, and it has not run yet.
    }
    owner_ = nullptr;
}

bool Mutex::held() const { return owner_ != nullptr && owner_ == t_here.thread; }

std::string_view Mutex::owner_name() const { return owner_ != nullptr ? owner_->name() : std::string_view(); }

std::uint64_t Mutex::owner_id() const { return owner_ != nullptr ? owner_->id : 0; }

}  // namespace evcorothread
