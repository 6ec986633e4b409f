#include "cutils/check.h"
#include "evcorothread/cross_waiter_internal.h"
#include "evcorothread/loop_core_internal.h"
#include "evcorothread/select_guard_internal.h"

namespace evcorothread {

CrossWaiter::Parked::Parked(const char* reason, const WaitDetail* detail)
    : point(*t_here.thread, reason, detail != nullptr ? WaitKind::described : WaitKind::anything, detail),
      delivery(point),
      loop(*t_here.loop) {}

namespace {
void check_may_block() {
    EVC_CHECK(t_here.loop == nullptr,
              "this may wait, and is called in a function that a loop calls: use EvLoop::spawn");
}
}  // namespace

std::error_code CrossWaiter::refusal() {
    if (t_here.thread == nullptr)
        check_may_block();
    else if (t_here.thread->refuses_waits())
        return nutils::NetError::canceled;
    return {};
}

CrossWaiter::CrossWaiter(const char* reason, const WaitDetail* detail) {
    if (t_here.thread == nullptr)
        check_may_block();
    else
        parked_.emplace(reason, detail);
}

bool CrossWaiter::take() { return guard_ == nullptr || guard_->take(); }

bool CrossWaiter::free_for(const SelectGuard* asking) const {
    return guard_ == nullptr || (guard_ != asking && guard_->free());
}

Wake CrossWaiter::wait(std::unique_lock<std::mutex>& lock, Deadline deadline) {
    const Wake cause = parked_ ? park(lock, deadline) : block(lock, deadline);
    if (is_woken_) return cause_;
    unlink();
    return cause;
}

Wake CrossWaiter::park(std::unique_lock<std::mutex>& lock, Deadline deadline) {
    lock.unlock();
    const Wake cause = parked_->point.wait(deadline);
    lock.lock();
    if (cause != Wake::event && is_woken_) parked_->loop.inbox.withdraw(parked_->delivery);
    return cause;
}

Wake CrossWaiter::block(std::unique_lock<std::mutex>& lock, Deadline deadline) {
    const auto woken = [this] { return is_woken_; };
    if (deadline.is_never()) {
        woken_.wait(lock, woken);
        return Wake::event;
    }
    const TimePoint end = deadline.resolved(cutils::monotonic_now()).at();
    return woken_.wait_until(lock, end, woken) ? Wake::event : Wake::timed_out;
}

void CrossWaiter::wake(Wake cause) {
    is_woken_ = true;
    cause_ = cause;
    if (guard_ != nullptr)
        guard_->wake();
    else if (!parked_)
        woken_.notify_one();
    else if (t_here.loop == &parked_->loop)
        parked_->point.wake();  // at home
    else
        parked_->loop.inbox.deliver(parked_->delivery);
}

}  // namespace evcorothread
