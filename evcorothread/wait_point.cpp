#include "evcorothread/wait_point.h"

#include "cutils/check.h"
#include "evcorothread/loop_core_internal.h"
#include "nutils/net_error.h"

namespace evcorothread {

const char* to_string(Wake cause) {
    switch (cause) {
        case Wake::event: return "event";
        case Wake::timed_out: return "timed_out";
        case Wake::canceled: return "canceled";
        case Wake::closed: return "closed";
    }
    return "?";
}

std::error_code to_error(Wake cause) {
    switch (cause) {
        case Wake::event: return {};
        case Wake::timed_out: return nutils::NetError::timed_out;
        case Wake::canceled: return nutils::NetError::canceled;
        case Wake::closed: return nutils::NetError::closed;
    }
    return {};
}

WaitPoint::WaitPoint(const char* reason) : thread_(&ThreadCore::current()), reason_(reason) {}

Wake WaitPoint::wait(Deadline deadline) {
    if (woken_) return cause_;
    ThreadCore& self = *thread_;
    LoopCore& loop = self.loop;
    EVC_CHECK(t_current == &self, "WaitPoint::wait() outside the coroutine that made it");
    Wake late = Wake::timed_out;
    if (self.canceled) [[unlikely]] {
        if (self.shield == nullptr) return Wake::canceled;
        const TimePoint now = loop.precise_now();
        const TimePoint shield_end = self.shield->deadline_.at();
        if (shield_end <= now) return Wake::canceled;
        deadline = deadline.resolved(now);
        if (shield_end < deadline.at()) {
            deadline = Deadline(shield_end);
            late = Wake::canceled;
        }
    }
    if (!deadline.is_never()) {
        const TimePoint now = loop.precise_now();
        const TimePoint end = deadline.resolved(now).at();
        if (end <= now) return late;
        loop.timers.arm(self, end);
    }
    self.waiting = this;
    self.state = EvThreadState::parked;
    loop.leave(self);
    self.waiting = nullptr;
    loop.timers.disarm(self);
    return cause_ == Wake::timed_out ? late : cause_;
}

bool WaitPoint::wake(Wake cause) {
    if (woken_) return false;
    woken_ = true;
    cause_ = cause;
    if (thread_->waiting == this) thread_->loop.make_ready(*thread_);
    return true;
}

void WaitPoint::wake_closed() {
    if (!wake(Wake::closed)) cause_ = Wake::closed;
}

}  // namespace evcorothread
