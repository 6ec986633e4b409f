#include "evcorothread/wait_fd.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <poll.h>

#include <cerrno>

#include "evcorothread/loop_core_internal.h"

namespace evcorothread {
namespace {

std::error_code system_error(int number) { return {number, std::generic_category()}; }

std::error_code wait_for(int fd, short what, const char* reason, Deadline deadline) {
    ThreadCore& self = ThreadCore::current();
    if (fd < 0) return system_error(EBADF);  // poll(2) looks away
    pollfd state{fd, static_cast<short>(what == EV_READ ? POLLIN : POLLOUT), 0};
    int ready;
    do ready = ::poll(&state, 1, 0);
    while (ready < 0 && errno == EINTR);
    if (ready < 0) return system_error(errno);
    if ((state.revents & POLLNVAL) != 0) return system_error(EBADF);
    if (ready > 0 && !self.canceled()) return {};

    WaitPoint point = ThreadCore::point(self, reason, WaitKind::descriptor, fd);
    event watch;
    event_assign(
        &watch, self.loop.base, fd, what,
        [](evutil_socket_t, short, void* waiter) { static_cast<WaitPoint*>(waiter)->wake(); }, &point);
    errno = 0;
    if (event_add(&watch, nullptr) != 0) return system_error(errno != 0 ? errno : ENOMEM);
    const Wake cause = point.wait(deadline);
    event_del(&watch);
    return to_error(cause);
}

}  // namespace

std::error_code wait_readable(int fd, Deadline deadline) {
    return wait_for(fd, EV_READ, "wait_readable", deadline);
}
std::error_code wait_writable(int fd, Deadline deadline) {
    return wait_for(fd, EV_WRITE, "wait_writable", deadline);
}

}  // namespace evcorothread
