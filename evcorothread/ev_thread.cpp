#include "evcorothread/ev_thread.h"

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

EvThread::EvThread(PendingSpawn& pending) noexcept : pending_(&pending) { pending.handle = this; }

EvThread::EvThread(EvThread&& other) noexcept
    : core_(std::exchange(other.core_, nullptr)),
      pending_(std::exchange(other.pending_, nullptr)),
      thrown_(std::move(other.thrown_)) {
    EVC_CHECK(other.joiner_ == nullptr, "an EvThread is moved while a join() waits on it");
    link_to_this();
}

EvThread& EvThread::operator=(EvThread&& other) noexcept {
    if (this == &other) return *this;
    EVC_CHECK(joiner_ == nullptr && other.joiner_ == nullptr,
              "an EvThread is moved while a join() waits on it");
    unlink();
    core_ = std::exchange(other.core_, nullptr);
    pending_ = std::exchange(other.pending_, nullptr);
    thrown_ = std::move(other.thrown_);
    link_to_this();
    return *this;
}

void EvThread::link_to_this() noexcept {
    if (core_ != nullptr) core_->handle = this;
    if (pending_ != nullptr) pending_->handle = this;
}

void EvThread::unlink() noexcept {
    EVC_CHECK(joiner_ == nullptr, "an EvThread is dropped while a join() waits on it");
    if (core_ != nullptr) core_->handle = nullptr;
    if (pending_ != nullptr) pending_->handle = nullptr;
}

std::error_code EvThread::join(Deadline deadline) {
    if (core_ != nullptr || pending_ != nullptr) {
        EVC_CHECK(joiner_ == nullptr, "two joins wait on one coroutine");
        EVC_CHECK(core_ == nullptr || core_ != t_here.thread, "a coroutine joins itself");
        WaitPoint point = ThreadCore::point(ThreadCore::current(), "join");
        joiner_ = &point;
        const Wake cause = ThreadCore::wait(point, deadline);
        joiner_ = nullptr;
        if (cause != Wake::event) return to_error(cause);
    }
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
    return {};
}

void EvThread::cancel() {
    if (core_ != nullptr) core_->loop.cancel(*core_);
    if (pending_ != nullptr) pending_->canceled = true;
}

EvThreadState EvThread::state() const {
    if (core_ != nullptr) return core_->state;
    return pending_ != nullptr ? EvThreadState::waiting_for_stack : EvThreadState::finished;
}

std::string_view EvThread::name() const {
    if (core_ != nullptr) return core_->name();
    return pending_ != nullptr ? pending_->name() : std::string_view();
}

std::uint64_t EvThread::id() const { return core_ != nullptr ? core_->id : 0; }

namespace this_evthread {

bool in_evthread() { return t_here.thread != nullptr; }

void yield() {
    ThreadCore& self = ThreadCore::current();
    LoopCore& loop = *t_here.loop;
    self.state = EvThreadState::ready;
    loop.ready.push(self);
    loop.leave(self);
}

std::error_code delay(Deadline until) {
    WaitPoint point("delay");
    const Wake cause = point.wait(until);
    return cause == Wake::timed_out ? std::error_code() : to_error(cause);
}

bool canceled() { return ThreadCore::current().canceled; }
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
    if (self.shield == nullptr) return {kPassed, Wake::canceled};
    const Deadline end = self.shield->deadline_;
    deadline = deadline.resolved(self.loop.precise_now());
    if (end.at() < deadline.at()) return {end, Wake::canceled};
    return {deadline, Wake::timed_out};
}

bool shield_over(const ThreadCore& self) {
    return self.shield == nullptr || self.shield->deadline_.at() <= self.loop.precise_now();
}

CancelShield::CancelShield(Deadline deadline)
    : outer_(ThreadCore::current().shield), deadline_(deadline.resolved(t_here.thread->loop.precise_now())) {
    if (!t_here.thread->left_behind) t_here.thread->shield = this;
}

void void_shields(ThreadCore& thread) {
    thread.left_behind = true;
    for (CancelShield* shield = std::exchange(thread.shield, nullptr); shield != nullptr;)
        shield = std::exchange(shield->outer_, nullptr);  // so none comes back when an inner one ends
}

CancelShield::~CancelShield() { ThreadCore::current().shield = outer_; }

}  // namespace evcorothread
