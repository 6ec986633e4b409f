#include "evcorothread/wait_group.h"

#include <limits>

#include "evcorothread/sync_waiter_internal.h"

namespace evcorothread {

WaitGroup::~WaitGroup() {
    EVC_CHECK(waiters_.empty(), "a WaitGroup is destroyed while coroutines wait at it");
}

void WaitGroup::add(std::size_t count) {
    EVC_CHECK(count <= std::numeric_limits<std::size_t>::max() - count_,
              "a WaitGroup is given more than it can count");
    count_ += count;
}

void WaitGroup::done() {
    EVC_CHECK(count_ > 0, "WaitGroup::done() is called more often than add() said");
    if (--count_ == 0) wake_all(waiters_);
}

std::error_code WaitGroup::wait(Deadline deadline) {
    ThreadCore& self = ThreadCore::current();
    if (self.refuses_waits()) return NetError::canceled;
    if (count_ == 0) return {};
    SyncWaiter waiter(self, reason_, this);
    return to_error(wait_in(waiters_, waiter, deadline));
}

}  // namespace evcorothread
