// The system calls that these tests can make fail: what wrap.txt names.
#include <event2/event.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cstdarg>

#include "test/support/wrapped_socket_calls.h"

TEST_SUPPORT_WRAP(int, eventfd, (unsigned int value, int flags), (value, flags))
TEST_SUPPORT_WRAP(int, timerfd_create, (clockid_t clock, int flags), (clock, flags))
TEST_SUPPORT_WRAP(int, madvise, (void* begin, size_t bytes, int advice), (begin, bytes, advice))
TEST_SUPPORT_WRAP(int, dup3, (int from, int to, int flags), (from, to, flags))
// Not a system call: epoll_ctl(2) is called inside libevent.
TEST_SUPPORT_WRAP(int, event_add, (event * added, const timeval* timeout), (added, timeout))

extern "C" long __real_syscall(long number, ...);
extern "C" long __wrap_syscall(long number, ...);
static ::test_support::FaultSite fault_site_syscall("syscall");
long __wrap_syscall(long number, ...) {
    if (const auto fault = fault_site_syscall.enter()) return fault->take();
    std::va_list list;
    va_start(list, number);
    long arguments[5];
    for (long& argument : arguments)
        argument = va_arg(list, long);  // as libc does: words, whatever they mean
    va_end(list);
    return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4]);
}
