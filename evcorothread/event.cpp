#include "evcorothread/event.h"

#include "evcorothread/sync_waiter_internal.h"

namespace evcorothread {

Event::~Event() { EVC_CHECK(waiters_.empty(), "an Event is destroyed while coroutines wait at it"); }

std::error_code Event::wait(Deadline deadline) {
    ThreadCore& self = ThreadCore::current();
    if (self.refuses_waits()) return NetError::canceled;
    if (set_) {
        set_ = mode_ == EventReset::manual;
        return {};
    }
    SyncWaiter waiter(self, reason_, this);
    return to_error(wait_in(waiters_, waiter, deadline));
}

void Event::set() {
    if (mode_ == EventReset::automatic) {
        if (!wake_one(waiters_)) set_ = true;
        return;
    }
    set_ = true;
    wake_all(waiters_);
}

}  // namespace evcorothread
