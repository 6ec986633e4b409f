#include "evcorothread/select.h"

#include <algorithm>
#include <functional>
#include <optional>

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

SelectResult finish(Arms arms, std::size_t which, const std::error_code& error) {
    arms[which]->handle(error);
    return {which, error};
}

// A place in each queue: those of the own loop first, then the shared ones by their addresses. So of two
// selects that can meet at several shared channels, the one that comes second at the first of them finds the
// other one there; it does not go on to the next, but to look again, where it takes what it has found.
class Places {
  public:
    Places(Arms arms, SelectPoint& point) : arms_(arms), point_(point) {
        const bool is_shared =
            std::any_of(arms.begin(), arms.end(), [](SelectArm* arm) { return arm->shared() != nullptr; });
        if (is_shared) point.guard = &guard_.emplace(*t_here.thread, point);
        for (; own_ < arms.size(); ++own_) {
            if (arms[own_]->shared() != nullptr) continue;
            if (const std::error_code error = arms[own_]->wait_at(point)) {
                refused_ = {own_, error};
                return;
            }
            end_ = std::min(end_, arms[own_]->due());
        }
        if (is_shared) wait_at_shared();
    }
    Places(const Places&) = delete;
    Places& operator=(const Places&) = delete;

    [[nodiscard]] bool taken() const { return refused_.none(); }
    [[nodiscard]] TimePoint end() const { return end_; }

    // Leaves them all. Which arm has happened meanwhile, or could not wait.
    SelectResult leave() {
        // From here on nobody else gets it; an arm may have happened after whatever has woken this select.
        const bool too_late = guard_ && !guard_->take();
        for (std::size_t i = 0; i < arms_.size(); ++i)
            if (i < own_ || arms_[i]->shared() != nullptr) arms_[i]->leave();
        if (too_late) guard_->loop.inbox.withdraw(guard_->delivery);
        SelectResult happened;
        for (std::size_t i = 0; i < arms_.size(); ++i)
            if (arms_[i]->happened(happened.error)) return {i, happened.error};
        return refused_;
    }

  private:
    void wait_at_shared() {
        const std::less<const void*> before;
        const void* last = nullptr;
        for (;;) {
            const void* next = nullptr;
            for (const SelectArm* const arm : arms_)
                if (before(last, arm->shared()) && (next == nullptr || before(arm->shared(), next)))
                    next = arm->shared();
            if (next == nullptr) return;
            for (SelectArm* const arm : arms_)
                if (arm->shared() == next) (void)arm->wait_at(point_);
            if (ThreadCore::woken(point_)) return;
            last = next;
        }
    }

    const Arms arms_;
    SelectPoint& point_;
    std::optional<SelectGuard> guard_;
    std::size_t own_ = 0;  // in front of this one all wait that are not shared
    TimePoint end_ = TimePoint::max();
    SelectResult refused_;
};

// Waits at all arms at once: one wait. Afterwards in no queue.
struct Wait {
    Wake cause = Wake::event;
    SelectResult result;  // with an arm, when whoever ended the wait has done the arm's work, too
};
Wait wait_at(ThreadCore& self, Arms arms, TimePoint end) {
    SelectPoint point(self, &arms);
    Places places(arms, point);
    Wait wait;
    if (places.taken()) wait.cause = ThreadCore::wait(point, Deadline(std::min(end, places.end())));
    wait.result = places.leave();
    return wait;
}

SelectResult none(NetError why) { return {SelectResult::kNone, why}; }

}  // namespace

SelectResult try_select_from(Arms arms, SelectOrder order) {
    for (SelectArm* const arm : arms) arm->begin();
    for (;;) {
        const std::size_t chosen = choose(t_here.loop, arms, order);
        if (chosen == SelectResult::kNone) return none(NetError::would_block);
        // Another OS thread may have been there in between.
        const std::error_code error = arms[chosen]->happen();
        if (error != NetError::would_block) return finish(arms, chosen, error);
    }
}

SelectResult select_from(Arms arms, SelectOrder order, Deadline deadline) {
    ThreadCore& self = ThreadCore::current();
    if (self.refuses_waits()) return none(NetError::canceled);
    if (deadline.is_relative()) deadline = deadline.resolved(self.loop.precise_now());
    for (SelectArm* const arm : arms) arm->begin();
    Wake cause = Wake::event;
    for (;;) {
        const std::size_t chosen = choose(&self.loop, arms, order);
        if (chosen != SelectResult::kNone) {
            const std::error_code error = arms[chosen]->happen();
            if (error != NetError::would_block) return finish(arms, chosen, error);
            continue;  // another OS thread was there in between
        }
        if (cause == Wake::timed_out) return none(NetError::timed_out);
        const Wait wait = wait_at(self, arms, deadline.at());
        if (!wait.result.none()) return finish(arms, wait.result.arm, wait.result.error);
        if (wait.cause == Wake::canceled) return none(NetError::canceled);
        cause = wait.cause;
    }
}

}  // namespace evcorothread
