// What every call on a descriptor of the loop begins with. Internal.
#pragma once

#include <system_error>

#include "cutils/check.h"
#include "cutils/deadline.h"
#include "evcorothread/fd_watch_internal.h"
#include "nutils/net_error.h"
#include "nutils/sock_addr.h"

namespace evcorothread {

// What every call with a Deadline looks at first. The right socket, coroutine and thread are the caller's
// business; a canceled coroutine moves nothing more, except under a shield.
inline std::error_code refusal(const FdWatch* watch) {
    if (watch == nullptr || watch->fd < 0) return nutils::NetError::closed;
    const ThreadCore& self = ThreadCore::current();
    EVC_CHECK(&self.loop == &watch->loop, "a socket or a pipe is used by a coroutine of another loop");
    if (self.refuses_waits()) return nutils::NetError::canceled;
    return {};
}

// Between two looks at what may be read. Resolves the deadline. True when it has passed and this call has not
// `asked` the kernel yet: what the loop has been told may be older than the data, and there is no time to
// wait for news.
inline bool ask_rather_than_wait(FdWatch& watch, Deadline& deadline, bool asked) {
    const TimePoint now = watch.loop.precise_now();
    deadline = deadline.resolved(now);
    if (asked || !deadline.passed(now)) [[likely]]
        return false;
    return watch.unverified = true;
}

// Connects a descriptor that is not connected yet. Suspends. Errors: those of connect(2), timed_out,
// canceled, closed. Before: the deadline is resolved.
std::error_code connect_watched(FdWatch& watch, const nutils::SockAddr& peer, Deadline deadline);

}  // namespace evcorothread
