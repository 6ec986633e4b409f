#include "evcorothread/channel.h"

#include "cutils/check.h"
#include "evcorothread/loop_core_internal.h"

namespace evcorothread {

void ChannelCore::settle() {
    if (os_thread_ == nullptr) os_thread_ = &t_here;
    EVC_CHECK(at_home(), "a Channel is used on two OS threads: use a SharedChannel between them");
}

std::error_code ChannelCore::refusal() {
    const ThreadCore& self = ThreadCore::current();
    check_thread();
    if (self.canceled && self.shield == nullptr) return NetError::canceled;
    return {};
}

void* ChannelCore::wake_first(Queue& queue) {
    while (!queue.empty()) {
        ChannelWaiter& first = queue.pop_front();
        // One whose wait has ended otherwise is still here until it runs: not its turn any more.
        if (!ThreadCore::wake(*first.point, Wake::event)) continue;
        first.met = ChannelWaiter::Met::partner;
        return first.place;
    }
    return nullptr;
}

bool ChannelCore::somebody_is_left(Queue& queue) {
    while (!queue.empty()) {
        if (!ThreadCore::woken(*queue.front().point)) return true;
        queue.pop_front();
    }
    return false;
}

namespace {

template <class Queue>
[[gnu::always_inline]] inline Wake wait_in(Queue& queue, void* place, const char* reason, Deadline deadline) {
    WaitPoint point = ThreadCore::point(*t_here.thread, reason);
    ChannelWaiter waiter;
    waiter.point = &point;
    waiter.place = place;
    queue.push_back(waiter);
    const Wake cause = ThreadCore::wait(point, deadline);
    // The channel may be gone: then whoever ended it has taken the waiter out of its queue.
    waiter.unlink();
    return cause;
}

}  // namespace

std::error_code ChannelCore::wait_to_send(void* value, Deadline deadline) {
    if (closed_) return NetError::closed;
    const std::error_code sent = done();
    const Wake cause = wait_in(senders_, value, "channel send", deadline);
    return cause == Wake::event ? sent : to_error(cause);
}

std::error_code ChannelCore::wait_to_recv(void* room, Deadline deadline) {
    if (closed_) return reason_;
    const std::error_code received = done();
    const Wake cause = wait_in(receivers_, room, "channel recv", deadline);
    return cause == Wake::event ? received : to_error(cause);
}

void ChannelCore::end(std::error_code reason) {
    if (closed_) return;
    closed_ = true;
    room_ = 0;
    reason_ = reason;
    for (Queue* queue : {&receivers_, &senders_}) {
        if (queue->empty()) continue;
        check_thread();
        while (!queue->empty()) {
            ChannelWaiter& waiter = queue->pop_front();
            if (ThreadCore::wake(*waiter.point, Wake::closed)) waiter.met = ChannelWaiter::Met::end;
        }
    }
}

}  // namespace evcorothread
