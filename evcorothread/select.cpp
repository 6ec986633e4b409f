#include "evcorothread/select.h"

#include <algorithm>
#include <functional>

#include "cutils/check.h"
#include "evcorothread/loop_core_internal.h"
#include "evcorothread/select_guard_internal.h"

namespace evcorothread {
namespace {

using Arms = std::span<SelectArm* const>;

// The loop's own, so that a seed replays it, or this OS thread's outside of any.
std::uint64_t draw(LoopCore* loop, std::uint64_t below) {
    thread_local std::uint64_t outside = 1;
    std::uint64_t& state = loop != nullptr ? loop->shuffle_state : outside;
    return (next_random(state) >> 32) % below;
}

// One of the arms that are ready; each as likely, whatever stands between them.
std::size_t choose(LoopCore* loop, Arms arms, SelectOrder order) {
    std::size_t chosen = SelectResult::kNone;
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < arms.size(); ++i) {
        if (!arms[i]->ready()) continue;
        if (order == SelectOrder::ordered) return i;
        if (++count == 1 || draw(loop, count) == 0) chosen = i;
    }
    return chosen;
}

bool is_shared(const SelectArm* arm) { return arm->shared() != nullptr; }

// A place in each queue of the own loop. Up to which arm; if that is not all, the result says why.
[[gnu::always_inline]] inline std::size_t take_places(Arms arms, SelectPoint& point, TimePoint& end,
                                                      SelectResult& result) {
    for (std::size_t i = 0; i < arms.size(); ++i) {
        if (is_shared(arms[i])) continue;
        if (const std::error_code error = arms[i]->wait_at(point)) {
            result.arm = i;
            result.error = error;
            return i;
        }
        end = std::min(end, arms[i]->due());
    }
    return arms.size();
}

// And in those that other OS threads have, too: by their addresses. So of two selects that can meet at
// several channels, the one that comes second at the first of them finds the other one there; it does not go
// on to the next, but to look again, where it takes what it has found.
void take_shared_places(Arms arms, SelectPoint& point) {
    const std::less<const void*> before;
    const void* last = nullptr;
    for (;;) {
        const void* next = nullptr;
        for (const SelectArm* const arm : arms)
            if (before(last, arm->shared()) && (next == nullptr || before(arm->shared(), next)))
                next = arm->shared();
        if (next == nullptr) return;
        for (SelectArm* const arm : arms)
            if (arm->shared() == next) (void)arm->wait_at(point);
        if (ThreadCore::woken(point)) return;
        last = next;
    }
}

// With an arm in the result, whoever ended the wait has done the arm's work, too.
[[gnu::always_inline]] inline void see_what_has_happened(Arms arms, SelectResult& result) {
    std::error_code error;
    for (std::size_t i = 0; i < arms.size(); ++i) {
        if (!arms[i]->happened(error)) continue;
        result.arm = i;
        result.error = error;
        return;
    }
}

// Waits at all arms at once: one wait. Afterwards in no queue.
Wake wait_at(ThreadCore& self, Arms arms, TimePoint end, SelectResult& result) {
    SelectPoint point(self, &arms);
    Wake cause = Wake::event;
    const std::size_t places = take_places(arms, point, end, result);
    if (places == arms.size()) cause = ThreadCore::wait(point, Deadline(end));
    for (SelectArm* const arm : arms.first(places)) arm->leave();
    if (result.none()) see_what_has_happened(arms, result);
    return cause;
}

// The same with arms at shared channels.
[[gnu::noinline]] Wake wait_guarded_at(ThreadCore& self, Arms arms, TimePoint end, SelectResult& result) {
    SelectPoint point(self, &arms);
    SelectGuard guard(self, point);
    point.use(guard);
    Wake cause = Wake::event;
    const std::size_t places = take_places(arms, point, end, result);
    if (places == arms.size()) {
        take_shared_places(arms, point);
        cause = ThreadCore::wait(point, Deadline(end));
    }
    // From here on nobody else gets it; an arm may have happened after whatever has woken this select.
    const bool too_late = !guard.take();
    for (std::size_t i = 0; i < arms.size(); ++i)
        if (i < places || is_shared(arms[i])) arms[i]->leave();
    if (too_late) self.loop.inbox.withdraw(guard.delivery);
    see_what_has_happened(arms, result);
    return cause;
}

// The functions below fill in the caller's result, piece by piece: it is the one that select returns, so no
// part of it is copied just after it was written, which processors do slowly.

// Does one of the arms that are ready. False: none is.
[[gnu::always_inline]] inline bool do_ready(LoopCore* loop, Arms arms, SelectOrder order,
                                            SelectResult& result) {
    for (;;) {
        result.arm = choose(loop, arms, order);
        if (result.none()) return false;
        result.error = arms[result.arm]->happen();
        // Else another OS thread was there between the look and the try.
        if (!result.error || result.error != NetError::would_block) [[likely]] {
            arms[result.arm]->handle(result.error);
            return true;
        }
    }
}

// None was ready. Out of line: those who find one ready do not pay for the room that this needs.
[[gnu::noinline]] void wait_for_one(ThreadCore& self, Arms arms, SelectOrder order, Deadline deadline,
                                    SelectResult& result) {
    if (deadline.is_relative()) deadline = deadline.resolved(self.loop.precise_now());
    const bool guarded = std::any_of(arms.begin(), arms.end(), is_shared);
    for (;;) {
        const Wake cause = guarded ? wait_guarded_at(self, arms, deadline.at(), result)
                                   : wait_at(self, arms, deadline.at(), result);
        if (!result.none()) return arms[result.arm]->handle(result.error);
        if (cause == Wake::canceled) {
            result.error = NetError::canceled;
            return;
        }
        if (do_ready(&self.loop, arms, order, result)) return;
        if (cause == Wake::timed_out) {
            result.error = NetError::timed_out;
            return;
        }
    }
}

}  // namespace

SelectResult try_select_from(Arms arms, SelectOrder order) {
    SelectResult result;
    for (SelectArm* const arm : arms) arm->begin();
    if (!do_ready(t_here.loop, arms, order, result)) result.error = NetError::would_block;
    return result;
}

SelectResult select_from(Arms arms, SelectOrder order, Deadline deadline) {
    SelectResult result;
    ThreadCore& self = ThreadCore::current();
    if (self.refuses_waits()) [[unlikely]] {
        result.error = NetError::canceled;
        return result;
    }
    for (SelectArm* const arm : arms) arm->begin();
    if (!do_ready(&self.loop, arms, order, result)) wait_for_one(self, arms, order, deadline, result);
    return result;
}

}  // namespace evcorothread
