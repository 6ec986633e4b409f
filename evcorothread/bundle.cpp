#include "evcorothread/bundle.h"

#include <algorithm>

#include "cutils/check.h"
#include "cutils/log.h"
#include "evcorothread/loop_core_internal.h"
#include "nutils/net_error.h"

namespace evcorothread {

using namespace std::chrono_literals;
using nutils::NetError;

Bundle::Bundle(EvLoop& loop, Deadline deadline) : loop_(loop) {
    const ThreadCore* const parent = t_here.thread;
    limit_ = deadline.is_never() ? TimePoint::max() : deadline.resolved(loop.precise_now()).at();
    if (parent != nullptr && parent->has(kLimited)) limit_ = std::min(limit_, parent->limit());
    special_ = limit_ != TimePoint::max();
}

void Bundle::restrict(ThreadLink& child) {
    if (canceled_ || stopping_) LoopCore::cancel(child);
    if (child.pending || limit_ == TimePoint::max()) return;  // a pending one: when it has started
    static_cast<ThreadCore&>(child).limit_to(limit_);
}

// A child that waited for a stack has one.
void Bundle::started(ThreadLink& pending, ThreadLink& thread) {
    pending.unlink();
    --size_;
    adopt(thread);
}

void Bundle::failed(const std::exception_ptr& thrown) {
    if (!thrown_ && error_.ok()) thrown_ = thrown;
    stopping_ = special_ = true;
    children_.for_each([](ThreadLink& child) { LoopCore::cancel(child); });
}

void Bundle::returned(cutils::Result<void> result) {
    if (result.ok()) return;
    if (canceled_ && result.error().code() == NetError::canceled) return;
    if (stopping_) return;  // the first failure counts, and this may be but its echo
    error_ = std::move(result);
    failed({});
}

void Bundle::cancel() {
    loop_.core().check_thread();
    canceled_ = special_ = true;
    children_.for_each([](ThreadLink& child) { LoopCore::cancel(child); });
}

// Another coroutine may go() one more between the last one's end and our turn.
[[gnu::always_inline]] inline Wake Bundle::wait_for_all(Deadline deadline) {
    if (deadline.is_relative()) deadline = deadline.resolved(loop_.precise_now());
    Wake cause = Wake::event;
    while (cause == Wake::event && !children_.empty()) cause = wait_for_event(false, deadline);
    return cause;
}

Wake Bundle::wait_for_event(bool any, Deadline deadline) {
    EVC_CHECK(waiter_ == nullptr, "two coroutines wait for one bundle");
    WaitPoint point = ThreadCore::point(ThreadCore::current(), "children of a bundle", WaitKind::bundle);
    waiter_ = &point;
    any_ = any;
    const Wake cause = ThreadCore::wait(point, deadline);
    waiter_ = nullptr;
    return cause;
}

// All have ended: the first failure, once.
cutils::Result<void> Bundle::outcome() {
    stopping_ = false;
    ended_ = 0;
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
    return std::exchange(error_, {});
}

cutils::Result<void> Bundle::wait(Deadline deadline) {
    loop_.core().check_thread();
    const Wake cause = wait_for_all(deadline);
    return cause == Wake::event ? outcome() : cutils::Result<void>(to_error(cause));
}

cutils::Result<std::size_t> Bundle::wait_any(Deadline deadline) {
    loop_.core().check_thread();
    deadline = deadline.resolved(loop_.precise_now());
    while (ended_ == 0 || stopping_) {
        if (children_.empty()) {
            if (cutils::Result<void> failure = outcome(); !failure) return failure.error();
            return std::error_code(NetError::closed);
        }
        const Wake cause = wait_for_event(!stopping_, deadline);
        if (cause != Wake::event) return to_error(cause);
    }
    --ended_;
    return size_;
}

cutils::Result<void> Bundle::close(Deadline deadline) {
    cancel();
    if (!children_.empty()) {
        const LastingShield shield(deadline);
        if (wait_for_all(deadline) != Wake::event) return std::error_code(NetError::timed_out);
    }
    stopping_ = false;
    thrown_ = nullptr;
    error_ = {};
    return {};
}

// The destructor's wait.
void Bundle::end_children() {
    LoopCore& core = loop_.core();
    cancel();
    const TimePoint complain_at = core.precise_now() + 5s;
    if (t_here.thread != nullptr) {
        const LastingShield shield(Deadline::never);
        if (wait_for_all(complain_at) != Wake::event) {
            log_stragglers();
            (void)wait_for_all(Deadline::never);
        }
        return;
    }
    EVC_CHECK(
        core.owned && !core.running && !core.in_pass,
        "a Bundle with children is destroyed in a callback of the loop: close() it in a coroutine first");
    core.run_while([this] { return !children_.empty(); }, complain_at, [this] { log_stragglers(); });
}

void Bundle::log_stragglers() {
    children_.for_each([](ThreadLink& child) {
        const std::string_view name = name_of(child);
        cutils::log(cutils::LogLevel::warning,
                    "a Bundle ends, and waits for its child \"%.*s\", canceled five seconds ago",
                    static_cast<int>(name.size()), name.data());
    });
}

}  // namespace evcorothread
