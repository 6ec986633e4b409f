#include "evcorothread/select_arm.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <poll.h>

#include <cerrno>

#include "cutils/check.h"
#include "evcorothread/ev_socket.h"
#include "evcorothread/fd_watch_internal.h"
#include "evcorothread/select_guard_internal.h"

namespace evcorothread {
namespace {

// Does poll(2) say that `fd` may be read, or written? `error`: why that cannot be known.
bool polled(int fd, short what, std::error_code& error) {
    if (fd < 0) {  // poll(2) looks away
        error.assign(EBADF, std::generic_category());
        return true;
    }
    pollfd state{fd, what, 0};
    int ready;
    do ready = ::poll(&state, 1, 0);
    while (ready < 0 && errno == EINTR);
    error.clear();
    if (ready < 0)
        error.assign(errno, std::generic_category());
    else if ((state.revents & POLLNVAL) != 0)
        error.assign(EBADF, std::generic_category());
    return ready != 0;
}

}  // namespace

// --- channels
// -----------------------------------------------------------------------------------------------------

bool ChannelArm::ready() {
    if (gone()) return true;
    channel_.check_thread();
    return side_ == Side::recv ? channel_.may_recv() : channel_.may_send();
}

std::error_code ChannelArm::wait_at(WaitPoint& point) {
    EVC_CHECK(!waiter_.linked(), "one arm stands twice in a select");
    const SelectPoint& where = static_cast<SelectPoint&>(point);
    waiter_.point = where.for_channels;
    waiter_.met = where.begin;
    waiter_.thread = t_here.thread;
    (side_ == Side::recv ? channel_.receivers_ : channel_.senders_).push_back(waiter_);
    return {};
}

bool ChannelArm::happened(std::error_code& error) {
    if (waiter_.met == ChannelWaiter::Met::end) error = NetError::closed;
    return waiter_.met == ChannelWaiter::Met::end || waiter_.met == ChannelWaiter::Met::partner;
}

// --- time
// ---------------------------------------------------------------------------------------------------------

namespace {
// The loop's time; outside of any, the system's.
TimePoint time_here() {
    return t_here.loop != nullptr ? t_here.loop->precise_now() : cutils::monotonic_now();
}
}  // namespace

void TimeArmCore::begin() { due_ = when_.is_relative() ? when_.resolved(time_here()).at() : when_.at(); }

bool TimeArmCore::ready() { return due_ != TimePoint::max() && due_ <= time_here(); }

// --- descriptors
// --------------------------------------------------------------------------------------------------

void SocketArmCore::begin() {
    watch_ = socket_.watch();
    if (watch_ == nullptr || watch_->fd < 0)
        watch_ = nullptr;
    else
        watch_->loop.check_thread();
}

bool SocketArmCore::ready() {
    error_.clear();
    if (watch_ == nullptr) {
        error_ = NetError::closed;
        return true;
    }
    if (watch_->reader != nullptr) {
        error_ = NetError::busy;
        return true;
    }
    if (!watch_->may_read() && watch_->registered) return false;
    if (polled(watch_->fd, POLLIN, error_)) return true;
    // Nothing is there, not even an error. What comes from now on makes an edge, which will say so.
    watch_->readable = watch_->unverified = false;
    return false;
}

std::error_code SocketArmCore::wait_at(WaitPoint& point) {
    if (watch_->reader != nullptr) return NetError::busy;  // another arm of this select
    if (const std::error_code error = watch_->ensure_registered()) return error;
    watch_->reader = &point;
    watch_->selecting = &watch_;
    return {};
}

void SocketArmCore::leave() {
    if (watch_ == nullptr) return;
    watch_->reader = nullptr;
    watch_->selecting = nullptr;
}

static_assert(sizeof(event) <= 128);

bool DescriptorArmCore::ready() { return polled(fd_, what_ == kReadable ? POLLIN : POLLOUT, error_); }

std::error_code DescriptorArmCore::wait_at(WaitPoint& point) {
    event* const watch = reinterpret_cast<event*>(event_);
    event_assign(
        watch, t_here.loop->base, fd_, what_ == kReadable ? EV_READ : EV_WRITE,
        [](evutil_socket_t, short, void* waiter) { static_cast<WaitPoint*>(waiter)->wake(); }, &point);
    errno = 0;
    if (event_add(watch, nullptr) != 0) return {errno != 0 ? errno : ENOMEM, std::generic_category()};
    return {};
}

void DescriptorArmCore::leave() { event_del(reinterpret_cast<event*>(event_)); }

}  // namespace evcorothread
