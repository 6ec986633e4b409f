#include "evcorothread/ev_thread.h"

#include <algorithm>
#include <utility>

#include "cutils/check.h"
#include "evcorothread/loop_core_internal.h"

namespace evcorothread {

const char* to_string(EvThreadState state) {
    switch (state) {
        case EvThreadState::waiting_for_stack: return "waiting for a stack";
        case EvThreadState::ready: return "ready";
        case EvThreadState::running: return "running";
        case EvThreadState::parked: return "parked";
        case EvThreadState::finished: return "finished";
    }
    return "?";
}

std::error_code EvThread::join_unfinished(Deadline deadline) {
    if (link_ != nullptr) {
        EVC_CHECK(joiner_ == nullptr, "two joins wait on one coroutine");
        ThreadCore& self = ThreadCore::current();
        EVC_CHECK(link_ != &self, "a coroutine joins itself");
        EVC_CHECK(link_->pending || &static_cast<ThreadCore*>(link_)->loop == &self.loop,
                  "a coroutine is joined by one of another loop");
        WaitPoint point = ThreadCore::point(self, "join", WaitKind::join);
        joiner_ = &point;
        const Wake cause = ThreadCore::wait(point, deadline);
        joiner_ = nullptr;
        if (cause != Wake::event) return to_error(cause);
    }
    if (thrown_) [[unlikely]]
        std::rethrow_exception(std::exchange(thrown_, nullptr));
    return {};
}

void EvThread::cancel() {
    if (link_ != nullptr) LoopCore::cancel(*link_);
}

EvThreadState EvThread::state() const {
    if (link_ == nullptr) return EvThreadState::finished;
    return link_->pending ? EvThreadState::waiting_for_stack : static_cast<ThreadCore*>(link_)->state();
}

std::string_view EvThread::name() const { return link_ == nullptr ? std::string_view() : name_of(*link_); }

std::uint64_t EvThread::id() const {
    return link_ == nullptr || link_->pending ? 0 : static_cast<ThreadCore*>(link_)->id;
}

namespace this_evthread {

bool in_evthread() { return t_here.thread != nullptr; }

void yield() {
    ThreadCore* const self = t_here.thread;
    if (self == nullptr) [[unlikely]]
        return ThreadCore::check_inside();  // this function only ends with calls: so it saves little
    self->loop.yield(*self);
}

std::error_code delay(Deadline until) {
    ThreadCore& self = ThreadCore::current();
    const bool limited = self.has(kLimited);
    if (limited) until = until.resolved(self.loop.precise_now());
    WaitPoint point = ThreadCore::point(self, "delay", WaitKind::delay);
    const Wake cause = ThreadCore::wait(point, until);
    if (cause != Wake::timed_out) return to_error(cause);
    // Limited, it may have been the bundle's deadline that came.
    return limited && self.loop.precise_now() < until.at() ? to_error(cause) : std::error_code();
}

bool canceled() { return ThreadCore::current().canceled(); }
Deadline deadline() {
    const ThreadCore& self = ThreadCore::current();
    return self.has(kLimited) ? Deadline(self.limit()) : Deadline::never;
}
std::string_view name() { return ThreadCore::current().name(); }
std::uint64_t id() { return ThreadCore::current().id; }

EvLoop& loop() { return *ThreadCore::current().loop.owner; }

std::size_t stack_left() {
    const char* const here = static_cast<const char*>(__builtin_frame_address(0));
    return static_cast<std::size_t>(here - ThreadCore::current().stack().bottom);
}

}  // namespace this_evthread

ShieldedWait shielded(const ThreadCore& self, Deadline deadline) {
    constexpr Deadline kPassed(TimePoint::min());
    const TimePoint now = self.loop.precise_now();
    deadline = deadline.resolved(now);
    const TimePoint shield_end = self.shield != nullptr ? self.shield->deadline_.at() : TimePoint::min();
    if (self.has(kLimited)) {
        const bool by_scope_inside = self.shield != nullptr && self.shield->limited_;
        const TimePoint limit = by_scope_inside ? self.limit() : std::max(self.limit(), shield_end);
        deadline = Deadline(std::min(deadline.at(), limit));
    }
    if (!self.canceled()) return {deadline, Wake::timed_out};
    if (shield_end <= now) return {kPassed, Wake::canceled};  // none, or over
    if (shield_end < deadline.at()) return {Deadline(shield_end), Wake::canceled};
    return {deadline, Wake::timed_out};
}

ShieldedWait unusual_wait(const ThreadCore& self, Deadline deadline) {
    if (self.has(kTimed)) self.loop.note_wait(self);
    return shielded(self, deadline);
}

bool shield_over(const ThreadCore& self) {
    return self.shield == nullptr || self.shield->deadline_.at() <= self.loop.precise_now();
}

DeadlineScope::DeadlineScope(Deadline deadline) : outer_(this_evthread::deadline()) {
    ThreadCore& self = ThreadCore::current();
    deadline = deadline.resolved(self.loop.precise_now());
    CancelShield* const shield = self.shield != nullptr && !self.shield->limited_ ? self.shield : nullptr;
    // What is around the shield waits for the shield's end.
    const TimePoint around = shield != nullptr ? std::max(outer_.at(), shield->deadline_.at()) : outer_.at();
    if (deadline.is_never() || around <= deadline.at()) return;
    self.limit_to(deadline.at());
    if (shield != nullptr) shield->limited_ = true;
    shield_ = shield;
}
DeadlineScope::~DeadlineScope() {
    if (shield_ != nullptr) shield_->limited_ = false;
    ThreadCore& self = ThreadCore::current();
    self.limit_to(outer_.at());
    if (outer_.is_never()) self.flags &= static_cast<std::uint8_t>(~kLimited);
}

CancelShield::CancelShield(Deadline deadline, bool lasts)
    : outer_(ThreadCore::current().shield),
      deadline_(deadline.resolved(t_here.thread->loop.precise_now())),
      lasts_(lasts) {
    if (lasts || !t_here.thread->has(kLeftBehind)) t_here.thread->shield = this;
}

void void_shields(ThreadCore& thread) {
    thread.flags |= kLeftBehind;
    const auto lasting = [](CancelShield* shield) {
        while (shield != nullptr && !shield->lasts_) shield = shield->outer_;
        return shield;
    };
    CancelShield* shield = std::exchange(thread.shield, lasting(thread.shield));
    while (shield != nullptr)  // so that no other comes back when an inner one ends
        shield = std::exchange(shield->outer_, lasting(shield->outer_));
}

CancelShield::~CancelShield() { ThreadCore::current().shield = outer_; }

}  // namespace evcorothread
