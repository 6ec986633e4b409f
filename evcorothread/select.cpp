#include "evcorothread/select.h"

#include <algorithm>

#include "cutils/check.h"
#include "evcorothread/loop_core_internal.h"

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

SelectResult finish(Arms arms, std::size_t which, const std::error_code& error) {
    arms[which]->handle(error);
    return {which, error};
}

// Waits at all arms at once: one wait, a place in each queue. Afterwards in none of them.
struct Wait {
    Wake cause = Wake::event;
    SelectResult result;  // with an arm, when whoever ended the wait has done the arm's work, too
};
Wait wait_at(ThreadCore& self, Arms arms, TimePoint end) {
    ObjectPoint point(self, "select", WaitKind::select, &arms);
    Wait wait;
    std::size_t waiting = 0;
    for (; waiting < arms.size(); ++waiting) {
        if (const std::error_code error = arms[waiting]->wait_at(point)) {
            wait.result = {waiting, error};
            break;
        }
        end = std::min(end, arms[waiting]->due());
    }
    if (waiting == arms.size()) wait.cause = ThreadCore::wait(point, Deadline(end));
    for (SelectArm* const arm : arms.first(waiting)) arm->leave();
    if (!wait.result.none()) return wait;
    for (std::size_t i = 0; i < arms.size(); ++i) {
        if (arms[i]->happened(wait.result.error)) {
            wait.result.arm = i;
            break;
        }
    }
    return wait;
}

SelectResult none(NetError why) { return {SelectResult::kNone, why}; }

}  // namespace

SelectResult try_select_from(Arms arms, SelectOrder order) {
    for (SelectArm* const arm : arms) arm->begin();
    const std::size_t chosen = choose(t_here.loop, arms, order);
    if (chosen == SelectResult::kNone) return none(NetError::would_block);
    return finish(arms, chosen, arms[chosen]->happen());
}

SelectResult select_from(Arms arms, SelectOrder order, Deadline deadline) {
    ThreadCore& self = ThreadCore::current();
    if (self.refuses_waits()) return none(NetError::canceled);
    if (deadline.is_relative()) deadline = deadline.resolved(self.loop.precise_now());
    for (SelectArm* const arm : arms) arm->begin();
    Wake cause = Wake::event;
    for (;;) {
        const std::size_t chosen = choose(&self.loop, arms, order);
        if (chosen != SelectResult::kNone) return finish(arms, chosen, arms[chosen]->happen());
        if (cause == Wake::timed_out) return none(NetError::timed_out);
        const Wait wait = wait_at(self, arms, deadline.at());
        if (!wait.result.none()) return finish(arms, wait.result.arm, wait.result.error);
        if (wait.cause == Wake::canceled) return none(NetError::canceled);
        cause = wait.cause;
    }
}

}  // namespace evcorothread
