#include "evcorothread/channel.h"

#include <cstddef>

#include "cutils/check.h"
#include "evcorothread/channel_memory_internal.h"
#include "evcorothread/loop_core_internal.h"
#include "evcorothread/select_guard_internal.h"

namespace evcorothread {
namespace {

// What here.h takes for granted.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
static_assert(offsetof(ThreadCore, flags) == offsetof(ThreadHead, flags) && offsetof(ThreadCore, flags) == 0);
#pragma GCC diagnostic pop

unsigned char* allocate(std::size_t count, std::size_t size, std::align_val_t alignment) {
    return static_cast<unsigned char*>(::operator new(buffer_bytes(count, size), alignment));
}

}  // namespace

ChannelCore::ChannelCore(std::size_t capacity, std::size_t size, std::align_val_t alignment)
    : capacity_(capacity),
      middle_(capacity > 0 ? capacity - 1 : 0),
      send_middle_(middle_),
      value_size_(size),
      ring_(capacity > 0 ? allocate(capacity, size, alignment) : nullptr, Free{alignment}) {}

void ChannelCore::settle() {
    if (os_thread_ == nullptr) os_thread_ = &t_here;
    EVC_CHECK(at_home(), "a Channel is used on two OS threads: use a SharedChannel between them");
}

namespace {

// Of a select that waits at shared channels, too: such a waiter's point is the guard, which nobody waits at,
// so no short cut finds it parked.
[[gnu::cold]] bool wake_guarded(ChannelWaiter& waiter, Wake cause, ChannelWaiter::Met how) {
    if (!static_cast<SelectGuard&>(*waiter.point).take_here(cause)) return false;
    waiter.met = how;
    return true;
}
bool is_over(const ChannelWaiter& waiter) {
    return waiter.met == ChannelWaiter::Met::guarded ? !static_cast<const SelectGuard&>(*waiter.point).free()
                                                     : ThreadCore::woken(*waiter.point);
}

}  // namespace

bool ChannelCore::somebody_is_left(Queue& queue) {
    while (!queue.empty()) {
        if (!is_over(queue.front())) return true;
        late_.push_back(queue.pop_front());
    }
    return false;
}

[[gnu::always_inline]] inline void* ChannelCore::wake_first(Queue& queue) {
    while (!queue.empty()) {
        if (!queue.front().linked()) __builtin_unreachable();  // spares pop_front() the question
        ChannelWaiter& first = queue.pop_front();
        // One whose wait has ended otherwise is still here until it runs: not its turn any more.
        if (first.met == ChannelWaiter::Met::guarded) [[unlikely]] {
            if (wake_guarded(first, Wake::event, ChannelWaiter::Met::partner)) return first.place;
            late_.push_back(first);
            continue;
        }
        if (!ThreadCore::wake(*first.point, Wake::event, *first.thread)) [[unlikely]] {
            late_.push_back(first);
            continue;
        }
        first.met = ChannelWaiter::Met::partner;
        return first.place;
    }
    return nullptr;
}

void* ChannelCore::place_to_send() {
    if (!receivers_.empty())
        if (void* const room = wake_first(receivers_)) return room;
    return has_room() ? slot(add_last()) : nullptr;
}

void* ChannelCore::place_to_recv() {
    if (size_ > 0) return oldest();
    return senders_.empty() ? nullptr : wake_first(senders_);
}

void* ChannelCore::oldest_is_gone(void*& place) {
    drop_first();
    void* const next = senders_.empty() ? nullptr : wake_first(senders_);
    if (next != nullptr) place = slot(add_last());
    return next;
}

namespace {

[[gnu::always_inline]] inline std::error_code ended(ChannelWaiter& waiter, Wake cause) {
    if (cause == Wake::event) [[likely]] {
        if (waiter.linked()) __builtin_unreachable();  // whoever woke it has taken it out
        return {0, *waiter.no_error};
    }
    // The channel may be gone: then it has taken the waiter out of its queues.
    waiter.unlink();
    return to_error(cause);
}

}  // namespace

// What those who come after close() get there.
std::error_code ChannelCore::end_of(const Queue& queue) const {
    return &queue == &receivers_ ? reason_ : NetError::closed;
}

// A function of its own, called last: what goes on without waiting shall not pay for what must be saved
// across a switch. And nothing of a deadline, of cancel, or of the channel must survive it.
// Before: neither canceled nor limited.
[[gnu::noinline]] std::error_code ChannelCore::wait_for_ever(Queue& queue, void* place, const char* reason) {
    if (closed_) [[unlikely]]
        return end_of(queue);
    ThreadCore& self = *t_here.thread;
    if (self.flags != 0) __builtin_unreachable();
    ObjectPoint point(self, reason, WaitKind::channel, this);
    ChannelWaiter waiter(point, self, place);
    waiter.no_error = no_error_;
    queue.push_back(waiter);
    return ended(waiter, ThreadCore::wait_for_ever(point));
}

[[gnu::noinline]] std::error_code ChannelCore::wait_in(Queue& queue, void* place, const char* reason,
                                                       Deadline deadline) {
    if (closed_) return end_of(queue);
    ThreadCore& self = *t_here.thread;
    ObjectPoint point(self, reason, WaitKind::channel, this);
    ChannelWaiter waiter(point, self, place);
    waiter.no_error = no_error_;
    queue.push_back(waiter);
    return ended(waiter, ThreadCore::wait(point, deadline));
}

// What every call with a deadline looks at first: the caller's bugs, and cancel.
std::error_code ChannelCore::refusal(const ThreadCore* self) {
    EVC_CHECK(self != nullptr,
              "this may wait, so it must be called in a coroutine thread: use EvLoop::spawn");
    check_thread();
    if (self->refuses_waits()) return NetError::canceled;
    return {};
}

// The usual case of wake_first(): the first one is parked, and it is not the only one that is ready. Null:
// not so, and nothing was done. Makes no call, so nothing must be saved for one.
[[gnu::always_inline]] inline void* ChannelCore::hand_over(Queue& queue) {
    ChannelWaiter& first = queue.front();
    if (!ThreadCore::wake_parked(*first.point, *first.thread)) [[unlikely]]
        return nullptr;
    if (!first.linked()) __builtin_unreachable();
    first.unlink();
    first.met = ChannelWaiter::Met::partner;
    void* const place = first.place;
    if (place == nullptr) __builtin_unreachable();
    return place;
}

// The two that follow call nothing but what they end with: each of them is a few registers less to save.

std::error_code ChannelCore::place_to_send(void*& place, void* value, Deadline deadline) {
    const ThreadCore* const self = t_here.thread;
    if (self == nullptr || self->flags != 0 || !at_home()) [[unlikely]]
        return send_slowly(place, value, deadline);
    if (!receivers_.empty()) {
        place = hand_over(receivers_);
        return place != nullptr ? done() : send_slowly(place, value, deadline);
    }
    if (has_room()) {
        place = slot(add_last());
        return done();
    }
    if (deadline.is_never()) [[likely]]
        return wait_for_ever(senders_, value, "channel send");
    return wait_in(senders_, value, "channel send", deadline);
}

std::error_code ChannelCore::place_to_recv(void*& place, Deadline deadline) {
    const ThreadCore* const self = t_here.thread;
    if (self == nullptr || self->flags != 0 || !at_home()) [[unlikely]]
        return recv_slowly(place, deadline);
    if (size_ > 0) {
        place = oldest();
        return done();
    }
    if (!senders_.empty()) {
        void* const there = hand_over(senders_);
        if (there == nullptr) [[unlikely]]
            return recv_slowly(place, deadline);
        place = there;
        return done();
    }
    if (deadline.is_never()) [[likely]]
        return wait_for_ever(receivers_, place, "channel recv");
    return wait_in(receivers_, place, "channel recv", deadline);
}

std::error_code ChannelCore::send_slowly(void*& place, void* value, Deadline deadline) {
    if (const std::error_code refused = refusal(t_here.thread)) return refused;
    place = place_to_send();
    if (place != nullptr) return done();
    return wait_in(senders_, value, "channel send", deadline);
}

std::error_code ChannelCore::recv_slowly(void*& place, Deadline deadline) {
    if (const std::error_code refused = refusal(t_here.thread)) return refused;
    if (void* const there = place_to_recv()) {
        place = there;
        return done();
    }
    return wait_in(receivers_, place, "channel recv", deadline);
}

void ChannelCore::end(std::error_code reason) {
    if (closed_) return;
    closed_ = true;
    send_middle_ = 0;
    reason_ = reason;
    for (Queue* queue : {&receivers_, &senders_}) {
        if (queue->empty()) continue;
        check_thread();
        while (!queue->empty()) {
            ChannelWaiter& waiter = queue->pop_front();
            if (waiter.met == ChannelWaiter::Met::guarded) {
                if (wake_guarded(waiter, Wake::closed, ChannelWaiter::Met::end)) continue;
            } else if (ThreadCore::wake(*waiter.point, Wake::closed)) {
                waiter.met = ChannelWaiter::Met::end;
                continue;
            }
            late_.push_back(waiter);
        }
    }
}

// The channel dies. A select whose time has come, say, and that has not run yet, must not look here again.
void ChannelCore::tell_late_ones() {
    check_thread();
    while (!late_.empty()) late_.pop_front().met = ChannelWaiter::Met::gone;
}

}  // namespace evcorothread
