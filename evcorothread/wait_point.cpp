#include "evcorothread/wait_point.h"

#include "cutils/check.h"
#include "evcorothread/loop_core_internal.h"
#include "nutils/net_error.h"

namespace evcorothread {

DescribedPoint::DescribedPoint(const char* reason, const WaitDetail& what)
    : ObjectPoint(ThreadCore::current(), reason, WaitKind::described, &what) {}

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
    EVC_CHECK(t_here.thread == thread_, "WaitPoint::wait() outside the coroutine that made it");
    return ThreadCore::wait(*this, deadline);
}

bool WaitPoint::wake(Wake cause) { return ThreadCore::wake(*this, cause); }

void WaitPoint::wake_closed() {
    if (!wake(Wake::closed)) cause_ = Wake::closed;
}

}  // namespace evcorothread
